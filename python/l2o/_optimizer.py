"""Learned update rules: their shape and meta-parameters phi."""

from __future__ import annotations

import array
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from ctypes import c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

from ._arguments import FilePath, file_path, real, text
from ._arrays import ArrayLike, empty, host_view, view
from ._config import Config, toml
from ._errors import Error, Status
from ._library import Owner, check, create, library

if TYPE_CHECKING:
    from typing_extensions import Self

# The models that ship: next to this file in the wheel, in the source tree's models/ otherwise.
_MODELS = [Path(__file__).parent / "models", Path(__file__).parents[2] / "models"]


def model_path(model: FilePath) -> str | bytes | Path:
    """The path of a model: a file, or one that ships, by its name ("general")."""
    path = os.fspath(model)
    if isinstance(path, str) and Path(path).name == path and not os.path.isfile(path):
        for directory in _MODELS:
            shipped = directory / f"{path}.safetensors"
            if shipped.exists():
                return shipped
    return path


class Optimizer(Owner):
    """An untrained optimizer; Optimizer.load reads a trained one.

    config    the keys of an [optimizer] table (docs/config.md), TOML text or a mapping, and
              optionally seed: {"layers": 2, "hidden": 20, "seed": 1}

    May be shared by any number of threads, contexts and runs.
    """

    def __init__(self, config: Config = None) -> None:
        self._own(create(library.l2o_optimizer_create, toml(config)), library.l2o_optimizer_destroy)

    @classmethod
    def _from_handle(cls, handle: c_void_p) -> Self:
        optimizer = cls.__new__(cls)
        optimizer._own(handle, library.l2o_optimizer_destroy)
        return optimizer

    @classmethod
    def load(cls, path: FilePath, rule: str | None = None) -> Self:
        """Reads a model file, or one that ships, by its name: "general". `rule` selects one of several
        rules."""
        path = model_path(path)
        if rule is None:
            return cls._from_handle(create(library.l2o_optimizer_load, file_path(path)))
        return cls._from_handle(
            create(library.l2o_optimizer_load_rule, file_path(path), text(rule, "rule"))
        )

    def save(self, path: FilePath) -> None:
        """Writes a model file atomically: safetensors, named like those of torch.nn.LSTM and Linear.
        The configuration that a loaded model was trained on is kept until its phi is changed."""
        check(library.l2o_optimizer_save(self._handle, file_path(path)))

    @property
    def meta_parameter_count(self) -> int:
        """P."""
        self._check_open()
        count: int = library.l2o_optimizer_meta_parameter_count(self._handle)
        return count

    @property
    def state_size(self) -> int:
        """S: state values of one coordinate."""
        self._check_open()
        size: int = library.l2o_optimizer_state_size(self._handle)
        return size

    def get_meta_parameters(self, out: ArrayLike | None = None) -> ArrayLike:
        """phi [P], in the order of the model file's tensors (l2o.h)."""
        out = empty(self.meta_parameter_count) if out is None else out
        values = view(out, "out", writable=True)
        check(library.l2o_optimizer_get_meta_parameters(self._handle, values.address, values.count))
        return out

    def set_meta_parameters(self, values: ArrayLike) -> None:
        """Runs keep the phi they started with until they are reset."""
        phi = host_view(values, "values", self.meta_parameter_count)
        check(library.l2o_optimizer_set_meta_parameters(self._handle, phi.address, phi.count))

    def apply_meta_gradient(self, meta_gradient: ArrayLike, learning_rate: SupportsFloat) -> None:
        """One Adam update of phi; the moments are kept in the optimizer. Changes nothing and raises
        l2o.Error with status NOT_FINITE if the gradient is non-finite or phi would become so."""
        gradient = host_view(meta_gradient, "meta_gradient", self.meta_parameter_count)
        check(
            library.l2o_optimizer_apply_meta_gradient(
                self._handle, gradient.address, gradient.count, real(learning_rate, "learning_rate")
            )
        )

    @property
    def description(self) -> str:
        """Its settings: "layers = 1, hidden = 20, ..."."""
        self._check_open()
        description: bytes = library.l2o_optimizer_description(self._handle)
        return description.decode()

    def fingerprint(self) -> str:
        """A hash of settings and phi, which identifies the rule in saved states."""
        phi = self.get_meta_parameters(array.array("f", bytes(4 * self.meta_parameter_count)))
        return hashlib.sha256(self.description.encode() + phi.tobytes()).hexdigest()[:32]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles have the same class and attributes; the moments of apply_meta_gradient
        start again."""
        own = {name: value for name, value in vars(self).items() if name not in _OF_OWNER}
        with _temporary_file() as path:
            self.save(path)
            return _from_bytes, (path.read_bytes(), type(self)), own or None

    def __repr__(self) -> str:
        if not self._handle:
            return "<l2o.Optimizer: closed>"
        return (
            f"<l2o.Optimizer: {self.description}; {self.meta_parameter_count} meta-parameters, "
            f"{self.state_size} state values per coordinate>"
        )


_OF_OWNER = ("_handle", "_finalizer")


def _from_bytes(model: bytes, kind: type[Optimizer] = Optimizer) -> Optimizer:
    """The optimizer in a model file's bytes, used for copies and pickles."""
    with _temporary_file() as path:
        path.write_bytes(model)
        return kind.load(path)


@contextlib.contextmanager
def _temporary_file() -> Iterator[Path]:
    """The path of a model file. Only files have all of a model, such as what it was trained on."""
    try:
        directory = tempfile.TemporaryDirectory()
    except OSError as error:
        raise Error(
            Status.INPUT_OUTPUT,
            f"copies of an l2o.Optimizer pass through a temporary file: {error}; set TMPDIR to a writable "
            "directory",
        ) from error
    with directory as name:
        yield Path(name) / "model.safetensors"
