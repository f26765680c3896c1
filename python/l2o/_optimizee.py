"""Functions to train on: the library's own, or an objective written in Python."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar, cast

from ._arguments import FilePath, file_path, integer, real
from ._arrays import CPU, ArrayLike
from ._config import Config, toml
from ._context import Context, given_or_new
from ._errors import Error
from ._library import (
    DataStruct,
    InitialParametersBatchCallback,
    ObjectiveCallbacks,
    Owner,
    SampleBatchCallback,
    ValueAndGradientBatchCallback,
    create,
    library,
)
from ._long_calls import interruptible, is_ending

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

_Result = TypeVar("_Result")


class Objective:
    """Your own function to train on, task by task: subclass this. Arrays are numpy's, float32.

    coordinates   number of parameters of one task

    A BatchObjective is faster if its tasks can be evaluated together.
    """

    coordinates: int = cast(int, None)  # until a subclass sets it

    def sample(self, seed: int, task: int) -> Any:
        """Any object that represents task number `task` of the stream `seed`: the same numbers must
        give the same task. It is passed to the other two functions."""
        return None

    def initial_parameters(self, task: Any) -> ArrayLike:
        """theta_0 [coordinates] of a task."""
        raise NotImplementedError

    def value_and_gradient(
        self, task: Any, evaluation: int, parameters: NDArray[numpy.float32]
    ) -> tuple[SupportsFloat, ArrayLike]:
        """(loss, gradient [coordinates]) at `parameters`, a copy. `evaluation` counts the evaluations of
        an episode, for minibatches."""
        raise NotImplementedError


class BatchObjective:
    """Your own function to train on, all tasks of a batch at once: subclass this. Arrays are numpy's,
    float32; those that are returned may be of any library that numpy.asarray accepts.

    coordinates   n, number of parameters of one task
    """

    coordinates: int = cast(int, None)  # until a subclass sets it

    def sample(self, seed: int, first_task: int, tasks: int) -> Any:
        """Any object that represents tasks first_task .. first_task + tasks - 1 of the stream `seed`: the
        same numbers must give the same tasks in any batch. It is passed to the other two functions."""
        return None

    def initial_parameters(self, batch: Any, tasks: int) -> ArrayLike:
        """theta_0 [tasks, n]."""
        raise NotImplementedError

    def value_and_gradient(
        self, batch: Any, evaluation: int, parameters: ArrayLike
    ) -> tuple[ArrayLike, ArrayLike]:
        """(losses [tasks], gradients [tasks, n]) at parameters [tasks, n], a copy. `evaluation` counts
        the evaluations of an episode, for minibatches."""
        raise NotImplementedError

    # How this objective reads and writes the engine's memory: objectives of other libraries override it.

    def check_context(self, context: Context) -> None:
        """Raises if the objective cannot work in the memory of that context."""
        if context.place[0] != CPU:
            raise ValueError("this objective works in host memory; expected a CPU context")

    def on_stream(self, stream: int | None) -> AbstractContextManager[None]:
        """Encloses work that is queued for the engine, on a CUDA context's stream."""
        return contextlib.nullcontext()

    def read_memory(self, address: int, shape: tuple[int, ...]) -> ArrayLike:
        """A copy of float32 memory of the context, as the objective's kind of array."""
        return _floats(address, shape).copy()

    def write_memory(
        self, address: int, shape: tuple[int, ...], values: ArrayLike, name: str
    ) -> None:
        """Copies an array of that shape, which error messages call `name`, into float32 memory of the
        context."""
        import numpy

        values = numpy.asarray(values)
        if values.dtype.kind not in "fiu":
            raise TypeError(f"{name} have dtype {values.dtype}; expected numbers")
        if values.shape != shape:
            raise ValueError(f"{name} have shape {values.shape}; expected {shape}")
        _floats(address, shape)[...] = values


def _floats(address: int, shape: tuple[int, ...]) -> NDArray[numpy.float32]:
    """Memory as a numpy array, which must not outlive the call that it was passed to."""
    import numpy

    memory: Any = (ctypes.c_float * math.prod(shape)).from_address(address)
    return numpy.frombuffer(memory, numpy.float32).reshape(shape)


class _TaskByTask(BatchObjective):
    """An Objective as a BatchObjective."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.coordinates = objective.coordinates

    def sample(self, seed: int, first_task: int, tasks: int) -> list[Any]:
        return [self.objective.sample(seed, first_task + slot) for slot in range(tasks)]

    def initial_parameters(self, batch: list[Any], tasks: int) -> list[NDArray[Any]]:
        return [
            _checked(self.objective.initial_parameters(task), self.coordinates, "initial_parameters")
            for task in batch
        ]

    def value_and_gradient(
        self, batch: list[Any], evaluation: int, parameters: NDArray[numpy.float32]
    ) -> tuple[list[float], list[NDArray[Any]]]:
        losses, gradients = [], []
        for task, theta in zip(batch, parameters):
            loss, gradient = self.objective.value_and_gradient(task, evaluation, theta)
            losses.append(_number(loss))
            gradients.append(_checked(gradient, self.coordinates, "the gradient"))
        return losses, gradients


def _number(loss: Any) -> float:
    """The loss as a number; it may be a scalar of any library."""
    if loss is None:
        raise TypeError("the loss is None; expected a number")
    return real(loss.item() if hasattr(loss, "item") else loss, "the loss")


def _checked(values: ArrayLike, count: int, name: str) -> NDArray[Any]:
    import numpy

    array: NDArray[Any] = numpy.asarray(values)
    if array.size != count:
        raise ValueError(f"{name} has {array.size} elements; expected {count}")
    return array.reshape(-1)


class _Callbacks:
    """A BatchObjective as C functions. An exception is stored, to be raised after the C call."""

    def __init__(self, objective: BatchObjective, tasks: int) -> None:
        self._objective = objective
        self._coordinates = integer(objective.coordinates, "coordinates")
        self._batch: Any = None
        self._tasks = tasks
        self.exception: BaseException | None = None
        # These own the C functions, which must live as long as anything may call them.
        self.struct = ObjectiveCallbacks(
            size=ctypes.sizeof(ObjectiveCallbacks),
            coordinates=self._coordinates,
            sample_batch=SampleBatchCallback(self._sample),
            initial_parameters_batch=InitialParametersBatchCallback(self._initial_parameters),
            value_and_gradient_batch=ValueAndGradientBatchCallback(self._value_and_gradient),
        )

    def _guarded(self, function: Callable[[], None]) -> int:
        if is_ending():
            return 1
        try:
            function()
            return 0
        except BaseException as exception:  # KeyboardInterrupt, too, must not cross C
            self.exception = exception
            return 1

    def _sample(self, _user: int | None, seed: int, first_task: int, tasks: int) -> int:
        def sample() -> None:
            self._batch = self._objective.sample(seed, first_task, tasks)

        return self._guarded(sample)

    def _initial_parameters(
        self, _user: int | None, tasks: int, parameters: int, stream: int | None
    ) -> int:
        shape = (tasks, self._coordinates)

        def initial_parameters() -> None:
            with self._objective.on_stream(stream):
                values = self._objective.initial_parameters(self._batch, tasks)
                self._objective.write_memory(parameters, shape, values, "initial parameters")

        return self._guarded(initial_parameters)

    def _value_and_gradient(
        self,
        _user: int | None,
        evaluation: int,
        tasks: int,
        parameters: int,
        losses: int,
        gradients: int,
        stream: int | None,
    ) -> int:
        shape = (tasks, self._coordinates)

        def value_and_gradient() -> None:
            with self._objective.on_stream(stream):
                theta = self._objective.read_memory(parameters, shape)
                values, derivatives = self._objective.value_and_gradient(
                    self._batch, evaluation, theta
                )
                self._objective.write_memory(losses, (tasks,), values, "losses")
                self._objective.write_memory(gradients, shape, derivatives, "gradients")

        return self._guarded(value_and_gradient)


def _data_struct(data: Mapping[str, Any]) -> tuple[DataStruct, list[NDArray[Any]]]:
    """A mapping of arrays as l2o_data, and the arrays that must live as long as it does."""
    import numpy

    unknown = set(data) - {"inputs", "labels", "targets", "classes"}
    if unknown or "inputs" not in data:
        raise ValueError(
            "data: expected inputs and labels or targets, and optionally classes; found "
            + ", ".join(map(str, data))
        )
    inputs = numpy.asarray(data["inputs"])
    if inputs.dtype not in (numpy.uint8, numpy.float32):
        raise ValueError(f"data: inputs have dtype {inputs.dtype}; expected uint8 or float32")
    if not 2 <= inputs.ndim <= 4:
        raise ValueError(
            f"data: inputs have shape {inputs.shape}; expected [n, values], [n, height, width] "
            "or [n, height, width, channels]"
        )
    inputs = numpy.ascontiguousarray(inputs)
    kept = [inputs]

    def rows(name: str, dtype: type[numpy.generic], kinds: str) -> NDArray[Any] | None:
        """The array of that name with its rows checked; None if there is none."""
        if data.get(name) is None:
            return None
        values = numpy.asarray(data[name])
        if values.dtype.kind not in kinds:
            raise ValueError(f"data: {name} have dtype {values.dtype}")
        if values.ndim not in ((1,) if name == "labels" else (1, 2)) or len(values) != len(inputs):
            raise ValueError(f"data: {name} have shape {values.shape} for {len(inputs)} rows")
        kept.append(numpy.ascontiguousarray(values, dtype))
        return kept[-1]

    labels = rows("labels", numpy.int64, "iu")
    targets = rows("targets", numpy.float32, "f")
    shape = inputs.shape[1:]
    height, width, channels = {1: (1, 1) + shape, 2: shape + (1,), 3: shape}[len(shape)]
    struct = DataStruct(
        size=ctypes.sizeof(DataStruct),
        rows=len(inputs),
        height=height,
        width=width,
        channels=channels,
        labels=None if labels is None else labels.ctypes.data,
        classes=0 if data.get("classes") is None else integer(data["classes"], "data: classes"),
        targets=None if targets is None else targets.ctypes.data,
        target_size=0 if targets is None else targets.size // max(len(targets), 1),
    )
    setattr(struct, "inputs" if inputs.dtype == numpy.float32 else "input_bytes", inputs.ctypes.data)
    return struct, kept


class Optimizee(Owner):
    """A batch of tasks.

    function        the keys of a [task] table (docs/config.md), TOML text or a mapping; or an
                    Objective or BatchObjective
    tasks           B, the number of tasks in the batch
    data_directory  directory of the data sets
    data            for a network: a mapping of numpy arrays, which are copied: "inputs" [n, values],
                    [n, height, width] or [n, height, width, channels], uint8 (read divided by 255) or
                    float32; "labels" [n], integers, optionally with the number of "classes"; or
                    "targets" [n] or [n, k], float
    context         None: its own CPU context
    """

    _copy_advice = "create a second one with the same arguments"

    def __init__(
        self,
        function: Objective | BatchObjective | Config,
        tasks: int = 1,
        *,
        data_directory: FilePath | None = None,
        data: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> None:
        self.context = given_or_new(context)
        self.tasks = tasks = integer(tasks, "tasks", 1)
        self._callbacks: _Callbacks | None = None
        if data is not None:
            if isinstance(function, (Objective, BatchObjective)) or data_directory is not None:
                raise ValueError("data is for a network, without a data_directory")
            struct, kept = _data_struct(data)
            handle = create(
                library.l2o_optimizee_create_with_data,
                self.context._handle,
                toml(function),
                tasks,
                struct,
            )
            del kept  # the library has copied them
        elif isinstance(function, (Objective, BatchObjective)):
            if isinstance(function, Objective):
                function = _TaskByTask(function)
            function.check_context(self.context)
            self._callbacks = _Callbacks(function, tasks)
            handle = self._call(
                create,
                library.l2o_optimizee_create_callback,
                self.context._handle,
                self._callbacks.struct,
                tasks,
            )
        else:
            handle = create(
                library.l2o_optimizee_create,
                self.context._handle,
                toml(function),
                tasks,
                None if data_directory is None else file_path(data_directory, "data_directory"),
            )
        self._own(handle, library.l2o_optimizee_destroy)

    def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """A call that may evaluate the objective; an exception of the objective is raised here."""
        with interruptible():
            if self._callbacks is not None:
                self._callbacks.exception = None
            try:
                return function(*arguments)
            except Error:
                if self._callbacks is None or self._callbacks.exception is None:
                    raise
                exception, self._callbacks.exception = self._callbacks.exception, None
            raise exception  # out here, so that its cause and context stay those of the objective
