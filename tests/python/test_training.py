"""Optimizees, objectives written in Python, trainers, evaluation."""

import gc
import re
import tempfile
import traceback
import unittest
import weakref
from pathlib import Path

import l2o
import numpy as np
from l2o._config import toml

from bowls import Bowl, Bowls
from support import sign_descent_optimizer

CONFIG = {
    "optimizer": {"hidden": 8, "layers": 1},
    "train": {"episodes": 60, "steps": 20, "unroll_length": 10},
    "meta_optimizer": {"learning_rate": 0.02},
}


class DataTest(unittest.TestCase):
    """Networks on arrays in memory."""

    def setUp(self):
        generator = np.random.default_rng(3)
        self.images = generator.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
        self.labels = generator.integers(0, 4, 40)
        self.network = {
            "name": "network",
            "layers": ["conv 4 3", "relu", ["conv 4 3"], "max_pool 2"],
            "init": "he",
            "batch_size": 8,
        }

    def curves(self, data, **keys):
        optimizee = l2o.Optimizee({**self.network, **keys}, tasks=2, data=data)
        return l2o.evaluate(sign_descent_optimizer(0.01), optimizee, steps=30, seed=5)

    def test_a_network_learns_arrays(self):
        data = {"inputs": self.images, "labels": self.labels}
        curves = self.curves(data)
        self.assertEqual(curves.shape, (2, 31))
        self.assertLess(curves[:, -5:].mean(), curves[:, :1].mean())
        # Bytes are divided by 255, and the caller's memory is not referenced afterwards.
        floats = {**data, "inputs": self.images.astype(np.float32) / np.float32(255)}
        np.testing.assert_allclose(self.curves(floats), curves, rtol=1e-4)
        strided = {"inputs": self.images[::2], "labels": self.labels[::2].astype(np.uint8)}
        copied = {key: values.copy() for key, values in strided.items()}
        np.testing.assert_array_equal(self.curves(strided), self.curves(copied))

    def test_targets_and_additional_classes(self):
        rows = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
        targets = rows.sum(axis=1)
        curves = self.curves(
            {"inputs": rows, "targets": targets}, layers=["dense 8", "tanh"], loss="mse"
        )
        self.assertLess(curves[:, -1].mean(), curves[:, 0].mean())
        more = self.curves(
            {"inputs": rows, "labels": np.zeros(20, int), "classes": 7}, layers=[], init="normal"
        )
        np.testing.assert_allclose(more[:, 0], np.log(7), atol=0.05)

    def test_errors_name_the_cause(self):
        good = {"inputs": self.images, "labels": self.labels}
        for change, words in (
            ({"inputs": self.images.astype(np.float64)}, "float64"),
            ({"inputs": self.images[0, 0, 0]}, "shape"),
            ({"labels": self.labels[:-1]}, "shape"),
            ({"labels": self.labels.astype(np.float32)}, "labels"),
            ({"label": self.labels}, "expected inputs and labels"),
            ({"targets": np.zeros((40, 2, 2), np.float32)}, "shape"),
        ):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                self.curves({**good, **change})
        with self.assertRaisesRegex(l2o.Error, "label -1"):
            self.curves({**good, "labels": np.full(40, -1)})
        with self.assertRaisesRegex(l2o.Error, "mnist"):
            l2o.Optimizee({**self.network, "data": "mnist"}, data=good)
        with self.assertRaisesRegex(l2o.Error, "passed from C or Python"):
            l2o.Optimizee({"name": "network", "data": "arrays"})
        with self.assertRaises(ValueError):
            l2o.Optimizee(Bowl(), data=good)


class ConfigTest(unittest.TestCase):
    def test_a_mapping_becomes_toml(self):
        config = {
            "seed": 3,
            "train": {"loss_weights": [0, 0.5, 1e-7], "odd key": True, "inner": {"x": "a\"\n"}},
            "ratio": np.float32(0.5),
            "count": np.int64(4),
            "flag": np.bool_(True),
            "delete": "\x7f",
        }
        self.assertEqual(
            toml(config).decode(),
            'seed = 3\nratio = 0.5\ncount = 4\nflag = true\ndelete = "\\u007f"\n'
            '[train]\nloss_weights = [0, 0.5, 1e-07]\n"odd key" = true\n'
            '[train.inner]\nx = "a\\"\\n"\n',
        )
        self.assertEqual(toml("seed = 1"), b"seed = 1")
        self.assertEqual(toml(None), b"")
        for wrong in (7, {"seed": None}, {"data": b"x"}, {1: 2}):
            with self.assertRaises(TypeError):
                toml(wrong)


class TrainingTest(unittest.TestCase):
    def test_the_library_s_own_functions(self):
        optimizee = l2o.Optimizee({"name": "quadratic", "functions": 4, "dimension": 3}, tasks=2)
        trainer = l2o.Trainer(optimizee, CONFIG)
        report = trainer.step()
        self.assertEqual((report.episode, report.episodes, report.skipped_updates), (1, 60, 0))
        self.assertGreater(report.meta_loss, 0)
        losses = l2o.evaluate(trainer.optimizer(), optimizee, 10, seed=5)
        self.assertEqual(losses.shape, (2, 11))
        self.assertTrue((losses > 0).all())

    def test_an_objective_in_python_is_learned(self):
        trainer = l2o.Trainer(l2o.Optimizee(Bowl()), CONFIG)
        reports = [trainer.step() for _ in range(60)]
        first = np.mean([report.final_loss for report in reports[:5]])
        last = np.mean([report.final_loss for report in reports[-5:]])
        self.assertLess(last, 0.5 * first)

    def test_evaluation_matches_a_run(self):
        bowl = Bowl()
        optimizer = sign_descent_optimizer(0.05)
        losses = l2o.evaluate(optimizer, l2o.Optimizee(bowl, tasks=2), 20, seed=9, first_task=4)
        self.assertEqual(sorted(set(bowl.sampled)), [(9, 4), (9, 5)])
        self.assertEqual(sorted(set(bowl.evaluations)), list(range(21)))
        for row, task in zip(losses, (4, 5)):
            target = bowl.sample(9, task)
            theta = np.zeros(6, np.float32)
            run = l2o.Run(optimizer, 6)
            for loss in row:
                value, gradient = bowl.value_and_gradient(target, 0, theta)
                np.testing.assert_allclose(loss, value, rtol=1e-5)
                run.step(gradient.astype(np.float32), theta)
            self.assertLess(row[-1], row[0])

    def test_a_resumed_training_continues_identically(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "checkpoint.bin"
            trainer = l2o.Trainer(l2o.Optimizee(Bowl()), CONFIG)
            for _ in range(3):
                trainer.step()
            trainer.save(path)
            other = l2o.Trainer(l2o.Optimizee(Bowl()), CONFIG)
            other.resume(path)
        for _ in range(2):
            self.assertEqual(trainer.step(), other.step())
        np.testing.assert_array_equal(
            trainer.optimizer().get_meta_parameters(), other.optimizer().get_meta_parameters()
        )

    def test_invalid_configurations(self):
        for wrong in (lambda: l2o.Optimizee({"name": "quadratc"}),
                      lambda: l2o.Trainer(l2o.Optimizee(Bowl()), {"train": {"episode": 3}})):
            with self.assertRaises(l2o.Error) as caught:
                wrong()
            self.assertEqual(caught.exception.status, l2o.Status.INVALID_ARGUMENT)


class CallbackTest(unittest.TestCase):
    def assert_raises_through(self, exception, method, function):
        bowl = Bowl()
        setattr(bowl, method, function)
        optimizee = l2o.Optimizee(bowl)
        with self.assertRaises(exception) as caught:
            l2o.evaluate(l2o.Optimizer(), optimizee, 3)
        delattr(bowl, method)
        losses = l2o.evaluate(l2o.Optimizer(), optimizee, 3)  # it can be used again
        self.assertTrue(np.isfinite(losses).all())
        return str(caught.exception)

    def test_exceptions_pass_through_the_library(self):
        def fail(*_):
            raise ZeroDivisionError("mine")

        for method in ("sample", "initial_parameters", "value_and_gradient"):
            self.assertEqual(self.assert_raises_through(ZeroDivisionError, method, fail), "mine")

        def interrupt(*_):
            raise KeyboardInterrupt

        self.assert_raises_through(KeyboardInterrupt, "value_and_gradient", interrupt)

    def test_exceptions_keep_their_cause_and_context(self):
        def explicit(*_):
            raise ValueError("mine") from ZeroDivisionError("its cause")

        def implicit(*_):
            try:
                raise ZeroDivisionError("its context")
            except ZeroDivisionError:
                raise ValueError("mine")

        for function in (explicit, implicit):
            bowl = Bowl()
            bowl.value_and_gradient = function
            trainer = l2o.Trainer(l2o.Optimizee(bowl), {})
            with self.assertRaisesRegex(ValueError, "mine") as caught:
                trainer.step()
            printed = "".join(traceback.format_exception(None, caught.exception, None))
            self.assertRegex(printed, "ZeroDivisionError: its (cause|context)")
            self.assertNotIn("l2o._errors.Error", printed)

    def test_invalid_results_of_an_objective(self):
        message = self.assert_raises_through(
            ValueError, "value_and_gradient", lambda *_: (1.0, np.zeros(5))
        )
        self.assertEqual(message, "the gradient has 5 elements; expected 6")
        message = self.assert_raises_through(
            ValueError, "initial_parameters", lambda *_: np.zeros(7)
        )
        self.assertEqual(message, "initial_parameters has 7 elements; expected 6")

    def test_invalid_results_of_a_batch(self):
        for result, error, message in (
            ((np.zeros(2), np.zeros((2, 5))), ValueError, "gradients have shape (2, 5); expected (2, 6)"),
            ((np.zeros(3), np.zeros((2, 6))), ValueError, "losses have shape (3,); expected (2,)"),
            ((None, np.zeros((2, 6))), TypeError, "losses have dtype object; expected numbers"),
            ((np.zeros(2), np.zeros((2, 6), complex)), TypeError, "gradients have dtype complex128"),
        ):
            bowls = Bowls()
            bowls.value_and_gradient = lambda *_, result=result: result
            with self.assertRaisesRegex(error, re.escape(message)):
                l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(bowls, tasks=2), 3)

    def test_a_loss_of_none_is_an_error(self):
        message = self.assert_raises_through(
            TypeError, "value_and_gradient", lambda *_: (None, np.zeros(6))
        )
        self.assertEqual(message, "the loss is None; expected a number")
        for loss in (np.ones(1), np.float64(1), 1):  # scalars of any kind
            bowl = Bowl()
            bowl.value_and_gradient = lambda *_, loss=loss: (loss, np.zeros(6))
            losses = l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(bowl), 2)
            np.testing.assert_array_equal(losses, 1)

    def test_parameters_may_be_kept(self):
        kept = []
        bowl = Bowl()

        def value_and_gradient(target, evaluation, parameters):
            kept.append((parameters, parameters.copy()))
            return Bowl.value_and_gradient(bowl, target, evaluation, parameters)

        bowl.value_and_gradient = value_and_gradient
        l2o.evaluate(sign_descent_optimizer(0.1), l2o.Optimizee(bowl, tasks=2), 3)
        self.assertEqual(len(kept), 8)
        for parameters, copy in kept:
            np.testing.assert_array_equal(parameters, copy)

    def test_a_batch_equals_its_tasks(self):
        rule = sign_descent_optimizer(0.1)
        one_by_one = l2o.evaluate(rule, l2o.Optimizee(Bowl(), tasks=3), 10, seed=4, first_task=7)
        together = l2o.evaluate(rule, l2o.Optimizee(Bowls(), tasks=3), 10, seed=4, first_task=7)
        np.testing.assert_allclose(together, one_by_one, rtol=1e-6)

    def test_an_objective_may_not_use_the_context_that_evaluates_it(self):
        bowl = Bowl()
        optimizee = l2o.Optimizee(bowl)
        run = l2o.Run(l2o.Optimizer(), 6, context=optimizee.context)
        bowl.value_and_gradient = lambda *_: run.reset()
        with self.assertRaises(l2o.Error) as caught:
            l2o.evaluate(l2o.Optimizer(), optimizee, 3)
        self.assertEqual(caught.exception.status, l2o.Status.BUSY)

    def test_numbers_out_of_range(self):
        with self.assertRaisesRegex(ValueError, "first_task is -1"):
            l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(Bowl()), 3, first_task=-1)
        for wrong in (lambda: l2o.Optimizee(Bowl(), tasks=-1),
                      lambda: l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(Bowl()), -1)):
            with self.assertRaises((ValueError, l2o.Error)):
                wrong()

    def test_a_trainer_keeps_its_objective_and_releases_it(self):
        bowl = Bowl()
        bowl.trainer = l2o.Trainer(l2o.Optimizee(bowl), CONFIG)  # a cycle
        gc.collect()
        bowl.trainer.step()
        alive = weakref.ref(bowl)
        del bowl
        gc.collect()
        self.assertIsNone(alive())


if __name__ == "__main__":
    unittest.main()
