"""What a search answers with: its best finalist, in the cheapest form of its function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from micronas.objective import Objective
from micronas.search.limits import Limits
from micronas.search.measured import Measured
from micronas.search.search import Finalist


def in_cheapest_form(
    finalists: Sequence[Finalist], objective: Objective, limits: Limits, measured: Measured, draws: Sequence[int]
) -> tuple[Finalist, ...]:
    """The finalists, best first, the best of them as the graph that costs least of all that compute its function.

    Graphs are what searches compare. Where the best one's function has a cheaper graph, that takes its place, with its
    own measured values: it draws other weights.
    """
    best = finalists[0]
    form = limits.cheapest_form(best.candidate)
    if form == best.candidate:
        return tuple(finalists)
    values = {
        term.indicator.name: tuple(measured.of(term.indicator, [form], draws)[:, 0].tolist())
        for term in objective.performance
    }
    return (replace(best, candidate=form, values=values), *(one for one in finalists[1:] if one.candidate != form))
