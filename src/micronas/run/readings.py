"""Judging one architecture: every indicator's reading, where its latency goes, and how a search came to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from micronas.choices import Choices
from micronas.hardware.breakdown import Breakdown
from micronas.hardware.latency import Latency
from micronas.indicator import Indicator, PerformanceIndicator
from micronas.network.live import Disconnected
from micronas.origin import Origin
from micronas.run.outcome import Finalist, Reading, Round
from micronas.search.search import SearchResult
from micronas.spaces.space import SearchSpace, Skeleton


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


def finalists(space: SearchSpace, result: SearchResult) -> tuple[Finalist, ...]:
    """What a search chose from, best first."""
    return tuple(
        Finalist(
            space.format(one.architecture),
            _finite(one.score),
            {name: _finite(value) for name, value in one.means.items()},
            one.hardware_factor,
        )
        for one in result.finalists
    )


def rounds(result: SearchResult) -> tuple[Round, ...]:
    """The rounds that led to the answer."""
    return tuple(
        Round(
            step.candidates,
            tuple((removal.decision, removal.option) for removal in step.struck),
            tuple((removal.decision, removal.option) for removal in step.skipped),
        )
        for step in result.steps
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reading(value: float, unit: str, origin: Origin, caveat: str = "") -> Reading:
    if math.isfinite(value):
        return Reading(value, unit, origin, caveat)
    return Reading(None, unit, origin, caveat or "disconnected")


def _caveat(indicator: PerformanceIndicator, values: Sequence[float]) -> str:
    """What must be said beside the mean of these draws, "" if nothing."""
    caveats = [caveat for value in values if (caveat := indicator.caveat(value))]
    where = f" ({len(caveats)} of {len(values)} draws)" if len(caveats) < len(values) else ""
    return f"{caveats[0]}{where}" if caveats else ""
