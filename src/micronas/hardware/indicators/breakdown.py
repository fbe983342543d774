"""Where a network's latency goes, as plain data: no layers, no table, only names and milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from micronas.hardware.boards.bands import Band
from micronas.hardware.boards.table import PICOSECONDS
from micronas.origin import Origin


def total_ms(overhead_ms: float, milliseconds: Iterable[float]) -> float:
    """Overhead plus layers, to the picosecond: the same number in whatever order a network or a space is summed.

    So a limit equal to a latency that was reported is met by that network.
    """
    return float(np.round(overhead_ms + sum(milliseconds), PICOSECONDS))


@dataclass(frozen=True)
class Cost:
    """What one deployed layer costs: its name, the operation class it is of (`conv3x3`), milliseconds."""

    layer: str
    operation: str
    milliseconds: float

    @property
    def stage(self) -> str:
        """The part of the skeleton the layer stands in: the first word of its name."""
        return self.layer.partition(".")[0]


@dataclass(frozen=True)
class Breakdown:
    """Where a network's latency goes.

    Attributes:
        costs: of each deployed layer, in the order they run.
        overhead_ms: what an inference costs besides its layers.
        origin: how the figures were obtained; belongs beside them wherever they are shown.
        band: what to state beside it, None if the table is of measurements.
        is_calibrated: whether the figures were fitted to measurements on the board.
    """

    costs: tuple[Cost, ...]
    overhead_ms: float
    origin: Origin
    band: Band | None
    is_calibrated: bool = False

    @property
    def latency_ms(self) -> float:
        """Overhead plus all layers."""
        return total_ms(self.overhead_ms, (cost.milliseconds for cost in self.costs))

    @property
    def range_ms(self) -> tuple[float, float]:
        """(lowest, highest) latency within the band."""
        low, high = (self.band.low, self.band.high) if self.band else (1.0, 1.0)
        return self.latency_ms * low, self.latency_ms * high

    def by_operation(self) -> dict[str, float]:
        """Milliseconds of each operation class, the dearest first; overhead is a class where it is not 0."""
        return self._by(lambda cost: cost.operation)

    def by_stage(self) -> dict[str, float]:
        """Milliseconds of the stem, of each stage, of what lies between them and of the head, dearest first."""
        return self._by(lambda cost: cost.stage)

    def by_layer(self) -> dict[str, float]:
        """Milliseconds of each layer, in the order they run."""
        return {cost.layer: cost.milliseconds for cost in self.costs}

    def _by(self, group: Callable[[Cost], str]) -> dict[str, float]:
        sums: dict[str, float] = {"overhead": self.overhead_ms} if self.overhead_ms else {}
        for cost in self.costs:
            sums[group(cost)] = sums.get(group(cost), 0.0) + cost.milliseconds
        return dict(sorted(sums.items(), key=lambda item: -item[1]))
