"""Objectives written in PyTorch, and meta-training on them."""

import itertools
import re
import tempfile
import unittest
from pathlib import Path

import l2o
import numpy as np

from bowls import TaskByTask
from support import example_output, sign_descent_optimizer

try:
    import torch
    from torch.utils import _pytree as pytree

    from l2o.torch import LearnedOptimizer, Objective, module_objective
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)

MATRIX = torch.linspace(-1, 1, 24).reshape(4, 6)


def regression_loss(parameters, task):
    residual = MATRIX @ parameters["x"] - task["target"]
    return (residual**2).sum() + (parameters["scale"] - 1) ** 2


def regression(**options):
    return Objective(
        regression_loss,
        init=lambda generator: {
            "x": torch.randn(6, generator=generator, dtype=torch.float32),
            "scale": torch.zeros(()),
        },
        sample=lambda generator: {"target": torch.randn(4, generator=generator)},
        **options,
    )


class OneByOne(TaskByTask):
    """The same objective by autograd, task by task."""

    def value_and_gradient(self, batch, evaluation, parameters):
        theta = torch.tensor(parameters, requires_grad=True)
        loss = regression_loss({"x": theta[:6], "scale": theta[6]}, batch.drawn[0])
        loss.backward()
        return loss.item(), theta.grad.numpy()


class ObjectiveTest(unittest.TestCase):
    def curves(self, objective, tasks=3, first_task=0, steps=10):
        optimizee = l2o.Optimizee(objective, tasks=tasks)
        rule = sign_descent_optimizer(0.05)
        return l2o.evaluate(rule, optimizee, steps, seed=5, first_task=first_task)

    def test_its_gradients_match_autograd(self):
        objective = regression()
        np.testing.assert_allclose(
            self.curves(objective), self.curves(OneByOne(objective)), rtol=1e-5
        )

    def test_a_task_is_the_same_in_every_batch(self):
        objective = regression()
        together = self.curves(objective, tasks=4)
        for task in range(4):
            alone = self.curves(objective, tasks=1, first_task=task)
            np.testing.assert_allclose(together[task], alone[0], rtol=1e-5)
        self.assertGreater(np.abs(together[0] - together[1]).max(), 0.1)

    def test_minibatches_are_drawn_again_at_every_evaluation(self):
        seen = []

        def minibatch(task, generator):
            batch = torch.randn(3, generator=generator)
            seen.append(batch)
            return batch + task

        objective = Objective(
            lambda parameters, batch: ((parameters["x"] - batch.mean()) ** 2).sum(),
            init=lambda generator: {"x": torch.zeros(2)},
            sample=lambda generator: torch.randn((), generator=generator),
            minibatch=minibatch,
        )
        first = self.curves(objective, tasks=2, steps=3)
        self.assertEqual(len({tuple(batch.tolist()) for batch in seen}), 2 * 4)
        np.testing.assert_array_equal(first, self.curves(objective, tasks=2, steps=3))

    def test_all_tasks_may_be_alike(self):
        objective = Objective(
            lambda parameters, task: (parameters["x"] ** 2).sum(),
            init=lambda generator: {"x": torch.ones(5)},
        )
        curves = self.curves(objective)
        np.testing.assert_array_equal(curves[0], curves[1])
        self.assertLess(curves[0, -1], curves[0, 0])

    def test_training_on_it_helps(self):
        config = {
            "optimizer": {"layers": 1, "hidden": 8},
            "train": {"episodes": 40, "steps": 20, "unroll_length": 10},
            "meta_optimizer": {"learning_rate": 0.02},
        }
        result = l2o.meta_train(regression(), config, tasks=8, progress=False)
        untrained = l2o.Optimizer({"layers": 1, "hidden": 8})
        losses = l2o.evaluate(untrained, l2o.Optimizee(regression(), tasks=8), 20, seed=1)
        self.assertLess(result.validation, 0.7 * losses[:, -2:].mean())

    def test_invalid_objectives(self):
        def objective(loss=regression_loss, init=lambda g: {"x": torch.zeros(6)}, **options):
            return Objective(loss, init, **options)

        for make, error, message in (
            (lambda: objective(init=lambda g: torch.zeros(3)), TypeError, "expected {name: tensor}"),
            (lambda: objective(init=lambda g: {"x": np.zeros(3)}), TypeError, "'x' has type ndarray"),
            (
                lambda: objective(init=lambda g: {"x": torch.zeros(3, dtype=torch.float64)}),
                TypeError,
                "'x' has type torch.float64; expected a float32",
            ),
        ):
            with self.assertRaisesRegex(error, message):
                make()
        sizes = iter((6, 6, 5))
        growing = objective(init=lambda g: {"x": torch.zeros(next(sizes))})
        with self.assertRaisesRegex(ValueError, "the first time it was"):
            self.curves(growing, tasks=2)
        vector = objective(loss=lambda parameters, task: parameters["x"])
        with self.assertRaisesRegex(RuntimeError, "a scalar"):
            self.curves(vector)
        noisy = objective(loss=lambda parameters, task: (parameters["x"] * torch.rand(6)).sum())
        with self.assertRaisesRegex(RuntimeError, "randomness"):
            self.curves(noisy)
        types = iter((torch.float32, torch.float32, torch.float64))
        widening = objective(init=lambda g: {"x": torch.zeros(6, dtype=next(types))})
        with self.assertRaisesRegex(TypeError, "'x' has type torch.float64"):
            self.curves(widening, tasks=2)
        if torch.cuda.is_available():
            with self.assertRaisesRegex(ValueError, "the objective is on cuda"):
                self.curves(objective(device="cuda"))

    def drawn(self, *values, minibatch=False):
        """Curves of tasks for which sample, or minibatch, returns these values in turn."""
        values = itertools.cycle(values)
        draw = {"minibatch": lambda *_: next(values)} if minibatch else {"sample": lambda _: next(values)}

        def loss(parameters, task):
            task = pytree.tree_leaves(task) if not isinstance(task, dict) else [task["a"], task["b"]]
            return ((parameters["x"] - task[0]) ** 2).sum()

        objective = Objective(loss, init=lambda _: {"x": torch.zeros(2)}, **draw)
        return self.curves(objective, tasks=4, steps=1)

    def test_dicts_may_have_their_keys_in_any_order(self):
        zeros, ones = torch.zeros(2), torch.ones(2)
        for minibatch in (False, True):
            curves = self.drawn({"a": zeros, "b": ones}, {"b": ones, "a": zeros}, minibatch=minibatch)
            np.testing.assert_array_equal(curves[:, 0], [0, 0, 0, 0])

    def test_tasks_of_different_structures_are_rejected(self):
        zeros = torch.zeros(2)
        for name in ("sample", "minibatch"):
            for first, second, error, message in (
                ((zeros,), (zeros, zeros), ValueError, "another structure than for the first task"),
                ([zeros, zeros], [zeros], ValueError, "another structure than for the first task"),
                ([zeros], (zeros,), ValueError, "another structure than for the first task"),
                ({"a": zeros, "b": zeros}, {"a": zeros}, ValueError, "another structure"),
                ({"a": zeros, "b": zeros}, {"a": zeros, "c": zeros}, ValueError, "another structure"),
                (zeros, [zeros], TypeError, "a list; expected a tensor"),
                (zeros, torch.zeros(3), ValueError, "shape \\(3,\\).*it was \\(2,\\), torch.float32"),
                (zeros, zeros.double(), ValueError, "torch.float64; for the first task"),
                (3.0, 3.0, TypeError, "a float; expected a tensor"),
                (zeros.numpy(), zeros.numpy(), TypeError, "a ndarray; expected a tensor"),
                (None, None, TypeError, "a NoneType; expected a tensor"),
            ):
                with self.subTest(name, message=message):
                    with self.assertRaisesRegex(error, f"{name} returned .*{message}"):
                        self.drawn(first, second, minibatch=name == "minibatch")


def network(normalized=True):
    def make():
        layers = [torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)]
        if normalized:
            layers.insert(1, torch.nn.BatchNorm1d(5, track_running_stats=False))
        return torch.nn.Sequential(*layers)

    return make


def minibatch(generator):
    inputs = torch.randn(16, 6, generator=generator)
    return inputs, inputs[:, :3].argmax(dim=1)


def classification_loss(module, batch):
    inputs, targets = batch
    return torch.nn.functional.cross_entropy(module(inputs), targets)


class ModuleObjectiveTest(unittest.TestCase):
    def test_it_matches_training_the_module(self):
        objective = module_objective(network(), classification_loss, minibatch)
        rule = sign_descent_optimizer(0.02)
        losses = l2o.evaluate(rule, l2o.Optimizee(objective, tasks=2), 5, seed=3, first_task=1)
        for slot in range(2):
            batch = objective.sample(3, 1 + slot, 1)
            start = objective.initial_parameters(batch, 1)[0]
            module = network()()
            torch.nn.utils.vector_to_parameters(start, module.parameters())
            optimizer = LearnedOptimizer(module.parameters(), rule)
            for evaluation in range(6):
                inputs, targets = objective.tasks_at(batch, evaluation)
                optimizer.zero_grad()
                loss = classification_loss(module, (inputs[0], targets[0]))
                self.assertAlmostEqual(loss.item(), losses[slot, evaluation], places=4)
                loss.backward()
                optimizer.step()

    def test_every_task_starts_differently_and_the_global_generator_is_unchanged(self):
        objective = module_objective(network(), classification_loss, minibatch)
        before = torch.random.get_rng_state()
        starts = objective.initial_parameters(objective.sample(1, 0, 3), 3)
        self.assertTrue(torch.equal(before, torch.random.get_rng_state()))
        again = objective.initial_parameters(objective.sample(1, 1, 1), 1)
        self.assertTrue(torch.equal(starts[1], again[0]))
        self.assertFalse(torch.equal(starts[0], starts[1]))

    def test_layers_that_change_buffers_are_rejected(self):
        make = lambda: torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))
        with self.assertRaisesRegex(ValueError, "layer 1 .BatchNorm1d.*track_running_stats=False"):
            module_objective(make, classification_loss, minibatch)
        random = lambda: torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Dropout())
        objective = module_objective(random, classification_loss, minibatch)
        with self.assertRaisesRegex(RuntimeError, "randomness"):
            l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(objective), 2)

    def test_meta_training_resumes_with_the_same_bits(self):
        config = {
            "optimizer": {"layers": 1, "hidden": 4, "preprocessing": "adam_moments", "output": "modulated"},
            "train": {"episodes": 4, "steps": 10, "unroll_length": 5},
        }

        def train(directory, **options):
            objective = module_objective(network(), classification_loss, minibatch)
            return l2o.meta_train(
                objective, config, tasks=3, run_directory=directory, progress=False, validate_every=2,
                **options,
            )

        with tempfile.TemporaryDirectory() as directory:
            straight = train(Path(directory) / "a")
            train(Path(directory) / "b", callbacks=[lambda now: now.report.episode == 1])
            resumed = train(Path(directory) / "b")
        phis = [result.optimizer.get_meta_parameters() for result in (straight, resumed)]
        np.testing.assert_array_equal(*phis)
        self.assertEqual(straight.validation, resumed.validation)


class ExampleTest(unittest.TestCase):
    def test_torch_meta_train(self):
        with tempfile.TemporaryDirectory() as directory:
            output = example_output(
                "torch_meta_train.py", "--out", directory, "--episodes", "3", OMP_NUM_THREADS="1"
            )
            self.assertTrue((Path(directory) / "model.safetensors").exists())
        losses = re.fullmatch(
            r"validation loss (\d+\.\d+), after 100 steps of a new network (\d+\.\d+)\n", output
        )
        self.assertTrue(losses, output)
        for loss in losses.groups():
            self.assertLess(float(loss), 3)


if __name__ == "__main__":
    unittest.main()
