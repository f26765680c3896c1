"""The same work in JAX: written naturally, and as fast as its own tools make it.

natural   the rule written for one coordinate: lax.scan over the steps, vmap over the coordinates,
          jit; jax.grad for the meta-gradient
others    the rule written for many coordinates at once, as rows ([n, H]) or as columns ([H, n]),
          over chunks of coordinates (lax.scan over chunks) that stay in cache; "checkpointed" puts
          jax.checkpoint around the step, so that only the state is kept for the backward pass
State and theta are donated, so that a step works in place.

On a GPU products are float32 throughout; with the suffix " + TF32", JAX's default, their factors are
rounded to 10 bits.
"""

import os

import worker

args = worker.arguments()
os.sched_setaffinity(0, [int(core) for core in args.cores.split(",")])  # XLA starts as many threads
os.environ["JAX_PLATFORMS"] = args.device
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # other contestants use the same GPU

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from problem import OUTPUT_SCALE, P, STEPS, Problem, flatten

problem = Problem(args.problem, args.first, args.count)


def preprocess(g, axis):
    """[...] -> two inputs along the new axis `axis`."""
    magnitude = jnp.abs(g)
    large = magnitude >= np.float32(np.exp(-P))
    return jnp.stack(
        [
            jnp.where(large, jnp.log(magnitude) / P, -1.0),
            jnp.where(large, jnp.sign(g), g * np.float32(np.exp(P))),
        ],
        axis,
    )


def gates(z, c, axis):
    i, f, g, o = jnp.split(z, 4, axis)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def one_coordinate(phi, g, state):
    """g scalar, state (h1, c1, h2, c2) each [H]."""
    h1, c1, h2, c2 = state
    x = preprocess(g, 0)
    h1, c1 = gates(phi["weight_ih_1"] @ x + phi["weight_hh_1"] @ h1 + phi["bias_1"], c1, 0)
    h2, c2 = gates(phi["weight_ih_2"] @ h1 + phi["weight_hh_2"] @ h2 + phi["bias_2"], c2, 0)
    return OUTPUT_SCALE * (phi["out_weight"] @ h2 + phi["out_bias"][0]), (h1, c1, h2, c2)


def rows(phi, g, state):
    """g [n], state (h1, c1, h2, c2) each [n, H]."""
    h1, c1, h2, c2 = state
    x = preprocess(g, 1)
    h1, c1 = gates(x @ phi["weight_ih_1"].T + h1 @ phi["weight_hh_1"].T + phi["bias_1"], c1, 1)
    h2, c2 = gates(h1 @ phi["weight_ih_2"].T + h2 @ phi["weight_hh_2"].T + phi["bias_2"], c2, 1)
    return OUTPUT_SCALE * (h2 @ phi["out_weight"] + phi["out_bias"]), (h1, c1, h2, c2)


def columns(phi, g, state):
    """g [n], state (h1, c1, h2, c2) each [H, n]."""
    h1, c1, h2, c2 = state
    x = preprocess(g, 0)
    h1, c1 = gates(phi["weight_ih_1"] @ x + phi["weight_hh_1"] @ h1 + phi["bias_1"][:, None], c1, 0)
    h2, c2 = gates(phi["weight_ih_2"] @ h1 + phi["weight_hh_2"] @ h2 + phi["bias_2"][:, None], c2, 0)
    return OUTPUT_SCALE * (phi["out_weight"] @ h2 + phi["out_bias"]), (h1, c1, h2, c2)


natural = jax.vmap(one_coordinate, in_axes=(None, 0, 0))

# name: (the rule for many coordinates, whether its state has coordinates as columns)
RULES = {
    "natural": (natural, False),
    "rows": (rows, False),
    "columns": (columns, True),
    "columns checkpointed": (jax.checkpoint(columns), True),
}


def chunked(array, chunk, as_columns):
    """[..., n] -> [chunks, ..., chunk], or as rows: the last two dimensions swapped."""
    parts = np.stack(np.split(array, array.shape[-1] // chunk, axis=-1))
    return jnp.asarray(parts if as_columns else np.swapaxes(parts, -1, -2))


def chunked_states(as_columns, chunk, n):
    """(h1, c1, h2, c2), each [chunks, H, chunk] or [chunks, chunk, H]."""
    return tuple(chunked(part[:, :n], chunk, as_columns) for part in problem.states())


def block(tree):
    return jax.tree.map(lambda array: array.block_until_ready(), tree)


class Step:
    variants = ["natural", "rows", "columns"]

    def __init__(self, variant, chunk, n):
        rule, self.as_columns = RULES[variant]
        self.chunk, self.n = chunk, n
        self.phi = {name: jnp.asarray(value) for name, value in problem.phi.items()}

        def one_chunk(phi, g, theta, state):
            update, state = rule(phi, g, state)
            return theta + update, state

        def all_chunks(phi, g, theta, state):
            if chunk == n:
                whole = jax.tree.map(lambda part: part[0], (g, theta, state))
                return jax.tree.map(lambda part: part[None], one_chunk(phi, *whole))
            return lax.map(lambda parts: one_chunk(phi, *parts), (g, theta, state))

        self.function = jax.jit(all_chunks, donate_argnums=(2, 3))
        self.trace = [chunked(problem.trace[t, :n], chunk, True) for t in range(STEPS)]
        self.reset()

    def reset(self):
        self.state = chunked_states(self.as_columns, self.chunk, self.n)
        self.theta = chunked(problem.theta[: self.n], self.chunk, True)

    def warm_up(self):
        self.run(1)

    def run(self, calls):
        for call in range(calls):
            self.theta, self.state = self.function(
                self.phi, self.trace[call % STEPS], self.theta, self.state
            )
        block((self.theta, self.state))

    def results(self):
        self.reset()
        self.run(STEPS)
        state = [
            np.concatenate(list(part if self.as_columns else np.swapaxes(part, -1, -2)), axis=-1)
            for part in map(np.asarray, self.state)
        ]
        return np.concatenate([np.asarray(self.theta).ravel(), np.concatenate(state).ravel()])


class UnrollBackward:
    variants = list(RULES)

    def __init__(self, variant, chunk, n):
        rule, as_columns = RULES[variant]
        self.phi = {name: jnp.asarray(value) for name, value in problem.phi.items()}
        self.trace = chunked(problem.trace[:STEPS, :n], chunk, True)  # [chunks, T, chunk]
        self.adjoints = chunked(problem.update_adjoints()[:, :n], chunk, True)
        self.state = chunked_states(as_columns, chunk, n)

        def weighted_updates(phi, trace, adjoints, state):
            def advance(carry, inputs):
                state, total = carry
                g, adjoint = inputs
                update, state = rule(phi, g, state)
                return (state, total + jnp.vdot(update, adjoint)), None

            (_, total), _ = lax.scan(advance, (state, 0.0), (trace, adjoints))
            return total

        gradient = jax.grad(weighted_updates)

        def all_chunks(phi, trace, adjoints, state):
            if chunk == n:
                return gradient(phi, *jax.tree.map(lambda part: part[0], (trace, adjoints, state)))

            def add(total, parts):
                return jax.tree.map(jnp.add, total, gradient(phi, *parts)), None

            zeros = jax.tree.map(jnp.zeros_like, phi)
            return lax.scan(add, zeros, (trace, adjoints, state))[0]

        # Compiled ahead for these shapes, so that warming up does not require a long run.
        self.function = (
            jax.jit(all_chunks).lower(self.phi, self.trace, self.adjoints, self.state).compile()
        )

    def warm_up(self):
        pass

    def run(self, calls):
        for _ in range(calls):
            self.dphi = self.function(self.phi, self.trace, self.adjoints, self.state)
            block(self.dphi)

    def results(self):
        self.run(1)
        return flatten(self.dphi)


class AtPrecision:
    """An operation that is always compiled with products of this precision."""

    def __init__(self, tf32, make):
        self.precision = "default" if tf32 else "highest"
        with self._set():
            self.operation = make()

    def _set(self):
        return jax.default_matmul_precision(self.precision)

    def warm_up(self):
        with self._set():
            self.operation.warm_up()

    def run(self, calls):
        with self._set():
            self.operation.run(calls)

    def results(self):
        with self._set():
            return self.operation.results()


operations = {"step": Step, "unroll_backward": UnrollBackward}


def make_operation(op, variant, chunk, n):
    variant, *endings = variant.split(" + ")
    if args.device == "cpu":
        return operations[op](variant, chunk, n)
    return AtPrecision("TF32" in endings, lambda: operations[op](variant, chunk, n))


worker.serve(
    {
        "name": "JAX",
        "version": jax.__version__,
        "variants": {op: operation.variants for op, operation in operations.items()},
    },
    make_operation,
)
