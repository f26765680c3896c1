"""l2o_step for jax: an XLA custom call if the wheel was built with jax, else a host callback."""

from __future__ import annotations

import copy
import ctypes
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from ._context import Context
from ._library import library
from ._optimizer import Optimizer
from ._step import STATE_ALIGNMENT, Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TARGET = "l2o_step"
_FUNCTIONS = (
    "l2o_context_create",
    "l2o_state_bytes",
    "l2o_step",
    "l2o_step_options_init",
    "l2o_last_error_message",
)
# By fingerprint: never removed, since compiled functions refer to them.
_optimizers: dict[str, Optimizer] = {}
_lock = threading.Lock()  # for that table, here and in the custom call
_contexts = threading.local()  # of callbacks: one per jax thread


def _load() -> ctypes.CDLL | None:
    """The custom call; None if it was not built, or was built for another version of jax."""
    path = Path(__file__).with_name("libl2o_jax.so")
    if not path.exists():
        return None
    try:
        native = ctypes.CDLL(str(path))
        addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS]
        native.l2o_jax_set_library((ctypes.c_void_p * len(addresses))(*addresses))
        native.l2o_jax_add_optimizer.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        native.l2o_jax_add_optimizer.restype = None
        jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(native.l2o_jax_step), platform="cpu")
        return native
    except Exception as error:  # any failure of another jax version: the callback is equally correct
        warnings.warn(f"l2o.jax falls back to a host callback: {error}", RuntimeWarning)
        return None


_native = _load()


def is_native() -> bool:
    """Whether steps are custom calls of XLA on a CPU."""
    return _native is not None


def add_optimizer(optimizer: Optimizer) -> str:
    """Returns its fingerprint, under which step() finds a copy: the optimizer itself may change."""
    fingerprint = optimizer.fingerprint()
    with _lock:
        if fingerprint not in _optimizers:
            _optimizers[fingerprint] = copy.copy(optimizer)
        if _native is not None:
            _native.l2o_jax_add_optimizer(fingerprint.encode(), _optimizers[fingerprint]._handle)
    return fingerprint


def step(
    fingerprint: str,
    gradients: Sequence[jax.Array],
    states: Sequence[jax.Array],
    scales: jax.Array,
    nan_policy: int,
) -> tuple[Sequence[jax.Array], Sequence[jax.Array], jax.Array]:
    """(updates, states, taken) of float32 arrays; scales [2] are those of updates and of gradients, taken []
    is 0 if the step was skipped because of a non-finite gradient."""
    shapes = [jax.ShapeDtypeStruct(array.shape, jnp.float32) for array in (*gradients, *states)]
    shapes.append(jax.ShapeDtypeStruct((), jnp.float32))
    if _native is not None and jax.default_backend() == "cpu":
        count = len(gradients)
        call = jax.ffi.ffi_call(
            _TARGET,
            shapes,
            input_output_aliases={count + i: count + i for i in range(count)},
            vmap_method="sequential",
        )
        results = call(
            *gradients, *states, scales, fingerprint=fingerprint, nan_policy=np.int32(nan_policy)
        )
    else:
        results = jax.pure_callback(
            lambda *arrays: _host_step(_optimizers[fingerprint], int(nan_policy), *arrays),
            tuple(shapes),
            *gradients,
            *states,
            scales,
            vmap_method="sequential",
        )
    updates, states = results[: len(gradients)], results[len(gradients) : -1]
    return updates, states, results[-1]


def _host_step(optimizer: Optimizer, nan_policy: int, *arguments: Any) -> tuple[Any, ...]:
    *arrays, scales = [np.asarray(array, order="C") for array in arguments]
    count = len(arrays) // 2
    gradients, states = arrays[:count], [_aligned_copy(state) for state in arrays[count:]]
    updates = [np.zeros(gradient.shape, np.float32) for gradient in gradients]
    if not hasattr(_contexts, "context"):
        _contexts.context = Context("cpu")
    words: list[int] = []
    for gradient, update, state in zip(gradients, updates, states):
        words += (gradient.size, gradient.ctypes.data, update.ctypes.data, state.ctypes.data)
    taken = Step(_contexts.context, optimizer, count)(
        words, float(scales[0]), float(scales[1]), 0.0, False, nan_policy
    )
    return (*updates, *states, np.float32(taken))


def _aligned_copy(state: NDArray[np.float32]) -> NDArray[np.float32]:
    memory = np.empty(state.size * 4 + STATE_ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % STATE_ALIGNMENT
    aligned = memory[first : first + state.size * 4].view(np.float32).reshape(state.shape)
    aligned[...] = state
    return aligned
