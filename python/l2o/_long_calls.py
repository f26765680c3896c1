"""Long calls of the library, which call Python: ended by signals, and by the exit of Python."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ._errors import Error
from ._library import IsInterruptedCallback

_Handler = Callable[[int, "FrameType | None"], Any]

_SIGNALS = sorted(signal.valid_signals())
_is_postponing = False  # during a long call of the main thread
_postponed: list[BaseException] = []  # raised by a signal handler during that call: at most one

_EXIT_TIMEOUT = 5.0  # seconds
_is_exiting = False
_calls_changed = threading.Condition()
_calls: list[int] = []  # identifiers of the threads, other than the main thread, that are in a long call
_is_registered = False  # with atexit


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def is_ending() -> bool:
    """Whether a long call of this thread has to end without calling Python again. An exception of a signal
    handler only ends that of the main thread."""
    return bool(_postponed) if _is_main() else _is_exiting


def _is_interrupted(_user: int | None) -> int:
    """Called by contexts during long calls, which lets Python run signal handlers."""
    return int(is_ending())


is_interrupted = IsInterruptedCallback(_is_interrupted)


def _postponing(handler: _Handler) -> _Handler:
    """The handler of a signal during a long call. An exception that is raised in the callback in which Python
    runs it would be lost, so it ends the call, and is raised after that. The second one is raised at once."""

    def postpone(number: int, frame: FrameType | None) -> None:
        if _postponed or not _is_postponing:
            handler(number, frame)
            return
        try:
            handler(number, frame)
        except BaseException as exception:
            _postponed.append(exception)

    return postpone


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Encloses a call that may call Python. An exception of a signal handler, such as KeyboardInterrupt, ends
    it at its next step and is raised here. On other threads the exit of Python ends it, and the thread."""
    global _is_postponing
    if not _is_main():
        with _ended_by_exit():
            yield
        return
    if _is_postponing:
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = {
        number: (handler, _postponing(handler)) for number, handler in handlers.items() if callable(handler)
    }
    failure: Exception | None = None
    try:
        _is_postponing = True
        for number, (_, postponing) in replaced.items():
            signal.signal(number, postponing)
        yield
    except Exception as error:
        failure = error
    finally:
        _is_postponing = False  # first: handlers may raise from here on
        exceptions = _postponed.copy()
        _postponed.clear()
        for number, (handler, postponing) in replaced.items():
            if signal.getsignal(number) is postponing:  # else a handler has set another one
                signal.signal(number, handler)
    if exceptions:
        raise exceptions[0] from (exceptions[0].__cause__ or failure)
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _ended_by_exit() -> Iterator[None]:
    """Encloses a long call on a daemon thread. When Python exits, it unwinds the stack of such a thread as
    soon as that calls Python, which C++ does not survive: the call must return before."""
    global _is_registered
    with _calls_changed:
        if _is_exiting:
            raise SystemExit  # ends a thread silently
        if not _is_registered:  # now, not at import: runs before the finalizers that destroy handles
            atexit.register(_end_calls)
            _is_registered = True
        _calls.append(threading.get_ident())
    try:
        yield
    except Error:
        if _is_exiting:
            raise SystemExit from None
        raise
    finally:
        with _calls_changed:
            _calls.remove(threading.get_ident())
            _calls_changed.notify_all()


def _end_calls() -> None:
    global _is_exiting
    with _calls_changed:
        _is_exiting = True
        _calls_changed.wait_for(lambda: not _calls, _EXIT_TIMEOUT)


def _forget_calls() -> None:
    """A forked process has only the thread that forked."""
    global _calls_changed
    _calls_changed = threading.Condition()
    _calls.clear()


os.register_at_fork(after_in_child=_forget_calls)
