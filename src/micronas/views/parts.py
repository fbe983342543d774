"""What pages are made of: headings, columns, bars, and text that is copied whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

MARGIN = 2


_LABEL = 11
"""Columns of the words at the left of a page."""


@dataclass(frozen=True)
class Copied:
    """Text that is copied from the page: however long, no line break is put into it."""

    text: str
    label: str = ""
    style: str = ""

    def __rich__(self) -> Text:
        label = f"{self.label:{_LABEL}}" if self.label else ""
        return Text(" " * MARGIN + label, style="dim", end="") + Text(self.text, style=self.style)


def print_parts(parts: Iterable[RenderableType | Copied], console: Console) -> None:
    """Print parts of a page, one below the other; what is copied stays on one line."""
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Copied))


@dataclass(frozen=True)
class Heading:
    """A line with words at its left end; where they do not fit, the words alone."""

    text: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if cell_len(self.text) + 2 > options.max_width:
            yield Text(self.text, style=self.style)
        else:
            yield Rule(Text(self.text), align="left", style=self.style)


def heading(text: str, style: str = "dim") -> Heading:
    """A line with words at its left end."""
    return Heading(text, style)


def indented(what: RenderableType) -> Padding:
    """Something below a heading."""
    return Padding(what, (0, 0, 0, MARGIN), expand=False)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """A column of names and a column of words; a name stands once where the words of several lines follow."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=_LABEL - 2)
    table.add_column()
    for name, words in pairs:
        table.add_row(name, Text(words))
    return table


def lines_of(architecture: str, width: int) -> list[str]:
    """The architecture in as few lines as fit, broken only where a node ends."""
    nodes = architecture.split("+")
    lines = [nodes[0]]
    for node in nodes[1:]:
        if len(lines[-1]) + len(node) + 1 <= width:
            lines[-1] += f"+{node}"
        else:
            lines[-1] += "+"
            lines.append(node)
    return lines


def bars(costs: Mapping[str, float], bar: int = 32, names: int = 0) -> Table:
    """Milliseconds by name, with their share of the whole as a number and as a bar; widths in columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=names)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(width=bar)
    total = sum(costs.values())
    longest = max(costs.values(), default=0.0)
    for name, cost in costs.items():
        table.add_row(name, f"{cost:,.2f} ms", _share(cost / total), Bar(longest, 0, cost, color="cyan"))
    return table


def _share(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"
