"""What commands show: pages and JSON on stdout, remarks on stderr."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from rich.console import Console

WIDTH = 100
"""Columns of a page that no terminal shows, unless COLUMNS says fewer; no page is wider."""


def console() -> Console:
    """Stdout. Where it is no terminal: no colours, and the same width wherever COLUMNS is not set."""
    if sys.stdout is not None and sys.stdout.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        terminal = Console(highlight=False)
        terminal.width = min(terminal.width, WIDTH)
        return terminal
    columns = os.environ.get("COLUMNS", "")
    width = min(int(columns), WIDTH) if columns.isdecimal() and int(columns) else WIDTH
    return Console(width=width, force_terminal=False, color_system=None, highlight=False)


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


def remark(text: str) -> None:
    """One line on stderr, unless the user wants none."""
    if not voice.quiet:
        print(" ".join(text.split()), file=sys.stderr)
