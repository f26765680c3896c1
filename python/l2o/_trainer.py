"""Meta-training, and the evaluation of what came of it."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, NamedTuple

from ._arrays import empty, view
from ._config import Config, toml
from ._library import FilePath, Owner, TrainReportStruct, check, create, interruptible, library
from ._optimizee import Optimizee
from ._optimizer import Optimizer

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class TrainReport(NamedTuple):
    """Where a training stands after an episode."""

    episode: int  #: finished so far
    episodes: int  #: of the whole run
    meta_loss: float  #: weighted mean of f over the unrolls of the last episode
    final_loss: float  #: f at its end
    learning_rate: float  #: of the meta-optimizer, last used
    skipped_updates: int  #: meta-updates left out because they were not finite


class Trainer(Owner):
    """Meta-training of a fresh optimizer on an optimizee, which is the trainer's while it lives.

    config    as of `l2o train` (docs/config.md) without [task] and [evaluation], TOML text or a
              mapping: {"train": {"episodes": 200}, "optimizer": {"hidden": 8}}
    """

    def __init__(self, optimizee: Optimizee, config: Config = None) -> None:
        self._optimizee = optimizee  # its callbacks must live as long as this
        self.report: TrainReport | None = None  #: the last one that step() made
        handle = optimizee._call(
            create,
            library.l2o_trainer_create,
            optimizee.context._handle,
            toml(config),
            optimizee._handle,
        )
        self._own(handle, library.l2o_trainer_destroy)

    def step(self) -> TrainReport:
        """Runs one whole episode. Ctrl-C ends it after a step at the latest; it counts as not begun."""
        report = TrainReportStruct(size=ctypes.sizeof(TrainReportStruct))
        with interruptible():
            try:
                self._optimizee._call(lambda: check(library.l2o_trainer_step(self._handle, report)))
            finally:
                # An episode may be done although Ctrl-C came, or the training diverged with it: then
                # this is where its report is found.
                if report.episode > 0:
                    names = TrainReport._fields
                    self.report = TrainReport(*(getattr(report, name) for name in names))
        assert self.report is not None
        return self.report

    def optimizer(self) -> Optimizer:
        """The optimizer as trained so far: a copy."""
        return Optimizer._from_handle(create(library.l2o_trainer_optimizer, self._handle))

    def save(self, path: FilePath) -> None:
        """Writes a training checkpoint."""
        check(library.l2o_trainer_save(self._handle, os.fsencode(path)))

    def resume(self, path: FilePath) -> None:
        """Continues from a checkpoint of a trainer of the same config and an equal optimizee."""
        self._optimizee._call(
            lambda: check(library.l2o_trainer_resume(self._handle, os.fsencode(path)))
        )


def evaluate(
    optimizer: Optimizer, optimizee: Optimizee, steps: int, *, seed: int = 1, first_task: int = 0
) -> NDArray[numpy.float32]:
    """Loss curves [B, steps + 1], a numpy array, of `optimizer` on tasks first_task .. + B - 1."""
    for name, value, bits in (("seed", seed, 64), ("first_task", first_task, 32)):
        if not 0 <= value < 2**bits:  # ctypes would wrap it
            raise ValueError(f"{name} is {value}; expected 0 .. 2^{bits} - 1")
    losses = empty((optimizee.tasks, steps + 1))
    result = view(losses, "losses", writable=True)
    with interruptible():
        optimizee._call(
            lambda: check(
                library.l2o_evaluate(
                    optimizee.context._handle,
                    optimizer._handle,
                    optimizee._handle,
                    seed,
                    first_task,
                    steps,
                    result.address,
                    result.count,
                )
            )
        )
    return losses
