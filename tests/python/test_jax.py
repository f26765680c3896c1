"""The optax-style pair."""

import threading
import unittest

import l2o
import numpy as np

from reference import Rule
from support import synthetic_gradients, synthetic_optimizer, sign_descent_optimizer

try:
    import jax
    import jax.numpy as jnp

    from l2o import _jax_ffi
    from l2o.jax import is_native, learned_optimizer
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


def state_rows(state, model):
    """A state in the form of Run.get_state, [S, N]."""
    rows = []
    for tiles, leaf in zip(jax.tree.leaves(state.rule), SHAPES.values()):
        values = np.asarray(tiles).reshape(-1, model.state_size, 32).transpose(1, 0, 2)
        rows.append(values.reshape(model.state_size, -1)[:, : int(np.prod(leaf))])
    return np.concatenate(rows, axis=1)


class JaxTest:
    """The checks; there is a class for each implementation of the step."""

    def test_it_matches_a_run_with_and_without_jit(self):
        model, _ = synthetic_optimizer(Rule(8, 2, "log_and_sign"))
        optimizer = learned_optimizer(model)
        for update in (optimizer.update, jax.jit(optimizer.update)):
            run = l2o.Run(model, N)
            state = optimizer.init(tree(np.zeros(N, np.float32)))
            for gradient in synthetic_gradients(4, N):
                updates, state = update(tree(gradient), state)
                expected = np.zeros(N, np.float32)
                run.step(gradient, expected)
                np.testing.assert_array_equal(flat(updates), expected)
                np.testing.assert_array_equal(state_rows(state, model), run.get_state())

    def test_it_is_pure(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradient = tree(synthetic_gradients(1, N)[0])
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

    def test_large_arrays(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.1))
        gradient = jnp.ones(300_000)
        updates, _ = jax.jit(optimizer.update)(gradient, optimizer.init(gradient))
        self.assertTrue((np.asarray(updates) < 0).all())

    def test_vmap(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradients = jnp.asarray(synthetic_gradients(3, 5))
        states = jax.vmap(optimizer.init)(gradients)
        updates, _ = jax.vmap(optimizer.update)(gradients, states)
        for gradient, update in zip(gradients, updates):
            alone, _ = optimizer.update(gradient, optimizer.init(gradient))
            np.testing.assert_array_equal(update, alone)

    def test_scales(self):
        model, _ = synthetic_optimizer(Rule(8, 2, "log_and_sign"))
        optimizer = learned_optimizer(
            model, learning_rate=0.5, weight_decay=0.25, gradient_scale=4.0
        )
        theta = np.linspace(-1, 1, N, dtype=np.float32)
        for update in (optimizer.update, jax.jit(optimizer.update)):
            run = l2o.Run(model, N)
            state = optimizer.init(tree(theta))
            for gradient in synthetic_gradients(4, N):
                updates, state = update(tree(gradient), state, tree(theta))
                expected = np.zeros(N, np.float32)
                run.step(4 * gradient, expected)
                expected = np.float32(0.5) * (expected - np.float32(0.25) * theta)
                np.testing.assert_allclose(flat(updates), expected, rtol=1e-6, atol=1e-8)
                np.testing.assert_array_equal(state_rows(state, model), run.get_state())
        updates, _ = optimizer.update(tree(theta * np.nan), state, tree(theta))
        self.assertFalse(flat(updates).any())  # skipped as a whole
        with self.assertRaisesRegex(ValueError, "weight_decay needs the parameters"):
            optimizer.update(tree(theta), state)
        with self.assertRaisesRegex(ValueError, "different shapes"):
            optimizer.update(tree(theta), state, {**tree(theta), "bias": theta[:2]})
        for bad in ("0.5", True):
            with self.assertRaisesRegex(TypeError, "learning_rate is a (str|bool); expected a number"):
                learned_optimizer(model, bad)
        for name, bad in (("learning_rate", -1), ("weight_decay", np.inf), ("gradient_scale", 0)):
            with self.assertRaisesRegex(ValueError, f"{name} is"):
                learned_optimizer(model, **{name: bad})

    def test_leaves_may_be_numbers(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model, weight_decay=0.25)
        results = []
        for number in (float, jnp.float32):
            params, gradients = {"x": number(2.0)}, {"x": number(0.5)}
            updates, _ = optimizer.update(gradients, optimizer.init(params), params)
            results.append(np.asarray(updates["x"]))
        np.testing.assert_array_equal(*results)

    def test_a_schedule(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model, lambda count: 2.0 ** -count)
        plain = learned_optimizer(model)
        gradients = jnp.asarray(synthetic_gradients(5, N))

        def unroll(optimizer):
            def step(state, gradient):
                updates, state = optimizer.update(gradient, state)
                return state, updates

            return jax.lax.scan(step, optimizer.init(gradients[0]), gradients)

        (state, updates), (plain_state, plain_updates) = unroll(optimizer), unroll(plain)
        scales = 2.0 ** -jnp.arange(5, dtype=jnp.float32)
        np.testing.assert_array_equal(updates, scales[:, None] * plain_updates)
        for leaf, plain_leaf in zip(*map(jax.tree.leaves, (state.rule, plain_state.rule))):
            np.testing.assert_array_equal(leaf, plain_leaf)
        self.assertEqual(state.count, 5)

    def test_scales_may_be_traced(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        gradient = jnp.asarray(synthetic_gradients(1, N)[0])

        def update(scale):
            optimizer = learned_optimizer(model, scale, weight_decay=scale)
            return optimizer.update(gradient, optimizer.init(gradient), jnp.ones(N))[0]

        whole = update(1.0)
        np.testing.assert_allclose(jax.jit(update)(0.5), 0.5 * (whole + 1) - 0.25, atol=1e-6)

    def test_wrong_types(self):
        optimizer = learned_optimizer(l2o.Optimizer())
        with self.assertRaisesRegex(TypeError, "a leaf has dtype int32; expected a floating-point type"):
            optimizer.init(jnp.zeros(3, jnp.int32))

    def test_trees_that_do_not_match(self):
        optimizer = learned_optimizer(l2o.Optimizer(), weight_decay=0.1)
        gradient = tree(synthetic_gradients(1, N)[0])
        state = optimizer.init(gradient)
        longer = {**gradient, "bias": jnp.zeros(40)}
        for wrong, message in (
            (lambda: optimizer.update({"bias": gradient["bias"]}, state, gradient), "the state is a tree"),
            (lambda: optimizer.update(gradient, state, gradient["bias"]), "params is a tree"),
            (lambda: optimizer.update(longer, state, gradient), "different shapes"),
            (lambda: learned_optimizer(l2o.Optimizer()).update(longer, state), "expected .2,"),
            (
                lambda: learned_optimizer(l2o.Optimizer({"hidden": 5})).update(gradient, state),
                "does it belong to the same model",
            ),
        ):
            with self.assertRaisesRegex(ValueError, message):
                wrong()

    def test_other_floating_point_types(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        for dtype in (jnp.bfloat16, jnp.float16):
            gradient = jnp.asarray(synthetic_gradients(1, 40)[0]).astype(dtype)
            updates, _ = optimizer.update(gradient, optimizer.init(gradient))
            self.assertEqual(updates.dtype, dtype)
            expected, _ = optimizer.update(gradient.astype(jnp.float32), optimizer.init(gradient))
            np.testing.assert_array_equal(updates, expected.astype(dtype))

    def test_extra_arguments_are_accepted(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.1))
        gradient = jnp.ones(3)
        optimizer.update(gradient, optimizer.init(gradient), gradient, value=1.0, anything=None)

    def test_no_derivative_flows_through(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.1))

        def loss_after_a_step(theta):
            gradient = jax.grad(lambda x: (x**2).sum())(theta)
            updates, _ = optimizer.update(gradient, optimizer.init(theta))
            return ((theta + updates) ** 2).sum()

        theta = jnp.linspace(1, 2, 5)
        gradient = jax.jit(jax.grad(loss_after_a_step))(theta)
        updates, _ = optimizer.update(2 * theta, optimizer.init(theta))
        np.testing.assert_allclose(gradient, 2 * (theta + updates), rtol=1e-5)

    def test_an_optimizer_that_changes_later(self):
        gradient = jnp.ones(5)

        def first_update(model):
            optimizer = learned_optimizer(model)
            return np.asarray(optimizer.update(gradient, optimizer.init(gradient))[0])

        model, phi = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        before = first_update(model)
        model.set_meta_parameters(0 * phi)
        self.assertFalse(np.array_equal(first_update(model), before))
        same, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        np.testing.assert_array_equal(first_update(same), before)
        model.close()
        np.testing.assert_array_equal(first_update(same), before)

    def test_donated_states(self):
        model, _ = synthetic_optimizer(Rule(8, 2, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradients = [tree(gradient) for gradient in synthetic_gradients(4, N)]
        kept, donated = optimizer.init(gradients[0]), optimizer.init(gradients[0])
        update = jax.jit(optimizer.update, donate_argnums=1)
        for gradient in gradients:
            expected, kept = optimizer.update(gradient, kept)
            updates, donated = update(gradient, donated)
            np.testing.assert_array_equal(flat(updates), flat(expected))

    def test_concurrent_calls(self):
        model, _ = synthetic_optimizer(Rule(8, 1, "log_and_sign"))
        optimizer = learned_optimizer(model)
        gradients = jnp.asarray(synthetic_gradients(4, 2000))
        update = jax.jit(optimizer.update)
        expected = [np.asarray(update(g, optimizer.init(g))[0]) for g in gradients]
        results = [[] for _ in gradients]

        def work(index):
            for _ in range(20):
                gradient = gradients[index]
                results[index].append(np.asarray(update(gradient, optimizer.init(gradient))[0]))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for own, wanted in zip(results, expected):
            self.assertEqual(len(own), 20)
            for result in own:
                np.testing.assert_array_equal(result, wanted)


class CallbackTest(JaxTest, unittest.TestCase):
    def setUp(self):
        native, _jax_ffi._native = _jax_ffi._native, None
        self.addCleanup(setattr, _jax_ffi, "_native", native)
        jax.clear_caches()
        self.addCleanup(jax.clear_caches)


@unittest.skipUnless(is_native(), "the package was not built with jax")
class CustomCallTest(JaxTest, unittest.TestCase):
    def test_the_state_is_updated_in_place(self):
        optimizer = learned_optimizer(sign_descent_optimizer(0.1))
        gradient = jnp.ones(4096)
        state = optimizer.init(gradient)
        update = jax.jit(optimizer.update, donate_argnums=1)
        address = state.rule.unsafe_buffer_pointer()
        _, state = update(gradient, state)
        self.assertEqual(state.rule.unsafe_buffer_pointer(), address)


class OptaxTest(unittest.TestCase):
    """optax's wrappers of transformations."""

    def setUp(self):
        try:
            import optax
        except ImportError:
            self.skipTest("optax is not installed")
        self.optax = optax
        self.model = sign_descent_optimizer(0.02)
        self.theta = {"w": jnp.linspace(-1, 1, 12).reshape(3, 4), "b": jnp.ones(3)}

    def loss(self, theta):
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(theta))

    def assert_descends(self, optimizer, steps=60):
        @jax.jit
        def step(theta, state):
            gradient = jax.grad(self.loss)(theta)
            updates, state = optimizer.update(gradient, state, theta)
            return self.optax.apply_updates(theta, updates), state

        theta, state = self.theta, optimizer.init(self.theta)
        for _ in range(steps):
            theta, state = step(theta, state)
        self.assertLess(self.loss(theta), 0.2 * self.loss(self.theta))
        return state

    def test_apply_updates_and_chain(self):
        optax = self.optax
        self.assert_descends(learned_optimizer(self.model))
        self.assert_descends(
            optax.chain(optax.clip_by_global_norm(10.0), learned_optimizer(self.model))
        )

    def test_inject_hyperparams(self):
        make = self.optax.inject_hyperparams(learned_optimizer, static_args=("model", "nan_policy"))
        state = self.assert_descends(make(model=self.model, learning_rate=1.0))
        self.assertEqual(state.hyperparams["learning_rate"], 1.0)
        schedule = self.optax.cosine_decay_schedule(1.0, 100)
        state = self.assert_descends(make(model=self.model, learning_rate=schedule))
        self.assertLess(state.hyperparams["learning_rate"], 0.5)

    def test_multi_transform_and_masks(self):
        optax = self.optax
        rules = {"learned": learned_optimizer(self.model), "adam": optax.adam(0.05)}
        self.assert_descends(optax.multi_transform(rules, {"w": "learned", "b": "adam"}))
        masked = optax.masked(learned_optimizer(self.model), {"w": True, "b": False})
        masked.update(self.theta, masked.init(self.theta), self.theta)

    def test_multi_steps_and_apply_if_finite(self):
        optax = self.optax
        self.assert_descends(optax.MultiSteps(learned_optimizer(self.model), 2), steps=120)
        self.assert_descends(optax.apply_if_finite(learned_optimizer(self.model), 3))

    def test_states_by_tree_map_params(self):
        optimizer = learned_optimizer(self.model)
        state = optimizer.init(self.theta)
        counted = self.optax.tree.map_params(optimizer, lambda leaf: leaf + 1, state)
        self.assertTrue((counted.rule["b"] == 1).all())


if __name__ == "__main__":
    unittest.main()
