"""l2o for JAX: learned optimizers as optax-style pairs of functions, and their training on JAX functions.

    optimizer = l2o.jax.learned_optimizer("general")
    state = optimizer.init(params)
    updates, state = optimizer.update(gradients, state)
    params = jax.tree.map(jnp.add, params, updates)  # or optax.apply_updates

If the package was built with jax installed, a step is an XLA custom call, which updates the state in
place if its buffer is donated or dead; else it is a host callback, which copies the state.

Objective is a function in JAX to meta-train on.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from . import _jax_ffi
from ._arguments import FilePath
from ._context import context_of_this_thread
from ._jax_ffi import is_native
from ._jax_objective import Objective
from ._optimizer import Optimizer
from ._run import NanPolicy, checked_scale, nan_policy_of
from ._step import tile_count, tile_values

__all__ = ["GradientTransformation", "LearnedState", "Objective", "is_native", "learned_optimizer"]


class GradientTransformation(NamedTuple):
    """Like optax.GradientTransformationExtraArgs, and usable in its place."""

    init: Callable[[Any], LearnedState]
    update: Callable[..., tuple[Any, LearnedState]]


class LearnedState(NamedTuple):
    """The state of a learned optimizer."""

    #: steps so far
    count: jax.Array  # type: ignore[assignment, unused-ignore]  # hides tuple.count
    rule: Any  #: a tree like params: float32 [tiles of 32 coordinates, values of a tile] for each leaf


def learned_optimizer(
    model: Optimizer | FilePath,
    learning_rate: jax.typing.ArrayLike | Callable[[jax.Array], jax.typing.ArrayLike] = 1.0,
    weight_decay: jax.typing.ArrayLike = 0.0,
    gradient_scale: jax.typing.ArrayLike = 1.0,
    *,
    nan_policy: NanPolicy | int | str = NanPolicy.SKIP_STEP,
) -> GradientTransformation:
    """(init, update) for an l2o.Optimizer, a model file, or a model that ships, by its name.

    init(params) -> state: a LearnedState
    update(gradients, state, params=None, **extra) -> (updates, state)

        updates = learning_rate * (rule(gradient_scale * gradients) - weight_decay * params)

    learning_rate   a factor on the updates, whose magnitudes the rule has learned: it was trained
                    for 1. Or a schedule as in optax, a function of the number of steps so far
    weight_decay    decoupled from the gradient, as in AdamW; update then needs params
    gradient_scale  brings gradients to the magnitudes that the rule was trained on

    All three may be traced values. Leaves must have floating-point types; the rule itself works in
    float32. No derivative flows through update.
    """
    optimizer = model if isinstance(model, Optimizer) else Optimizer.load(model)
    policy = nan_policy_of(nan_policy)
    for name, value in (
        ("learning_rate", learning_rate),
        ("weight_decay", weight_decay),
        ("gradient_scale", gradient_scale),
    ):
        if isinstance(value, (numbers.Real, str, bytes)):  # jnp.asarray would convert strings, too
            checked_scale(name, value, positive=name == "gradient_scale")
    decays = not (isinstance(weight_decay, numbers.Real) and weight_decay == 0)
    values = tile_values(context_of_this_thread(), optimizer)

    def init(params: Any) -> LearnedState:
        def zeros(leaf: jax.Array) -> jax.Array:
            _check_leaf(leaf)
            return jnp.zeros((tile_count(jnp.size(leaf)), values), jnp.float32)

        return LearnedState(jnp.zeros((), jnp.int32), jax.tree.map(zeros, params))

    def update(
        gradients: Any, state: LearnedState, params: Any = None, **extra: Any
    ) -> tuple[Any, LearnedState]:
        del extra
        leaves, structure = jax.tree.flatten(gradients)
        states: Sequence[Any] = _leaves_like(structure, state.rule, "the state")
        parameters = _parameters_like(structure, leaves, params) if decays else []
        for leaf, own in zip(leaves, states):
            _check_leaf(leaf)
            expected = (tile_count(jnp.size(leaf)), values)
            if own.shape != expected:
                raise ValueError(
                    f"a leaf's state has shape {own.shape}; expected {expected}: does it belong to the "
                    "same model and parameters?"
                )
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        scales = jnp.stack([jnp.asarray(scale, jnp.float32) for scale in (rate, gradient_scale)])
        updates, states, taken = _jax_ffi.step(
            _jax_ffi.add_optimizer(optimizer),
            [jnp.asarray(jax.lax.stop_gradient(leaf), jnp.float32) for leaf in leaves],
            [jax.lax.stop_gradient(own) for own in states],
            jax.lax.stop_gradient(scales),
            policy,
        )
        if decays:
            decay = taken * rate * weight_decay
            updates = [u - decay * jnp.asarray(p, jnp.float32) for u, p in zip(updates, parameters)]
        updates = [u.astype(jnp.result_type(leaf)) for u, leaf in zip(updates, leaves)]
        next_state = LearnedState(state.count + 1, jax.tree.unflatten(structure, states))
        return jax.tree.unflatten(structure, updates), next_state

    return GradientTransformation(init, update)


def _leaves_like(structure: Any, tree: Any, name: str) -> list[Any]:
    """The leaves of a tree that must have that structure."""
    leaves: list[Any]
    leaves, own = jax.tree.flatten(tree)
    if own != structure:
        raise ValueError(f"{name} is a tree {own}; expected that of the gradients, {structure}")
    return leaves


def _parameters_like(structure: Any, gradients: list[Any], params: Any) -> list[Any]:
    """The leaves of params, one for each gradient."""
    if params is None:
        raise ValueError("weight_decay needs the parameters: update(gradients, state, params)")
    leaves = _leaves_like(structure, params, "params")
    if [jnp.shape(leaf) for leaf in leaves] != [jnp.shape(leaf) for leaf in gradients]:
        raise ValueError("params and gradients have different shapes")
    return leaves


def _check_leaf(leaf: Any) -> None:
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
        raise TypeError(f"a leaf has dtype {jnp.result_type(leaf)}; expected a floating-point type")
