"""JAX functions as objectives of meta-training: all tasks of a batch in one compiled call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._arrays import ArrayLike
from ._optimizee import BatchObjective, _floats

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Objective(BatchObjective):
    """A function of a tree of parameters, evaluated for all tasks at once.

        objective = Objective(
            loss=lambda params, task: jnp.sum((params["x"] - task) ** 2),
            init=lambda key: {"x": jnp.zeros(10)},
            sample=lambda key: jax.random.normal(key, (10,)),
        )
        optimizee = l2o.Optimizee(objective, tasks=64)

    loss(params, task)      the loss of one task, a scalar
    init(key)               theta_0 of a task: an array, or a tree of arrays, of floating-point types
    sample(key)             the task: an array or a tree of arrays. None: all tasks are alike, and task is None
    minibatch(task, key)    what loss receives instead of the task, drawn again for every evaluation. None: the
                            task itself

    The functions must be pure: vmaps of them are compiled, once for each number of tasks. Keys are made from
    the numbers of the stream, the task and the evaluation: a task is the same in any batch, and a resumed run
    sees the same values as an uninterrupted one.

    The engine holds coordinates as float32; leaves of other types are converted. The context must be a CPU's.
    """

    def __init__(
        self,
        loss: Callable[[Any, Any], jax.Array],
        init: Callable[[jax.Array], Any],
        sample: Callable[[jax.Array], Any] | None = None,
        minibatch: Callable[[Any, jax.Array], Any] | None = None,
    ) -> None:
        self.loss, self.init, self.sample_task, self.minibatch = loss, init, sample, minibatch
        first = jax.eval_shape(init, jax.eval_shape(lambda: _key(np.zeros(2, np.uint32), 0, _INIT)))
        _check_parameters(first)
        self._leaves = jax.tree.leaves(first)
        self._structure: Any = jax.tree.structure(first)
        self._types = _types(first)
        self.coordinates = sum(leaf.size for leaf in self._leaves)
        tasks = _Batch(seed=None, numbers=0, drawn=0)
        self._draw_all = jax.jit(jax.vmap(self._draw, in_axes=(tasks,)))
        self._start_all = jax.jit(jax.vmap(self._start, in_axes=(tasks,)))
        self._evaluate_all = jax.jit(jax.vmap(self._evaluate, in_axes=(tasks, None, 0)))

    def sample(self, seed: int, first_task: int, tasks: int) -> _Batch:
        words = np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)
        numbers = np.arange(tasks, dtype=np.uint32) + np.uint32(first_task)
        batch = _Batch(words, numbers, None)
        return batch if self.sample_task is None else batch._replace(drawn=self._draw_all(batch))

    def initial_parameters(self, batch: _Batch, tasks: int) -> jax.Array:
        parameters: jax.Array = self._start_all(batch)
        return parameters

    def value_and_gradient(
        self, batch: _Batch, evaluation: int, parameters: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        losses, gradients = self._evaluate_all(batch, np.uint32(evaluation), parameters)
        return losses, gradients

    def read_memory(self, address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        # A view: jit uses aligned host memory, such as the engine's, in place if it runs on a CPU. That is safe
        # because only its functions see the array, and write_memory waits for their results.
        return _floats(address, shape)

    # Functions of one task.

    def _draw(self, task: _Batch) -> Any:
        assert self.sample_task is not None
        return self.sample_task(_key(task.seed, task.numbers, _SAMPLE))

    def _start(self, task: _Batch) -> jax.Array:
        params = self.init(_key(task.seed, task.numbers, _INIT))
        structure: Any = jax.tree.structure(params)
        if structure != self._structure or _types(params) != self._types:
            raise ValueError(
                f"init returned {structure} of {_types(params)}; "
                f"the first time it was {self._structure} of {self._types}"
            )
        return _flat(jax.tree.leaves(params))

    def _evaluate(
        self, task: _Batch, evaluation: jax.Array, theta: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        argument = task.drawn
        if self.minibatch is not None:
            key = jax.random.fold_in(_key(task.seed, task.numbers, _MINIBATCH), evaluation)
            argument = self.minibatch(argument, key)

        def loss(leaves: list[jax.Array]) -> jax.Array:
            value = self.loss(jax.tree.unflatten(self._structure, leaves), argument)
            _check_loss(value)
            return value

        value, gradient = jax.value_and_grad(loss)(self._unflattened(theta))
        return value.astype(jnp.float32), _flat(gradient)

    def _unflattened(self, theta: jax.Array) -> list[jax.Array]:
        ends = np.cumsum([leaf.size for leaf in self._leaves])
        return [
            part.reshape(leaf.shape).astype(leaf.dtype)
            for leaf, part in zip(self._leaves, jnp.split(theta, ends[:-1]))
        ]


# The purposes of keys.
_INIT, _SAMPLE, _MINIBATCH = range(3)


class _Batch(NamedTuple):
    """Tasks as drawn by Objective.sample; one of them within vmap."""

    seed: Any  # uint32 [2]
    numbers: Any  # uint32 [tasks]
    drawn: Any  # what the user's sample returned, with a leading dimension of tasks


def _key(seed: Any, number: Any, purpose: int) -> jax.Array:
    """Of this implementation whatever the configuration: within vmap it gives the same numbers as alone."""
    stream = jax.random.wrap_key_data(seed, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(stream, number), purpose)


def _flat(leaves: list[Any]) -> jax.Array:
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in leaves])


def _types(tree: Any) -> list[str]:
    """The type and shape of each leaf, such as float32[3,4]."""
    return [
        f"{jnp.result_type(leaf)}[{','.join(map(str, jnp.shape(leaf)))}]"
        for leaf in jax.tree.leaves(tree)
    ]


def _check_parameters(params: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            name = f"params{jax.tree_util.keystr(path)}"
            raise TypeError(f"{name} has dtype {leaf.dtype}; expected a floating-point type")
    if not sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)):
        raise ValueError("init returned no parameters")


def _check_loss(value: object) -> None:
    if not isinstance(value, jax.Array):
        found = type(value).__name__
    elif value.shape == () and jnp.issubdtype(value.dtype, jnp.floating):
        return
    else:
        found = _types(value)[0]
    raise TypeError(f"loss returned {found}; expected a scalar array of a floating-point type")
