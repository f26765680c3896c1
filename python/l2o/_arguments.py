"""Checks of arguments before ctypes sees them, which cuts integers to the size of C's, and C ends texts at
a zero byte."""

from __future__ import annotations

import operator
import os
from typing import SupportsIndex, Union

# What os.fsencode takes.
FilePath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

INT_MAX = 2**31 - 1
SIZE_MAX = 2**63 - 1  # no count of anything is as large as size_t allows
UINT32_MAX = 2**32 - 1
UINT64_MAX = 2**64 - 1


def integer(value: SupportsIndex, name: str, minimum: int = 0, maximum: int = SIZE_MAX) -> int:
    """The value as an int from minimum to maximum; `name` is what complaints call it. Integers of other
    libraries are integers; bools and floats, even 2.0, are not."""
    kind = str(getattr(value, "dtype", type(value).__name__))  # "int64", "torch.bool", "float"
    try:
        if kind.endswith("bool"):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a {type(value).__name__}; expected an integer") from None
    if not minimum <= number <= maximum:
        raise ValueError(f"{name} is {number}; expected an integer from {minimum} to {maximum}")
    return number


def file_path(path: FilePath, name: str = "path") -> bytes:
    """The path as C's functions take it."""
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise ValueError(f"{name} is {path!r}; expected a path that has no zero byte and is not empty")
    return encoded


def text(value: str, name: str) -> bytes:
    """A text as C's functions take it."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a str")
    if "\0" in value:
        raise ValueError(f"{name} is {value!r}; expected a text without a zero byte")
    return value.encode()
