"""Arrays of any library as addresses, without copies.

Two protocols, both accessed by ctypes: Python's own buffers (numpy, array.array, jax on a CPU) and
DLPack (torch, cupy, jax). A View keeps the exported memory alive as long as the View lives.
"""

from __future__ import annotations

import array
import ctypes
import math
import sys
from collections.abc import Sequence
from ctypes import c_int32, c_int64, c_ssize_t, c_uint8, c_uint16, c_uint32, c_uint64
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

# An array of any library, or anything else with a buffer or DLPack.
ArrayLike = Any
# (DLDeviceType, index).
Place = tuple[int, int]

FLOAT_BYTES = 4

# DLDeviceType of dlpack.h.
CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
_DL_FLOAT = 2
_DL_READ_ONLY = 1
_DL_KINDS = {0: "int", 1: "uint", _DL_FLOAT: "float", 4: "bfloat", 5: "complex", 6: "bool"}


# Names of buffer formats, for error messages.
_BUFFER_DTYPES = {"d": "float64", "e": "float16", "i": "int32", "l": "int64", "?": "bool"}


class _Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(c_ssize_t)),
        ("strides", ctypes.POINTER(c_ssize_t)),
        ("suboffsets", ctypes.POINTER(c_ssize_t)),
        ("internal", ctypes.c_void_p),
    ]


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", c_int32),
        ("device_id", c_int32),
        ("ndim", c_int32),
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
        ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)),  # in elements; null if dense
        ("byte_offset", c_uint64),
    ]


class _DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = [
        ("major", c_uint32),
        ("minor", c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", c_uint64),
        ("tensor", _DLTensor),
    ]


_PyBUF_RECORDS_RO = 0x1C  # format, shape and strides, writable or not

_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_Buffer)]
_release_buffer.restype = None
_is_contiguous = ctypes.pythonapi.PyBuffer_IsContiguous
_is_contiguous.argtypes = [ctypes.POINTER(_Buffer), ctypes.c_char]
_capsule_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_capsule_is_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_capsule_pointer.restype = ctypes.c_void_p


class _BufferExport:
    """A buffer that its exporter keeps in place while this object lives."""

    def __init__(self, exporter: ArrayLike) -> None:
        self.buffer = _Buffer()
        _get_buffer(exporter, self.buffer, _PyBUF_RECORDS_RO)

    # The default is bound here: globals may be gone at exit.
    def __del__(self, release: Any = _release_buffer) -> None:
        release(self.buffer)  # no-op for a buffer that was never filled


class View:
    """Dense float32 memory: its address, shape and count of elements."""

    __slots__ = ("address", "shape", "count", "_export")

    def __init__(self, address: int, shape: tuple[int, ...], export: object) -> None:
        self.address = address
        self.shape = shape
        self.count = math.prod(shape)
        self._export = export


def view(
    values: ArrayLike,
    name: str,
    place: Place = (CPU, 0),
    *,
    stream: int | None = None,
    writable: bool = False,
    count: int | None = None,
) -> View:
    """The memory of an array of any library; error messages call it `name`.

    place     (DLDeviceType, index) where it must be: CPU or CUDA
    stream    for a CUDA place: work on the array queued so far finishes before work on this stream begins
    count     number of elements that it must have, in any shape
    """
    if getattr(values, "requires_grad", False):
        values = values.detach()  # torch: the same memory, which DLPack may export
    if hasattr(values, "is_neg") and values.is_neg():  # torch: DLPack would export the negative values
        raise ValueError(f"{name} is negated lazily; pass {name}.resolve_neg()")
    if hasattr(values, "__dlpack_device__"):
        try:
            kind, index = values.__dlpack_device__()
        except Exception as error:  # libraries raise various ones
            _refuse_export(name, values, error)
        lies_on = int(kind), int(index)
        if not _reaches(place, lies_on):
            raise ValueError(f"{name} is on {_device_name(lies_on)}; expected {_device_name(place)}")
    else:
        lies_on = (CPU, 0)
    result = None
    if lies_on[0] == CPU:
        result = _view_of_buffer(values, name, writable)
    if result is None and hasattr(values, "__dlpack__"):
        result = _view_of_dlpack(values, name, stream if lies_on[0] == CUDA else None, writable)
    if result is None:
        raise TypeError(
            f"{name} is a {type(values).__name__}; expected an array of float32 (numpy, torch, jax, "
            "cupy or anything else with a buffer or DLPack)"
        )
    if count is not None and result.count != count:
        raise ValueError(f"{name} has {result.count} elements; expected {count}")
    return result


def host_view(values: ArrayLike, name: str, count: int) -> View:
    """The same for small inputs in host memory, which may also be lists of numbers."""
    if isinstance(values, (list, tuple)):
        values = array.array("f", values)
    return view(values, name, count=count)


def empty(shape: int | tuple[int, ...]) -> NDArray[numpy.float32]:
    """A new numpy array for a result."""
    import numpy  # needed only for results in new arrays

    return numpy.empty(shape, numpy.float32)


def _reaches(place: Place, lies_on: Place) -> bool:
    """Whether a context at `place` may use memory at `lies_on`."""
    if place[0] == CUDA:
        return lies_on == place or lies_on[0] == CUDA_MANAGED
    return lies_on[0] in (CPU, CUDA_HOST)


def _device_name(device: Place) -> str:
    kind, index = device
    names = {CPU: "the CPU", CUDA_HOST: "the CPU", CUDA: f"cuda:{index}"}
    return names.get(kind, f"DLPack device ({kind}, {index})")


def _refuse_dtype(name: str, dtype: str) -> NoReturn:
    raise TypeError(f"{name} has dtype {dtype}; expected float32")


def _refuse_export(name: str, values: ArrayLike, error: Exception) -> NoReturn:
    raise TypeError(
        f"{name} is a {type(values).__name__} that cannot be used in place: {error}"
    ) from error


def _refuse_layout(name: str) -> NoReturn:
    raise ValueError(f"{name} is not contiguous (C order); pass a contiguous copy")


def _refuse_read_only(name: str) -> NoReturn:
    raise ValueError(f"{name} is read-only; expected a writable array")


def _view_of_buffer(values: ArrayLike, name: str, writable: bool) -> View | None:
    """None if `values` has no buffer, or one that cannot represent its type."""
    try:
        export = _BufferExport(values)
    except TypeError:
        return None
    except (BufferError, ValueError) as error:
        if hasattr(values, "__dlpack__"):
            return None
        _refuse_export(name, values, error)
    buffer = export.buffer
    dtype = buffer.format.decode()
    native = "<" if sys.byteorder == "little" else ">"
    if dtype.lstrip("@=" + native) != "f":
        _refuse_dtype(name, _BUFFER_DTYPES.get(dtype.lstrip("@=" + native), f"'{dtype}'"))
    if not _is_contiguous(buffer, b"C"):
        _refuse_layout(name)
    if writable and buffer.readonly:
        _refuse_read_only(name)
    return View(buffer.buf, tuple(buffer.shape[: buffer.ndim]), export)


def _view_of_dlpack(values: ArrayLike, name: str, stream: int | None, writable: bool) -> View:
    """Reads the capsule without consuming it: its own destructor then frees the export."""
    arguments = {} if stream is None else {"stream": stream}
    try:
        try:
            capsule = values.__dlpack__(max_version=(1, 0), **arguments)
        except TypeError:  # a library older than DLPack 1.0
            capsule = values.__dlpack__(**arguments)
    except Exception as error:
        _refuse_export(name, values, error)
    read_only = _is_immutable(values)
    managed: _DLManagedTensor | _DLManagedTensorVersioned
    if _capsule_is_valid(capsule, b"dltensor_versioned"):
        pointer = _capsule_pointer(capsule, b"dltensor_versioned")
        managed = _DLManagedTensorVersioned.from_address(pointer)
        if managed.major != 1:
            raise TypeError(f"{name} uses DLPack {managed.major}.x; expected 1.x")
        read_only = read_only or bool(managed.flags & _DL_READ_ONLY)
    else:
        managed = _DLManagedTensor.from_address(_capsule_pointer(capsule, b"dltensor"))
    tensor = managed.tensor
    if (tensor.code, tensor.bits, tensor.lanes) != (_DL_FLOAT, 8 * FLOAT_BYTES, 1):
        lanes = "" if tensor.lanes == 1 else f"x{tensor.lanes}"
        kind = _DL_KINDS.get(tensor.code, f"DLPack type {tensor.code} of bits ")
        _refuse_dtype(name, f"{kind}{tensor.bits}{lanes}")
    shape = tuple(tensor.shape[: tensor.ndim])
    if tensor.strides and not _is_dense(shape, tensor.strides[: tensor.ndim]):
        _refuse_layout(name)
    if writable and read_only:
        _refuse_read_only(name)
    return View((tensor.data or 0) + tensor.byte_offset, shape, capsule)


def _is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    if 0 in shape:
        return True
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def _is_immutable(values: ArrayLike) -> bool:
    """jax's arrays are, although their DLPack capsule does not say so."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(values, jax.Array)
