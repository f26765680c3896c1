"""The progress of a meta-training on stderr. What cannot be written does not end the training."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from ._trainer import TrainReport

_EVERY = 5.0  # seconds

#: Shows a report and the lowest validation loss so far.
Show = Callable[[TrainReport, "float | None"], None]

# Of a stream that is full, that nobody reads, or that is closed.
_not_written = contextlib.suppress(OSError, ValueError)


@contextlib.contextmanager
def progress_on_stderr(wanted: bool) -> Iterator[Show]:
    if not wanted or sys.stderr is None:  # print and tqdm would write to another stream
        yield lambda *_: None
        return
    with _bar() as show_bar:
        show = show_bar or _lines()

        def show_if_possible(report: TrainReport, best: float | None) -> None:
            with _not_written:
                show(report, best)

        yield show_if_possible


@contextlib.contextmanager
def _bar() -> Iterator[Show | None]:
    """A bar of tqdm; None if tqdm is not installed or does not work."""
    bar = None
    with contextlib.suppress(Exception):
        from tqdm import tqdm

        bar = tqdm(unit="episode", file=sys.stderr)
    if bar is None:
        yield None
        return

    def show(report: TrainReport, best: float | None) -> None:
        bar.total = report.episodes
        bar.set_postfix(loss=f"{report.meta_loss:.4g}", **_validated(best), refresh=False)
        bar.update(report.episode - bar.n)

    try:
        yield show
    finally:
        with _not_written:
            bar.close()


def _lines() -> Show:
    """A line every few seconds."""
    began, last = time.monotonic(), 0.0
    first: int | None = None

    def show(report: TrainReport, best: float | None) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = report.episode if first is None else first
        if now - last < _EVERY and report.episode < report.episodes:
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

    return show


def _validated(best: float | None) -> dict[str, str]:
    return {} if best is None else {"validation": f"{best:.4g}"}
