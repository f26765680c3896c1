"""l2o: an engine that learns optimizers, in Python.

    import numpy, l2o
    optimizer = l2o.Optimizer.load("mnist.safetensors")
    run = l2o.Run(optimizer, parameters.size)
    run.step(gradient, parameters)  # parameters += update(gradient), in place

Thin ctypes bindings to libl2o (host/include/l2o/l2o.h has the conventions) with DLPack: arrays of any
library, on a CPU or a CUDA device, are used in place. l2o.torch and l2o.jax must be imported
explicitly. docs/python.md is the guide.
"""

from __future__ import annotations

from ._errors import Error, Status
from ._library import version
from ._context import Context, backend_available
from ._optimizer import Optimizer
from ._run import NanPolicy, Run
from ._meta_gradient import meta_gradient
from ._optimizee import BatchObjective, Objective, Optimizee
from ._trainer import Trainer, TrainReport, evaluate
from ._meta_train import MetaTrained, MetaTrainProgress, meta_train

__version__ = "0.1.0"

__all__ = [
    "BatchObjective",
    "Context",
    "Error",
    "MetaTrainProgress",
    "MetaTrained",
    "NanPolicy",
    "Objective",
    "Optimizee",
    "Optimizer",
    "Run",
    "Status",
    "TrainReport",
    "Trainer",
    "backend_available",
    "evaluate",
    "meta_gradient",
    "meta_train",
    "version",
]
