"""Network latency = overhead + the sum of its deployed layers, each from the target's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from micronas.candidate import Candidate
from micronas.hardware.boards.table import PICOSECONDS, LatencyTable
from micronas.hardware.indicators.breakdown import Breakdown, Cost, total_ms
from micronas.hardware.indicators.counted import CountedSpace, count_space, part_of
from micronas.hardware.indicators.prices import own_operations
from micronas.indicators import Better, Scores
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.origin import Origin, Word
from micronas.spaces.decisions import Removal

BAND = 0.20
"""Relative error to expect of an uncalibrated simulated latency (docs/timing-model.md); an estimate itself."""

BAND_OF_MEMORY_BOUND = 0.30
"""The same where pools and adds dominate: more than half of the milliseconds of the layers."""

LEAST_BAND = 0.01
"""A calibration promises no better: measurements of a few cases never say so much."""

_MEMORY_BOUND = (Kind.AVG_POOL, Kind.MAX_POOL, Kind.GLOBAL_POOL, Kind.ADD, Kind.RELU, Kind.PAD)


class Timed(Protocol):
    """A board on which operations are timed: a `Target` with what its table holds, or one that profiles the rest."""

    def table_of(self, signatures: Iterable[Signature]) -> LatencyTable:
        """The board's table, with these operations in it as far as they can be had."""
        ...


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference on a board, skeleton included; a disconnected network takes +infinity.

    Attributes:
        board: where it runs.
        at_upper_end: the most that the error band allows for, in place of the estimate.

    Raises (on measuring):
        UntimedOperation: the board's table lacks an operation of the network.
    """

    board: Timed
    at_upper_end: bool = False
    name: str = "latency"
    unit: str = "ms"
    better: Better = Better.LOWER

    @property
    def origin(self) -> Origin:
        """`simulated: <runtime>, <timing model>, uncalibrated` or what else the table is."""
        return self.board.table_of(()).origin

    def measure(self, graph: Graph) -> float:
        """Milliseconds of one inference."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Milliseconds of each network, shape (graphs,); what is not timed yet is asked for in one go."""
        networks = [_operations(graph) for graph in graphs]
        table = self.board.table_of(signature for its in networks for signature in its or ())
        return np.array(
            [
                self.better.worst if its is None else self._of(table, table.overhead_of(graph.input_shape), its)
                for graph, its in zip(graphs, networks, strict=True)
            ],
            dtype=np.float64,
        )

    def _of(self, table: LatencyTable, overhead_ms: float, its: Sequence[Signature]) -> float:
        estimate = total_ms(overhead_ms, map(table.__getitem__, its))
        return _upper_end(estimate, band(table, its) or 0.0) if self.at_upper_end else estimate

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """Milliseconds the board pays for each option, at every place where it stands.

        Raises:
            UntimedOperation: the table lacks one of its operations.
        """
        own = [own_operations(start, removal.decision, removal.option) for removal in removals]
        table = self.board.table_of(signature for its in own for signature in its)
        return np.array([sum(table[signature] for signature in its) for its in own], dtype=np.float64)

    def of_all(self, start: Candidate) -> Scores:
        """Milliseconds of every network that `start` may become, shape (completions,); +infinity where disconnected.

        Raises:
            UntimedOperation: the table lacks an operation that one of them runs.
        """
        counted = count_space(start.space, start.task)
        table = self.board.table_of(counted.operations)

        def cost(signature: Signature) -> float:
            return table.overhead_of(signature.out_shape) if signature.kind is Kind.INPUT else table[signature]

        estimates = np.round(counted.total(cost), PICOSECONDS)
        return part_of(_upper_end(estimates, _bands(table, counted)) if self.at_upper_end else estimates, start)

    def breakdown(self, graph: Graph) -> Breakdown:
        """Where the latency of a network goes.

        Raises:
            Disconnected: nothing runs.
        """
        layers = deploy(graph).operations
        table = self.board.table_of(layer.signature for layer in layers)
        costs = tuple(Cost(layer.name, layer.signature.operation, table[layer.signature]) for layer in layers)
        overhead_ms = table.overhead_of(graph.input_shape)
        error = band(table, [layer.signature for layer in layers])
        return Breakdown(costs, overhead_ms, table.origin, error, table.is_calibrated)


_Milliseconds = TypeVar("_Milliseconds", float, Scores)


def _upper_end(estimate: _Milliseconds, error: _Milliseconds) -> _Milliseconds:
    return estimate * (1 + error)


def _bands(table: LatencyTable, counted: CountedSpace) -> Scores:
    """`band` of every architecture, shape (architectures,); 0 for a table of measurements.

    A band depends on the milliseconds of four sorts of operations, so it is summed up sort by sort.
    """
    if table.word is Word.MEASURED:
        return np.zeros(len(counted.connected))

    def summed(wanted: Callable[[Signature], bool]) -> Scores:
        return counted.total(lambda its: table[its] if its.kind is not Kind.INPUT and wanted(its) else 0.0)

    def uncalibrated(wanted: Callable[[Signature], bool]) -> Scores:
        light = summed(lambda its: wanted(its) and its.kind in _MEMORY_BOUND)
        return np.where(light > summed(wanted) / 2, BAND_OF_MEMORY_BOUND, BAND)

    if not table.is_calibrated:
        return uncalibrated(lambda _: True)

    def strange(its: Signature) -> bool:
        return its.operation not in table.measured_classes

    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(summed(strange) / summed(lambda _: True))
    known = (1 - share) * float(table.provenance["calibration_error"])
    return np.maximum(LEAST_BAND, known + share * uncalibrated(strange))


def _operations(graph: Graph) -> Sequence[Signature] | None:
    """What a network runs, one after the other; None if nothing leads to its output."""
    try:
        return [layer.signature for layer in deploy(graph).operations]
    except Disconnected:
        return None


def band(table: LatencyTable, ran: Sequence[Signature]) -> float | None:
    """Relative error to state beside a latency: ±20 %, or ±30 % where pools and adds dominate.

    A calibration's own error takes its place for the share of milliseconds in classes that were measured. None if the
    table is of measurements.
    """
    if table.word is Word.MEASURED:
        return None
    if not table.is_calibrated:
        return _uncalibrated_band(table, ran)
    strange = [signature for signature in ran if signature.operation not in table.measured_classes]
    share = _milliseconds(table, strange) / _milliseconds(table, ran) if strange else 0.0
    known = (1 - share) * float(table.provenance["calibration_error"])
    return max(LEAST_BAND, known + share * _uncalibrated_band(table, strange))


def _uncalibrated_band(table: LatencyTable, ran: Sequence[Signature]) -> float:
    light = [signature for signature in ran if signature.kind in _MEMORY_BOUND]
    return BAND_OF_MEMORY_BOUND if _milliseconds(table, light) > _milliseconds(table, ran) / 2 else BAND


def _milliseconds(table: LatencyTable, ran: Sequence[Signature]) -> float:
    return sum(table[signature] for signature in ran)
