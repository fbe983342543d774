"""Network latency = overhead + the sum of its deployed layers, each from the target's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from micronas.candidate import Candidate
from micronas.hardware.boards.bands import DECIMALS, band_of, band_of_network
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
        found = band_of_network(table, its) if self.at_upper_end else None
        return estimate * found.high if found else estimate

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
        return part_of(estimates * _upper_ends(table, counted) if self.at_upper_end else estimates, start)

    def breakdown(self, graph: Graph) -> Breakdown:
        """Where the latency of a network goes.

        Raises:
            Disconnected: nothing runs.
        """
        layers = deploy(graph).operations
        table = self.board.table_of(layer.signature for layer in layers)
        costs = tuple(Cost(layer.name, layer.signature.operation, table[layer.signature]) for layer in layers)
        overhead_ms = table.overhead_of(graph.input_shape)
        found = band_of_network(table, [layer.signature for layer in layers])
        return Breakdown(costs, overhead_ms, table.origin, found, table.is_calibrated)


def _upper_ends(table: LatencyTable, counted: CountedSpace) -> Scores:
    """How many times the estimate every architecture may need, shape (architectures,); 1 by a table of measurements."""
    if table.word is Word.MEASURED:
        return np.ones(len(counted.connected))

    def layers(times: Callable[[Signature], float]) -> Scores:
        return counted.total(lambda its: table[its] * times(its) if its.kind is not Kind.INPUT else 0.0)

    with np.errstate(invalid="ignore"):  # where nothing runs, infinity by infinity
        ratio = layers(lambda its: band_of(table, its).high) / layers(lambda _: 1.0)
    return np.where(counted.connected, np.round(ratio, DECIMALS), 1.0)


def _operations(graph: Graph) -> Sequence[Signature] | None:
    """What a network runs, one after the other; None if nothing leads to its output."""
    try:
        return [layer.signature for layer in deploy(graph).operations]
    except Disconnected:
        return None
