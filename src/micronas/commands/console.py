"""What commands show: pages and JSON on stdout, remarks on stderr."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from rich.console import Console

from micronas.quantity import whole_number
from micronas.views.escaped import SafeConsole, escaped

WIDTH = 100
"""Columns of a page that no terminal shows, unless COLUMNS says fewer; no page is wider."""


def console() -> Console:
    """Stdout. Where it is no terminal: no colours, and the same width wherever COLUMNS is not set."""
    if sys.stdout is not None and sys.stdout.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        terminal = SafeConsole(highlight=False)
        terminal.width = min(terminal.width, WIDTH)
        return terminal
    columns = os.environ.get("COLUMNS", "")
    width = min(whole_number(columns) or WIDTH, WIDTH)
    return SafeConsole(width=width, force_terminal=False, color_system=None, highlight=False)


def print_json(data: object) -> None:
    """One JSON value on stdout, in ASCII so that any pipe takes it."""
    voice.answered = True
    print(json.dumps(data, indent=2), flush=True)


@dataclass
class Voice:
    """How much a command says on stderr beside errors, and whether its JSON is on stdout already."""

    quiet: bool = False
    verbose: bool = False
    answered: bool = False


voice = Voice()
"""Of the command that runs."""


def one_line(text: str) -> str:
    """A message as it is shown: on one line, and nothing in it commands the terminal."""
    return escaped(" ".join(text.split()))


def remark(text: str) -> None:
    """One line on stderr, unless the user wants none."""
    if not voice.quiet:
        print(one_line(text), file=sys.stderr)
