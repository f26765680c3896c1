"""A learned optimizer as an optax-style pair of functions, over jax.pure_callback.

    optimizer = l2o.jax.learned_optimizer("mnist.safetensors")
    state = optimizer.init(params)
    updates, state = optimizer.update(gradients, state)
    params = jax.tree.map(jnp.add, params, updates)  # or optax.apply_updates

The state goes in and comes out as an array, so the pair is pure and works under jit and scan. That
has a price: each update copies the S values of state of every coordinate into the engine and out
again, through host memory (docs/python.md says what that costs).
"""

import os
import threading
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._optimizer import Optimizer
from ._run import NanPolicy, Run


class GradientTransformation(NamedTuple):
    """As optax.GradientTransformation, and usable where that is expected."""

    init: Callable
    update: Callable


def learned_optimizer(model, *, nan_policy=NanPolicy.SKIP_STEP):
    """(init, update) of a model file or an l2o.Optimizer.

    init(params) -> state: float32 [S, n], n coordinates in all, in the order of the tree's leaves
    update(gradients, state, params=None) -> (updates, state)
    """
    optimizer = model if isinstance(model, Optimizer) else Optimizer.load(os.fspath(model))
    runs = {}  # sizes of the leaves -> Run
    lock = threading.Lock()  # jax may call back from any of its threads

    def init(params):
        leaves = jax.tree.leaves(params)
        _check_leaves(leaves)
        return jnp.zeros((optimizer.state_size, sum(leaf.size for leaf in leaves)), jnp.float32)

    def update(gradients, state, params=None):
        leaves, structure = jax.tree.flatten(gradients)
        _check_leaves(leaves)
        result = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        updates, state = jax.pure_callback(
            step, (result, jax.ShapeDtypeStruct(state.shape, state.dtype)), leaves, state,
            vmap_method="sequential",
        )
        return jax.tree.unflatten(structure, updates), state

    def step(gradients, state):
        gradients = [np.asarray(gradient, order="C") for gradient in gradients]
        sizes = tuple(gradient.size for gradient in gradients)
        updates = tuple(np.zeros(gradient.shape, np.float32) for gradient in gradients)
        with lock:
            if sizes not in runs:
                runs[sizes] = Run(optimizer, sizes, nan_policy=nan_policy)
            run = runs[sizes]
            run.set_state(np.asarray(state, order="C"))
            run.step_multi(gradients, updates)
            return updates, run.get_state()

    return GradientTransformation(init, update)


def _check_leaves(leaves):
    for leaf in leaves:
        if leaf.dtype != jnp.float32:
            raise TypeError(f"a leaf is of {leaf.dtype}; expected float32")
