"""Judging one network: every indicator's reading, where its latency goes, and how a search came to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from micronas.candidate import Candidate
from micronas.hardware.indicators.breakdown import Breakdown
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Indicator, PerformanceIndicator, origin_of, untrained_of
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.origin import Origin
from micronas.run.findings import Finalist, Ranked, Reading, Round, Standing
from micronas.search.measured import Measured
from micronas.search.search import SearchResult
from micronas.search.standing import Ranked as RankedCandidate


def read_indicators(
    candidate: Candidate,
    indicators: Sequence[Indicator],
    known: Mapping[str, Sequence[float]],
    draws: Sequence[int],
    measured: Measured,
) -> dict[str, Reading]:
    """Every indicator of one network by name.

    Untrained, the class's representative is judged on its probe, as every search does, by the mean of all `draws`
    (seeds of weights and inputs); what a search has measured is `known`, and taken as it is. The other indicators
    judge the network itself as it is deployed.
    """
    readings: dict[str, Reading] = {}
    for indicator in indicators:
        untrained = untrained_of(indicator)
        if untrained is None:
            value = indicator.measure(candidate.graph)
            readings[indicator.name] = _reading(value, indicator.unit, origin_of(indicator, candidate.graph))
        else:
            values = known.get(indicator.name)
            if values is None:  # only then: finding the representative takes a while
                values = measured.of(untrained, [candidate.canonical], draws)[:, 0].tolist()
            readings[indicator.name] = _untrained(untrained, values, len(draws))
    return readings


def break_down(latency: Latency, graph: Graph) -> Breakdown | None:
    """Where the latency goes, None for a disconnected network."""
    try:
        return latency.breakdown(graph)
    except Disconnected:
        return None


def finalists(result: SearchResult) -> tuple[Finalist, ...]:
    """What a search chose from, best first."""
    return tuple(
        Finalist(
            one.candidate.text,
            _finite(one.score),
            {name: _finite(value) for name, value in one.means.items()},
            one.hardware_factor,
        )
        for one in result.finalists
    )


def standing(result: SearchResult) -> Standing | None:
    """Where the answer stands among all networks, if the search knows them."""
    its = result.standing
    return its and Standing(
        its.rank,
        its.networks,
        its.fitting,
        _ranked(its.best),
        tuple(map(_ranked, its.runners_up)),
        {name: _ranked(one) for name, one in its.without.items()},
        {name: _ranked(one) for name, one in its.more.items()},
    )


def _ranked(one: RankedCandidate) -> Ranked:
    return Ranked(one.candidate.text, one.rank, one.needs)


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


def _untrained(indicator: PerformanceIndicator, values: Sequence[float], draws: int) -> Reading:
    mean = f", mean of {draws} draws" if draws > 1 else ""
    origin = replace(indicator.origin, how=f"on {indicator.probe}{mean}")
    return _reading(float(np.mean(values)), indicator.unit, origin, _caveat(indicator, values))


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
