"""Checks that the calls of a step change no memory that another call reads or changes. The library checks
the tensors of one call, when other calls may have stepped already."""

from __future__ import annotations

from bisect import bisect_right
from typing import NoReturn

import torch

from .._step import tile_count
from ._calls import Call
from ._tensors import has_gaps


class Memory:
    """The parameters and states of the calls of one step."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        written = sorted((span for call in calls for span in _written(call)), key=lambda span: span[0])
        for (_, end, one), (start, _, other) in zip(written, written[1:]):
            if start < end:
                _refuse(one, other)
        self._starts = [start for start, _, _ in written]
        self._ends = [end for _, end, _ in written]

    def check_gradients(self) -> None:
        starts, ends = self._starts, self._ends
        for call in self.calls:
            words = call.words
            for n, gradient in zip(words[0::4], words[1::4]):
                after = bisect_right(starts, gradient)
                begins_inside = after > 0 and gradient < ends[after - 1]
                ends_inside = after < len(starts) and starts[after] < gradient + 4 * n
                if n > 0 and (begins_inside or ends_inside):
                    raise ValueError("a gradient shares memory with a parameter or a state")


def _written(call: Call) -> list[tuple[int, int, torch.Tensor]]:
    """The memory that a call changes: its first address, its end, and the parameter that it belongs to.
    Parameters with gaps are left out: their elements may be between those of others."""
    spans = []
    for (parameter, own, address, *_), n, state in zip(
        call.places, call.words[0::4], call.words[3::4]
    ):
        if n == 0:
            continue
        spans.append((state, state + 4 * tile_count(n) * call.tile_values, parameter))
        if not has_gaps(own):
            spans.append((address, address + n * own.element_size(), parameter))
    return spans


def _refuse(one: torch.Tensor, other: torch.Tensor) -> NoReturn:
    shape = tuple(one.shape)
    if one is other:
        raise ValueError(f"a parameter of shape {shape} occurs twice, or its state is in the same memory")
    raise ValueError(
        f"parameters of shapes {shape} and {tuple(other.shape)}, or their states, share memory; expected "
        "separate tensors"
    )
