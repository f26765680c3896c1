"""End-to-end meta-training: validation, the best model, checkpoints, progress."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ._arguments import UINT64_MAX, FilePath, boolean, integer, is_true
from ._config import Config
from ._context import Context
from ._long_calls import interruptible
from ._optimizee import BatchObjective, Objective, Optimizee
from ._optimizer import Optimizer
from ._progress import progress_on_stderr
from ._report import curves_html
from ._run_directory import RunDirectory
from ._trainer import Trainer, TrainReport, evaluate


class MetaTrainProgress(NamedTuple):
    """The argument of meta_train's callbacks after each episode."""

    report: TrainReport  #: of the episode
    validation: float | None  #: validation loss, in episodes that end with one
    best: float | None  #: the lowest so far
    trainer: Trainer  #: trainer.optimizer() is the current optimizer


class MetaTrained(NamedTuple):
    """The result of meta_train."""

    optimizer: Optimizer  #: the one with the lowest validation loss; without a validation, the last
    validation: float | None  #: that loss; None if a callback ended the training before the first
    episodes: int  #: finished
    stopped: bool  #: by a callback, before the last episode
    meta_losses: list[tuple[int, float]]  #: episode and its meta-loss
    validations: list[tuple[int, float]]  #: episode and the validation loss after it

    def _repr_html_(self) -> str:
        """The representation in notebooks."""
        best = "" if self.validation is None else f", the lowest validation loss {self.validation:.4g}"
        return curves_html(
            f"{self.episodes} episodes{best}",
            {"meta-loss": self.meta_losses, "validation": self.validations},
        )


def meta_train(
    function: Objective | BatchObjective | Config,
    config: Mapping[str, Any] | None = None,
    *,
    tasks: int = 8,
    run_directory: FilePath | None = None,
    validate_every: int = 20,
    validation_tasks: int | None = None,
    validation_steps: int | None = None,
    validation_seed: int = 1,
    callbacks: Sequence[Callable[[MetaTrainProgress], object]] = (),
    progress: bool = True,
    context: Context | None = None,
) -> MetaTrained:
    """Trains an optimizer and returns the best one, by validation on tasks that training does not see.

    function          an Objective, a BatchObjective (such as those of l2o.torch and l2o.jax), or any other
                      function of an Optimizee
    config            a mapping as for `l2o train` (docs/config.md) without [task] and [evaluation]:
                      {"train": {"episodes": 500, "steps": 100}, "optimizer": {...}}
    tasks             number of tasks in a batch
    run_directory     directory for the best model (model.safetensors), metrics.jsonl and checkpoints; a run
                      found there is continued, with the same bits as an uninterrupted run, if config and the
                      arguments of validation are the same. One run at a time may use it. Losses are also
                      written there for TensorBoard, if that is installed. None: nothing is kept
    validate_every    episodes between two validations; there is one after the last episode
    validation_tasks  number of tasks; None: as many as for training
    validation_steps  steps on each; None: train.steps, the longest. The validation loss is the mean over the
                      tasks and the last tenth of their losses
    validation_seed   stream of the tasks
    callbacks         functions of a MetaTrainProgress, called after each episode; one that returns True ends
                      the training
    progress          whether to report on stderr, with tqdm if it is installed
    context           None: a CPU context

    Ctrl-C saves a checkpoint, if there is a run directory, and is raised. Calling again continues.
    """
    if config is not None and not isinstance(config, Mapping):
        raise TypeError(f"config is a {type(config).__name__}; expected a mapping")
    config = dict(config or {})
    tasks = integer(tasks, "tasks", 1)
    validate_every = integer(validate_every, "validate_every", 1)
    progress = boolean(progress, "progress")
    validation_seed = integer(validation_seed, "validation_seed", 0, UINT64_MAX)
    validation_tasks = tasks if validation_tasks is None else integer(validation_tasks, "validation_tasks", 1)
    optimizee = Optimizee(function, tasks, context=context)
    judged = Optimizee(function, validation_tasks, context=optimizee.context)
    trainer = Trainer(optimizee, config)
    if validation_steps is None:
        steps = config.get("train", {}).get("steps", 100)
        validation_steps = max(steps) if hasattr(steps, "__iter__") else steps
    validation_steps = integer(validation_steps, "validation_steps")
    directory = None
    if run_directory is not None:
        settings = {
            "every": validate_every,
            "seed": validation_seed,
            "steps": validation_steps,
            "tasks": validation_tasks,
        }
        directory = RunDirectory(run_directory, config, settings)
    stopped = False
    with _Record(directory, validate_every) as record, progress_on_stderr(progress) as show:
        record.resume(trainer)
        try:
            while True:
                # Ctrl-C waits until files that belong together are written.
                with interruptible():
                    if record.wants_validation():
                        optimizer = trainer.optimizer()
                        loss = _validation(optimizer, judged, validation_steps, validation_seed)
                        record.add_validation(loss, optimizer)
                        record.save(trainer)
                if record.report is not None:  # None: no episode is done yet
                    show(record.report, record.best)
                    now = MetaTrainProgress(record.report, record.validation, record.best, trainer)
                    stopped = any([is_true(callback(now)) for callback in callbacks])
                    if stopped or record.is_complete():
                        break
                with interruptible():
                    record.add(trainer.step())
        finally:
            with interruptible():
                if trainer.report is not None and trainer.report != record.report:
                    record.add(trainer.report)  # of an episode with which the training diverged
                record.save(trainer)
    return MetaTrained(
        record.optimizer or trainer.optimizer(),
        record.best,
        record.report.episode,
        stopped,
        record.meta_losses,
        record.validations,
    )


def _validation(optimizer: Optimizer, optimizee: Optimizee, steps: int, seed: int) -> float:
    losses = evaluate(optimizer, optimizee, steps, seed=seed)
    return float(losses[:, -max(1, steps // 10) :].mean(dtype="float64"))


class _Record:
    """The state of a run, and its directory if it has one, which is closed at the end."""

    def __init__(self, directory: RunDirectory | None, validate_every: int) -> None:
        self.directory = directory
        self.validate_every = validate_every
        self.report: TrainReport | None = None  # of the last episode
        self.validation: float | None = None  # after it, if there was one
        self.best: float | None = None  # the lowest validation loss
        self.optimizer: Optimizer | None = None  # with that loss
        self.meta_losses: list[tuple[int, float]] = []  # of every episode
        self.validations: list[tuple[int, float]] = []
        self._lines: list[dict[str, Any]] = []  # of metrics.jsonl
        self._is_saved = True
        self._board: Any = None  # TensorBoard's, if there is a directory and TensorBoard is installed

    def __enter__(self) -> _Record:
        if self.directory is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(self.directory.path / "tensorboard")
            except ImportError:
                pass
            except Exception as error:
                _warn_of_board(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()
        if self.directory is not None:
            self.directory.close()

    def is_complete(self) -> bool:
        return self.report is not None and self.report.episode >= self.report.episodes

    def wants_validation(self) -> bool:
        if self.report is None or self.validation is not None:
            return False
        return self.report.episode % self.validate_every == 0 or self.is_complete()

    def add(self, report: TrainReport) -> None:
        self._take(report)
        self._add_line(report._asdict())
        self._draw(report.episode, meta=report.meta_loss, final=report.final_loss)

    def _take(self, report: TrainReport) -> None:
        self.report, self.validation = report, None
        self.meta_losses.append((report.episode, report.meta_loss))

    def _is_best(self, loss: float) -> bool:
        return self.best is None or loss < self.best

    def _take_validation(self, episode: int, loss: float) -> None:
        self.validation = math.inf if math.isnan(loss) else loss  # worse than any
        self.validations.append((episode, self.validation))
        if self._is_best(self.validation):
            self.best = self.validation

    def add_validation(self, loss: float, optimizer: Optimizer) -> None:
        assert self.report is not None
        if self._is_best(loss):
            self.optimizer = optimizer
            if self.directory is not None:  # saved first: no line without its model
                self.directory.save_best(optimizer, self.report, loss)
        self._take_validation(self.report.episode, loss)
        self._add_line({"episode": self.report.episode, "validation": loss})
        self._draw(self.report.episode, validation=loss)

    def _add_line(self, values: dict[str, Any]) -> None:
        self._lines.append(values)
        self._is_saved = False

    def _draw(self, episode: int, **losses: float) -> None:
        if self._board is not None:
            try:
                for name, loss in losses.items():
                    self._board.add_scalar(f"loss/{name}", loss, episode)
            except Exception as error:
                self._board = None
                _warn_of_board(error)

    def resume(self, trainer: Trainer) -> None:
        """Continues from the latest checkpoint, if there is one."""
        checkpoint = None if self.directory is None else self.directory.latest_checkpoint()
        if self.directory is None or checkpoint is None:
            return
        self.directory.remove_temporary_files()
        episode, path = checkpoint
        trainer.resume(path)
        self._lines = self.directory.metrics(episode)
        for line in self._lines:
            if "validation" in line:
                self._take_validation(line["episode"], line["validation"])
            else:
                self._take(TrainReport(**line))
        best = self.directory.best()
        if best is not None and best["episode"] <= episode and not math.isnan(best["validation"]):
            if self._is_best(best["validation"]):  # its line was lost
                self.best = best["validation"]
        self._restore_report(episode, self.report._asdict() if self.report is not None else best)
        if self.best is not None:
            self.optimizer = self.directory.best_optimizer()

    def _restore_report(self, episode: int, other: Mapping[str, Any] | None) -> None:
        """Replaces the last report if its line was lost. `other` has the number of episodes of the run."""
        if other is not None and (self.report is None or self.report.episode != episode):
            self.report = TrainReport(episode, other["episodes"], math.nan, math.nan, math.nan, 0)
            self.validation = dict(self.validations).get(episode)

    def save(self, trainer: Trainer) -> None:
        """Writes a checkpoint, and the metrics up to it."""
        if self.directory is None or self.report is None or self._is_saved:
            return
        self.directory.save(self._lines, trainer, self.report.episode)
        self._is_saved = True


def _warn_of_board(error: Exception) -> None:
    warnings.warn(f"losses are not written for TensorBoard: {error!r}", RuntimeWarning)
