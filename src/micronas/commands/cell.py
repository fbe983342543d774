"""How a search gets on in a notebook: a bar below its cell, drawn anew twice a second, gone when it ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import copy_context
from html import escape
from importlib import import_module
from typing import Any

from micronas.search.search import Watch
from micronas.views.pace import Pace, clock

_EACH_S = 0.5


def in_notebook() -> bool:
    """Whether this program is a notebook's kernel."""
    running: Any = sys.modules.get("IPython")
    shell = running.get_ipython() if running else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextmanager
def progress() -> Generator[Watch]:
    """A bar below the cell that runs; what was kept, if the user ends it."""
    showing: Any = import_module("IPython.display")
    pace, ended = Pace(), threading.Event()
    handle = showing.display(showing.HTML(_bar(pace)), display_id=True)

    def draw() -> None:
        while not ended.wait(_EACH_S):
            handle.update(showing.HTML(_bar(pace)))

    def watch(done: int, total: int, what: str) -> None:
        if total == 0:
            print(what, file=sys.stderr)
        else:
            pace.report(done, total, what)

    drawing = threading.Thread(target=copy_context().run, args=(draw,), daemon=True)
    drawing.start()
    try:
        yield watch
    except KeyboardInterrupt:
        if pace.done:
            print(pace.stopped("cell"), file=sys.stderr)
        raise
    finally:
        ended.set()
        drawing.join()
        handle.update(showing.HTML(""))


def _bar(pace: Pace) -> str:
    """What is done of what, the time so far, and the time left once it is known."""
    left = pace.left_s
    times = clock(pace.taken_s) + ("" if left is None else f", {clock(left)} left")
    if pace.total <= 1:
        return f"<span>{escape(pace.what)} <progress></progress> {times}</span>"
    bar = f'<progress value="{pace.done}" max="{pace.total}"></progress>'
    return f"<span>{escape(pace.what)} {bar} {pace.done:,} of {pace.total:,}, {times}</span>"
