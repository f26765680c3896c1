"""Meta-training, and the evaluation of its results."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from ._arguments import SIZE_MAX, UINT32_MAX, UINT64_MAX, FilePath, file_path, instance, integer
from ._arrays import empty, view
from ._config import Config, toml
from ._library import Owner, TrainReportStruct, check, create, library
from ._optimizee import Optimizee
from ._optimizer import Optimizer

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray


class TrainReport(NamedTuple):
    """The state of a training run after an episode."""

    episode: int  #: number of episodes finished so far
    episodes: int  #: number of episodes of the whole run
    meta_loss: float  #: weighted mean of f over the unrolls of the last episode
    final_loss: float  #: f at the end of that episode
    learning_rate: float  #: of the meta-optimizer, last used
    skipped_updates: int  #: meta-updates skipped because they were not finite


class Trainer(Owner):
    """Meta-trains a new optimizer on an optimizee, which the trainer keeps alive.

    config    as for `l2o train` (docs/config.md) without [task], [evaluation] and
              train.checkpoint_every, TOML text or a mapping:
              {"train": {"episodes": 200}, "optimizer": {"hidden": 8}}
    """

    _copy_advice = "save() a checkpoint, and resume() from it in a second one"

    def __init__(self, optimizee: Optimizee, config: Config = None) -> None:
        # Keeps the optimizee's callbacks alive for as long as the trainer lives.
        self._optimizee = instance(optimizee, Optimizee, "optimizee")
        self.report: TrainReport | None = None  #: of the last episode that step() finished
        handle = optimizee._call(
            create,
            library.l2o_trainer_create,
            optimizee.context._handle,
            toml(config),
            optimizee._handle,
        )
        self._own(handle, library.l2o_trainer_destroy)

    def step(self) -> TrainReport:
        """Runs one whole episode. Ctrl-C ends it after at most one step; the episode is then
        treated as if it had not been started."""
        report = TrainReportStruct(size=ctypes.sizeof(TrainReportStruct))
        try:
            self._optimizee._call(lambda: check(library.l2o_trainer_step(self._handle, report)))
        finally:
            # The episode may have finished even if Ctrl-C was pressed or the training run diverged
            # in it; its report is then kept.
            if report.episode > 0:
                self.report = TrainReport(*(getattr(report, name) for name in TrainReport._fields))
        assert self.report is not None
        return self.report

    def optimizer(self) -> Optimizer:
        """The optimizer as trained so far: a copy."""
        return Optimizer._from_handle(create(library.l2o_trainer_optimizer, self._handle))

    def save(self, path: FilePath) -> None:
        """Writes a training checkpoint."""
        check(library.l2o_trainer_save(self._handle, file_path(path)))

    def resume(self, path: FilePath) -> None:
        """Continues from a checkpoint of a trainer with the same config and an equal optimizee."""
        self._optimizee._call(
            lambda: check(library.l2o_trainer_resume(self._handle, file_path(path)))
        )


def evaluate(
    optimizer: Optimizer, optimizee: Optimizee, steps: int, *, seed: int = 1, first_task: int = 0
) -> NDArray[numpy.float32]:
    """Loss curves of `optimizer`, a numpy array [B, steps + 1], on the B = optimizee.tasks tasks
    first_task .. first_task + B - 1 of the stream `seed`."""
    instance(optimizer, Optimizer, "optimizer")
    instance(optimizee, Optimizee, "optimizee")
    steps = integer(steps, "steps", 0, SIZE_MAX - 1)
    seed = integer(seed, "seed", 0, UINT64_MAX)
    first_task = integer(first_task, "first_task", 0, UINT32_MAX)
    losses = empty((optimizee.tasks, steps + 1))
    result = view(losses, "losses", writable=True)
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
