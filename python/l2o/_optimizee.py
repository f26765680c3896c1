"""Functions to train on: the library's own, or an objective written in Python."""

import ctypes
import os

from ._arrays import CPU
from ._config import toml
from ._context import Context
from ._errors import Error
from ._library import (
    DataStruct,
    InitialParametersCallback,
    ObjectiveCallbacks,
    Owner,
    SampleCallback,
    ValueAndGradientCallback,
    check,
    create,
    library,
)


class Objective:
    """A function of your own to train on: subclass this. Arrays are numpy's, float32.

    coordinates   how many parameters one task has
    """

    coordinates = None

    def sample(self, seed, task):
        """Any object that is task number `task` of the stream `seed`: the same numbers must give
        the same task. It is handed to the other two."""
        return None

    def initial_parameters(self, task):
        """theta_0 [coordinates] of a task."""
        raise NotImplementedError

    def value_and_gradient(self, task, evaluation, parameters):
        """(loss, gradient [coordinates]) at `parameters`, which may only be read and only during
        the call. `evaluation` counts the evaluations of an episode: for minibatches."""
        raise NotImplementedError


class _Callbacks:
    """An Objective as C functions. What it raises is kept, to be raised on the other side."""

    def __init__(self, objective, tasks):
        import numpy  # an objective written in Python sees arrays

        self._numpy = numpy
        self._objective = objective
        self._coordinates = int(objective.coordinates)
        self._tasks = [None] * tasks
        self.exception = None
        # These own the C functions: they stay for as long as anything may call them.
        self.struct = ObjectiveCallbacks(
            size=ctypes.sizeof(ObjectiveCallbacks),
            coordinates=self._coordinates,
            sample=SampleCallback(self._sample),
            initial_parameters=InitialParametersCallback(self._initial_parameters),
            value_and_gradient=ValueAndGradientCallback(self._value_and_gradient),
        )

    def _array(self, address, count):
        return self._numpy.frombuffer(
            (ctypes.c_float * count).from_address(address), self._numpy.float32
        )

    def _guarded(self, function):
        try:
            function()
            return 0
        except BaseException as exception:  # KeyboardInterrupt, too, must not cross C
            self.exception = exception
            return 1

    def _write(self, address, values, name):
        values = self._numpy.asarray(values)
        if values.size != self._coordinates:
            raise ValueError(f"{name} has {values.size} elements; expected {self._coordinates}")
        self._array(address, self._coordinates)[:] = values.reshape(-1)

    def _sample(self, _user, slot, seed, task):
        def sample():
            self._tasks[slot] = self._objective.sample(seed, task)

        return self._guarded(sample)

    def _initial_parameters(self, _user, slot, parameters, _stream):
        def initial_parameters():
            values = self._objective.initial_parameters(self._tasks[slot])
            self._write(parameters, values, "initial_parameters")

        return self._guarded(initial_parameters)

    def _value_and_gradient(self, _user, slot, evaluation, parameters, loss, gradient, _stream):
        def value_and_gradient():
            theta = self._array(parameters, self._coordinates)
            theta.flags.writeable = False
            value, derivative = self._objective.value_and_gradient(
                self._tasks[slot], evaluation, theta
            )
            self._array(loss, 1)[0] = value
            self._write(gradient, derivative, "the gradient")

        return self._guarded(value_and_gradient)


def _data_struct(data):
    """A mapping of arrays as l2o_data, and what must live as long as it does."""
    import numpy

    unknown = set(data) - {"inputs", "labels", "targets", "classes"}
    if unknown or "inputs" not in data:
        raise ValueError(
            "data: expected inputs and labels or targets, and perhaps classes; found "
            + ", ".join(map(str, data))
        )
    inputs = numpy.asarray(data["inputs"])
    if inputs.dtype not in (numpy.uint8, numpy.float32):
        raise ValueError(f"data: inputs are of {inputs.dtype}; expected uint8 or float32")
    if not 2 <= inputs.ndim <= 4:
        raise ValueError(
            f"data: inputs are of shape {inputs.shape}; expected [n, values], [n, height, width] "
            "or [n, height, width, channels]"
        )
    inputs = numpy.ascontiguousarray(inputs)
    kept = [inputs]

    def rows(name, dtype, kinds):
        """The array of that name with its rows checked; None where there is none."""
        if data.get(name) is None:
            return None
        values = numpy.asarray(data[name])
        if values.dtype.kind not in kinds:
            raise ValueError(f"data: {name} are of {values.dtype}")
        if values.ndim not in ((1,) if name == "labels" else (1, 2)) or len(values) != len(inputs):
            raise ValueError(f"data: {name} are of shape {values.shape} for {len(inputs)} rows")
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
        classes=data.get("classes") or 0,
        targets=None if targets is None else targets.ctypes.data,
        target_size=0 if targets is None else targets.size // max(len(targets), 1),
    )
    setattr(struct, "inputs" if inputs.dtype == numpy.float32 else "input_bytes", inputs.ctypes.data)
    return struct, kept


class Optimizee(Owner):
    """A batch of tasks.

    function        the keys of a [task] table (docs/config.md), TOML text or a mapping; or an
                    Objective, in a CPU context
    tasks           B: how many tasks the batch holds
    data_directory  where the data sets are
    data            of a network: a mapping of numpy arrays, which are copied: "inputs" [n, values],
                    [n, height, width] or [n, height, width, channels], uint8 (read over 255) or
                    float32; "labels" [n], integers, perhaps with how many "classes" there are; or
                    "targets" [n] or [n, k], float
    context         None: a CPU context of its own
    """

    def __init__(self, function, tasks=1, *, data_directory=None, data=None, context=None):
        self.context = context or Context("cpu")
        self.tasks = tasks
        self._callbacks = None
        if data is not None:
            if isinstance(function, Objective) or data_directory is not None:
                raise ValueError("data is for a network, without a data_directory")
            struct, kept = _data_struct(data)
            handle = create(
                library.l2o_optimizee_create_with_data,
                self.context._handle,
                toml(function),
                tasks,
                struct,
            )
            del kept  # copied by now
        elif isinstance(function, Objective):
            if self.context.place[0] != CPU:
                raise ValueError("an Objective is evaluated in host memory: it needs a CPU context")
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
                None if data_directory is None else os.fsencode(data_directory),
            )
        self._own(handle, library.l2o_optimizee_destroy)

    def _call(self, function, *arguments):
        """A call that may evaluate the objective; what that raised is raised here."""
        if self._callbacks is not None:
            self._callbacks.exception = None
        try:
            return function(*arguments)
        except Error:
            exception = self._callbacks and self._callbacks.exception
            if exception is None:
                raise
            self._callbacks.exception = None
            raise exception from None
