"""A learned optimizer as an optax-style pair of functions, over jax.pure_callback.

    optimizer = l2o.jax.learned_optimizer("mnist.safetensors")
    state = optimizer.init(params)
    updates, state = optimizer.update(gradients, state)
    params = jax.tree.map(jnp.add, params, updates)  # or optax.apply_updates

The state goes in and comes out as an array, so the pair is pure and works under jit and scan. That
has a price: each update copies the S values of state of every coordinate into the engine and out
again, through host memory (docs/python.md says what that costs).
"""

import numbers
import os
import threading
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._optimizer import Optimizer
from ._run import NanPolicy, Run, checked_scale


class GradientTransformation(NamedTuple):
    """As optax.GradientTransformation, and usable where that is expected."""

    init: Callable
    update: Callable


class ScheduledState(NamedTuple):
    """The state where the learning rate is a schedule."""

    count: jax.Array  #: steps so far
    rule: jax.Array  #: the state of a learning rate that is a number


def learned_optimizer(
    model,
    learning_rate=1.0,
    weight_decay=0.0,
    gradient_scale=1.0,
    *,
    nan_policy=NanPolicy.SKIP_STEP,
):
    """(init, update) of a model file or an l2o.Optimizer.

    init(params) -> state: float32 [S, n], n coordinates in all, in the order of the tree's leaves
    update(gradients, state, params=None) -> (updates, state)

        updates = learning_rate * (rule(gradient_scale * gradients) - weight_decay * params)

    learning_rate   a factor on the updates, whose sizes the rule has learned: 1 is what it was
                    trained for. Or a schedule as optax has them, a function of the number of steps
                    so far: the state is then a ScheduledState
    weight_decay    decoupled from the gradient, as in AdamW; update then needs params
    gradient_scale  brings gradients to the sizes that the rule was trained on

    The three may be traced values, too.
    """
    optimizer = model if isinstance(model, Optimizer) else Optimizer.load(os.fspath(model))
    scheduled = callable(learning_rate)
    for name, value in (
        ("learning_rate", learning_rate),
        ("weight_decay", weight_decay),
        ("gradient_scale", gradient_scale),
    ):
        if isinstance(value, numbers.Real):
            checked_scale(name, value, positive=name == "gradient_scale")
    decays = not (isinstance(weight_decay, numbers.Real) and weight_decay == 0)
    runs = {}  # sizes of the leaves -> Run
    lock = threading.Lock()  # jax may call back from any of its threads

    def init(params):
        leaves = jax.tree.leaves(params)
        _check_leaves(leaves)
        rule = jnp.zeros((optimizer.state_size, sum(leaf.size for leaf in leaves)), jnp.float32)
        return ScheduledState(jnp.zeros((), jnp.int32), rule) if scheduled else rule

    def update(gradients, state, params=None):
        leaves, structure = jax.tree.flatten(gradients)
        _check_leaves(leaves)
        parameters = _parameters_like(leaves, params) if decays else []
        rule = state.rule if scheduled else state
        rate = learning_rate(state.count) if scheduled else learning_rate
        result = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        updates, rule = jax.pure_callback(
            step,
            (result, jax.ShapeDtypeStruct(rule.shape, rule.dtype)),
            leaves,
            rule,
            (rate, gradient_scale, weight_decay),
            parameters,
            vmap_method="sequential",
        )
        state = ScheduledState(state.count + 1, rule) if scheduled else rule
        return jax.tree.unflatten(structure, updates), state

    def step(gradients, state, scales, parameters):
        gradients = [np.asarray(gradient, order="C") for gradient in gradients]
        sizes = tuple(gradient.size for gradient in gradients)
        updates = tuple(np.zeros(gradient.shape, np.float32) for gradient in gradients)
        rate, gradient_scale, weight_decay = map(float, scales)
        with lock:
            if sizes not in runs:
                runs[sizes] = Run(optimizer, sizes, nan_policy=nan_policy)
            run = runs[sizes]
            run.set_scales(rate, gradient_scale, weight_decay)
            run.set_state(np.asarray(state, order="C"))
            skipped = run.skipped_steps
            run.step_multi(gradients, updates)  # zeros, which do not decay
            if run.skipped_steps == skipped:
                for update, parameter in zip(updates, parameters):
                    update -= np.float32(rate * weight_decay) * np.asarray(parameter)
            return updates, run.get_state()

    return GradientTransformation(init, update)


def _parameters_like(gradients, params):
    """The leaves of params, one for each gradient."""
    if params is None:
        raise ValueError("weight_decay needs the parameters: update(gradients, state, params)")
    leaves = jax.tree.leaves(params)
    _check_leaves(leaves)
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in gradients]:
        raise ValueError("params and gradients are of different shapes")
    return leaves


def _check_leaves(leaves):
    for leaf in leaves:
        if leaf.dtype != jnp.float32:
            raise TypeError(f"a leaf is of {leaf.dtype}; expected float32")
