"""What a user could ask for instead: where no network keeps the limits, or what is fixed takes most of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from micronas.budget import budget_of
from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.hardware.indicators.compute import LiveFlops
from micronas.network.live import Disconnected
from micronas.objective import Limit

_MUCH = 0.8
"""The share of a limit from which on what is fixed is worth a warning."""


def smaller(nearest: Candidate, limits: Sequence[Limit]) -> str:
    """Which single flag would let the network nearest to some limits keep them all; "" if none is known to.

    Sizes are planned anew; a latency is taken to shrink as the multiply-accumulates do, for timing it would mean to
    profile each of those networks.
    """
    found: dict[str, str] = {}
    for words, space, task in nearest.space.smaller(nearest.task):
        flag = words.split()[0]
        if flag not in found and _keeps(Candidate(space, task, nearest.choices), nearest, limits):
            found[flag] = words
    if not found:
        return ""
    *others, last = found.values()
    return f"{', '.join(others)} or {last}" if others else last


def _keeps(candidate: Candidate, before: Candidate, limits: Sequence[Limit]) -> bool:
    try:
        return all(_estimate(limit, candidate, before) <= limit.at_most for limit in limits)
    except (UserError, Disconnected):
        return False  # the pictures cannot be halved so often, or no kernel of ours computes it


def _estimate(limit: Limit, candidate: Candidate, before: Candidate) -> float:
    if limit.indicator.name != "latency":
        return limit.indicator.measure(candidate.graph)
    macs = LiveFlops()
    return limit.indicator.measure(before.graph) * macs.measure(candidate.graph) / macs.measure(before.graph)


def notes(answer: Candidate, start: Candidate, limits: Sequence[Limit]) -> Iterator[str]:
    """What must be said beside an answer: that it is empty, or that what is fixed takes most of a limit."""
    if answer.space.is_empty(answer.choices):
        yield (
            "the cell that was found is empty, skip connections alone: the limits leave room for little beside what is "
            f"fixed{_instead(answer, limits, ' leaves room: ')}"
        )
    for limit in limits:
        least = _least(start, limit)
        if _MUCH * limit.at_most < least <= limit.at_most:
            yield (
                f"even the smallest network takes {100 * least / limit.at_most:.0f} % of the limit on "
                f"{limit.indicator.name}; {_ways(answer)} leave more to the search"
            )


def _least(start: Candidate, limit: Limit) -> float:
    """What the cheapest connected network of a small space needs; 0 where that is not known."""
    budget = budget_of(limit.indicator)
    return float(np.min(budget.of_all(start))) if budget and start.is_small else 0.0


def _ways(candidate: Candidate) -> str:
    flags = dict.fromkeys(words.split()[0] for words, _, _ in candidate.space.smaller(candidate.task))
    return ", ".join(flags) or "other settings of the space"


def _instead(answer: Candidate, limits: Iterable[Limit], words: str) -> str:
    halved = [Limit(limit.indicator, limit.at_most / 2) for limit in limits]
    found = smaller(answer, halved)
    return f";{words}{found}" if found else ""
