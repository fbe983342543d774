"""What commands show: pages and JSON on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from micronas.search.search import Watch

WIDTH = 100
"""Columns of a page that no terminal shows; no page is wider."""


def console() -> Console:
    """Stdout. Where it is no terminal: no colours, and always the same width."""
    if sys.stdout is not None and sys.stdout.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        terminal = Console(highlight=False)
        terminal.width = min(terminal.width, WIDTH)
        return terminal
    return Console(width=WIDTH, force_terminal=False, color_system=None, highlight=False)


def print_json(data: object) -> None:
    """One JSON value on stdout, in ASCII so that any pipe takes it."""
    print(json.dumps(data, indent=2))


def remark(text: str) -> None:
    """One line on stderr."""
    print(" ".join(text.split()), file=sys.stderr)


@contextmanager
def progress() -> Generator[Watch]:
    """A live bar on stderr: what is done, and the time left. Silent where stderr is no terminal."""
    shown = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not shown,
    )
    with bar:
        task = bar.add_task("starting", total=None)

        def watch(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield watch
