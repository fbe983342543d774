"""A cell drawn with characters: nodes on a line, short edges between them, long ones below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 18  # columns from one node to the next: four nodes fit a terminal of 60


@dataclass(frozen=True)
class Edge:
    """An operation between two nodes of a cell."""

    source: int
    target: int
    operation: str


def draw_cell(edges: Sequence[Edge], nodes: int = 2) -> str:
    """The cell as text, of so many nodes or more. Node 0 is its input, the last node its output; `none` is not drawn.

    Up to two long edges may arrive at a node before their lines are drawn over each other.
    """
    last = max([nodes - 1, *(edge.target for edge in edges)])
    long = sorted((edge for edge in edges if edge.target - edge.source > 1), key=lambda edge: edge.target - edge.source)
    rows = {edge: row for row, edge in enumerate(long, 2)}
    arrives = {edge: edge.target * _GAP + 2 * _before(edge, long) for edge in long}
    canvas = [[" "] * (last * _GAP + 3) for _ in range(2 + len(long))] if long else [[" "] * (last * _GAP + 3)]
    for node in range(last + 1):
        _write(canvas[0], node * _GAP, f"({node})")
    for edge in edges:
        if edge not in rows:
            _label(canvas[0], edge.source * _GAP + 3, edge.target * _GAP - 1, edge.operation)
            canvas[0][edge.target * _GAP - 1] = "▶"
    for edge in long:  # first every vertical, then the horizontals that cross them
        for row in range(1, rows[edge]):
            canvas[row][edge.source * _GAP + 1] = "│"
            canvas[row][arrives[edge]] = "▲" if row == 1 else "│"
    for edge in long:
        left, right, row = edge.source * _GAP + 1, arrives[edge], canvas[rows[edge]]
        goes_on = row[left] == "│"
        _label(row, left + 1, right - 1, edge.operation)
        row[left], row[right] = "├" if goes_on else "└", "┘"
    return "\n".join("".join(row).rstrip() for row in canvas)


def title(operation: str) -> str:
    """An operation as it is read aloud: `conv 3x3` of `nor_conv_3x3` or `conv3x3`, `avg pool 3x3`, `skip connect`."""
    words = operation.removeprefix("nor_").replace("_", " ")
    return re.sub(r"(?<=[a-z])(?=\d+x\d)", " ", words)


def _before(edge: Edge, long: Sequence[Edge]) -> int:
    """How many long edges to the same node come before this one."""
    return sum(other.target == edge.target for other in long[: long.index(edge)])


def _label(row: list[str], left: int, right: int, operation: str) -> None:
    """A horizontal line with the operation written where no other line crosses it."""
    for x in range(left, right + 1):
        row[x] = "┼" if row[x] == "│" else "─"
    text = f" {title(operation)} "
    if len(text) + 1 > right - left:
        text = f"─{title(operation)}─"
    middle = (left + right + 1 - len(text)) // 2
    places = sorted(range(left + 1, right + 1 - len(text)), key=lambda x: abs(x - middle))
    _write(row, next((x for x in places if "┼" not in row[x : x + len(text)]), middle), text)


def _write(row: list[str], x: int, text: str) -> None:
    row[x : x + len(text)] = text
