"""libl2o itself: where it is found, the signatures of its functions, and helpers to call it."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from ctypes import POINTER, c_double, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64
from pathlib import Path
from typing import Any

from ._errors import Error, Status

SONAME = "libl2o.so.0"
# The version this package was written for: a newer minor version of the library only adds.
MAJOR, MINOR = 0, 1

Handle = ctypes.c_void_p
# Addresses of floats: in a CUDA context ctypes cannot access that memory.
Floats = ctypes.c_void_p
Text = ctypes.c_char_p

IsInterruptedCallback = ctypes.CFUNCTYPE(c_int, ctypes.c_void_p)


class ContextOptions(ctypes.Structure):
    """l2o_context_options."""

    _fields_ = [
        ("size", c_size_t),
        ("backend", c_int),
        ("device", c_int),
        ("threads", c_int),
        ("stream", ctypes.c_void_p),
        ("precision", c_int),
        ("memory_limit", c_size_t),
        ("is_interrupted", IsInterruptedCallback),
        ("user", ctypes.c_void_p),
    ]


class TensorStruct(ctypes.Structure):
    """l2o_tensor."""

    _fields_ = [
        ("n", c_size_t),
        ("gradient", Floats),
        ("parameters", Floats),
        ("state", ctypes.c_void_p),
    ]


class StepOptions(ctypes.Structure):
    """l2o_step_options."""

    _fields_ = [
        ("size", c_size_t),
        ("update_scale", c_float),
        ("gradient_scale", c_float),
        ("weight_decay", c_float),
        ("maximize", c_int),
        ("nan_policy", c_int),
        ("skipped_steps", POINTER(c_uint64)),
    ]


SampleCallback = ctypes.CFUNCTYPE(c_int, ctypes.c_void_p, c_size_t, c_uint64, c_uint32)
InitialParametersCallback = ctypes.CFUNCTYPE(
    c_int, ctypes.c_void_p, c_size_t, Floats, ctypes.c_void_p
)
ValueAndGradientCallback = ctypes.CFUNCTYPE(
    c_int, ctypes.c_void_p, c_size_t, c_uint32, Floats, Floats, Floats, ctypes.c_void_p
)
SampleBatchCallback = ctypes.CFUNCTYPE(c_int, ctypes.c_void_p, c_uint64, c_uint32, c_size_t)
InitialParametersBatchCallback = InitialParametersCallback
ValueAndGradientBatchCallback = ctypes.CFUNCTYPE(
    c_int, ctypes.c_void_p, c_uint32, c_size_t, Floats, Floats, Floats, ctypes.c_void_p
)


class ObjectiveCallbacks(ctypes.Structure):
    """l2o_objective."""

    _fields_ = [
        ("size", c_size_t),
        ("user", ctypes.c_void_p),
        ("coordinates", c_size_t),
        ("sample", SampleCallback),
        ("initial_parameters", InitialParametersCallback),
        ("value_and_gradient", ValueAndGradientCallback),
        ("sample_batch", SampleBatchCallback),
        ("initial_parameters_batch", InitialParametersBatchCallback),
        ("value_and_gradient_batch", ValueAndGradientBatchCallback),
        ("is_recordable", c_int),
    ]


class DataStruct(ctypes.Structure):
    """l2o_data."""

    _fields_ = [
        ("size", c_size_t),
        ("rows", c_size_t),
        ("height", c_size_t),
        ("width", c_size_t),
        ("channels", c_size_t),
        ("inputs", ctypes.c_void_p),
        ("input_bytes", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("classes", c_size_t),
        ("targets", ctypes.c_void_p),
        ("target_size", c_size_t),
    ]


class TrainReportStruct(ctypes.Structure):
    """l2o_train_report."""

    _fields_ = [
        ("size", c_size_t),
        ("episode", c_int64),
        ("episodes", c_int64),
        ("meta_loss", c_double),
        ("final_loss", c_double),
        ("learning_rate", c_double),
        ("skipped_updates", c_int64),
    ]


# name: (result, arguments). A c_int result is a status, except of l2o_backend_available.
# tests/python/test_header.py compares this table with the header.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "l2o_version": (Text, []),
    "l2o_status_name": (Text, [c_int]),
    "l2o_last_error_message": (Text, []),
    "l2o_backend_available": (c_int, [c_int]),
    "l2o_context_options_init": (None, [POINTER(ContextOptions)]),
    "l2o_context_options_init_sized": (None, [POINTER(ContextOptions), c_size_t]),
    "l2o_context_create": (c_int, [POINTER(ContextOptions), POINTER(Handle)]),
    "l2o_context_synchronize": (c_int, [Handle]),
    "l2o_context_destroy": (None, [Handle]),
    "l2o_optimizer_create": (c_int, [Text, POINTER(Handle)]),
    "l2o_optimizer_load": (c_int, [Text, POINTER(Handle)]),
    "l2o_optimizer_load_rule": (c_int, [Text, Text, POINTER(Handle)]),
    "l2o_optimizer_save": (c_int, [Handle, Text]),
    "l2o_optimizer_destroy": (None, [Handle]),
    "l2o_optimizer_description": (Text, [Handle]),
    "l2o_optimizer_meta_parameter_count": (c_size_t, [Handle]),
    "l2o_optimizer_state_size": (c_size_t, [Handle]),
    "l2o_optimizer_get_meta_parameters": (c_int, [Handle, Floats, c_size_t]),
    "l2o_optimizer_set_meta_parameters": (c_int, [Handle, Floats, c_size_t]),
    "l2o_run_create": (c_int, [Handle, Handle, c_size_t, POINTER(Handle)]),
    "l2o_run_create_multi": (
        c_int,
        [Handle, Handle, c_size_t, POINTER(c_size_t), POINTER(Handle)],
    ),
    "l2o_run_step": (c_int, [Handle, Floats, Floats]),
    "l2o_run_step_multi": (c_int, [Handle, c_size_t, POINTER(Floats), POINTER(Floats)]),
    "l2o_run_set_scales": (c_int, [Handle, c_float, c_float, c_float]),
    "l2o_run_reset": (c_int, [Handle]),
    "l2o_run_state_size": (c_size_t, [Handle]),
    "l2o_run_get_state": (c_int, [Handle, Floats, c_size_t]),
    "l2o_run_set_state": (c_int, [Handle, Floats, c_size_t]),
    "l2o_run_set_nan_policy": (c_int, [Handle, c_int]),
    "l2o_run_skipped_steps": (c_int, [Handle, POINTER(c_uint64)]),
    "l2o_run_destroy": (None, [Handle]),
    "l2o_step_options_init": (None, [POINTER(StepOptions)]),
    "l2o_state_bytes": (c_size_t, [Handle, Handle, c_size_t]),
    "l2o_step": (c_int, [Handle, Handle, c_size_t, POINTER(TensorStruct), POINTER(StepOptions)]),
    "l2o_meta_gradient": (
        c_int,
        [Handle, Handle, c_size_t, c_size_t, Floats, Floats, Floats, Floats],
    ),
    "l2o_optimizer_apply_meta_gradient": (c_int, [Handle, Floats, c_size_t, c_float]),
    "l2o_optimizee_create": (c_int, [Handle, Text, c_size_t, Text, POINTER(Handle)]),
    "l2o_data_init": (None, [POINTER(DataStruct)]),
    "l2o_optimizee_create_with_data": (
        c_int,
        [Handle, Text, c_size_t, POINTER(DataStruct), POINTER(Handle)],
    ),
    "l2o_objective_init": (None, [POINTER(ObjectiveCallbacks)]),
    "l2o_objective_init_sized": (None, [POINTER(ObjectiveCallbacks), c_size_t]),
    "l2o_optimizee_create_callback": (
        c_int,
        [Handle, POINTER(ObjectiveCallbacks), c_size_t, POINTER(Handle)],
    ),
    "l2o_optimizee_destroy": (None, [Handle]),
    "l2o_train_report_init": (None, [POINTER(TrainReportStruct)]),
    "l2o_trainer_create": (c_int, [Handle, Text, Handle, POINTER(Handle)]),
    "l2o_trainer_step": (c_int, [Handle, POINTER(TrainReportStruct)]),
    "l2o_trainer_optimizer": (c_int, [Handle, POINTER(Handle)]),
    "l2o_trainer_save": (c_int, [Handle, Text]),
    "l2o_trainer_resume": (c_int, [Handle, Text]),
    "l2o_trainer_destroy": (None, [Handle]),
    "l2o_evaluate": (c_int, [Handle, Handle, Handle, c_uint64, c_uint32, c_size_t, Floats, c_size_t]),
}


def _name_of_library() -> str:
    beside = Path(__file__).parent / SONAME  # in the wheel
    if beside.exists():
        return str(beside)
    if os.environ.get("L2O_LIBRARY"):
        return os.environ["L2O_LIBRARY"]
    built = Path(__file__).parents[2] / "build" / "lib" / SONAME  # of a checkout
    return str(built) if built.exists() else SONAME  # the system's


def _load() -> ctypes.CDLL:
    file = _name_of_library()
    try:
        library = ctypes.CDLL(file)
    except OSError as error:
        if file == SONAME:
            raise ImportError(
                "libl2o was not found: install the wheel that contains it, set the environment variable "
                f"L2O_LIBRARY to its path, or install it on the system: {error}"
            ) from None
        source = " of the environment variable L2O_LIBRARY" if file == os.environ.get("L2O_LIBRARY") else ""
        raise ImportError(f"the library {file}{source} cannot be loaded: {error}") from None
    try:
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(library, name)
            function.restype = result
            function.argtypes = arguments
    except AttributeError as error:
        raise ImportError(f"{file} is not the libl2o that this package needs: {error}") from None
    major, minor = map(int, library.l2o_version().split(b".")[:2])
    if major != MAJOR or minor < MINOR:
        raise ImportError(
            f"{file} is libl2o {major}.{minor}; this package needs {MAJOR}.{MINOR} or a newer "
            f"{MAJOR}.x"
        )
    return library


library = _load()


def version() -> str:
    """major.minor.patch of the library."""
    text: bytes = library.l2o_version()
    return text.decode()


def check(status: int) -> None:
    """Raises l2o.Error unless the call that returned `status`, the last on this thread, succeeded."""
    if status != Status.OK:
        message = library.l2o_last_error_message().decode("utf-8", "replace")
        try:
            status = Status(status)
        except ValueError:  # from a newer library
            pass
        raise Error(status, message)


def create(function: Callable[..., int], *arguments: Any) -> ctypes.c_void_p:
    """Calls a function that creates an object and returns the handle."""
    handle = Handle()
    check(function(*arguments, ctypes.byref(handle)))
    return handle


class Owner:
    """A Python object that owns one handle, which is destroyed with it."""

    #: what to do instead of a copy, which would own the same handle
    _copy_advice: str
    _handle: ctypes.c_void_p
    _finalizer: weakref.finalize[..., Any]

    def _own(self, handle: ctypes.c_void_p, destroy: Callable[..., Any]) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, destroy, handle)

    def close(self) -> None:
        """Frees the handle now instead of with the object. Later calls raise l2o.Error."""
        self._handle = Handle()
        self._finalizer()

    def _check_open(self) -> None:
        """For what the library does not check: functions without a status, a step of several calls."""
        if not self._handle:
            raise Error(Status.INVALID_ARGUMENT, f"the {type(self).__name__} is closed")

    def __reduce__(self) -> Any:
        """Called by copy and pickle."""
        raise TypeError(
            f"{type(self).__name__} objects cannot be copied or pickled: {self._copy_advice}"
        )
