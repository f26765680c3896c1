"""Status values of the library as an exception."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """l2o_status without the prefix L2O_."""

    OK = 0
    FAILURE = 1
    INVALID_ARGUMENT = 2
    BAD_DATA = 65
    DEVICE_UNAVAILABLE = 69
    INTERNAL = 70
    OUT_OF_MEMORY = 71
    INPUT_OUTPUT = 74
    DIVERGED = 76
    BUSY = 80
    NOT_FINITE = 81
    INTERRUPTED = 130


class Error(Exception):
    """A call of the library failed with `status`; the text is the library's message.

    For a wrong argument that this package itself detects it raises a TypeError or a ValueError.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[Error], tuple[int, str]]:
        """Exceptions are copied and passed between processes by their arguments."""
        return type(self), (self.status, str(self))
