"""Contexts: a device, its worker threads, an ordered stream."""

from __future__ import annotations

import ctypes
import re
import threading
from typing import Any

from ._arguments import INT_MAX, UINT64_MAX, instance, integer
from ._arrays import CPU, CUDA, ArrayLike, Place, View, view
from ._library import ContextOptions, Owner, check, create, library
from ._long_calls import is_interrupted

_BACKENDS = {"auto": 0, "cpu": 1, "cuda": 2}
_PRECISIONS = {"mixed": 0, "f32": 1, "half": 2}
# cudaStreamLegacy: the default stream as a non-null handle. It is the stream that torch, jax and cupy
# use by default, and number 1 in DLPack.
_LEGACY_DEFAULT_STREAM = 1


def backend_available(backend: str) -> bool:
    """Whether this build and machine have "cpu" or "cuda"."""
    return bool(library.l2o_backend_available(_backend(backend)))


def _backend(name: str) -> int:
    if name not in _BACKENDS:
        raise ValueError(f"unknown backend '{name}': expected {', '.join(_BACKENDS)}")
    return _BACKENDS[name]


class Context(Owner):
    """The device and threads that do the work. A context and the objects made in it are used by one thread at a time.

    device        "cpu", "cuda", "cuda:1", or "auto": CUDA if this build and machine have it
    threads       of a CPU; 0: one per available core
    stream        of a CUDA device: the address of a cudaStream_t, which must outlive the context,
                  to queue work on; None: the legacy default stream
    precision     of the learned rule on tensor cores: "f32", "mixed" or "half"
    memory_limit  bytes of device memory that may be used; 0: all of it
    """

    _copy_advice = "create a second one with the same arguments"

    def __init__(
        self,
        device: str = "cpu",
        *,
        threads: int = 0,
        stream: int | None = None,
        precision: str = "mixed",
        memory_limit: int = 0,
    ) -> None:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError(f"unknown device '{device}': expected cpu, cuda, cuda:N or auto")
        if precision not in _PRECISIONS:
            raise ValueError(f"unknown precision '{precision}': expected f32, mixed or half")
        memory_limit = integer(memory_limit, "memory_limit", 0, UINT64_MAX)
        threads = integer(threads, "threads", 0, INT_MAX)
        if stream is not None:
            stream = integer(stream, "stream", 0, UINT64_MAX)
        backend, _, index = device.partition(":")
        number = integer(int(index or 0), "the device number", 0, INT_MAX)
        if backend == "auto":
            backend = "cuda" if backend_available("cuda") else "cpu"
        self.place: Place = (CUDA, number) if backend == "cuda" else (CPU, 0)
        self.stream = (stream or _LEGACY_DEFAULT_STREAM) if backend == "cuda" else None
        options = ContextOptions(
            size=ctypes.sizeof(ContextOptions),
            backend=_backend(backend),
            device=self.place[1],
            threads=threads,
            stream=self.stream,
            precision=_PRECISIONS[precision],
            memory_limit=memory_limit,
            is_interrupted=is_interrupted,
        )
        self._own(create(library.l2o_context_create, options), library.l2o_context_destroy)

    @property
    def device(self) -> str:
        """"cpu" or "cuda:N"."""
        kind, index = self.place
        return f"cuda:{index}" if kind == CUDA else "cpu"

    def synchronize(self) -> None:
        """Waits for the work queued so far."""
        check(library.l2o_context_synchronize(self._handle))

    def view(self, values: ArrayLike, name: str, **expected: Any) -> View:
        """`values` as memory of this context."""
        return view(values, name, self.place, stream=self.stream, **expected)

    def __repr__(self) -> str:
        return f"l2o.Context('{self.device}')"


def given_or_new(context: Context | None) -> Context:
    """The context that was given as an argument; a CPU context for None."""
    return Context("cpu") if context is None else instance(context, Context, "context")


_of_thread = threading.local()


def context_of_this_thread() -> Context:
    """A CPU context for calls that finish before they return: one per thread."""
    if not hasattr(_of_thread, "context"):
        _of_thread.context = Context("cpu")
    context: Context = _of_thread.context
    return context
