"""How far a search is, and how long it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


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

    def stopped(self, what: str) -> str:
        """What to tell whoever ends it; `what` begins it: a command, a cell."""
        said = f"stopped at {self.what}, {self.done:,} of {self.total:,}"
        return f"{said}; scores measured so far are kept, and the same {what} goes on from them"

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


def clock(seconds: float) -> str:
    """`0:52`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
