"""NAS-Bench-201 (Dong & Yang, 2020): four nodes, six edges, five operations; reads and writes its notation."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache

from micronas.choices import NONE, Choices
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph
from micronas.network.identity import live_key
from micronas.spaces.space import ArchitectureError, Edge, Skeleton

OPERATIONS = (NONE, "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from node, to node) of every decision, in the order of the notation."""

_EXAMPLE = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


@dataclass(frozen=True)
class NasBench201:
    """A cell of four feature maps; every later one sums an operation of each earlier one.

    15,625 strings, 5,260 distinct networks (equal for every weight assignment), one of them
    disconnected.
    """

    name: str = "nasbench201"

    def everything(self) -> Choices:
        """All five operations on all six edges: the supernet."""
        return Choices((OPERATIONS,) * len(EDGES))

    def parse(self, text: str) -> Choices:
        """Read `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; spaces and line breaks do not count.

        Raises:
            ArchitectureError: wrong number of nodes or edges, or an unknown operation.
        """
        nodes = "".join(text.split()).split("+")
        if len(nodes) != 3:
            raise ArchitectureError(
                f"an architecture of {self.name} has 3 nodes joined by '+', not {len(nodes)}; e.g. {_EXAMPLE}"
            )
        return Choices(tuple((option,) for node, part in enumerate(nodes, 1) for option in _read_node(node, part)))

    def format(self, choices: Choices) -> str:
        """Write an architecture in the benchmark's notation."""
        nodes: list[str] = ["|", "|", "|"]
        for (source, target), (option,) in zip(EDGES, choices.alive, strict=True):
            nodes[target - 1] += f"{option}~{source}|"
        return "+".join(nodes)

    def canonical(self, choices: Choices) -> Choices:
        """The cheapest deployed member of the architecture's live class (ties: first in notation)."""
        alive = _without_dead_edges(choices)
        return _representatives(self, _convolutions(alive))[alive]

    def edges(self, choices: Choices) -> tuple[Edge, ...]:
        """The cell as a drawing: every operation between two nodes but `none`."""
        return tuple(
            Edge(source, target, option)
            for (source, target), (option,) in zip(EDGES, choices.alive, strict=True)
            if option != NONE
        )

    def lower(self, choices: Choices, skeleton: Skeleton) -> Graph:
        """The network of these choices; node sums under `…nodeI`, operations under `…edgeIJ.OPERATION`."""

        def draw_cell(draw: GraphBuilder, name: str, source: str) -> str:
            nodes, shape = [source], draw.shape(source)
            for node in (1, 2, 3):
                operands = [
                    _draw_edge(draw, f"{name}.edge{start}{end}", nodes[start], options)
                    for (start, end), options in zip(EDGES, choices.alive, strict=True)
                    if end == node
                ]
                nodes.append(draw.add(f"{name}.node{node}", tuple(o for o in operands if o is not None), shape))
            return nodes[-1]

        return skeleton.lower(draw_cell)


@cache
def _representatives(space: NasBench201, convolutions: tuple[str, ...]) -> dict[Choices, Choices]:
    """For every cell without dead edges that has these convolutions, the one that stands for its class.

    Equal networks have equal live convolutions, so a class never spans two of these groups.
    """
    skeleton = Skeleton(input_shape=(4, 4, 4), classes=2, channels=4, cells=1, stages=1, stem=False)
    classes: dict[str, list[Choices]] = {}
    for choices in _cells_by_convolutions(space)[convolutions]:
        classes.setdefault(live_key(space.lower(choices, skeleton)), []).append(choices)

    def price(choices: Choices) -> tuple[tuple[int, int], str]:
        return cost(deploy(space.lower(choices, skeleton))), space.format(choices)

    representatives: dict[Choices, Choices] = {}
    for members in classes.values():
        cheapest = min(members, key=price) if len(members) > 1 else members[0]
        representatives |= dict.fromkeys(members, cheapest)
    return representatives


@cache
def _cells_by_convolutions(space: NasBench201) -> dict[tuple[str, ...], list[Choices]]:
    groups: dict[tuple[str, ...], list[Choices]] = {}
    for choices in {_without_dead_edges(choices): None for choices in space.everything().completions()}:
        groups.setdefault(_convolutions(choices), []).append(choices)
    return groups


def _convolutions(choices: Choices) -> tuple[str, ...]:
    """The convolutions of a cell, sorted."""
    return tuple(sorted(option for (option,) in choices.alive if option.startswith("nor_conv")))


def _without_dead_edges(choices: Choices) -> Choices:
    """The same network with `none` on every edge that zero feeds or that feeds nothing."""
    options = [option for (option,) in choices.alive]
    fed, needed = {0}, {3}
    for (source, target), option in zip(EDGES, options, strict=True):
        if source in fed and option != NONE:
            fed.add(target)
    for (source, target), option in reversed(tuple(zip(EDGES, options, strict=True))):
        if target in needed and option != NONE:
            needed.add(source)
    return Choices(
        tuple(
            (option if source in fed and target in needed else NONE,)
            for (source, target), option in zip(EDGES, options, strict=True)
        )
    )


def _read_node(node: int, text: str) -> list[str]:
    if not (text.startswith("|") and text.endswith("|") and len(text) > 1):
        raise ArchitectureError(f"node {node} is written |op~0|...|, not {text!r}; e.g. {_EXAMPLE}")
    edges = text[1:-1].split("|")
    if len(edges) != node:
        raise ArchitectureError(f"node {node} has {node} incoming edges, not {len(edges)}: {text!r}; e.g. {_EXAMPLE}")
    return [_read_edge(node, source, edge) for source, edge in enumerate(edges)]


def _read_edge(node: int, source: int, text: str) -> str:
    match = re.fullmatch(r"(.*)~(\d+)", text)
    if not match or int(match[2]) != source:
        raise ArchitectureError(f"edge {source} of node {node} is written op~{source}, not {text!r}; e.g. {_EXAMPLE}")
    if match[1] not in OPERATIONS:
        near = difflib.get_close_matches(match[1], OPERATIONS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ArchitectureError(f"unknown operation {match[1]!r}; {hint}there are {', '.join(OPERATIONS)}")
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
            raise ArchitectureError(f"unknown operation {option!r}; there are {', '.join(OPERATIONS)}")
