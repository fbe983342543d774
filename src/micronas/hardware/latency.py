"""Network latency = overhead + the sum of its deployed layers, each from the target's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from micronas.choices import Removal
from micronas.hardware.counted import count_space
from micronas.hardware.options import option_signatures
from micronas.hardware.table import PICOSECONDS, LatencyTable
from micronas.hardware.target import Target
from micronas.indicator import Better, Scores
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Kind, Layer, Signature
from micronas.network.live import Disconnected
from micronas.origin import Origin, Word
from micronas.spaces.space import SearchSpace, Skeleton

BAND = 0.20
"""Relative error to expect of an uncalibrated simulated latency (docs/timing-model.md); an estimate itself."""

BAND_OF_MEMORY_BOUND = 0.30
"""The same where pools and adds dominate: more than half of the milliseconds of the layers."""

LEAST_BAND = 0.01
"""A calibration promises no better: measurements of a few cases never say so much."""

_MEMORY_BOUND = (Kind.AVG_POOL, Kind.MAX_POOL, Kind.GLOBAL_POOL, Kind.ADD, Kind.RELU, Kind.PAD)


def operation(signature: Signature) -> str:
    """The operation class of a signature, whatever its shapes: `conv3x3`, `avg_pool2x2`, `add`, `linear`."""
    match signature.kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.AVG_POOL | Kind.MAX_POOL:
            return f"{signature.kind}{signature.kernel}x{signature.kernel}"
        case _:
            return str(signature.kind)


def total_ms(overhead_ms: float, milliseconds: Iterable[float]) -> float:
    """Overhead plus layers, to the picosecond: the same number in whatever order a network or a space is summed.

    So a limit equal to a latency that was reported is met by that network.
    """
    return float(np.round(overhead_ms + sum(milliseconds), PICOSECONDS))


@dataclass(frozen=True)
class Cost:
    """What one deployed layer costs."""

    layer: Layer
    milliseconds: float

    @property
    def stage(self) -> str:
        """The part of the skeleton the layer stands in: the first word of its name."""
        return self.layer.name.partition(".")[0]


@dataclass(frozen=True)
class Breakdown:
    """Where a network's latency goes.

    Attributes:
        costs: of each deployed layer, in the order they run.
        overhead_ms: what an inference costs besides its layers.
        origin: how the figures were obtained; belongs beside them wherever they are shown.
        band: relative error to state, None if the table is of measurements.
    """

    costs: tuple[Cost, ...]
    overhead_ms: float
    origin: Origin
    band: float | None

    @property
    def latency_ms(self) -> float:
        """Overhead plus all layers."""
        return total_ms(self.overhead_ms, (cost.milliseconds for cost in self.costs))

    @property
    def range_ms(self) -> tuple[float, float]:
        """(lowest, highest) latency within the band."""
        band = self.band or 0.0
        return self.latency_ms * (1 - band), self.latency_ms * (1 + band)

    def by_operation(self) -> dict[str, float]:
        """Milliseconds of each operation class, the dearest first; overhead is a class where it is not 0."""
        return self._by(lambda cost: operation(cost.layer.signature))

    def by_stage(self) -> dict[str, float]:
        """Milliseconds of the stem, of each stage, of what lies between them and of the head, dearest first."""
        return self._by(lambda cost: cost.stage)

    def by_layer(self) -> dict[str, float]:
        """Milliseconds of each layer, in the order they run."""
        return {cost.layer.name: cost.milliseconds for cost in self.costs}

    def _by(self, group: Callable[[Cost], str]) -> dict[str, float]:
        sums: dict[str, float] = {"overhead": self.overhead_ms} if self.overhead_ms else {}
        for cost in self.costs:
            sums[group(cost)] = sums.get(group(cost), 0.0) + cost.milliseconds
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference on a target, skeleton included; a disconnected network takes +infinity.

    Raises (on measuring):
        UntimedOperation: the target's table lacks an operation of the network.
    """

    target: Target
    name: str = "latency"
    unit: str = "ms"
    better: Better = Better.LOWER

    @property
    def origin(self) -> Origin:
        """`simulated: <runtime>, <timing model>, uncalibrated` or what else the table is."""
        return self.target.latency.origin

    def measure(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        try:
            layers = deploy(graph)
        except Disconnected:
            return self.better.worst
        table = self.target.latency
        return total_ms(table.overhead_of(graph.input_shape), (table[layer.signature] for layer in layers.operations))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Milliseconds of each network, shape (graphs,); for whole spaces use `counted`."""
        return np.array([self.measure(graph) for graph in graphs])

    def price(self, space: SearchSpace, skeleton: Skeleton, removal: Removal) -> float:
        """Milliseconds the board pays for one option on one decision, at every place of the cell.

        Raises:
            UntimedOperation: the table lacks one of its operations.
        """
        ran = option_signatures(space, skeleton, removal.decision, removal.option)
        return float(sum(self.target.latency[signature] for signature in ran))

    def of_space(self, space: SearchSpace, skeleton: Skeleton) -> Scores:
        """Milliseconds of every architecture of a space, shape (architectures,); +infinity where disconnected.

        Raises:
            UntimedOperation: the table lacks an operation that one of them runs.
        """
        return count_space(space, skeleton).latency_ms(self.target.latency)

    def breakdown(self, graph: Graph) -> Breakdown:
        """Where the latency of a network goes.

        Raises:
            Disconnected: nothing runs.
        """
        table = self.target.latency
        costs = tuple(Cost(layer, table[layer.signature]) for layer in deploy(graph).operations)
        return Breakdown(costs, table.overhead_of(graph.input_shape), table.origin, band(table, costs))


def band(table: LatencyTable, costs: Sequence[Cost]) -> float | None:
    """Relative error to state beside a latency: ±20 %, or ±30 % where pools and adds dominate.

    A calibration's own error takes its place for the share of milliseconds in classes that were measured. None if the
    table is of measurements.
    """
    if table.word is Word.MEASURED:
        return None
    if not table.is_calibrated:
        return _uncalibrated_band(costs)
    strange = [cost for cost in costs if operation(cost.layer.signature) not in table.measured_classes]
    share = _milliseconds(strange) / _milliseconds(costs) if strange else 0.0
    known = (1 - share) * float(table.provenance["calibration_error"])
    return max(LEAST_BAND, known + share * _uncalibrated_band(strange))


def _uncalibrated_band(costs: Sequence[Cost]) -> float:
    light = [cost for cost in costs if cost.layer.signature.kind in _MEMORY_BOUND]
    return BAND_OF_MEMORY_BOUND if _milliseconds(light) > _milliseconds(costs) / 2 else BAND


def _milliseconds(costs: Sequence[Cost]) -> float:
    return sum(cost.milliseconds for cost in costs)
