"""The meta-gradient: compares the reference with finite differences, and the library with the reference."""

import unittest

import l2o
import numpy as np

from reference import Rule
from support import (
    ALL_RULES,
    synthetic_gradients,
    synthetic_optimizer,
    synthetic_state,
)

STEPS, COORDINATES = 20, 37
WEIGHTS = np.random.default_rng(3).uniform(0, 2, STEPS + 1).astype(np.float32)


class ReferenceTest(unittest.TestCase):
    def test_the_reference_matches_finite_differences(self):
        """The gradient of the meta-loss with the trace frozen: sum_t w[t] grad[t] . theta[t]."""
        rule = Rule(3, 2, "log_and_sign")
        optimizer, phi = synthetic_optimizer(rule)
        trace = synthetic_gradients(6, 4).astype(np.float64)
        state = synthetic_state(optimizer, 4)
        weights = np.arange(1.0, 7.0)

        def meta_loss(phi):
            updates, _, _ = rule.forward(phi, trace[:-1], state)
            theta = np.concatenate([np.zeros((1, 4)), updates.cumsum(axis=0)])
            return (weights[:, None] * trace * theta).sum()

        phi = phi.astype(np.float64)
        differences = np.empty_like(phi)
        for k in range(phi.size):
            step = np.zeros_like(phi)
            step[k] = 1e-5
            differences[k] = (meta_loss(phi + step) - meta_loss(phi - step)) / 2e-5
        ours = rule.meta_gradient(phi, trace, weights, state)
        self.assertLess(np.linalg.norm(ours - differences), 1e-8 * np.linalg.norm(ours))


class MetaGradientTest(unittest.TestCase):
    def assert_agree(self, ours, reference):
        self.assertLess(np.linalg.norm(ours - reference), 1e-5 * np.linalg.norm(reference))

    def test_it_matches_float64(self):
        trace = synthetic_gradients(STEPS + 1, COORDINATES)
        for rule in ALL_RULES:
            optimizer, phi = synthetic_optimizer(rule)
            with self.subTest(**vars(rule)):
                state = synthetic_state(optimizer, COORDINATES)
                self.assert_agree(
                    l2o.meta_gradient(optimizer, trace, WEIGHTS, state),
                    rule.meta_gradient(phi, trace, WEIGHTS, state),
                )

    def test_the_defaults_are_weights_of_one_and_a_zero_state(self):
        rule = Rule(8, 1, "log_and_sign")
        optimizer, phi = synthetic_optimizer(rule)
        trace = synthetic_gradients(STEPS + 1, COORDINATES)
        out = np.empty(optimizer.meta_parameter_count, np.float32)
        self.assertIs(l2o.meta_gradient(optimizer, trace, out=out), out)
        zero = np.zeros((optimizer.state_size, COORDINATES))
        self.assert_agree(out, rule.meta_gradient(phi, trace, np.ones(STEPS + 1), zero))

    def test_one_update_matches_adam(self):
        optimizer, phi = synthetic_optimizer(Rule(8, 1, "identity"))
        gradient = np.random.default_rng(1).normal(size=phi.size).astype(np.float32)
        optimizer.apply_meta_gradient(gradient, 0.01)
        expected = phi - 0.01 * np.sign(gradient)  # bias correction makes the first step a sign
        np.testing.assert_allclose(optimizer.get_meta_parameters(), expected, atol=1e-6)
        gradient[0] = np.inf
        with self.assertRaises(l2o.Error) as caught:
            optimizer.apply_meta_gradient(gradient, 0.01)
        self.assertEqual(caught.exception.status, l2o.Status.NOT_FINITE)
        np.testing.assert_allclose(optimizer.get_meta_parameters(), expected, atol=1e-6)

    def test_a_custom_training_loop_learns(self):
        """Meta-training around a function that only this test can evaluate."""
        optimizer = l2o.Optimizer({"hidden": 8, "layers": 1, "seed": 1})
        random = np.random.default_rng(1)
        final_losses = []
        for _ in range(40):
            target = random.normal(size=16).astype(np.float32)
            theta = np.zeros(16, np.float32)
            run = l2o.Run(optimizer, 16)
            for _ in range(2):
                start = run.get_state()
                trace = np.empty((STEPS + 1, 16), np.float32)
                for t in range(STEPS):
                    trace[t] = 2 * (theta - target)
                    run.step(trace[t], theta)
                trace[STEPS] = 2 * (theta - target)
                gradient = l2o.meta_gradient(optimizer, trace, start_state=start)
                optimizer.apply_meta_gradient(gradient, 0.02)
                state = run.get_state()
                run.reset()  # uses the new phi
                run.set_state(state)
            final_losses.append(((theta - target) ** 2).mean() / (target**2).mean())
        self.assertGreater(final_losses[0], 0.5)
        self.assertLess(max(final_losses[-10:]), 0.05)

    def test_wrong_shapes(self):
        optimizer = l2o.Optimizer()
        trace = np.zeros((3, 4), np.float32)
        with self.assertRaisesRegex(ValueError, r"trace has shape \(12,\)"):
            l2o.meta_gradient(optimizer, trace.ravel())
        with self.assertRaisesRegex(ValueError, "weights has 2 elements; expected 3"):
            l2o.meta_gradient(optimizer, trace, [1, 1])
        with self.assertRaisesRegex(ValueError, "start_state has 80 elements; expected 320"):
            l2o.meta_gradient(optimizer, trace, start_state=np.zeros(80, np.float32))


if __name__ == "__main__":
    unittest.main()
