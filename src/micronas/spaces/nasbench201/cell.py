"""NAS-Bench-201's cell (Dong & Yang, 2020): four nodes, six edges, five operations, and its notation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import product

from micronas.drawing import Edge
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph
from micronas.network.identity import function_key, live_key
from micronas.spaces.decisions import NONE, Choices
from micronas.spaces.nasbench201.skeleton import DrawCell, Skeleton
from micronas.spaces.space import ArchitectureError
from micronas.task import Task
from micronas.texts import near_to, shown

SKIP = "skip_connect"
POOL = "avg_pool_3x3"
OPERATIONS = (NONE, SKIP, "nor_conv_1x1", "nor_conv_3x3", POOL)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from node, to node) of every decision, in the order of the notation."""

NODES = 4

EXAMPLE = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"

CELLS = Choices((OPERATIONS,) * len(EDGES))
"""All five operations on all six edges."""


def read_cell(text: str) -> Choices:
    """A cell of `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; spaces and line breaks do not count.

    Raises:
        ArchitectureError: wrong number of nodes or edges, or an unknown operation.
    """
    nodes = "".join(text.split()).split("+")
    if len(nodes) != 3:
        raise ArchitectureError(
            f"an architecture of nasbench201 has 3 nodes joined by '+', not {len(nodes)}; e.g. {EXAMPLE}"
        )
    return Choices(tuple((option,) for node, part in enumerate(nodes, 1) for option in _read_node(node, part)))


def write_cell(cell: Choices) -> str:
    """A cell in the benchmark's notation."""
    nodes: list[str] = ["|", "|", "|"]
    for (source, target), (option,) in zip(EDGES, cell.alive, strict=True):
        nodes[target - 1] += f"{option}~{source}|"
    return "+".join(nodes)


def cell_edges(cell: Choices) -> tuple[Edge, ...]:
    """Every operation between two nodes but `none`."""
    return tuple(
        Edge(source, target, option)
        for (source, target), (option,) in zip(EDGES, cell.alive, strict=True)
        if option != NONE
    )


def cell_drawer(cell: Choices) -> DrawCell:
    """Draws a cell wherever it stands; node sums under `…nodeI`, operations under `…edgeIJ.OPERATION`."""

    def draw_cell(draw: GraphBuilder, name: str, source: str) -> str:
        nodes, shape = [source], draw.shape(source)
        for node in (1, 2, 3):
            operands = [
                _draw_edge(draw, f"{name}.edge{start}{end}", nodes[start], options)
                for (start, end), options in zip(EDGES, cell.alive, strict=True)
                if end == node
            ]
            nodes.append(draw.add(f"{name}.node{node}", tuple(o for o in operands if o is not None), shape))
        return nodes[-1]

    return draw_cell


# --- cells that are equal -----------------------------------------------------------------------


def representative(cell: Choices) -> Choices:
    """The cheapest deployed member of a cell's live class (ties: first in notation)."""
    alive = without_dead_edges(cell)
    return _representatives(_convolutions(options_of(alive)))[alive]


def cheapest_form(cell: Choices) -> Choices:
    """The cheapest deployed cell that computes the same function (ties: first in notation).

    Functions have several graphs only where a pool is, which is linear: pool(a + b) = pool(a) + pool(b).
    """
    graph = representative(cell)
    options = options_of(graph)
    return _forms(_convolutions(options))[graph] if POOL in options else graph


@cache
def _representatives(convolutions: tuple[str, ...]) -> dict[Choices, Choices]:
    """For every cell without dead edges that has these convolutions, the cheapest of its live class.

    Equal networks have equal live convolutions, so a class never spans two of these groups.
    """
    cells = map(_decided, _options_by_convolutions()[convolutions])
    return _cheapest_of_each(live_key, [cell for cell in cells if without_dead_edges(cell) == cell])


@cache
def _forms(convolutions: tuple[str, ...]) -> dict[Choices, Choices]:
    """For every representative that has these convolutions and a pool, the cheapest that computes its function."""
    graphs = dict.fromkeys(_representatives(convolutions).values())
    return _cheapest_of_each(function_key, [graph for graph in graphs if POOL in options_of(graph)])


def _cheapest_of_each(key: Callable[[Graph], str], cells: Sequence[Choices]) -> dict[Choices, Choices]:
    """For every cell the cheapest deployed one of the same key."""
    classes: dict[str, list[Choices]] = {}
    for cell in cells:
        classes.setdefault(key(_alone(cell)), []).append(cell)

    def price(cell: Choices) -> tuple[tuple[int, int], str]:
        return cost(deploy(_alone(cell))), write_cell(cell)

    cheapest: dict[Choices, Choices] = {}
    for members in classes.values():
        cheapest |= dict.fromkeys(members, min(members, key=price) if len(members) > 1 else members[0])
    return cheapest


def _alone(cell: Choices) -> Graph:
    """One cell that reads the image: equal cells are equal in every skeleton."""
    return Skeleton(channels=4, cells=1, stages=1, stem=False).lower(cell_drawer(cell), Task((4, 4, 4), classes=2))


@cache
def _options_by_convolutions() -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """The options of every cell, by its convolutions."""
    groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for options in product(*CELLS.alive):
        groups.setdefault(_convolutions(options), []).append(options)
    return groups


def _decided(options: Iterable[str]) -> Choices:
    return Choices(tuple((option,) for option in options))


def _convolutions(options: Iterable[str]) -> tuple[str, ...]:
    """The convolutions among a cell's options, sorted."""
    return tuple(sorted([option for option in options if option in _CONVOLUTIONS]))


_CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")


def options_of(cell: Choices) -> tuple[str, ...]:
    """The one option of each edge."""
    return tuple([option for (option,) in cell.alive])


def without_dead_edges(cell: Choices) -> Choices:
    """The same network with `none` on every edge that zero feeds or that feeds nothing."""
    options = options_of(cell)
    fed, needed = {0}, {3}
    for (source, target), option in zip(EDGES, options, strict=True):
        if source in fed and option != NONE:
            fed.add(target)
    for (source, target), option in reversed(tuple(zip(EDGES, options, strict=True))):
        if target in needed and option != NONE:
            needed.add(source)
    return _decided(
        option if source in fed and target in needed else NONE
        for (source, target), option in zip(EDGES, options, strict=True)
    )


# --- notation and drawing -----------------------------------------------------------------------


def _read_node(node: int, text: str) -> list[str]:
    if not (text.startswith("|") and text.endswith("|") and len(text) > 1):
        raise ArchitectureError(f"node {node} is written |op~0|...|, not {shown(text)}; e.g. {EXAMPLE}")
    edges = text[1:-1].split("|")
    if len(edges) != node:
        raise ArchitectureError(
            f"node {node} has {node} incoming edges, not {len(edges)}: {shown(text)}; e.g. {EXAMPLE}"
        )
    return [_read_edge(node, source, edge) for source, edge in enumerate(edges)]


def _read_edge(node: int, source: int, text: str) -> str:
    match = re.fullmatch(rf"(.*)~{source}", text)
    if not match:
        raise ArchitectureError(
            f"edge {source} of node {node} is written op~{source}, not {shown(text)}; e.g. {EXAMPLE}"
        )
    if match[1] not in OPERATIONS:
        near = near_to(match[1], OPERATIONS)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ArchitectureError(f"unknown operation {shown(match[1])}; {hint}there are {', '.join(OPERATIONS)}")
    return match[1]


def _draw_edge(draw: GraphBuilder, name: str, source: str, options: tuple[str, ...]) -> str | None:
    """The value of one edge, None if it is zero; a MEAN over the options if several are alive."""
    values = tuple(
        value for option in options if (value := _draw_option(draw, f"{name}.{option}", source, option)) is not None
    )
    if len(options) == 1:
        return values[0] if values else None
    return draw.mean(f"{name}.mean", values, draw.shape(source), operands=len(options))


def _draw_option(draw: GraphBuilder, name: str, source: str, option: str) -> str | None:
    match option:
        case "none":
            return None
        case "skip_connect":
            return source
        case "avg_pool_3x3":
            return draw.avg_pool(name, source, kernel=3, stride=1, padding=1)
        case "nor_conv_1x1" | "nor_conv_3x3":
            kernel = 1 if option == "nor_conv_1x1" else 3
            conv = draw.conv(f"{name}.conv", draw.relu(f"{name}.relu", source), draw.shape(source)[2], kernel)
            return draw.batch_norm(f"{name}.bn", conv)
        case _:
            raise ArchitectureError(f"unknown operation {shown(option)}; there are {', '.join(OPERATIONS)}")
