"""PyTorch functions as objectives of meta-training: all tasks of a batch in one vmap."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.func import functional_call, grad_and_value, vmap
from torch.utils import _pytree as pytree

from .._arrays import CUDA
from .._context import Context
from .._optimizee import BatchObjective

_Parameters = dict[str, torch.Tensor]


class Objective(BatchObjective):
    """A function of a dict of tensors, evaluated for all tasks at once.

        objective = Objective(
            loss=lambda parameters, task: ((parameters["x"] - task) ** 2).sum(),
            init=lambda generator: {"x": torch.zeros(10)},
            sample=lambda generator: torch.randn(10, generator=generator),
        )
        optimizee = l2o.Optimizee(objective, tasks=64)

    loss(parameters, task)            the loss of one task, a scalar tensor. torch.func.vmap runs it for all
                                      tasks at once, so it may only do what vmap allows
    init(generator)                   theta_0 of a task, {name: tensor}, the same names and shapes each time
    sample(generator)                 the task: a tensor, or tuples, lists and dicts of them, with the same
                                      shapes each time. None: all tasks are alike, and task is None
    minibatch(task, generator)        what loss receives instead of the task, drawn again for every
                                      evaluation. None: the task itself
    device                            of parameters and of everything that is drawn: that of the context

    Generators are on the CPU and seeded with the numbers of the stream, the task and the evaluation: a task is
    the same in any batch, and a resumed run sees the same values as an uninterrupted one.
    """

    def __init__(
        self,
        loss: Callable[[_Parameters, Any], torch.Tensor],
        init: Callable[[torch.Generator], _Parameters],
        sample: Callable[[torch.Generator], Any] | None = None,
        minibatch: Callable[[Any, torch.Generator], Any] | None = None,
        *,
        device: str | torch.device = "cpu",
    ) -> None:
        self.loss, self.init, self.sample_task, self.minibatch = loss, init, sample, minibatch
        self.device = torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        first = init(_generator(0, 0, _INIT))
        _check_parameters(first)
        self._shapes = {name: tensor.shape for name, tensor in first.items()}
        self.coordinates = sum(tensor.numel() for tensor in first.values())
        has_task = sample is not None or minibatch is not None
        self._evaluate = vmap(grad_and_value(loss), in_dims=(0, 0 if has_task else None))

    def sample(self, seed: int, first_task: int, tasks: int) -> _Batch:
        numbers = range(first_task, first_task + tasks)
        drawn = None
        if self.sample_task is not None:
            drawn = [self.sample_task(_generator(seed, number, _SAMPLE)) for number in numbers]
        batch = _Batch(seed, numbers, drawn, None)
        if drawn is not None and self.minibatch is None:
            batch = batch._replace(stacked=self._stacked(drawn, "sample"))
        return batch

    def initial_parameters(self, batch: _Batch, tasks: int) -> torch.Tensor:
        rows = []
        for number in batch.numbers:
            parameters = self.init(_generator(batch.seed, number, _INIT))
            _check_parameters(parameters)
            shapes = {name: tensor.shape for name, tensor in parameters.items()}
            if shapes != self._shapes:
                raise ValueError(f"init returned {shapes}; the first time it was {self._shapes}")
            rows.append(torch.cat([parameters[name].detach().reshape(-1) for name in self._shapes]))
        return torch.stack(rows)

    def value_and_gradient(
        self, batch: _Batch, evaluation: int, parameters: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tasks = len(batch.numbers)
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        named = {
            name: part.reshape(tasks, *shape)
            for (name, shape), part in zip(self._shapes.items(), parameters.split(sizes, dim=1))
        }
        gradients, losses = self._evaluate(named, self.tasks_at(batch, evaluation))
        return losses, torch.cat([gradients[name].reshape(tasks, -1) for name in self._shapes], dim=1)

    def tasks_at(self, batch: _Batch, evaluation: int) -> Any:
        """The argument of loss at an evaluation, with a leading dimension of tasks."""
        if self.minibatch is None:
            return batch.stacked
        drawn = batch.drawn or [None] * len(batch.numbers)
        return self._stacked(
            [
                self.minibatch(task, _generator(batch.seed, number, _MINIBATCH + evaluation))
                for task, number in zip(drawn, batch.numbers)
            ],
            "minibatch",
        )

    def _stacked(self, drawn: list[Any], function: str) -> Any:
        """The values that a function drew for each task, with a leading dimension of tasks."""
        _, structure = pytree.tree_flatten(drawn[0])
        leaves = [_leaves_like(structure, values, function) for values in drawn]
        _check_leaves(leaves, function)
        stacked = [torch.stack(parts).to(self.device) for parts in zip(*leaves)]
        return pytree.tree_unflatten(stacked, structure)

    def check_context(self, context: Context) -> None:
        kind, index = context.place
        expected = torch.device("cuda", index) if kind == CUDA else torch.device("cpu")
        if self.device != expected:
            raise ValueError(
                f"the objective is on {self.device} and the context on {expected}; use the same device"
            )

    def read_memory(self, address: int, shape: tuple[int, ...]) -> torch.Tensor:
        return self._tensor(address, shape).clone()

    def write_memory(
        self, address: int, shape: tuple[int, ...], values: torch.Tensor, name: str
    ) -> None:
        if values.shape != shape:
            raise ValueError(f"{name} have shape {tuple(values.shape)}; expected {shape}")
        self._tensor(address, shape).copy_(values.detach())

    def _tensor(self, address: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Memory of the engine as a tensor, which must not outlive the call it was passed to."""
        if self.device.type == "cuda":
            return torch.as_tensor(_DeviceMemory(address, shape), device=self.device)
        memory = (ctypes.c_float * math.prod(shape)).from_address(address)
        return torch.frombuffer(memory, dtype=torch.float32).reshape(shape)

    @contextlib.contextmanager
    def on_stream(self, stream: int | None) -> Iterator[None]:
        """Runs on the engine's stream, after torch's work so far and before its later work."""
        if self.device.type != "cuda":
            yield
            return
        ours = torch.cuda.ExternalStream(stream, device=self.device)
        current = torch.cuda.current_stream(self.device)
        ours.wait_stream(current)
        with torch.cuda.stream(ours):
            yield
        current.wait_stream(ours)


def module_objective(
    make: Callable[[], torch.nn.Module],
    loss: Callable[[Callable[..., Any], Any], torch.Tensor],
    minibatch: Callable[[torch.Generator], Any],
    *,
    device: str | torch.device = "cpu",
) -> Objective:
    """The Objective of training a network.

    make()                  a new torch.nn.Module; a task starts with the parameters of its own module, made
                            with its own seed
    loss(network, batch)    a scalar tensor; network(...) is the module's forward pass
    minibatch(generator)    a minibatch, drawn again for every evaluation: tensors of the same shapes each time

    The network is in training mode. Layers that change their buffers in the forward pass (batch norm with
    running statistics) are rejected: make them with track_running_stats=False. vmap also rejects random layers
    (dropout).
    """
    place = torch.device(device)
    generators = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices=generators):
        torch.manual_seed(0)  # buffers may be random: the same ones in every process
        network = make()
    network.to(device)
    for name, layer in network.named_modules():
        if getattr(layer, "track_running_stats", False):
            raise ValueError(
                f"layer {name} ({type(layer).__name__}) changes its running statistics when it runs; "
                "make it with track_running_stats=False"
            )
    buffers = dict(network.named_buffers())

    def init(generator: torch.Generator) -> _Parameters:
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=generators):
            torch.manual_seed(seed)
            return {name: p.detach() for name, p in make().named_parameters()}

    def loss_of(parameters: _Parameters, batch: Any) -> torch.Tensor:
        def call(*arguments: Any, **keywords: Any) -> Any:
            return functional_call(network, {**buffers, **parameters}, arguments, keywords)

        return loss(call, batch)

    return Objective(loss_of, init, minibatch=lambda _, generator: minibatch(generator), device=device)


# The purposes of generators; those of minibatches count upwards.
_INIT, _SAMPLE, _MINIBATCH = 0, 1, 2


class _Batch(NamedTuple):
    """Tasks as drawn by Objective.sample."""

    seed: int
    numbers: range
    drawn: list[Any] | None  # task by task
    stacked: Any  # the same with a leading dimension, if every evaluation uses it unchanged


def _generator(seed: int, number: int, purpose: int) -> torch.Generator:
    """Seeded with all three: SplitMix64's mixing between them keeps their streams separate."""
    mixed = 0
    for value in (seed, number, purpose):
        mixed = (mixed ^ value) + 0x9E3779B97F4A7C15
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed - 2**63)


def _check_parameters(parameters: object) -> None:
    if not isinstance(parameters, dict) or not parameters:
        raise TypeError("init returned no parameters; expected {name: tensor}")
    for name, tensor in parameters.items():
        if not torch.is_tensor(tensor) or tensor.dtype != torch.float32:
            kind = tensor.dtype if torch.is_tensor(tensor) else type(tensor).__name__
            raise TypeError(f"parameter {name!r} has type {kind}; expected a float32 tensor")


def _leaves_like(structure: pytree.TreeSpec, values: Any, function: str) -> list[Any]:
    """The leaves of values that must have this structure; dicts may have their keys in any order."""
    try:
        leaves: list[Any] = structure.flatten_up_to(values)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{function} returned another structure than for the first task: {error}") from None
    return leaves


def _check_leaves(tasks: list[list[Any]], function: str) -> None:
    first: list[tuple[torch.Size, torch.dtype]] | None = None
    for leaves in tasks:
        for leaf in leaves:
            if not torch.is_tensor(leaf):
                raise TypeError(
                    f"{function} returned a {type(leaf).__name__}; expected a tensor, or tuples, lists and "
                    "dicts of tensors"
                )
        kinds = [(leaf.shape, leaf.dtype) for leaf in leaves]
        first = kinds if first is None else first
        for own, expected in zip(kinds, first):
            if own != expected:
                raise ValueError(
                    f"{function} returned a tensor of shape {tuple(own[0])}, {own[1]}; for the first task "
                    f"it was {tuple(expected[0])}, {expected[1]}"
                )


class _DeviceMemory:
    """Device memory as the CUDA array interface."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "shape": tuple(shape),
            "typestr": "<f4",
            "strides": None,
            "version": 2,
        }
