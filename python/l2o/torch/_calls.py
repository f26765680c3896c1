"""The calls of l2o_step that make up one step of a parameter group."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple, NoReturn

import torch

from .._arguments import boolean
from .._optimizer import Optimizer
from .._run import checked_scale, nan_policy_of
from .._step import Step, tile_count
from ._tensors import check_elements_apart, local, working_copy

Group = dict[str, Any]  # of torch.optim.Optimizer.param_groups

# Keys of a parameter's state: the rule's, and the number of coordinates, which the other's size only bounds.
STATE, NUMEL = "rule", "numel"
OPTIONS = ("lr", "weight_decay", "gradient_scale", "maximize", "nan_policy")


class Calls(NamedTuple):
    """The calls of a group's last step: valid for the next one if nothing has changed."""

    states: dict[torch.Tensor, Any]  # the optimizer's state then
    parameters: list[torch.Tensor]  # the group's
    missing: list[torch.Tensor]  # those without gradients
    calls: list[Call]

    def are_as_before(self, group: Group, states: dict[torch.Tensor, Any]) -> bool:
        return (
            self.states is states
            and len(self.parameters) == len(group["params"])
            and all(map(operator.is_, self.parameters, group["params"]))
            and all([parameter.grad is None for parameter in self.missing])
            and all([call.is_as_before(group) for call in self.calls])
        )


class Call:
    """The step of a group's parameters on one device."""

    def __init__(self, device: torch.device, model: Optimizer, tile_values: int) -> None:
        self.device = device
        self.model = model
        self.tile_values = tile_values
        self.parameters: list[torch.Tensor] = []
        # Of each: itself, its local tensor, that tensor's address and whether its memory has the negative
        # values, its state's dictionary, its state.
        self.places: list[
            tuple[torch.Tensor, torch.Tensor, int, bool, dict[str, Any], torch.Tensor]
        ] = []
        self.words: list[int] = []  # n and three addresses of each
        self.kept: list[torch.Tensor] = []  # copies of gradients, as long as the words point to them
        # (parameter's local tensor, its float32 copy)
        self.copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.step: Step
        self.stream: torch.cuda.Stream | None = None
        self.options: dict[str, Any]
        self._given: list[Any] = [None] * len(OPTIONS)  # the values that the options were made from
        self._has_tensors = False

    def add(self, parameter: torch.Tensor, states: dict[str, Any]) -> None:
        own = parameter if type(parameter) is torch.nn.Parameter else local(parameter)
        state = local(states[STATE])
        if states.setdefault(NUMEL, parameter.numel()) != parameter.numel():
            refuse_size(states[NUMEL], parameter)
        n = own.numel()
        needed = tile_count(n) * self.tile_values
        # The state of a DTensor's shard may be larger than its coordinates need.
        fits = state.numel() == needed or (own is not parameter and state.numel() > needed)
        fits = fits and state.is_contiguous() and not state.is_neg()
        if not fits or state.device != self.device or state.dtype != torch.float32:
            raise ValueError(
                f"a parameter's state has {state.numel()} values of {state.dtype} on {state.device}; "
                f"the model needs {needed} of float32 on {self.device}: did the parameter or the model "
                "change?"
            )
        check_elements_apart(own)
        self.parameters.append(parameter)
        place = (parameter, own, own.data_ptr(), own.is_neg(), states, states[STATE])
        self.places.append(place)
        self.words += (n, 0, own.data_ptr(), state.data_ptr())

    def is_as_before(self, group: Group) -> bool:
        """Reads the current gradients and options; returns whether parameters and states are unmoved."""
        if group["model"] is not self.model:
            return False
        self.model._check_open()
        words, at = self.words, 1
        self.kept, self.copies = [], []
        float32, strided = torch.float32, torch.strided
        for parameter, own, address, is_neg, states, state in self.places:
            gradient = parameter.grad
            if gradient is None or states.get(STATE) is not state:
                return False
            # Storage may have been moved under the same tensor.
            if own is parameter:
                if own.data_ptr() != address or state.data_ptr() != words[at + 2]:
                    return False
            else:
                if local(state).data_ptr() != words[at + 2]:
                    return False
                own = local(parameter)
                if own.data_ptr() != address:
                    return False
                gradient = local(gradient)
            if is_neg or own.dtype is not float32 or not own.is_contiguous():
                values = working_copy(own)
                self.copies.append((own, values))
                words[at + 1] = values.data_ptr()
            if (
                gradient.dtype is not float32
                or gradient.layout is not strided
                or not gradient.is_contiguous()
                or gradient.is_neg()
            ):
                gradient = working_copy(gradient, "a gradient")
                self.kept.append(gradient)
            if gradient.numel() != words[at - 1]:
                if own.numel() != words[at - 1]:
                    return False
                raise ValueError(
                    f"a gradient has shape {tuple(gradient.shape)}; expected that of its parameter, "
                    f"{tuple(own.shape)}"
                )
            words[at] = gradient.data_ptr()
            if words[at] == 0 and words[at - 1] > 0:  # zeros without memory, as autograd may return
                self.kept.append(gradient.clone())
                words[at] = self.kept[-1].data_ptr()
            at += 4
        self._look_at_options(group)
        return True

    def _look_at_options(self, group: Group) -> None:
        given = [group[key] for key in OPTIONS]
        changed = any(map(operator.is_not, given, self._given))
        if changed or self._has_tensors:  # whose values may have changed
            self.options, self._given = group_options(group), given
            self._has_tensors = any([isinstance(value, torch.Tensor) for value in given])

    def run(self) -> bool:
        if self.stream is None:
            done = self.step(self.words, **self.options)
        else:
            current = torch.cuda.current_stream(self.device)
            self.stream.wait_stream(current)
            done = self.step(self.words, **self.options)
            current.wait_stream(self.stream)
        if done and self.copies:
            with torch.no_grad():
                for own, values in self.copies:
                    own.copy_(values)
        torch.autograd.graph.increment_version(self.parameters)
        self.kept, self.copies = [], []
        return done


def refuse_size(numel: Any, parameter: torch.Tensor) -> NoReturn:
    raise ValueError(
        f"a parameter's state is that of {numel} values, and the parameter has {parameter.numel()}: did its "
        "size change?"
    )


def group_options(group: Group) -> dict[str, Any]:
    """A group's options in the form needed by Step."""
    return {
        "update_scale": checked_scale("lr", group["lr"]),
        "gradient_scale": checked_scale("gradient_scale", group["gradient_scale"], positive=True),
        "weight_decay": checked_scale("weight_decay", group["weight_decay"]),
        "maximize": boolean(group["maximize"], "maximize"),
        "nan_policy": nan_policy_of(group["nan_policy"]),
    }
