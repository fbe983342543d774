"""Network latency = overhead + the sum of its deployed layers, each from the target's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.choices import Removal
from micronas.hardware.breakdown import Breakdown, Cost, total_ms
from micronas.hardware.counted import count_space
from micronas.hardware.options import option_signatures
from micronas.hardware.table import LatencyTable
from micronas.hardware.target import Target
from micronas.indicator import Better, Scores
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Kind, Signature
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
            return f"{signature.kind}{signature.kernel[0]}x{signature.kernel[1]}"
        case _:
            return str(signature.kind)


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
        layers = deploy(graph).operations
        costs = tuple(Cost(layer.name, operation(layer.signature), table[layer.signature]) for layer in layers)
        overhead_ms = table.overhead_of(graph.input_shape)
        error = band(table, [layer.signature for layer in layers])
        return Breakdown(costs, overhead_ms, table.origin, error, table.is_calibrated)


def band(table: LatencyTable, ran: Sequence[Signature]) -> float | None:
    """Relative error to state beside a latency: ±20 %, or ±30 % where pools and adds dominate.

    A calibration's own error takes its place for the share of milliseconds in classes that were measured. None if the
    table is of measurements.
    """
    if table.word is Word.MEASURED:
        return None
    if not table.is_calibrated:
        return _uncalibrated_band(table, ran)
    strange = [signature for signature in ran if operation(signature) not in table.measured_classes]
    share = _milliseconds(table, strange) / _milliseconds(table, ran) if strange else 0.0
    known = (1 - share) * float(table.provenance["calibration_error"])
    return max(LEAST_BAND, known + share * _uncalibrated_band(table, strange))


def _uncalibrated_band(table: LatencyTable, ran: Sequence[Signature]) -> float:
    light = [signature for signature in ran if signature.kind in _MEMORY_BOUND]
    return BAND_OF_MEMORY_BOUND if _milliseconds(table, light) > _milliseconds(table, ran) / 2 else BAND


def _milliseconds(table: LatencyTable, ran: Sequence[Signature]) -> float:
    return sum(table[signature] for signature in ran)
