"""End-to-end meta-training: validation, the best model, checkpoints, progress."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ._arguments import UINT64_MAX, integer
from ._config import Config, toml
from ._context import Context
from ._library import interruptible
from ._optimizee import BatchObjective, Objective, Optimizee
from ._optimizer import Optimizer
from ._report import curves_html
from ._trainer import Trainer, TrainReport, evaluate

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.bin")
_PROGRESS_EVERY = 5.0  # seconds

_Show = Callable[[TrainReport, "float | None"], None]


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
    run_directory: str | os.PathLike[str] | None = None,
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
                      found there is continued, with the same bits as an uninterrupted run. None: nothing is
                      kept. Losses are also written there for TensorBoard, if that is installed
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
    config = dict(config or {})
    tasks = integer(tasks, "tasks", 1)
    validate_every = integer(validate_every, "validate_every", 1)
    validation_seed = integer(validation_seed, "validation_seed", 0, UINT64_MAX)
    if validation_tasks is None:
        validation_tasks = tasks
    optimizee = Optimizee(function, tasks, context=context)
    judged = Optimizee(function, validation_tasks, context=optimizee.context)
    if validation_steps is None:
        steps = config.get("train", {}).get("steps", 100)
        validation_steps = max(steps) if hasattr(steps, "__iter__") else steps
    validation_steps = integer(validation_steps, "validation_steps")
    trainer = Trainer(optimizee, config)
    record = _Record(run_directory, config, validate_every)
    record.resume(trainer)
    stopped = False
    with _progress(progress) as show, record.tensorboard():
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
                    stopped = any([callback(now) is True for callback in callbacks])
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
    """The state of a run, and its files if there is a directory."""

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        config: Mapping[str, Any],
        validate_every: int,
    ) -> None:
        self.directory = None if directory is None else Path(directory)
        self.validate_every = validate_every
        self.report: TrainReport | None = None  # of the last episode
        self.validation: float | None = None  # after it, if there was one
        self.best: float | None = None  # the lowest validation loss
        self.optimizer: Optimizer | None = None  # with that loss
        self.meta_losses: list[tuple[int, float]] = []  # of every episode
        self.validations: list[tuple[int, float]] = []
        self._lines: list[str] = []  # of metrics.jsonl
        self._is_saved = True
        self._board: Any = None
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        text = toml(config).decode()
        known = self._file("config.toml")
        if known.exists() and known.read_text() != text:
            raise ValueError(
                f"{self.directory} has a run of another configuration; use a separate directory"
            )
        _write(known, text)

    def is_complete(self) -> bool:
        return self.report is not None and self.report.episode >= self.report.episodes

    def wants_validation(self) -> bool:
        if self.report is None or self.validation is not None:
            return False
        return self.report.episode % self.validate_every == 0 or self.is_complete()

    def add(self, report: TrainReport) -> None:
        self._take(report)
        self._add_line(report._asdict())
        if self._board is not None:
            self._board.add_scalar("loss/meta", report.meta_loss, report.episode)
            self._board.add_scalar("loss/final", report.final_loss, report.episode)

    def _take(self, report: TrainReport) -> None:
        self.report, self.validation = report, None
        self.meta_losses.append((report.episode, report.meta_loss))

    def _is_best(self, loss: float) -> bool:
        return self.best is None or loss < self.best

    def _take_validation(self, loss: float) -> None:
        assert self.report is not None
        self.validation = math.inf if math.isnan(loss) else loss  # worse than any
        self.validations.append((self.report.episode, self.validation))
        if self._is_best(self.validation):
            self.best = self.validation

    def add_validation(self, loss: float, optimizer: Optimizer) -> None:
        assert self.report is not None
        if self._is_best(loss):
            self.optimizer = optimizer
            if self.directory is not None:  # saved first: no line without its model
                optimizer.save(self._file("model.safetensors"))
        self._take_validation(loss)
        self._add_line({"episode": self.report.episode, "validation": loss})
        if self._board is not None:
            self._board.add_scalar("loss/validation", loss, self.report.episode)

    def _add_line(self, values: dict[str, Any]) -> None:
        self._lines.append(_line(values))
        self._is_saved = False

    def _file(self, name: str) -> Path:
        assert self.directory is not None
        return self.directory / name

    def _checkpoints(self) -> list[tuple[int, Path]]:
        """Episode and path, the latest last."""
        assert self.directory is not None
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in self.directory.iterdir())
        return sorted((int(match.group(1)), path) for match, path in found if match)

    def resume(self, trainer: Trainer) -> None:
        """Continues from the latest checkpoint, if there is one."""
        checkpoints = self._checkpoints() if self.directory is not None else []
        if not checkpoints:
            return
        for left_behind in checkpoints[-1][1].parent.glob(f".l2o-{'[0-9a-f]' * 16}.tmp"):
            left_behind.unlink(missing_ok=True)  # from a writer that was killed
        episode, path = checkpoints[-1]
        trainer.resume(path)
        metrics = self._file("metrics.jsonl")
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        lines = [line for line in lines if line["episode"] <= episode]
        self._lines = list(map(_line, lines))
        for line in lines:
            line = {name: math.nan if value is None else value for name, value in line.items()}
            if "validation" in line:
                self._take_validation(line["validation"])
            else:
                self._take(TrainReport(**line))
        if self.best is not None:
            self.optimizer = Optimizer.load(self._file("model.safetensors"))

    def save(self, trainer: Trainer) -> None:
        """Writes a checkpoint, and the metrics up to it."""
        if self.directory is None or self.report is None or self._is_saved:
            return
        _write(self._file("metrics.jsonl"), "".join(self._lines))
        older = self._checkpoints()
        path = self._file(f"checkpoint-{self.report.episode}.bin")
        trainer.save(path)
        for _, other in older:
            if other != path:
                other.unlink()
        self._is_saved = True

    @contextlib.contextmanager
    def tensorboard(self) -> Iterator[None]:
        """Also writes losses for TensorBoard, if there is a directory and TensorBoard is installed."""
        if self.directory is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(self.directory / "tensorboard")
            except ImportError:
                pass
        try:
            yield
        finally:
            if self._board is not None:
                self._board.close()


def _line(values: dict[str, Any]) -> str:
    """A line of metrics.jsonl; JSON has no non-finite numbers: null."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return json.dumps(finite) + "\n"


def _write(path: Path, text: str) -> None:
    """Writes a file like the library: a reader never sees a partial one; links and modes are kept."""
    path = path.resolve()
    new = path.with_name(f".l2o-{secrets.token_hex(8)}.tmp")
    try:
        with new.open("x") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, new)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _progress(wanted: bool) -> Iterator[_Show]:
    """A function that shows a report on stderr."""
    if not wanted:
        yield lambda *_: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is not None:
        with tqdm(unit="episode", file=sys.stderr) as bar:

            def show_bar(report: TrainReport, best: float | None) -> None:
                bar.total = report.episodes
                bar.set_postfix(loss=f"{report.meta_loss:.4g}", **_validated(best), refresh=False)
                bar.update(report.episode - bar.n)

            yield show_bar
        return
    began, last = time.monotonic(), 0.0
    first: int | None = None

    def show_line(report: TrainReport, best: float | None) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = report.episode if first is None else first
        if now - last < _PROGRESS_EVERY and report.episode < report.episodes:
            return
        last = now
        done = report.episode - first + 1
        left = (now - began) / done * (report.episodes - report.episode)
        best_text = "".join(f"  {name} {value}" for name, value in _validated(best).items())
        print(
            f"episode {report.episode}/{report.episodes}  {left:.0f} s left  "
            f"loss {report.meta_loss:.4g}{best_text}",
            file=sys.stderr,
            flush=True,
        )

    yield show_line


def _validated(best: float | None) -> dict[str, str]:
    return {} if best is None else {"validation": f"{best:.4g}"}
