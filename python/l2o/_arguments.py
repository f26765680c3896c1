"""Checks of arguments before they reach ctypes, which truncates integers to the size of C's types, and C,
which ends strings at a zero byte."""

from __future__ import annotations

import operator
import os
from typing import Any, SupportsIndex, TypeVar, Union

# The types accepted by os.fsencode.
FilePath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

_Kind = TypeVar("_Kind")

INT_MAX = 2**31 - 1
SIZE_MAX = 2**63 - 1  # no actual count is as large as size_t allows
UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1


def instance(value: object, kind: type[_Kind], name: str) -> _Kind:
    """Returns an object of the class `kind` of this package; error messages call it `name`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is a {type(value).__name__}; expected an l2o.{kind.__name__}")
    return value


def is_bool(value: object) -> bool:
    """Whether this is a bool of any library."""
    kind = str(getattr(value, "dtype", type(value).__name__))  # "int64", "torch.bool", "float"
    return kind.endswith("bool")


def is_true(value: object) -> bool:
    """Whether this is True, of any library, and not merely true."""
    return is_bool(value) and bool(value)


def integer(value: SupportsIndex, name: str, minimum: int = 0, maximum: int = SIZE_MAX) -> int:
    """Returns the value as an int from minimum to maximum; error messages call it `name`. Integers of
    other libraries are accepted; bools and floats, even 2.0, are not."""
    try:
        if is_bool(value):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a {type(value).__name__}; expected an integer") from None
    if not minimum <= number <= maximum:
        raise ValueError(f"{name} is {number}; expected an integer from {minimum} to {maximum}")
    return number


def real(value: Any, name: str) -> float:
    """Returns the value as a float; error messages call it `name`. Numbers and scalars of other libraries are
    accepted; bools and strings, even "0.5", are not."""
    try:
        if is_bool(value) or isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):  # or of several elements
        raise TypeError(f"{name} is a {type(value).__name__}; expected a number") from None


def boolean(value: object, name: str) -> bool:
    """Returns a bool of any library as Python's."""
    if not is_bool(value):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a bool")
    return bool(value)


def file_path(path: FilePath, name: str = "path") -> bytes:
    """The path for C functions."""
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise ValueError(f"{name} is {path!r}; expected a non-empty path without zero bytes")
    return encoded


def text(value: str, name: str) -> bytes:
    """The string for C functions."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a str")
    if "\0" in value:
        raise ValueError(f"{name} is {value!r}; expected a string without a zero byte")
    return value.encode()
