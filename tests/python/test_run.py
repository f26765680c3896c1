"""Runs: compared with the float64 reference, and the guarantees of their calls."""

import tempfile
import threading
import unittest
from pathlib import Path

import l2o
import numpy as np

from reference import Rule
from support import (
    ALL_RULES,
    synthetic_gradients,
    synthetic_optimizer,
    synthetic_state,
    relative_error,
    sign_descent_optimizer,
)

STEPS, COORDINATES = 100, 37  # one full tile of 32 and a partial one
SMALL = Rule(8, 2, "log_and_sign")


class ReferenceTest(unittest.TestCase):
    def test_a_hundred_steps_match_float64(self):
        gradients = synthetic_gradients(STEPS, COORDINATES)
        for rule in ALL_RULES:
            optimizer, phi = synthetic_optimizer(rule)
            for state in (np.zeros((optimizer.state_size, COORDINATES), np.float32),
                          synthetic_state(optimizer, COORDINATES)):
                with self.subTest(**vars(rule), start=state.any()):
                    run = l2o.Run(optimizer, COORDINATES)
                    run.set_state(state)
                    theta = np.zeros(COORDINATES, np.float32)
                    thetas = []
                    for gradient in gradients:
                        run.step(gradient, theta)
                        thetas.append(theta.copy())
                    updates, after, _ = rule.forward(phi, gradients, state)
                    self.assertLess(relative_error(np.array(thetas), updates.cumsum(axis=0)), 1e-5)
                    self.assertLess(relative_error(run.get_state(), after), 1e-5)


class RunTest(unittest.TestCase):
    def setUp(self):
        self.optimizer, _ = synthetic_optimizer(SMALL)
        self.gradients = synthetic_gradients(3, COORDINATES)

    def stepped(self, run, gradients):
        theta = np.ones(COORDINATES, np.float32)
        for gradient in gradients:
            run.step(gradient, theta)
        return theta

    def test_several_tensors_equal_one(self):
        expected = self.stepped(l2o.Run(self.optimizer, COORDINATES), self.gradients)
        sizes = [1, 0, 33, 3]
        run = l2o.Run(self.optimizer, sizes)
        borders = np.cumsum(sizes)[:-1]
        parts = [part.copy() for part in np.split(np.ones(COORDINATES, np.float32), borders)]
        for gradient in self.gradients:
            run.step_multi([part.copy() for part in np.split(gradient, borders)], parts)
        np.testing.assert_array_equal(np.concatenate(parts), expected)

    def test_the_shape_of_an_array_does_not_matter(self):
        run = l2o.Run(self.optimizer, 6)
        theta = np.zeros((2, 3), np.float32)
        run.step(np.ones(6, np.float32), theta)
        self.assertTrue(theta.all())

    def test_a_state_moves_to_another_run(self):
        run = l2o.Run(self.optimizer, COORDINATES)
        self.stepped(run, self.gradients[:2])
        other = l2o.Run(self.optimizer, COORDINATES)
        other.set_state(run.get_state())
        np.testing.assert_array_equal(
            self.stepped(other, self.gradients[2:]), self.stepped(run, self.gradients[2:])
        )

    def test_reset_zeroes_the_state_and_takes_the_new_phi(self):
        run = l2o.Run(self.optimizer, COORDINATES)
        before = self.stepped(run, self.gradients)
        self.optimizer.set_meta_parameters(0.5 * self.optimizer.get_meta_parameters())
        run.reset()
        self.assertFalse(run.get_state().any())
        after = self.stepped(run, self.gradients)
        np.testing.assert_array_equal(
            after, self.stepped(l2o.Run(self.optimizer, COORDINATES), self.gradients)
        )
        self.assertTrue((before != after).any())

    def test_zero_coordinates_are_a_no_op(self):
        run = l2o.Run(self.optimizer, 0)
        empty = np.zeros(0, np.float32)
        run.step(empty, empty.copy())
        self.assertEqual(run.get_state().shape, (32, 0))

    def test_nan_policies(self):
        bad = self.gradients[0].copy()
        bad[5] = np.nan
        zeroed = bad.copy()
        zeroed[5] = 0

        run = l2o.Run(self.optimizer, COORDINATES)
        np.testing.assert_array_equal(self.stepped(run, [bad]), 1)
        self.assertFalse(run.get_state().any())
        self.assertEqual(run.skipped_steps, 1)

        run = l2o.Run(self.optimizer, COORDINATES, nan_policy=l2o.NanPolicy.ERROR)
        with self.assertRaises(l2o.Error) as caught:
            self.stepped(run, [bad])
        self.assertEqual(caught.exception.status, l2o.Status.NOT_FINITE)
        self.assertFalse(run.get_state().any())

        run = l2o.Run(self.optimizer, COORDINATES, nan_policy="zero")
        expected = self.stepped(l2o.Run(self.optimizer, COORDINATES), [zeroed])
        np.testing.assert_array_equal(self.stepped(run, [bad]), expected)

        run.reset()
        run.set_nan_policy("propagate")
        self.assertTrue(np.isnan(self.stepped(run, [bad])[5]))

        with self.assertRaisesRegex(ValueError, "unknown nan_policy 'ignore'; expected one of skip_step"):
            run.set_nan_policy("ignore")

    def test_scales(self):
        gradient = self.gradients[0]
        run = l2o.Run(self.optimizer, COORDINATES)
        update = np.zeros(COORDINATES, np.float32)
        run.step(gradient, update)
        theta = np.linspace(-1, 1, COORDINATES, dtype=np.float32)

        for scales in ((0.25, 1.0, 0.5), (0.0, 1.0, 0.5), (2.0, 4.0, 0.0)):
            with self.subTest(scales):
                names = ("update_scale", "gradient_scale", "weight_decay")
                run = l2o.Run(self.optimizer, COORDINATES, **dict(zip(names, scales)))
                self.assertEqual(
                    (run.update_scale, run.gradient_scale, run.weight_decay), scales
                )
                actual = theta.copy()
                run.step(gradient / np.float32(scales[1]), actual)
                expected = theta + np.float32(scales[0]) * (update - np.float32(scales[2]) * theta)
                np.testing.assert_array_equal(actual, expected)

        run = l2o.Run(self.optimizer, COORDINATES, update_scale=0.5)
        run.set_scales(weight_decay=0.25)
        self.assertEqual((run.update_scale, run.weight_decay), (0.5, 0.25))
        for bad, message in (
            ({"update_scale": -1.0}, "update_scale is -1"),
            ({"gradient_scale": 0.0}, "gradient_scale is 0"),
            ({"weight_decay": np.nan}, "weight_decay is nan"),
        ):
            with self.assertRaisesRegex(l2o.Error, message) as caught:
                run.set_scales(**bad)
            self.assertEqual(caught.exception.status, l2o.Status.INVALID_ARGUMENT)
        self.assertEqual((run.update_scale, run.weight_decay), (0.5, 0.25))

    def test_one_optimizer_serves_many_threads(self):
        expected = self.stepped(l2o.Run(self.optimizer, COORDINATES), self.gradients)
        results = []

        def work():
            run = l2o.Run(self.optimizer, COORDINATES, context=l2o.Context(threads=1))
            results.append(self.stepped(run, self.gradients))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 8)
        for result in results:
            np.testing.assert_array_equal(result, expected)


class OptimizerTest(unittest.TestCase):
    def test_from_text_and_from_a_mapping(self):
        text = l2o.Optimizer("hidden = 8\nlayers = 1\noutput_init = 'truncated_normal'\nseed = 7\n")
        mapping = l2o.Optimizer(
            {"hidden": 8, "layers": 1, "output_init": "truncated_normal", "seed": 7}
        )
        np.testing.assert_array_equal(text.get_meta_parameters(), mapping.get_meta_parameters())
        self.assertEqual(text.state_size, 16)
        self.assertEqual(text.meta_parameter_count, 4 * 8 * (2 + 8 + 1) + 8 + 1)
        self.assertEqual(l2o.Optimizer().meta_parameter_count, 5141)

    def test_save_and_load(self):
        optimizer = sign_descent_optimizer(0.01)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "modèle.safetensors"
            optimizer.save(path)
            loaded = l2o.Optimizer.load(path)
        np.testing.assert_array_equal(
            loaded.get_meta_parameters(), optimizer.get_meta_parameters()
        )

    def assert_status(self, status, message, function, *arguments):
        with self.assertRaisesRegex(l2o.Error, message) as caught:
            function(*arguments)
        self.assertEqual(caught.exception.status, status)

    def test_errors_have_a_status_and_the_library_s_message(self):
        self.assert_status(l2o.Status.INVALID_ARGUMENT, "hidden", l2o.Optimizer, {"hiden": 8})
        self.assert_status(l2o.Status.INPUT_OUTPUT, "nowhere", l2o.Optimizer.load, "nowhere.st")
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "damaged.safetensors"
            l2o.Optimizer().save(path)
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
            self.assert_status(l2o.Status.BAD_DATA, "damaged", l2o.Optimizer.load, path)

    def test_closed_objects_raise_errors(self):
        optimizer = l2o.Optimizer()
        run = l2o.Run(optimizer, 2)
        optimizer.close()  # the run continues: it keeps the optimizer alive
        theta = np.zeros(2, np.float32)
        run.step(np.ones(2, np.float32), theta)
        run.close()
        run.close()
        with self.assertRaises(l2o.Error) as caught:
            run.step(np.ones(2, np.float32), theta)
        self.assertEqual(caught.exception.status, l2o.Status.INVALID_ARGUMENT)
        for name in ("description", "meta_parameter_count", "state_size"):
            with self.assertRaisesRegex(l2o.Error, "the Optimizer is closed"):
                getattr(optimizer, name)
        with self.assertRaisesRegex(l2o.Error, "the Optimizer is closed"):
            optimizer.get_meta_parameters()
        self.assertEqual(repr(optimizer), "<l2o.Optimizer: closed>")

    def test_an_unknown_device(self):
        with self.assertRaisesRegex(ValueError, "unknown device 'tpu'"):
            l2o.Context("tpu")
        if not l2o.backend_available("cuda"):
            with self.assertRaises(l2o.Error) as caught:
                l2o.Context("cuda")
            self.assertEqual(caught.exception.status, l2o.Status.DEVICE_UNAVAILABLE)
            self.assertEqual(l2o.Context("auto").device, "cpu")


if __name__ == "__main__":
    unittest.main()
