"""The optax-style pair."""

import unittest

import l2o
import numpy as np

from reference import Rule
from support import made_up_gradients, made_up_optimizer, sign_descent_optimizer

try:
    import jax
    import jax.numpy as jnp

    from l2o.jax import learned_optimizer
except ImportError:
    raise unittest.SkipTest("jax is not installed")

SHAPES = {"bias": (3,), "scalar": (), "weight": (4, 3)}
N = 16


def tree(flat):
    """The leaves in jax's order: keys sorted."""
    result, start = {}, 0
    for name, shape in SHAPES.items():
        count = int(np.prod(shape))
        result[name] = jnp.asarray(flat[start : start + count].reshape(shape))
        start += count
    return result


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


class JaxTest(unittest.TestCase):
    def test_it_does_what_a_run_does_with_and_without_jit(self):
        model, _ = made_up_optimizer(Rule(8, 2, "log_and_sign"))
        optimizer = learned_optimizer(model)
        for update in (optimizer.update, jax.jit(optimizer.update)):
            run = l2o.Run(model, N)
            state = optimizer.init(tree(np.zeros(N, np.float32)))
            for gradient in made_up_gradients(4, N):
                updates, state = update(tree(gradient), state)
                expected = np.zeros(N, np.float32)
                run.step(gradient, expected)
                np.testing.assert_array_equal(flat(updates), expected)
                np.testing.assert_array_equal(state, run.get_state())

    def test_it_is_pure(self):
        model, _ = made_up_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradient = tree(made_up_gradients(1, N)[0])
        state = optimizer.init(gradient)
        first, _ = optimizer.update(gradient, state)
        again, _ = optimizer.update(gradient, state)
        np.testing.assert_array_equal(flat(first), flat(again))

    def test_a_scan_descends(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.02))
        theta = tree(np.ones(N, np.float32))

        def loss(theta):
            return sum((leaf**2).sum() for leaf in jax.tree.leaves(theta))

        def step(carry, _):
            theta, state = carry
            value, gradient = jax.value_and_grad(loss)(theta)
            updates, state = optimizer.update(gradient, state, theta)
            return (jax.tree.map(jnp.add, theta, updates), state), value

        _, losses = jax.lax.scan(step, (theta, optimizer.init(theta)), length=40)
        self.assertLess(losses[-1], 0.2 * losses[0])

    def test_large_arrays_come_through(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.1))
        gradient = jnp.ones(300_000)
        updates, _ = jax.jit(optimizer.update)(gradient, optimizer.init(gradient))
        self.assertTrue((np.asarray(updates) < 0).all())

    def test_vmap(self):
        model, _ = made_up_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradients = jnp.asarray(made_up_gradients(3, 5))
        states = jax.vmap(optimizer.init)(gradients)
        updates, _ = jax.vmap(optimizer.update)(gradients, states)
        for gradient, update in zip(gradients, updates):
            alone, _ = optimizer.update(gradient, optimizer.init(gradient))
            np.testing.assert_array_equal(update, alone)

    def test_scales(self):
        model, _ = made_up_optimizer(Rule(8, 2, "log_and_sign"))
        optimizer = learned_optimizer(
            model, learning_rate=0.5, weight_decay=0.25, gradient_scale=4.0
        )
        theta = np.linspace(-1, 1, N, dtype=np.float32)
        for update in (optimizer.update, jax.jit(optimizer.update)):
            run = l2o.Run(model, N)
            state = optimizer.init(tree(theta))
            for gradient in made_up_gradients(4, N):
                updates, state = update(tree(gradient), state, tree(theta))
                expected = np.zeros(N, np.float32)
                run.step(4 * gradient, expected)
                expected = np.float32(0.5) * (expected - np.float32(0.25) * theta)
                np.testing.assert_allclose(flat(updates), expected, rtol=1e-6, atol=1e-8)
                np.testing.assert_array_equal(state, run.get_state())
        updates, _ = optimizer.update(tree(theta * np.nan), state, tree(theta))
        self.assertFalse(flat(updates).any())  # left out as a whole
        with self.assertRaisesRegex(ValueError, "weight_decay needs the parameters"):
            optimizer.update(tree(theta), state)
        with self.assertRaisesRegex(ValueError, "different shapes"):
            optimizer.update(tree(theta), state, {"bias": theta[:3]})
        for name, bad in (("learning_rate", -1), ("weight_decay", np.inf), ("gradient_scale", 0)):
            with self.assertRaisesRegex(ValueError, f"{name} is"):
                learned_optimizer(model, **{name: bad})

    def test_a_schedule(self):
        model, _ = made_up_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model, lambda count: 2.0 ** -count)
        plain = learned_optimizer(model)
        gradients = jnp.asarray(made_up_gradients(5, N))

        def unroll(optimizer):
            def step(state, gradient):
                updates, state = optimizer.update(gradient, state)
                return state, updates

            return jax.lax.scan(step, optimizer.init(gradients[0]), gradients)

        (state, updates), (plain_state, plain_updates) = unroll(optimizer), unroll(plain)
        scales = 2.0 ** -jnp.arange(5, dtype=jnp.float32)
        np.testing.assert_array_equal(updates, scales[:, None] * plain_updates)
        np.testing.assert_array_equal(state.rule, plain_state)
        self.assertEqual(state.count, 5)

    def test_scales_may_be_traced(self):
        model, _ = made_up_optimizer(Rule(8, 1, "log_and_sign"))
        gradient = jnp.asarray(made_up_gradients(1, N)[0])

        def update(scale):
            optimizer = learned_optimizer(model, scale, weight_decay=scale)
            return optimizer.update(gradient, optimizer.init(gradient), jnp.ones(N))[0]

        whole = update(1.0)
        np.testing.assert_allclose(jax.jit(update)(0.5), 0.5 * (whole + 1) - 0.25, atol=1e-6)

    def test_wrong_types(self):
        optimizer = learned_optimizer(l2o.Optimizer())
        with self.assertRaisesRegex(TypeError, "a leaf is of int32; expected float32"):
            optimizer.init(jnp.zeros(3, jnp.int32))


if __name__ == "__main__":
    unittest.main()
