"""Runs: an optimizer applied to the parameters of one function."""

from __future__ import annotations

import ctypes
import enum
import math
from collections.abc import Iterable, Sequence
from ctypes import c_float, c_size_t, c_uint64
from typing import Any, SupportsFloat

from ._arguments import INT_MAX, instance, integer, real
from ._arrays import ArrayLike, View, empty, host_view, view
from ._context import Context, given_or_new
from ._library import Floats, Owner, check, create, library
from ._optimizer import Optimizer


class NanPolicy(enum.IntEnum):
    """How a step treats non-finite gradients."""

    SKIP_STEP = 0  #: the whole step is skipped and counted; the default
    ERROR = 1  #: raises l2o.Error with status NOT_FINITE; nothing changes
    ZERO = 2  #: non-finite elements are treated as 0
    PROPAGATE = 3  #: they are used unchanged


def nan_policy_of(policy: NanPolicy | int | str) -> NanPolicy:
    """Converts a NanPolicy, or its name in lower case, to a NanPolicy."""
    if isinstance(policy, str):
        if policy.upper() not in NanPolicy.__members__:
            names = ", ".join(known.name.lower() for known in NanPolicy)
            raise ValueError(f"unknown nan_policy '{policy}'; expected one of {names}")
        policy = NanPolicy[policy.upper()]
    return NanPolicy(integer(policy, "nan_policy", 0, INT_MAX))


def checked_scale(name: str, value: Any, positive: bool = False) -> float:
    """Returns the value as a float; raises a ValueError that mentions `name` if the value is out of range or
    not finite, also as the float32 that the library uses."""
    number = real(value, name)
    used = c_float(number).value
    if not math.isfinite(used) or number < 0 or (positive and used == 0):
        bound = "above 0" if positive else "of at least 0"
        kind = "finite number" if used == number or not math.isfinite(number) else "finite float32 number"
        raise ValueError(f"{name} is {number}; expected a {kind} {bound}")
    return number


class Run(Owner):
    """The state of `optimizer` on n coordinates, initially zero.

    sizes           n; or the sizes of several tensors, for step_multi
    context         where to run; None: a CPU context that nothing else uses, so that other threads
                    never make the run busy
    update_scale, gradient_scale, weight_decay
                    see set_scales
    """

    _copy_advice = "create a second one, and transfer the state with get_state() and set_state()"

    def __init__(
        self,
        optimizer: Optimizer,
        sizes: int | Iterable[int],
        *,
        context: Context | None = None,
        nan_policy: NanPolicy | int | str = NanPolicy.SKIP_STEP,
        update_scale: SupportsFloat = 1.0,
        gradient_scale: SupportsFloat = 1.0,
        weight_decay: SupportsFloat = 0.0,
    ) -> None:
        instance(optimizer, Optimizer, "optimizer")
        self.context = given_or_new(context)
        given: tuple[Any, ...] = (sizes,)
        if isinstance(sizes, Iterable) and getattr(sizes, "ndim", 1) > 0:  # else an array that is a number
            given = tuple(sizes)
        self.sizes: tuple[int, ...] = tuple(integer(size, "a size") for size in given)
        self.n = sum(self.sizes)
        self.state_shape = (optimizer.state_size, self.n)
        self._addresses = Floats * len(self.sizes)
        handle = create(
            library.l2o_run_create_multi,
            self.context._handle,
            optimizer._handle,
            len(self.sizes),
            (c_size_t * len(self.sizes))(*self.sizes),
        )
        self._own(handle, library.l2o_run_destroy)
        self.set_nan_policy(nan_policy)
        self._scales: tuple[float, ...] = (1.0, 1.0, 0.0)  # the library's
        self.set_scales(update_scale, gradient_scale, weight_decay)

    def step(self, gradient: ArrayLike, parameters: ArrayLike) -> None:
        """parameters += update(gradient), in place, with the scales of set_scales. Both arrays have n
        elements in the context's memory."""
        gradient = self.context.view(gradient, "gradient", count=self.n)
        parameters = self.context.view(parameters, "parameters", count=self.n, writable=True)
        check(library.l2o_run_step(self._handle, gradient.address, parameters.address))

    def step_multi(self, gradients: Sequence[ArrayLike], parameters: Sequence[ArrayLike]) -> None:
        """Like step(), with one array per size; the arrays may be anywhere in the context's memory."""
        gradients = self._views(gradients, "gradients")
        parameters = self._views(parameters, "parameters", writable=True)
        self.step_addresses(
            [gradient.address for gradient in gradients],
            [parameter.address for parameter in parameters],
        )

    def step_addresses(self, gradients: Iterable[int], parameters: Iterable[int]) -> None:
        """step_multi on raw addresses, which are not checked."""
        check(
            library.l2o_run_step_multi(
                self._handle,
                len(self.sizes),
                self._addresses(*gradients),
                self._addresses(*parameters),
            )
        )

    def _views(self, arrays: Sequence[ArrayLike], name: str, **expected: Any) -> list[View]:
        if len(arrays) != len(self.sizes):
            raise ValueError(f"{name} has {len(arrays)} arrays; expected {len(self.sizes)}")
        return [
            self.context.view(values, f"{name}[{i}]", count=size, **expected)
            for i, (values, size) in enumerate(zip(arrays, self.sizes))
        ]

    def reset(self) -> None:
        """Sets the state to zero and adopts the optimizer's current meta-parameters."""
        check(library.l2o_run_reset(self._handle))

    def get_state(self, out: ArrayLike | None = None) -> ArrayLike:
        """Returns the state [S, n] in host memory, for checkpoints. Waits for the work queued so far."""
        out = empty(self.state_shape) if out is None else out
        values = view(out, "out", writable=True)
        check(library.l2o_run_get_state(self._handle, values.address, values.count))
        return out

    def set_state(self, state: ArrayLike) -> None:
        """Sets the state [S, n], as returned by get_state."""
        values = host_view(state, "state", self.state_shape[0] * self.n)
        check(library.l2o_run_set_state(self._handle, values.address, values.count))

    def set_nan_policy(self, policy: NanPolicy | int | str) -> None:
        """Sets the policy, given as a NanPolicy or its name in lower case."""
        check(library.l2o_run_set_nan_policy(self._handle, nan_policy_of(policy)))

    def set_scales(
        self,
        update_scale: SupportsFloat | None = None,
        gradient_scale: SupportsFloat | None = None,
        weight_decay: SupportsFloat | None = None,
    ) -> None:
        """From the next step on:

            parameters += update_scale * u
            u = update(gradient_scale * gradient) - weight_decay * parameters

        May be called as often as needed; for a schedule, before each step. All must be finite and
        non-negative; gradient_scale must be positive. None leaves a value unchanged.
        """
        names = ("update_scale", "gradient_scale", "weight_decay")
        given = (update_scale, gradient_scale, weight_decay)
        scales = tuple(
            old if new is None else real(new, name) for name, old, new in zip(names, self._scales, given)
        )
        if scales != self._scales:
            check(library.l2o_run_set_scales(self._handle, *scales))
            self._scales = scales

    @property
    def update_scale(self) -> float:
        """See set_scales."""
        return self._scales[0]

    @property
    def gradient_scale(self) -> float:
        """See set_scales."""
        return self._scales[1]

    @property
    def weight_decay(self) -> float:
        """See set_scales."""
        return self._scales[2]

    @property
    def skipped_steps(self) -> int:
        """Steps skipped so far under NanPolicy.SKIP_STEP."""
        steps = c_uint64()
        check(library.l2o_run_skipped_steps(self._handle, ctypes.byref(steps)))
        return steps.value
