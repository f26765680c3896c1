"""Tensors in the form that the engine needs: float32, contiguous, of one process."""

from __future__ import annotations

import ctypes
import math
import sys
from typing import TYPE_CHECKING, cast

import torch

from .._step import tile_count

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor, Placement, Replicate, Shard
else:
    try:
        from torch.distributed.tensor import DTensor, Replicate, Shard
    except ImportError:  # a build without torch.distributed
        DTensor = None

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a DTensor; other tensors are returned unchanged."""
    return tensor.to_local() if DTensor is not None and isinstance(tensor, DTensor) else tensor


def working_copy(tensor: torch.Tensor, name: str = "a parameter") -> torch.Tensor:
    """The values as contiguous float32, not negated lazily: the tensor itself if it already is."""
    tensor = local(tensor.detach())
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} is sparse ({tensor.layout}); expected a dense tensor")
    if tensor.dtype not in _DTYPES:
        raise TypeError(
            f"{name} has dtype {tensor.dtype}; expected float32, float64, float16 or bfloat16"
        )
    if tensor.device.type not in ("cpu", "cuda"):
        raise ValueError(f"{name} is on {tensor.device}; expected cpu or cuda")
    return tensor.to(torch.float32).contiguous().resolve_neg()


def has_gaps(tensor: torch.Tensor) -> bool:
    """Whether there is other memory between its elements."""
    return not tensor.is_contiguous() and _extent(tensor) > tensor.numel()


def check_elements_apart(tensor: torch.Tensor) -> None:
    """Raises if elements of a parameter share memory, as after expand()."""
    if tensor.is_contiguous():
        return
    is_expanded = any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride()))
    if is_expanded or _extent(tensor) < tensor.numel():
        raise ValueError(
            f"elements of a parameter share memory: it has shape {tuple(tensor.shape)} with strides "
            f"{tensor.stride()}; pass a clone"
        )


def _extent(tensor: torch.Tensor) -> int:
    """The number of elements that would fit from its first to its last."""
    steps: int = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))
    return 1 + steps


_HUGE_PAGE = 2**21
_MADV_HUGEPAGE = 14


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Float32 zeros. Large tensors in host memory use huge pages if the system has them: a step reads and
    writes the whole state, and is a few percent slower with small pages."""
    zeros = torch.empty(shape, dtype=torch.float32, device=device)
    size = 4 * zeros.numel()
    if device.type == "cpu" and size >= 2 * _HUGE_PAGE and sys.platform == "linux":
        first = -zeros.data_ptr() % _HUGE_PAGE  # before anything touches the pages
        address = ctypes.c_void_p(zeros.data_ptr() + first)
        ctypes.CDLL(None).madvise(address, ctypes.c_size_t(size - first), _MADV_HUGEPAGE)
    return zeros.zero_()


def state_like(parameter: torch.Tensor, tile_values: int) -> torch.Tensor:
    """Zeros for the state of a parameter: float32 [tiles of 32 coordinates, tile_values].

    The state of a DTensor is also a DTensor, so that checkpoints of torch.distributed contain it: [shards,
    tiles, tile_values], every shard with as many tiles as the largest. It only fits this number of shards;
    any other number gives another shape.
    """
    if DTensor is None or not isinstance(parameter, DTensor):
        return _zeros((tile_count(parameter.numel()), tile_values), parameter.device)
    mesh, shape, shards = parameter.device_mesh, list(parameter.shape), 1
    placements: list[Placement] = []
    for size, placement in zip(mesh.shape, parameter.placements):
        if placement.is_replicate():
            placements.append(Replicate())
        elif placement.is_shard():
            placements.append(Shard(0))
            dim = cast(Shard, placement).dim
            shape[dim] = -(-shape[dim] // size)
            shards *= size
        else:
            raise TypeError(f"a parameter has placement {placement}; expected shards or replicas")
    tiles = tile_count(math.prod(shape))
    state = _zeros((1, tiles, tile_values), parameter.device)
    return DTensor.from_local(
        state,
        mesh,
        placements,
        run_check=False,
        shape=torch.Size((shards, tiles, tile_values)),
        stride=(tiles * tile_values, tile_values, 1),
    )
