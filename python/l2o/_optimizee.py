"""Functions to train on: the library's own, or an objective written in Python."""

import ctypes
import math
import os

from ._arrays import CPU
from ._config import toml
from ._context import Context
from ._errors import Error
from ._library import (
    DataStruct,
    InitialParametersBatchCallback,
    ObjectiveCallbacks,
    Owner,
    SampleBatchCallback,
    ValueAndGradientBatchCallback,
    check,
    create,
    library,
)


class Objective:
    """A function of your own to train on, task by task: subclass this. Arrays are numpy's, float32.

    coordinates   how many parameters one task has

    A BatchObjective is faster where its tasks can be evaluated together.
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
        """(loss, gradient [coordinates]) at `parameters`, a copy. `evaluation` counts the evaluations of
        an episode: for minibatches."""
        raise NotImplementedError


class BatchObjective:
    """A function of your own to train on, all tasks of a batch at once: subclass this. Arrays are numpy's,
    float32; those that are returned may be of any library that numpy.asarray takes.

    coordinates   n, how many parameters one task has
    """

    coordinates = None

    def sample(self, seed, first_task, tasks):
        """Any object that stands for tasks first_task .. first_task + tasks - 1 of the stream `seed`: the
        same numbers must give the same tasks, in whatever batch they are. It is handed to the other
        two."""
        return None

    def initial_parameters(self, batch, tasks):
        """theta_0 [tasks, n]."""
        raise NotImplementedError

    def value_and_gradient(self, batch, evaluation, parameters):
        """(losses [tasks], gradients [tasks, n]) at parameters [tasks, n], a copy. `evaluation` counts
        the evaluations of an episode: for minibatches."""
        raise NotImplementedError

    # How this objective sees and writes the engine's memory: those of other libraries override it.

    def check_context(self, context):
        """Raises where the objective cannot work in the memory of that context."""
        if context.place[0] != CPU:
            raise ValueError("this objective works in host memory: it needs a CPU context")

    def read_memory(self, address, shape, stream):
        """A copy of float32 memory of the context, as the objective's kind of array."""
        return _floats(address, shape).copy()

    def write_memory(self, address, shape, values, name, stream):
        """Copies an array of that shape, which complaints call `name`, into float32 memory of the
        context."""
        import numpy

        values = numpy.asarray(values)
        if values.dtype.kind not in "fiu":
            raise TypeError(f"{name} are of {values.dtype}; expected numbers")
        if values.shape != shape:
            raise ValueError(f"{name} are of shape {values.shape}; expected {shape}")
        _floats(address, shape)[...] = values


def _floats(address, shape):
    """Memory as a numpy array, which must not outlive the call that it was handed to."""
    import numpy

    memory = (ctypes.c_float * math.prod(shape)).from_address(address)
    return numpy.frombuffer(memory, numpy.float32).reshape(shape)


class _TaskByTask(BatchObjective):
    """An Objective as a BatchObjective."""

    def __init__(self, objective):
        self.objective = objective
        self.coordinates = objective.coordinates

    def sample(self, seed, first_task, tasks):
        return [self.objective.sample(seed, first_task + slot) for slot in range(tasks)]

    def initial_parameters(self, batch, tasks):
        return [
            _checked(self.objective.initial_parameters(task), self.coordinates, "initial_parameters")
            for task in batch
        ]

    def value_and_gradient(self, batch, evaluation, parameters):
        losses, gradients = [], []
        for task, theta in zip(batch, parameters):
            loss, gradient = self.objective.value_and_gradient(task, evaluation, theta)
            losses.append(loss)
            gradients.append(_checked(gradient, self.coordinates, "the gradient"))
        return losses, gradients


def _checked(values, count, name):
    import numpy

    values = numpy.asarray(values)
    if values.size != count:
        raise ValueError(f"{name} has {values.size} elements; expected {count}")
    return values.reshape(-1)


class _Callbacks:
    """A BatchObjective as C functions. What it raises is kept, to be raised on the other side."""

    def __init__(self, objective, tasks):
        self._objective = objective
        self._coordinates = int(objective.coordinates)
        self._batch = None
        self._tasks = tasks
        self.exception = None
        # These own the C functions: they stay for as long as anything may call them.
        self.struct = ObjectiveCallbacks(
            size=ctypes.sizeof(ObjectiveCallbacks),
            coordinates=self._coordinates,
            sample_batch=SampleBatchCallback(self._sample),
            initial_parameters_batch=InitialParametersBatchCallback(self._initial_parameters),
            value_and_gradient_batch=ValueAndGradientBatchCallback(self._value_and_gradient),
        )

    def _guarded(self, function):
        try:
            function()
            return 0
        except BaseException as exception:  # KeyboardInterrupt, too, must not cross C
            self.exception = exception
            return 1

    def _sample(self, _user, seed, first_task, tasks):
        def sample():
            self._batch = self._objective.sample(seed, first_task, tasks)

        return self._guarded(sample)

    def _initial_parameters(self, _user, tasks, parameters, stream):
        shape = (tasks, self._coordinates)

        def initial_parameters():
            values = self._objective.initial_parameters(self._batch, tasks)
            self._objective.write_memory(
                parameters, shape, values, "initial parameters", stream
            )

        return self._guarded(initial_parameters)

    def _value_and_gradient(
        self, _user, evaluation, tasks, parameters, losses, gradients, stream
    ):
        shape = (tasks, self._coordinates)

        def value_and_gradient():
            theta = self._objective.read_memory(parameters, shape, stream)
            values, derivatives = self._objective.value_and_gradient(self._batch, evaluation, theta)
            self._objective.write_memory(losses, (tasks,), values, "losses", stream)
            self._objective.write_memory(gradients, shape, derivatives, "gradients", stream)

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
                    Objective or BatchObjective
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
            del kept  # copied by now
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
