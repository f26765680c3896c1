"""Copies and pickles of public objects either work or report what to do instead."""

import copy
import inspect
import pickle
import unittest
from unittest import mock

import l2o
import numpy as np

QUADRATIC = {"name": "quadratic", "dimension": 3}
RULE = {"hidden": 4, "layers": 1}
WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda value, protocol=protocol: pickle.loads(
            pickle.dumps(value, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


class Named(l2o.Optimizer):
    """A user-defined class."""


class Square(l2o.Objective):
    coordinates = 2

    def __init__(self, scale=1.0):
        self.scale = scale


class Squares(l2o.BatchObjective):
    coordinates = 2


def equal(test, original, other):
    test.assertEqual(other, original)


def equal_errors(test, original, other):
    test.assertEqual((other.status, str(other)), (original.status, str(original)))


def equal_attributes(test, original, other):
    test.assertIs(type(other), type(original))
    test.assertEqual(vars(other), vars(original))


def independent_optimizers(test, original, other):
    test.assertIs(type(other), Named)
    test.assertEqual(other.name, "mine")
    phi = original.get_meta_parameters()
    np.testing.assert_array_equal(other.get_meta_parameters(), phi)
    other.set_meta_parameters(np.zeros_like(phi))  # its own
    other.close()
    np.testing.assert_array_equal(original.get_meta_parameters(), phi)


def equal_results(test, original, other):
    test.assertEqual(other[1:], original[1:])
    test.assertEqual(other.optimizer.description, original.optimizer.description)
    np.testing.assert_array_equal(
        other.optimizer.get_meta_parameters(), original.optimizer.get_meta_parameters()
    )


def public_objects():
    """Rows: a public class, an object of it, and what its copies are: a function that checks one,
    or the advice of the TypeError."""
    context = l2o.Context("cpu", threads=1)
    optimizer = Named(RULE)
    optimizer.name = "mine"
    phi = np.linspace(-1, 1, optimizer.meta_parameter_count, dtype=np.float32)
    optimizer.set_meta_parameters(phi)
    optimizee = l2o.Optimizee(QUADRATIC, context=context)
    config = {"train": {"episodes": 1, "steps": 2, "unroll_length": 2}, "optimizer": RULE}
    trainer = l2o.Trainer(optimizee, config)
    report = trainer.step()
    progress = l2o.MetaTrainProgress(report, None, None, trainer)
    trained = l2o.MetaTrained(optimizer, 0.5, 1, False, [(1, 0.25)], [])
    return [
        (l2o.Context, context, "Context objects cannot .*same arguments"),
        (l2o.Optimizer, optimizer, independent_optimizers),
        (l2o.Run, l2o.Run(optimizer, 3, context=context), "Run objects cannot .*get_state"),
        (l2o.Optimizee, optimizee, "Optimizee objects cannot .*same arguments"),
        (l2o.Trainer, trainer, "Trainer objects cannot .*save"),
        (l2o.TrainReport, report, equal),
        (l2o.MetaTrainProgress, progress, "Trainer objects cannot .*save"),
        (l2o.MetaTrained, trained, equal_results),
        (l2o.Objective, Square(2.0), equal_attributes),
        (l2o.BatchObjective, Squares(), equal_attributes),
        (l2o.Error, l2o.Error(l2o.Status.BUSY, "in use"), equal_errors),
        (l2o.NanPolicy, l2o.NanPolicy.ZERO, equal),
        (l2o.Status, l2o.Status.BUSY, equal),
    ]


class Copies(unittest.TestCase):
    def test_every_public_class_has_a_row(self):
        public = [getattr(l2o, name) for name in l2o.__all__]
        rows = public_objects()
        self.assertCountEqual([row[0] for row in rows], filter(inspect.isclass, public))
        for public_class, value, _ in rows:
            self.assertIsInstance(value, public_class)

    def test_copies(self):
        for public_class, value, expected in public_objects():
            for way, copied in WAYS.items():
                if public_class is l2o.MetaTrainProgress and way == "copy":
                    continue  # test_a_shallow_copy_shares_the_trainer
                with self.subTest(public_class.__name__, way=way):
                    if isinstance(expected, str):
                        with self.assertRaisesRegex(TypeError, expected):
                            copied(value)
                    else:
                        other = copied(value)
                        self.assertIsInstance(other, public_class)
                        expected(self, value, other)

    def test_a_shallow_copy_shares_the_trainer(self):
        (progress,) = (row[1] for row in public_objects() if row[0] is l2o.MetaTrainProgress)
        other = copy.copy(progress)
        self.assertIsInstance(other, l2o.MetaTrainProgress)
        self.assertEqual(other, progress)
        self.assertIs(other.trainer, progress.trainer)

    def test_without_a_directory_for_temporary_files(self):
        with mock.patch("tempfile.mkdtemp", side_effect=FileNotFoundError(2, "no directory")):
            with self.assertRaisesRegex(l2o.Error, "temporary file: .*no directory; set TMPDIR") as caught:
                copy.copy(l2o.Optimizer(RULE))
        self.assertEqual(caught.exception.status, l2o.Status.INPUT_OUTPUT)

    def test_objects_that_refused_are_still_usable(self):
        objects = {row[0]: row[1] for row in public_objects()}
        for public_class in (l2o.Context, l2o.Run, l2o.Optimizee, l2o.Trainer):
            for copied in WAYS.values():
                self.assertRaises(TypeError, copied, objects[public_class])
        ones = np.ones(3, np.float32)
        objects[l2o.Run].step(ones, ones.copy())
        l2o.evaluate(objects[l2o.Optimizer], objects[l2o.Optimizee], 1)
        objects[l2o.Trainer].optimizer()


if __name__ == "__main__":
    unittest.main()
