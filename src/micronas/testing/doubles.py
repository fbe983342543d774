"""A space of 125 cells and an indicator drawn from names: small enough for brute force and for dozens of runs."""

# ruff: noqa: ARG002 (doubles keep the signatures of their protocols)

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np

from micronas.candidate import Candidate, everything
from micronas.indicators import Better, Scores
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph
from micronas.network.identity import live_key
from micronas.network.live import Disconnected, live
from micronas.origin import COMPUTED, Origin
from micronas.spaces.decisions import NONE, Choices, Removal
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.space import ArchitectureError, SearchSpace
from micronas.task import Probe, Task

TASK = Task((4, 4, 3), classes=2)
PROBE = Probe(TASK.input_shape, channels=2, classes=TASK.classes)

OPTIONS = (NONE, "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class Triangle(SearchSpace):
    """Three nodes, three edges, five operations: 0 to 1, 0 to 2, 1 to 2; one cell of two channels."""

    @property
    def name(self) -> str:
        """What a user types."""
        return "triangle"

    def everything(self) -> Choices:
        """Every operation on every edge."""
        return Choices((OPTIONS,) * 3)

    def parse(self, text: str) -> Choices:
        """Options parted by bars."""
        options = text.split("|")
        if len(options) != 3 or not set(options) <= set(OPTIONS):
            raise ArchitectureError(f"no triangle: {text!r}")
        return Choices(tuple((option,) for option in options))

    def format(self, choices: Choices) -> str:
        """Options parted by bars."""
        return "|".join(option for (option,) in choices.alive)

    def canonical(self, choices: Choices) -> Choices:
        """The cheapest of the live class."""
        return _classes(self)[live_key(self.lower(choices, TASK))]

    def lower(self, choices: Choices, task: Task) -> Graph:
        """One cell of two channels behind a stem."""

        def draw_cell(draw: GraphBuilder, name: str, source: str) -> str:
            shape, nodes = draw.shape(source), [source]
            for node in (1, 2):
                values = [
                    _edge(draw, f"{name}.edge{start}{end}", nodes[start], options)
                    for (start, end), options in zip(EDGES, choices.alive, strict=True)
                    if end == node
                ]
                nodes.append(draw.add(f"{name}.node{node}", tuple(v for v in values if v is not None), shape))
            return nodes[-1]

        return Skeleton(channels=2, cells=1, stages=1).lower(draw_cell, task)


START = everything(Triangle(), TASK)
"""All triangles."""


def _edge(draw: GraphBuilder, name: str, source: str, options: Sequence[str]) -> str | None:
    drawn = [_option(draw, f"{name}.{option}", source, option) for option in options if option != NONE]
    if len(options) == 1:
        return drawn[0] if drawn else None
    return draw.mean(f"{name}.mean", tuple(drawn), draw.shape(source), operands=len(options))


def _option(draw: GraphBuilder, name: str, source: str, option: str) -> str:
    if option == "skip_connect":
        return source
    if option == "avg_pool_3x3":
        return draw.avg_pool(name, source, 3, 1, 1)
    relu = draw.relu(f"{name}.relu", source)
    return draw.batch_norm(f"{name}.bn", draw.conv(f"{name}.conv", relu, draw.shape(source)[2], int(option[-1])))


@cache
def _classes(space: Triangle) -> dict[str, Choices]:
    """The cheapest member of each class by its live key, the disconnected one's the first."""
    classes: dict[str, list[Choices]] = {}
    for choices in space.everything().completions():
        classes.setdefault(live_key(space.lower(choices, TASK)), []).append(choices)

    def price(choices: Choices) -> tuple[int, int]:
        """."""
        try:
            return cost(deploy(space.lower(choices, TASK)))
        except Disconnected:
            return (0, 0)

    return {key: min(members, key=price) for key, members in classes.items()}


@dataclass(frozen=True)
class Drawn:
    """A performance indicator without a network: a number made of the names of the live layers and the seed.

    `asked` lists every graph measured, with the seed.
    """

    name: str = "drawn"
    better: Better = Better.LOWER
    seed: int = 0
    probe: Probe = PROBE
    unit: str = ""
    origin: Origin = COMPUTED
    asked: list[tuple[int, Graph]] = field(default_factory=list[tuple[int, Graph]], compare=False)

    @property
    def fingerprint(self) -> str:
        """Probe and seed."""
        return f"{self.probe}, seed {self.seed}"

    def caveat(self, value: float) -> str:
        """Nothing is ever to be said."""
        return ""

    def with_seed(self, seed: int) -> Self:
        """The same with another seed."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """The number of one network."""
        self.asked.append((self.seed, graph))
        try:
            names = [layer.name for layer in live(graph)]
        except Disconnected:
            return self.better.worst
        return 1.0 + sum(zlib.crc32(f"{self.name} {self.seed} {name}".encode()) % 1000 for name in names) / len(names)

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The number of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The number of each network for each draw, shape (seeds, graphs)."""
        return np.array([self.with_seed(seed).measure_many(graphs) for seed in seeds])


@dataclass(frozen=True)
class Weight:
    """A hardware indicator and budget of the convolutions: 1 for a 1x1, `heavy` for a 3x3, a skip nothing, a pool 2."""

    heavy: float = 9.0
    name: str = "weight"
    unit: str = "kg"
    better: Better = Better.LOWER
    origin: Origin = COMPUTED

    def measure(self, graph: Graph) -> float:
        """The number of one network."""
        try:
            names = [layer.name for layer in live(graph)]
        except Disconnected:
            return self.better.worst
        return 1.0 + sum(self._of(name) for name in names if ".edge" in name and not name.endswith((".bn", ".relu")))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The number of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs])

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """Of the option of each removal alone."""
        return np.array([self._of(removal.option) for removal in removals])

    def of_all(self, start: Candidate) -> Scores:
        """Of every completion; infinite where disconnected."""
        values = self.measure_many([one.graph for one in start.completions()])
        return np.where(np.isfinite(values), values, np.inf)

    def _of(self, name: str) -> float:
        return self.heavy * ("3x3" in name and "conv" in name) + ("1x1" in name) + 2 * ("avg_pool" in name)
