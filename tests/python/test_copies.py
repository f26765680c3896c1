"""Copies and pickles of public objects either work or report what to do instead."""

import copy
import enum
import inspect
import pickle
import unittest

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


def made():
    """An object of every public class."""
    context = l2o.Context("cpu", threads=1)
    optimizer = l2o.Optimizer(RULE)
    optimizee = l2o.Optimizee(QUADRATIC, context=context)
    config = {"train": {"episodes": 1, "steps": 2, "unroll_length": 2}, "optimizer": RULE}
    trainer = l2o.Trainer(optimizee, config)
    report = trainer.step()
    return {
        "Context": context,
        "Optimizer": optimizer,
        "Run": l2o.Run(optimizer, 3, context=context),
        "Optimizee": optimizee,
        "Trainer": trainer,
        "TrainReport": report,
        "MetaTrainProgress": l2o.MetaTrainProgress(report, None, None, trainer),
        "MetaTrained": l2o.MetaTrained(optimizer, 0.5, 1, False, [(1, 0.25)], []),
        "Objective": Square(2.0),
        "BatchObjective": Squares(),
        "Error": l2o.Error(l2o.Status.BUSY, "in use"),
        "NanPolicy": l2o.NanPolicy.ZERO,
        "Status": l2o.Status.BUSY,
    }


class Copies(unittest.TestCase):
    def test_there_is_one_of_every_public_class(self):
        classes = {name for name in l2o.__all__ if inspect.isclass(getattr(l2o, name))}
        self.assertEqual(classes, set(made()))

    def test_handles_are_not_copied(self):
        objects = made()
        for name, advice in (
            ("Context", "same arguments"),
            ("Run", "get_state"),
            ("Optimizee", "same arguments"),
            ("Trainer", "save"),
        ):
            for way, copied in WAYS.items():
                with self.subTest(name, way=way):
                    with self.assertRaisesRegex(TypeError, f"{name} objects cannot .*{advice}"):
                        copied(objects[name])
        with self.assertRaisesRegex(TypeError, "Trainer objects cannot"):
            copy.deepcopy(objects["MetaTrainProgress"])
        # The objects are still usable.
        ones = np.ones(3, np.float32)
        objects["Run"].step(ones, ones.copy())
        l2o.evaluate(objects["Optimizer"], objects["Optimizee"], 1)

    def test_optimizers(self):
        original = Named(RULE)
        original.name = "mine"
        phi = np.linspace(-1, 1, original.meta_parameter_count, dtype=np.float32)
        original.set_meta_parameters(phi)
        for way, copied in WAYS.items():
            with self.subTest(way):
                other = copied(original)
                self.assertIs(type(other), Named)
                self.assertEqual(other.name, "mine")
                np.testing.assert_array_equal(other.get_meta_parameters(), phi)
                other.set_meta_parameters(np.zeros_like(phi))  # its own
                other.close()
                np.testing.assert_array_equal(original.get_meta_parameters(), phi)

    def test_errors(self):
        for way, copied in WAYS.items():
            with self.subTest(way):
                error = copied(l2o.Error(l2o.Status.BUSY, "in use"))
                self.assertEqual((error.status, str(error)), (l2o.Status.BUSY, "in use"))

    def test_values(self):
        for name, value in made().items():
            if isinstance(value, enum.Enum) or name == "TrainReport":
                for way, copied in WAYS.items():
                    with self.subTest(name, way=way):
                        self.assertEqual(copied(value), value)
        for way, copied in WAYS.items():
            with self.subTest(way):
                self.assertEqual(copied(Square(2.0)).scale, 2.0)
                self.assertIsInstance(copied(Squares()), Squares)
                trained = copied(made()["MetaTrained"])
                self.assertEqual(trained.meta_losses, [(1, 0.25)])
                self.assertEqual(trained.optimizer.description, l2o.Optimizer(RULE).description)


if __name__ == "__main__":
    unittest.main()
