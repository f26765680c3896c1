"""The files of a run of meta_train.

    config.toml          the configuration and the options of validation
    model.safetensors    the best model
    best.json            its validation loss
    metrics.jsonl        a line for every episode and every validation
    checkpoint-N.bin     the training after episode N
    lock                 locked while a run uses the directory
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._arguments import FilePath, file_path
from ._config import toml
from ._errors import Error, Status
from ._optimizer import Optimizer
from ._trainer import Trainer, TrainReport

_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.bin")
# The keys of a line of metrics.jsonl.
_REPORT, _VALIDATION = set(TrainReport._fields), {"episode", "validation"}


class RunDirectory:
    """A directory that only this object writes to, until it is closed.

    config        of the training
    validation    options of validation
    """

    def __init__(
        self, path: FilePath, config: Mapping[str, Any], validation: Mapping[str, int]
    ) -> None:
        self.path = Path(os.fsdecode(file_path(path, "run_directory")))
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take_lock()
            self._check_settings(toml({**config, "validation": dict(validation)}).decode())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._lock)  # which releases it

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Error(
                Status.BUSY,
                f"another run is training in {self.path}; choose another directory or wait until it ends",
            ) from None
        except OSError as error:  # some network file systems have no locks
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            warnings.warn(
                f"{self.path} cannot be locked ({error.strerror}): make sure that no other run trains in it",
                RuntimeWarning,
            )

    def _check_settings(self, text: str) -> None:
        """Compares with the settings of the run that is already there; writes them if there is none."""
        file = self._file("config.toml")
        if file.exists():
            there, here = _settings(file.read_text()), _settings(text)
            if not any(name.startswith("validation.") for name in there):  # of an older version
                here = {name: value for name, value in here.items() if not name.startswith("validation.")}
            for name in sorted(there.keys() | here.keys()):
                if there.get(name) != here.get(name):
                    raise ValueError(
                        f"{self.path} has a run of another configuration, with {name} = "
                        f"{there.get(name, 'its default')} instead of {here.get(name, 'its default')}; use a "
                        "separate directory"
                    )
        _write(file, text)

    def _file(self, name: str) -> Path:
        return self.path / name

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """Its episode and path."""
        return max(self._checkpoints(), default=None)

    def _checkpoints(self) -> list[tuple[int, Path]]:
        found = ((_CHECKPOINT.fullmatch(path.name), path) for path in self.path.iterdir())
        return [(int(match.group(1)), path) for match, path in found if match]

    def remove_temporary_files(self) -> None:
        """Those of a writer that was killed."""
        for left_behind in self.path.glob(f".l2o-{'[0-9a-f]' * 16}.tmp"):
            left_behind.unlink(missing_ok=True)

    def save(self, lines: list[dict[str, Any]], trainer: Trainer, episode: int) -> None:
        """Writes the metrics, and the checkpoint that they belong to."""
        _write(self._file("metrics.jsonl"), "".join(map(_line, lines)))
        older = self._checkpoints()
        path = self._file(f"checkpoint-{episode}.bin")
        trainer.save(path)
        for _, other in older:
            if other != path:
                other.unlink()

    def metrics(self, last_episode: int) -> list[dict[str, Any]]:
        """The lines up to an episode that can be read; a warning tells of others."""
        try:
            text = self._file("metrics.jsonl").read_text(errors="replace")
        except FileNotFoundError:
            text = ""
        lines = [_parsed(line) for line in text.splitlines() if line.strip()]
        found = [line for line in lines if line is not None and line["episode"] <= last_episode]
        missing = last_episode - sum(line.keys() == _REPORT for line in found)
        if missing > 0 or None in lines:
            warnings.warn(
                f"{self._file('metrics.jsonl')} is damaged: {missing} of {last_episode} episodes are "
                f"missing, {lines.count(None)} lines cannot be read; the run continues, its curves lack them",
                RuntimeWarning,
            )
        return found

    def save_best(self, optimizer: Optimizer, report: TrainReport, validation: float) -> None:
        optimizer.save(self._file("model.safetensors"))
        best = {"episode": report.episode, "episodes": report.episodes, "validation": validation}
        _write(self._file("best.json"), _line(best))

    def best(self) -> dict[str, Any] | None:
        """What save_best wrote last; None in runs of older versions."""
        try:
            best = _finite_or_nan(json.loads(self._file("best.json").read_text(errors="replace")))
        except (FileNotFoundError, ValueError):
            return None
        return best if best.keys() == {"episode", "episodes", "validation"} else None

    def best_optimizer(self) -> Optimizer:
        return Optimizer.load(self._file("model.safetensors"))


def _settings(text: str) -> dict[str, str]:
    """The values in a text of toml() by names such as train.steps, in any order."""
    settings, table = {}, ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line[1:-1] + "."
        elif " = " in line:
            key, _, value = line.partition(" = ")
            settings[table + key] = value
    return settings


def _line(values: dict[str, Any]) -> str:
    """A line of metrics.jsonl; JSON has no non-finite numbers: null."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return json.dumps(finite) + "\n"


def _parsed(line: str) -> dict[str, Any] | None:
    """None if the line is damaged."""
    try:
        values = _finite_or_nan(json.loads(line))
    except ValueError:
        return None
    return values if values.keys() in (_REPORT, _VALIDATION) else None


def _finite_or_nan(values: Any) -> dict[str, Any]:
    """An object of numbers as written by _line; raises ValueError for anything else."""
    if not isinstance(values, dict) or not all(
        value is None or isinstance(value, (int, float)) for value in values.values()
    ):
        raise ValueError
    return {name: math.nan if value is None else value for name, value in values.items()}


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
