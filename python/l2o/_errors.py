"""The library's status codes, and the exception that carries them."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """The values of l2o_status, without the L2O_ prefix."""

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
    """A call to the library failed with `status`; the text is the library's message.

    An invalid argument that this package detects itself raises a TypeError or ValueError instead.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[Error], tuple[int, str]]:
        """Keeps `status` in copies and pickles: by default, __init__ would get only the message."""
        return type(self), (self.status, str(self))
