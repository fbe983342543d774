"""How a command gets on: a live bar where stderr is a terminal, and a line for what is worth saying anywhere."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from micronas.commands.console import remark, voice
from micronas.search.search import Watch
from micronas.views.escaped import SafeConsole
from micronas.views.pace import Pace, clock


class _Times(ProgressColumn):
    """`0:07, 0:52 left`, drawn anew several times a second."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:  # noqa: ARG002 (a column is asked so)
        left = self.pace.left_s
        return Text(clock(self.pace.taken_s) + ("" if left is None else f", {clock(left)} left"))


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
        console=SafeConsole(stderr=True),
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
                remark(pace.stopped("command"))
            raise
        if voice.verbose:
            remark(f"{pace.what}: {pace.taken_s:.1f} s")
