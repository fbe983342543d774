"""What a command found, as data: every number with its unit and how it was obtained."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from micronas.choices import Choices
from micronas.hardware.latency import Breakdown, Latency
from micronas.indicator import Indicator, PerformanceIndicator
from micronas.network.live import Disconnected
from micronas.origin import Origin, Word
from micronas.search.search import SearchResult
from micronas.spaces.space import SearchSpace, Skeleton

if TYPE_CHECKING:
    from micronas.deploy.emulate import Emulation


@dataclass(frozen=True)
class Reading:
    """One indicator's number, and what must be said beside it; a network that cannot be scored has None."""

    value: float | None
    unit: str
    origin: Origin
    caveat: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        caveat = {"caveat": self.caveat} if self.caveat else {}
        word, how = str(self.origin.word), self.origin.how
        return {"value": self.value, "unit": self.unit, "origin": word, "how": how, **caveat}


@dataclass(frozen=True)
class Kept:
    """A limit that was asked for, and the value reached."""

    indicator: str
    at_most: float
    reached: float
    unit: str

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """An architecture, what it was judged, and all that is needed to get it again.

    Attributes:
        space: the space the architecture is of.
        architecture: the cell.
        skeleton: what it is deployed in.
        target: the board's name.
        indicators: readings by indicator name.
        breakdown: where the latency goes; None for a disconnected network.
        seed: of weights and random inputs.
        run: the request as plain data (`config.Run`); `--repeat` reads it.
        search: name of the search, None if the architecture was given.
        result: how the search came to it.
        seconds: the search alone (or the measuring), without start-up.
        limits: what was asked and what was reached.
        made_from: digests of what the run names but does not hold: the images and the board's latency table.
        misfits: what the board has too little of.
        emulation: the whole network run as firmware, where that was asked for.
        notes: what else the user should be told, a line each.
    """

    space: SearchSpace
    architecture: Choices
    skeleton: Skeleton
    target: str
    indicators: Mapping[str, Reading]
    breakdown: Breakdown | None
    seed: int
    run: Mapping[str, object]
    search: str | None = None
    result: SearchResult | None = None
    seconds: float = 0.0
    limits: Sequence[Kept] = ()
    misfits: Sequence[str] = ()
    made_from: Mapping[str, str] = field(default_factory=dict[str, str])
    emulation: Emulation | None = None
    notes: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The architecture in its space's notation."""
        return self.space.format(self.architecture)

    def to_dict(self) -> dict[str, object]:
        """The result file: plain data, finite numbers only."""
        data: dict[str, object] = {
            "architecture": self.text,
            "indicators": {name: reading.to_dict() for name, reading in self.indicators.items()},
            "latency_ms": self.breakdown.latency_ms if self.breakdown else None,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "target": self.target,
            "search": self.search,
            "space": self.space.name,
            "skeleton": str(self.skeleton),
            "latency": _latency(self.breakdown),
            "limits": [one.to_dict() for one in self.limits],
            "misfits": list(self.misfits),
            "notes": list(self.notes),
            "run": dict(self.run),
            "made_from": dict(self.made_from),
            "versions": versions(),
        }
        if self.emulation:
            data |= _emulated(self.emulation)
        if self.result:
            data |= _how_found(self.space, self.result)
        return data


def versions() -> dict[str, str]:
    """Of the programs that made the numbers."""
    found = {"python": platform.python_version()}
    for name in ("micronas", "numpy", "numba", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_indicators(
    space: SearchSpace,
    architecture: Choices,
    skeleton: Skeleton,
    performance: Sequence[PerformanceIndicator],
    others: Sequence[Indicator],
    known: Mapping[str, Sequence[float]],
    draws: Sequence[int],
) -> dict[str, Reading]:
    """Every indicator of one architecture by name.

    Performance indicators judge the class's representative on their reduced skeleton, as every search does, by the mean
    of all `draws` (seeds of weights and inputs); what a search has measured is `known`, and taken as it is. The others
    judge the architecture itself on the deployed skeleton.
    """
    graph = space.lower(architecture, skeleton)
    readings: dict[str, Reading] = {}
    for one in performance:
        values = known.get(one.name)
        if values is None:  # only then: finding the representative takes a while
            judged = space.lower(space.canonical(architecture), one.skeleton)
            values = one.measure_draws([judged], draws)[:, 0].tolist()
        mean = f", mean of {len(draws)} draws" if len(draws) > 1 else ""
        origin = replace(one.origin, how=f"on {one.skeleton}{mean}")
        readings[one.name] = _reading(float(np.mean(values)), one.unit, origin, _caveat(one, values))
    return readings | {one.name: _reading(one.measure(graph), one.unit, one.origin) for one in others}


def break_down(latency: Latency, space: SearchSpace, architecture: Choices, skeleton: Skeleton) -> Breakdown | None:
    """Where the latency goes, None for a disconnected network."""
    try:
        return latency.breakdown(space.lower(architecture, skeleton))
    except Disconnected:
        return None


def _reading(value: float, unit: str, origin: Origin, caveat: str = "") -> Reading:
    if math.isfinite(value):
        return Reading(value, unit, origin, caveat)
    return Reading(None, unit, origin, caveat or "disconnected")


def _caveat(indicator: PerformanceIndicator, values: Sequence[float]) -> str:
    """What must be said beside the mean of these draws, "" if nothing."""
    caveats = [caveat for value in values if (caveat := indicator.caveat(value))]
    where = f" ({len(caveats)} of {len(values)} draws)" if len(caveats) < len(values) else ""
    return f"{caveats[0]}{where}" if caveats else ""


def _latency(breakdown: Breakdown | None) -> dict[str, object] | None:
    if breakdown is None:
        return None
    low, high = breakdown.range_ms
    return {
        "value": breakdown.latency_ms,
        "unit": "ms",
        "origin": str(breakdown.origin.word),
        "how": breakdown.origin.how,
        "range_ms": [low, high],
        "overhead_ms": breakdown.overhead_ms,
        "by_operation_ms": breakdown.by_operation(),
        "by_stage_ms": breakdown.by_stage(),
        "by_layer_ms": breakdown.by_layer(),
    }


def _emulated(emulation: Emulation) -> dict[str, object]:
    return {
        "emulated_latency_ms": emulation.latency_ms,
        "emulation": {
            "origin": str(Word.SIMULATED),
            "how": "the firmware image, run from reset to halt, priced kernel by kernel",
            "cycles": emulation.cycles,
            "instructions": emulation.instructions,
            "arena_bytes": emulation.arena_bytes,
            "stack_bytes": emulation.stack_bytes,
            "statics_bytes": dict(emulation.statics),
            "sram_bytes": emulation.sram_bytes,
            "flash_bytes": emulation.flash_bytes,
            "logits": list(emulation.logits),
            "matches_reference": emulation.matches_reference,
            "cycles_by_cause": dict(emulation.by_cause),
        },
    }


def _how_found(space: SearchSpace, result: SearchResult) -> dict[str, object]:
    return {
        "measurements": result.measured,
        "finalists": [
            {
                "architecture": space.format(one.architecture),
                "score": one.score,
                "values": {name: value if math.isfinite(value) else None for name, value in one.means.items()},
                "hardware_factor": one.hardware_factor,
            }
            for one in result.finalists
        ],
        "rounds": [
            {
                "candidates": step.candidates,
                "struck": [[removal.decision, removal.option] for removal in step.struck],
                "skipped": [[removal.decision, removal.option] for removal in step.skipped],
            }
            for step in result.steps
        ],
    }
