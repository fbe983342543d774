"""The one shape of every judgement: a graph in, a number with a unit and a direction out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Graph
from micronas.origin import COMPUTED, Origin
from micronas.task import REDUCED, Probe

Scores = npt.NDArray[np.float64]


_TITLES = {
    "ntk": "NTK condition number",
    "linear-regions": "linear regions",
    "naswot": "NASWOT",
    "zen-score": "Zen-score",
    "synflow": "SynFlow",
    "flops": "FLOPs",
    "live-flops": "live FLOPs",
    "params": "parameters",
    "layers": "layers with weights",
    "sram": "SRAM",
    "sram-tflm": "SRAM of TFLite-Micro",
}
"""What an indicator is called; others go by their names."""


def titled(name: str) -> str:
    """What an indicator is called."""
    return _TITLES.get(name, name)


class Better(Enum):
    """Which way an indicator improves."""

    LOWER = -1
    HIGHER = 1

    @property
    def worst(self) -> float:
        """What a network scores that cannot be scored (disconnected, singular kernel): ±infinity."""
        return -self.value * float("inf")


class Indicator(Protocol):
    """Graph in, number out: a performance indicator (§II-A) or a hardware indicator (§II-B).

    Laws (`tests/contracts/test_indicators.py`): deterministic; a disconnected network gets
    `better.worst`, or the indicator counts it for what it is; `measure_many` answers as `measure`
    one by one.
    """

    @property
    def name(self) -> str:
        """What a user types."""
        ...

    @property
    def unit(self) -> str:
        """The unit of the number, "" if it has none."""
        ...

    @property
    def better(self) -> Better:
        """Which way is better."""
        ...

    @property
    def origin(self) -> Origin:
        """How the number was obtained: computed, simulated, measured, …, and by what."""
        ...

    def measure(self, graph: Graph) -> float:
        """The number of one network."""
        ...

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The numbers of many networks, shape (graphs,); where being fast is possible, it happens here."""
        ...


@runtime_checkable
class PerformanceIndicator(Indicator, Protocol):
    """An indicator of how well a network will learn, from untrained weights (§II-A)."""

    @property
    def probe(self) -> Probe:
        """The reduced network of the literature on which it is measured unless one is asked for."""
        ...

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code: settings, seed, inputs."""
        ...

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing: why it is infinite, or only a bound."""
        ...

    def with_seed(self, seed: int) -> Self:
        """The same indicator with fresh weights and, if they are random, fresh inputs."""
        ...

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The numbers of many networks for several draws, shape (seeds, graphs); what draws share is done once.

        Each row is what `with_seed(seed).measure_many(graphs)` answers; `seed` itself plays no part.
        """
        ...


@runtime_checkable
class Itemised(Indicator, Protocol):
    """An indicator whose number has parts that a page names."""

    def origin_of(self, graph: Graph) -> Origin:
        """Its origin, with the parts of this network's number in `how`."""
        ...


def origin_of(indicator: Indicator, graph: Graph) -> Origin:
    """How the number of this network was obtained."""
    return indicator.origin_of(graph) if isinstance(indicator, Itemised) else indicator.origin


@dataclass(frozen=True, kw_only=True)
class Untrained(ABC):
    """A performance indicator but for its number: what all of them have alike.

    Attributes:
        seed: of the weights, which are drawn by (seed, layer name), and of all else that is random.
        probe: what the networks are meant to be; any graph can be measured.
    """

    seed: int = 0
    probe: Probe = REDUCED

    name = ""
    unit = ""
    better = Better.LOWER
    origin = COMPUTED
    worst_means = "disconnected"
    """Which networks are `better.worst`."""

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        return f"seed {self.seed}"

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return self.worst_means if value == self.better.worst else ""

    def measure(self, graph: Graph) -> float:
        """The number of one network."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The number of each network, shape (graphs,)."""
        return self.measure_draws(graphs, [self.seed])[0]

    @abstractmethod
    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The number of each network for each draw, shape (seeds, graphs)."""


def untrained_of(indicator: Indicator) -> PerformanceIndicator | None:
    """The indicator, if it judges an untrained network, draw by draw; None if it judges what is deployed."""
    if isinstance(indicator, Untrained):  # first: a protocol is asked by looking at every property
        return indicator
    return indicator if isinstance(indicator, PerformanceIndicator) else None
