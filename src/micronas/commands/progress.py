"""How a command gets on: a live bar where stderr is a terminal, and a line for what is worth saying anywhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from micronas.commands.console import remark, voice
from micronas.search.search import Watch


@dataclass
class Pace:
    """How far one kind of work is, and how long it goes on: counted down between two reports.

    Attributes:
        now: a clock, seconds.
        what, done, total: as last reported.
    """

    now: Callable[[], float] = time.monotonic
    what: str = "starting"
    done: int = 0
    total: int = 0
    _first: tuple[float, int] = (0.0, 0)
    _last_s: float = 0.0
    _behind: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._first = self.now(), 0
        self._last_s = self._first[0]

    def report(self, done: int, total: int, what: str) -> str:
        """Note how far it is; what is done with, and how long that took, if other work begins."""
        ended = ""
        if what != self.what:
            ended = f"{self.what}: {self.now() - self._first[0]:.1f} s"
            self._first = self.now(), done
        self.done, self.total, self.what = done, total, what
        self._last_s = self.now()
        return ended

    @property
    def taken_s(self) -> float:
        """Since this work began."""
        return self.now() - self._first[0]

    @property
    def left_s(self) -> float | None:
        """Seconds, if it goes on at its pace so far; None before that is known."""
        start_s, first = self._first
        if self.done <= first:
            return None
        whole = (self._last_s - start_s) * (self.total - self.done) / (self.done - first)
        return max(0.0, whole - (self.now() - self._last_s))


class _Times(ProgressColumn):
    """`0:07, 0:52 left`, drawn anew several times a second."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:  # noqa: ARG002 (a column is asked so)
        left = self.pace.left_s
        return Text(clock(self.pace.taken_s) + ("" if left is None else f", {clock(left)} left"))


def clock(seconds: float) -> str:
    """`0:52`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def progress() -> Generator[Watch]:
    """A live bar on stderr while a terminal shows it; what was kept, if the user ends it."""
    shown = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    pace = Pace()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Times(pace),
        console=Console(stderr=True),
        transient=True,
        disable=voice.quiet or not shown,
    )
    with bar:
        task = bar.add_task(pace.what, total=None)

        def watch(done: int, total: int, what: str) -> None:
            if total == 0:
                remark(what)
                return
            ended = pace.report(done, total, what)
            if ended and voice.verbose:
                remark(ended)
            bar.update(task, completed=done, total=total if total > 1 else None, description=what)

        try:
            yield watch
        except KeyboardInterrupt:
            if pace.done:
                said = f"stopped at {pace.what}, {pace.done:,} of {pace.total:,}"
                remark(f"{said}; scores measured so far are kept, and the same command goes on from them")
            raise
        if voice.verbose:
            remark(f"{pace.what}: {pace.taken_s:.1f} s")
