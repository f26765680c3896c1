"""Integers and paths that C would truncate are rejected by every function."""

import fractions
import pathlib
import tempfile
import unittest

import l2o
import numpy as np

from l2o._arguments import integer

QUADRATIC = {"name": "quadratic", "dimension": 3}
RULE = {"hidden": 4, "layers": 1}


class Square(l2o.Objective):
    coordinates = 2

    def initial_parameters(self, task):
        return np.ones(2, np.float32)

    def value_and_gradient(self, task, evaluation, parameters):
        return float((parameters**2).sum()), 2 * parameters


class Fraction(Square):
    coordinates = 2.5


class Integers(unittest.TestCase):
    def setUp(self):
        self.context = l2o.Context("cpu", threads=1)
        self.optimizer = l2o.Optimizer(RULE)
        self.optimizee = l2o.Optimizee(QUADRATIC, 2, context=self.context)
        self.functions = {
            "threads": lambda value: l2o.Context("cpu", threads=value),
            "memory_limit": lambda value: l2o.Context("cpu", memory_limit=value),
            "stream": lambda value: l2o.Context("cpu", stream=value),
            "sizes": lambda value: l2o.Run(self.optimizer, value, context=self.context),
            "one of sizes": lambda value: l2o.Run(self.optimizer, [3, value], context=self.context),
            "tasks": lambda value: l2o.Optimizee(QUADRATIC, value, context=self.context),
            "tasks of an objective": lambda value: l2o.Optimizee(Square(), value),
            "classes": lambda value: l2o.Optimizee(
                {"name": "mlp", "layers": []},
                data={"inputs": np.ones((4, 2), np.uint8), "labels": np.zeros(4, int), "classes": value},
            ),
            "steps": lambda value: l2o.evaluate(self.optimizer, self.optimizee, value),
            "seed": lambda value: l2o.evaluate(self.optimizer, self.optimizee, 1, seed=value),
            "first_task": lambda value: l2o.evaluate(
                self.optimizer, self.optimizee, 1, first_task=value
            ),
            "nan_policy": lambda value: l2o.Run(self.optimizer, 3, nan_policy=value),
            "meta_train's tasks": lambda value: self.meta_train(tasks=value),
            "validate_every": lambda value: self.meta_train(validate_every=value),
            "validation_tasks": lambda value: self.meta_train(validation_tasks=value),
            "validation_steps": lambda value: self.meta_train(validation_steps=value),
            "validation_seed": lambda value: self.meta_train(validation_seed=value),
        }

    def meta_train(self, **arguments):
        arguments = {"tasks": 1, "progress": False, **arguments}
        config = {"train": {"episodes": 1, "steps": 2, "unroll_length": 2}, "optimizer": RULE}
        return l2o.meta_train(QUADRATIC, config, context=self.context, **arguments)

    def test_values_that_are_not_integers_are_rejected(self):
        for name, function in self.functions.items():
            for value in (2.5, 1.0, True, np.float32(2), np.bool_(True), "2x"):
                with self.subTest(name, value=value), self.assertRaises((TypeError, ValueError)):
                    function(value)

    def test_nothing_overflows(self):
        for name, function in self.functions.items():
            for value in (-1, -(2**32) + 1, -(2**64) + 1, 2**64 + 1, np.int64(-1)):
                with self.subTest(name, value=value), self.assertRaises(ValueError):
                    function(value)
        for name in ("threads", "first_task", "nan_policy"):
            with self.subTest(name), self.assertRaises(ValueError):
                self.functions[name](2**32 + 1)

    def test_integers_of_numpy_are_integers(self):
        for name, function in self.functions.items():
            if name != "stream":  # ignored on a CPU
                with self.subTest(name):
                    function(np.int64(1))
        for sizes, expected in (np.array([2, 3]), (2, 3)), (np.array(3), (3,)), (np.array([3]), (3,)):
            self.assertEqual(l2o.Run(self.optimizer, sizes).sizes, expected)
        whole_range = l2o.evaluate(self.optimizer, self.optimizee, 1, seed=2**64 - 1)
        self.assertEqual(whole_range.shape, (2, 2))

    def test_the_message_names_the_argument(self):
        with self.assertRaisesRegex(TypeError, "tasks is a float; expected an integer"):
            l2o.Optimizee(QUADRATIC, 2.5)
        with self.assertRaisesRegex(ValueError, "tasks is -1; expected an integer from 1 to"):
            l2o.Optimizee(QUADRATIC, -1)
        with self.assertRaisesRegex(TypeError, "coordinates is a float"):
            l2o.Optimizee(Fraction())
        self.assertEqual(integer(np.uint8(7), "it"), 7)

    def test_task_numbers_do_not_wrap_around(self):
        with self.assertRaisesRegex(l2o.Error, "first_task is 4294967295 with 2 tasks"):
            l2o.evaluate(self.optimizer, self.optimizee, 1, first_task=2**32 - 1)
        l2o.evaluate(self.optimizer, self.optimizee, 1, first_task=2**32 - 2)

    def test_devices_have_small_numbers(self):
        with self.assertRaisesRegex(ValueError, "device number"):
            l2o.Context(f"cuda:{2**32}")

    def test_configurations(self):
        for config, key in (
            ({"train": {"episodes": 1e10}}, "train.episodes"),
            ({"train": {"tasks": 2**32 + 1}}, "train.tasks"),
            ({"train": {"steps": 2.5}}, "train.steps"),
            ({"seed": -1}, "seed"),
        ):
            with self.subTest(key), self.assertRaisesRegex(l2o.Error, f"{key} = .*expected an integer"):
                l2o.Trainer(self.optimizee, config)
        with self.assertRaisesRegex(ValueError, "key seed is 18446744073709551617"):
            l2o.Optimizer({"seed": 2**64 + 1})


class Numbers(unittest.TestCase):
    def setUp(self):
        optimizer = l2o.Optimizer(RULE)
        meta_gradient = np.zeros(optimizer.meta_parameter_count, np.float32)
        self.functions = {
            "update_scale": lambda value: l2o.Run(optimizer, 3, update_scale=value),
            "gradient_scale": lambda value: l2o.Run(optimizer, 3, gradient_scale=value),
            "weight_decay": lambda value: l2o.Run(optimizer, 3, weight_decay=value),
            "learning_rate": lambda value: optimizer.apply_meta_gradient(meta_gradient, value),
            "the loss": self.evaluate,
        }

    def evaluate(self, loss):
        square = Square()
        square.value_and_gradient = lambda *_: (loss, np.zeros(2))
        return l2o.evaluate(l2o.Optimizer(RULE), l2o.Optimizee(square), 1)

    def test_strings_and_bools_are_not_numbers(self):
        for name, function in self.functions.items():
            for value in ("0.5", b"0.5", True, np.bool_(True), 1j):
                kind = type(value).__name__
                if name == "the loss" and isinstance(value, np.bool_):
                    kind = "bool"
                with self.subTest(name, value=value):
                    with self.assertRaisesRegex(TypeError, f"{name} is a {kind}; expected a number"):
                        function(value)
            for value in (1, 0.5, np.float32(0.5), np.array(0.5), np.int64(2), fractions.Fraction(1, 2)):
                function(value)

    def test_progress_is_a_bool(self):
        with self.assertRaisesRegex(TypeError, "progress is a str; expected a bool"):
            l2o.meta_train(QUADRATIC, {}, progress="False")


class Objects(unittest.TestCase):
    def test_the_message_names_the_argument(self):
        optimizer, optimizee = l2o.Optimizer(RULE), l2o.Optimizee(QUADRATIC)
        trace = np.zeros((2, 3), np.float32)
        for call, message in (
            (lambda: l2o.Run(optimizer, 3, context="cpu"), "context is a str; expected an l2o.Context"),
            (lambda: l2o.Run("general", 3), "optimizer is a str; expected an l2o.Optimizer"),
            (lambda: l2o.Optimizee(QUADRATIC, context=0), "context is a int; expected an l2o.Context"),
            (lambda: l2o.Trainer({}), "optimizee is a dict; expected an l2o.Optimizee"),
            (lambda: l2o.evaluate("general", optimizee, 1), "optimizer is a str"),
            (lambda: l2o.evaluate(optimizer, Square(), 1), "optimizee is a Square"),
            (lambda: l2o.meta_gradient("general", trace), "optimizer is a str"),
            (lambda: l2o.meta_gradient(optimizer, trace, context="cpu"), "context is a str"),
            (lambda: l2o.meta_train(QUADRATIC, {}, context="cpu"), "context is a str"),
        ):
            with self.subTest(message), self.assertRaisesRegex(TypeError, message):
                call()


class Paths(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.optimizer = l2o.Optimizer(RULE)
        optimizee = l2o.Optimizee(QUADRATIC)
        self.trainer = l2o.Trainer(optimizee, {"train": {"episodes": 1}, "optimizer": RULE})
        self.functions = {
            "load": l2o.Optimizer.load,
            "save": self.optimizer.save,
            "checkpoint": self.trainer.save,
            "resume": self.trainer.resume,
            "data_directory": lambda path: l2o.Optimizee(QUADRATIC, data_directory=path),
        }

    def test_a_zero_byte_does_not_end_a_path(self):
        victim = self.directory / "victim"
        victim.write_bytes(b"precious")
        for name, function in self.functions.items():
            for path in (f"{victim}\0.safetensors", f"{victim}\0.safetensors".encode(), ""):
                with self.subTest(name, path=path), self.assertRaises(ValueError):
                    function(path)
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_values_that_are_not_paths_are_rejected(self):
        for name, function in self.functions.items():
            with self.subTest(name), self.assertRaises(TypeError):
                function(1.5)

    def test_paths_of_every_kind(self):
        for path in (self.directory / "a", str(self.directory / "b"), bytes(self.directory / "c")):
            self.optimizer.save(path)
            l2o.Optimizer.load(path)

    def test_strings(self):
        path = self.directory / "model"
        self.optimizer.save(path)
        with self.assertRaisesRegex(ValueError, "rule is"):
            l2o.Optimizer.load(path, rule="a\0b")
        with self.assertRaisesRegex(ValueError, "zero byte"):
            l2o.Optimizer("hidden = 4\0\nlayers = 1")
        with self.assertRaisesRegex(l2o.Error, "data = .*zero byte"):
            l2o.Optimizee({"name": "mlp", "data": "mnist\0.safetensors"})


if __name__ == "__main__":
    unittest.main()
