"""Steps on tensors with caller-owned state, used by the optimizers for other frameworks."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from ctypes import c_uint64

from ._context import Context
from ._library import StepOptions, TensorStruct, check, library
from ._optimizer import Optimizer

STATE_ALIGNMENT = 64  # bytes
TILE = 32  # coordinates that are adjacent in a state


def tile_count(n: int) -> int:
    """The number of tiles of n parameters."""
    return -(-n // TILE)


def tile_values(context: Context, optimizer: Optimizer) -> int:
    """The number of state floats of a tile. The state of n parameters has tile_count(n) times as many,
    zeros before the first step."""
    optimizer._check_open()
    size: int = library.l2o_state_bytes(context._handle, optimizer._handle, TILE)
    if size == 0:
        raise MemoryError(library.l2o_last_error_message().decode("utf-8", "replace"))
    return size // 4


class Step:
    """l2o_step of one optimizer on `count` tensors in a context."""

    def __init__(self, context: Context, optimizer: Optimizer, count: int) -> None:
        self.context = context
        self.optimizer = optimizer
        self.count = count
        self._tensors = (TensorStruct * count)()
        self._words = struct.Struct(f"@{4 * count}N")  # n and three addresses of each
        self._skipped = c_uint64()
        self._options = StepOptions(
            size=ctypes.sizeof(StepOptions), skipped_steps=ctypes.pointer(self._skipped)
        )

    def __call__(
        self,
        words: Iterable[int],
        update_scale: float,
        gradient_scale: float,
        weight_decay: float,
        maximize: bool,
        nan_policy: int,
    ) -> bool:
        """words: n and the addresses of gradient, parameters and state of every tensor in turn; they are
        not checked. Returns whether the step was taken, not skipped because of a non-finite gradient."""
        self._words.pack_into(self._tensors, 0, *words)
        options = self._options
        options.update_scale = update_scale
        options.gradient_scale = gradient_scale
        options.weight_decay = weight_decay
        options.maximize = maximize
        options.nan_policy = nan_policy
        before = self._skipped.value
        check(
            library.l2o_step(
                self.context._handle, self.optimizer._handle, self.count, self._tensors, options
            )
        )
        return self._skipped.value == before
