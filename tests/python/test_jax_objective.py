"""Objectives written in JAX, and meta-training on them."""

import re
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import l2o
import numpy as np

from bowls import TaskByTask
from support import example_output, sign_descent_optimizer

try:
    import jax
    import jax.numpy as jnp

    from l2o.jax import Objective
except ImportError:
    raise unittest.SkipTest("jax is not installed")

MATRIX = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
CONFIG = {
    "optimizer": {"layers": 1, "hidden": 8},
    "train": {"episodes": 4, "steps": 20, "unroll_length": 10},
    "meta_optimizer": {"learning_rate": 0.02},
}


def regression_loss(params, task):
    residual = MATRIX @ params["x"] - task["target"]
    return (residual**2).sum() + (params["scale"] - 1) ** 2


def regression(loss=regression_loss, **options):
    return Objective(
        loss,
        init=lambda key: {"x": jax.random.normal(key, (6,)), "scale": 0.0},
        sample=lambda key: {"target": jax.random.normal(key, (4,))},
        **options,
    )


REGRESSION = regression()  # shared: every objective is compiled anew


class InNumpy(TaskByTask):
    """The same objective with its gradient by hand, task by task. The leaves are in jax's order."""

    def value_and_gradient(self, batch, evaluation, parameters):
        scale, x = parameters[0], parameters[1:]
        residual = MATRIX @ x - np.asarray(batch.drawn["target"])[0]
        loss = (residual**2).sum() + (scale - 1) ** 2
        return loss, np.append(2 * (scale - 1), 2 * MATRIX.T @ residual)


def curves(objective, tasks=3, first_task=0, steps=10, seed=5):
    optimizee = l2o.Optimizee(objective, tasks=tasks)
    rule = sign_descent_optimizer(0.05)
    return l2o.evaluate(rule, optimizee, steps, seed=seed, first_task=first_task)


class ObjectiveTest(unittest.TestCase):
    def test_it_matches_a_gradient_by_hand(self):
        self.assertEqual(REGRESSION.coordinates, 7)
        np.testing.assert_allclose(curves(REGRESSION), curves(InNumpy(REGRESSION)), rtol=1e-5)

    def test_a_task_is_the_same_in_every_batch(self):
        objective = REGRESSION
        for seed in (5, 2**64 - 1):
            batch = objective.sample(seed, 2, 5)
            starts = objective.initial_parameters(batch, 5)
            losses = curves(objective, tasks=5, first_task=2, seed=seed)
            self.assertEqual(len(np.unique(losses[:, 0])), 5)
            for slot in range(5):
                alone = objective.sample(seed, 2 + slot, 1)
                np.testing.assert_array_equal(alone.drawn["target"][0], batch.drawn["target"][slot])
                np.testing.assert_array_equal(objective.initial_parameters(alone, 1)[0], starts[slot])
                curve = curves(objective, tasks=1, first_task=2 + slot, seed=seed)[0]
                np.testing.assert_allclose(curve, losses[slot], rtol=1e-5)  # sums in another order

    def test_seeds_differ_in_all_their_bits(self):
        seeds = (0, 1, 2**31, 2**32, 2**32 + 1, 2**63, 2**64 - 1)
        starts = [REGRESSION.initial_parameters(REGRESSION.sample(seed, 0, 1), 1) for seed in seeds]
        self.assertEqual(len(np.unique(np.concatenate(starts), axis=0)), len(seeds))

    def test_the_number_of_the_last_task(self):
        batch = REGRESSION.sample(1, 2**32 - 2, 2)
        self.assertEqual(batch.numbers.tolist(), [2**32 - 2, 2**32 - 1])

    def test_it_is_traced_once_for_each_number_of_tasks(self):
        traces = []

        def loss(params, task):
            traces.append(1)
            return regression_loss(params, task)

        objective = regression(loss)
        for tasks, expected in ((3, 1), (3, 1), (2, 2), (3, 2)):
            curves(objective, tasks=tasks)
            self.assertEqual(len(traces), expected)
        l2o.meta_train(objective, CONFIG, tasks=3, progress=False)
        self.assertEqual(len(traces), 2)

    def test_parameters_are_passed_as_memory_that_jax_can_use_in_place(self):
        places = []

        def read_memory(address, shape):
            parameters = Objective.read_memory(REGRESSION, address, shape)
            places.append((parameters.ctypes.data, address))
            return parameters

        with mock.patch.object(REGRESSION, "read_memory", read_memory):
            curves(REGRESSION)
        for place, address in places:
            self.assertEqual(place, address)
            self.assertEqual(place % 64, 0)

    def test_minibatches_are_drawn_again_at_every_evaluation(self):
        objective = Objective(
            lambda params, batch: ((params - batch) ** 2).sum(),
            init=lambda key: jnp.zeros(2),
            sample=lambda key: jax.random.normal(key),
            minibatch=lambda task, key: task + jax.random.normal(key, (2,)),
        )
        batch, theta = objective.sample(5, 0, 2), np.zeros((2, 2), np.float32)
        at = [objective.value_and_gradient(batch, evaluation, theta)[0] for evaluation in range(4)]
        self.assertEqual(len(np.unique(at)), 2 * 4)
        again, _ = objective.value_and_gradient(objective.sample(5, 1, 1), 3, theta[:1])
        np.testing.assert_allclose(again[0], at[3][1], rtol=1e-6)
        first = curves(objective, tasks=2, steps=3)
        np.testing.assert_array_equal(first, curves(objective, tasks=2, steps=3))

    def test_all_tasks_may_be_alike(self):
        losses = curves(Objective(lambda params, task: (params**2).sum(), lambda key: jnp.ones(5)))
        np.testing.assert_array_equal(losses[0], losses[1])
        self.assertLess(losses[0, -1], losses[0, 0])

    def test_two_objectives_at_once(self):
        objectives = (REGRESSION, bowl())
        separate = [l2o.meta_train(objective, CONFIG, progress=False) for objective in objectives]
        trainers = [l2o.Trainer(l2o.Optimizee(objective, tasks=8), CONFIG) for objective in objectives]
        for _ in range(CONFIG["train"]["episodes"]):
            reports = [trainer.step() for trainer in trainers]
        for alone, report in zip(separate, reports):
            self.assertEqual(alone.meta_losses[-1][1], report.meta_loss)

    def test_other_floating_point_types(self):
        objective = lambda dtype: Objective(
            lambda params, task: ((params["x"] - 0.5) ** 2).sum() + params["y"].sum() ** 2,
            init=lambda key: {"x": jnp.zeros(40, dtype), "y": jnp.ones(3)},
        )
        expected = curves(objective(jnp.float32))
        for dtype in (jnp.bfloat16, jnp.float16):
            np.testing.assert_allclose(curves(objective(dtype)), expected, rtol=0.03)

    def test_float64(self):
        narrow = curves(REGRESSION)
        seen = set()

        def loss(params, task):
            seen.add(str(params["x"].dtype))
            return regression_loss(params, task)

        jax.config.update("jax_enable_x64", True)
        self.addCleanup(jax.config.update, "jax_enable_x64", False)
        wide = Objective(
            loss,
            init=lambda key: {"x": jax.random.normal(key, (6,), jnp.float32), "scale": 0.0},
            sample=lambda key: {"target": jax.random.normal(key, (4,), jnp.float32)},
        )
        np.testing.assert_allclose(curves(wide), narrow, rtol=1e-5)
        curves(regression(loss))
        self.assertEqual(seen, {"float32", "float64"})

    def test_training_on_it_helps(self):
        config = {**CONFIG, "train": {**CONFIG["train"], "episodes": 40}}
        result = l2o.meta_train(REGRESSION, config, tasks=8, progress=False)
        untrained = l2o.Optimizer({"layers": 1, "hidden": 8})
        losses = l2o.evaluate(untrained, l2o.Optimizee(REGRESSION, tasks=8), 20, seed=1)
        self.assertLess(result.validation, 0.7 * losses[:, -2:].mean())

    def test_meta_training_resumes_with_the_same_bits(self):
        def train(directory, **options):
            return l2o.meta_train(
                network(), CONFIG, tasks=3, run_directory=directory, progress=False, validate_every=2,
                **options,
            )

        with tempfile.TemporaryDirectory() as directory:
            straight = train(Path(directory) / "a")
            train(Path(directory) / "b", callbacks=[lambda now: now.report.episode == 1])
            resumed = train(Path(directory) / "b")
        phis = [result.optimizer.get_meta_parameters() for result in (straight, resumed)]
        np.testing.assert_array_equal(*phis)
        self.assertEqual(straight.validation, resumed.validation)


def bowl():
    return Objective(
        lambda params, task: ((params - task) ** 2).mean(),
        init=lambda key: jnp.zeros((5, 20)),
        sample=lambda key: jax.random.uniform(key, (5, 20)),
    )


def network():
    """A network with minibatches; its parameters are lists of tuples."""

    def init(key):
        keys = jax.random.split(key)
        shapes = ((6, 5), (5, 3))
        return [(jax.random.normal(k, s) / s[0] ** 0.5, jnp.zeros(s[1])) for k, s in zip(keys, shapes)]

    def loss(params, batch):
        (w1, b1), (w2, b2) = params
        logits = jnp.tanh(batch @ w1 + b1) @ w2 + b2
        return -jax.nn.log_softmax(logits)[jnp.arange(16), batch[:, :3].argmax(axis=1)].mean()

    return Objective(loss, init, minibatch=lambda _, key: jax.random.normal(key, (16, 6)))


class InvalidObjectiveTest(unittest.TestCase):
    def test_parameters(self):
        for init, error, message in (
            (lambda key: {"w": [jnp.zeros(3), jnp.arange(3)]}, TypeError, "params['w'][1] has dtype int32; "),
            (lambda key: jnp.zeros(3, jnp.complex64), TypeError, "params has dtype complex64; expected a "),
            (lambda key: {}, ValueError, "init returned no parameters"),
            (lambda key: [jnp.zeros((0, 3))], ValueError, "init returned no parameters"),
            (lambda key: {"w": jnp.zeros(3), "activation": jnp.tanh}, TypeError, "not a valid JAX type"),
        ):
            with self.assertRaisesRegex(error, re.escape(message)):
                Objective(regression_loss, init)

    def test_trees_that_change(self):
        for later in ({"x": jnp.zeros(7)}, {"x": jnp.zeros(6, jnp.bfloat16)}, [jnp.zeros(6)]):
            trees = iter(({"x": jnp.zeros(6)}, later))
            objective = Objective(regression_loss, lambda key: next(trees))
            with self.assertRaisesRegex(ValueError, "init returned .*; the first time it was .*'x'.*float32.6"):
                curves(objective)

    def test_losses(self):
        for loss, found in (
            (lambda params, task: params["x"], "float32[6]"),
            (lambda params, task: (params["scale"], 1.0), "tuple"),
            (lambda params, task: None, "NoneType"),
            (lambda params, task: jnp.argmax(params["x"]), "int32[]"),
        ):
            with self.assertRaisesRegex(TypeError, re.escape(f"loss returned {found}; expected a scalar")):
                curves(regression(loss))

    def test_exceptions_of_its_functions(self):
        class Mine(Exception):
            pass

        def fail(*_):
            raise Mine("here") from ZeroDivisionError("why")

        good = {"loss": regression_loss, "init": lambda key: {"x": jnp.zeros(6), "scale": 0.0}}
        for name in ("loss", "init", "sample", "minibatch"):
            with self.assertRaisesRegex(Mine, "here") as caught:
                curves(Objective(**{**good, "sample": lambda key: {"target": jnp.zeros(4)}, name: fail}))
            causes, exception = [], caught.exception
            while exception is not None:  # jax may add one of its own
                exception = exception.__cause__ or exception.__context__
                causes.append(type(exception))
            self.assertIn(ZeroDivisionError, causes)

    def test_it_can_be_used_after_an_exception(self):
        failing = [True]

        def loss(params, task):
            if failing[0]:
                raise KeyboardInterrupt
            return regression_loss(params, task)

        optimizee = l2o.Optimizee(regression(loss))
        with self.assertRaises(KeyboardInterrupt):
            l2o.evaluate(l2o.Optimizer(), optimizee, 3)
        failing[0] = False
        self.assertTrue(np.isfinite(l2o.evaluate(l2o.Optimizer(), optimizee, 3)).all())


@unittest.skipUnless(find_spec("optax"), "optax is not installed")
class ExampleTest(unittest.TestCase):
    def test_jax_meta_train(self):
        with tempfile.TemporaryDirectory() as directory:
            output = example_output(
                "jax_meta_train.py", "--out", directory, "--episodes", "3", JAX_PLATFORMS="cpu"
            )
            self.assertTrue((Path(directory) / "model.safetensors").exists())
        losses = re.findall(r"^(learned|adam \S+) +(\d+\.\d+)$", output, re.M)
        self.assertEqual(len(losses), 4, output)
        for _, loss in losses:
            self.assertLess(float(loss), 3)


if __name__ == "__main__":
    unittest.main()
