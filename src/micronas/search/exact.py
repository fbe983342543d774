"""The exact search: score every network of the space, then answer any board and any limit at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from micronas.budget import Budget, budget_of
from micronas.candidate import Candidate
from micronas.indicators import Indicator, PerformanceIndicator, Scores, untrained_of
from micronas.network.graph import Graph
from micronas.objective import Column, Objective, Unreachable, best_first, rank_score
from micronas.search.answer import in_cheapest_form
from micronas.search.census import Census, check_countable, take_census
from micronas.search.limits import LOOKING_AHEAD, Limits
from micronas.search.measured import Measured
from micronas.search.search import REPEATS, Finalist, SearchResult, Watch, draw_seeds, unwatched
from micronas.search.standing import stand
from micronas.store import ScoreStore

FINALISTS = 10
"""How many of the best are reported."""

LONG_S = 10.0
"""Scoring that takes longer is announced."""

_AT_ONCE = 32
"""Networks whose limits are looked at together, best first, where a limit is known of whole networks only."""


@dataclass(frozen=True)
class ExactSearch:
    """Argmax of a score made of ranks (`rank_score`) under hard limits; ranks are over all networks, before limits.

    An indicator's ranks are averaged over all draws: those of one seed, or of an ensemble of seeds (ADR 0004).

    Attributes:
        seeds: of weights and random inputs.
        repeats: draws of them for each seed (`draw_seeds`).
        watch: told about progress.
        store: where scores are kept between runs; None for the user's own.
    """

    seeds: tuple[int, ...] = (0,)
    repeats: int = REPEATS
    watch: Watch = unwatched
    store: ScoreStore | None = None
    name: str = "exact"

    @property
    def default_terms(self) -> Mapping[str, float]:
        """What weighs how much unless a run says otherwise."""
        return {"ntk": 1.0, "linear-regions": 1.0, "live-flops": 1.0}

    def run(self, start: Candidate, objective: Objective) -> SearchResult:
        """Score what the store does not know, rank, and take the best that every limit admits.

        Raises:
            UserError: the space is too large to enumerate, or something of it is struck already.
            Unreachable: no connected network meets the limits.
        """
        check_countable(start)
        with Measured(self.store, self.watch) as measured:
            limits = Limits(start, objective.limits, partial(measured.values, seeds=self._draws))
            self.watch(0, 1, LOOKING_AHEAD)
            limits.check(start)
            census = take_census(start, self.watch)
            table = self._score(census, objective, measured)
            needs = self._needs(table, limits, measured)
            best = [at for at, _ in zip(_admitted(table, limits, needs), range(FINALISTS), strict=False)]
            if not best:
                raise Unreachable(limits.none_admitted)
            found = [table.finalist(at) for at in best]
            finalists = in_cheapest_form(found, objective, limits, measured, self._draws)
            standing = stand(best_first(table.score), best, needs, limits.limits, table.candidate)
        return SearchResult(
            finalists[0].candidate, finalists, measured=table.measured, standing=standing, notes=measured.notes
        )

    def front(self, start: Candidate, objective: Objective, costs: Sequence[Budget]) -> tuple[FrontPoint, ...]:
        """The networks within the limits of which none is better scored and in no cost dearer, best first.

        Raises:
            UserError, Unreachable: as `run`.
        """
        check_countable(start)
        with Measured(self.store, self.watch) as measured:
            limits = Limits(start, objective.limits, partial(measured.values, seeds=self._draws))
            limits.check(start)
            table = self._score(take_census(start, self.watch), objective, measured)
            kept = [*_admitted(table, limits, self._needs(table, limits, measured))]
        needs = np.array([_hardware(table.census, cost)[table.census.connected] for cost in costs])
        return tuple(
            FrontPoint(table.candidate(at), float(table.score[at]), tuple(needs[:, at].tolist()))
            for at in _undominated(kept, needs)
        )

    def score(self, start: Candidate, objective: Objective) -> tuple[ScoreTable, tuple[str, ...]]:
        """The score of every connected network, higher is better; and what the user should be told."""
        with Measured(self.store, self.watch) as measured:
            table = self._score(take_census(start, self.watch), objective, measured)
        return table, measured.notes

    def _score(self, census: Census, objective: Objective, measured: Measured) -> ScoreTable:
        self._announce(census, [term.indicator for term in objective.performance], measured)
        performance = {
            term.indicator.name: self._performance(census, term.indicator, measured)[:, census.connected]
            for term in objective.performance
        }
        columns = [Column(performance[term.indicator.name], term.better, term.weight) for term in objective.performance]
        weighed = [term for term in objective.hardware if term.weight]
        hardware = {term.indicator.name: _hardware(census, term.indicator)[census.connected] for term in weighed}
        columns += [Column(hardware[term.indicator.name], term.better, term.weight) for term in weighed]
        return ScoreTable(census, rank_score(columns), performance, hardware)

    def _needs(self, table: ScoreTable, limits: Limits, measured: Measured) -> Mapping[str, Scores]:
        """What each connected network needs of all limits but those that only lowering it would show, (connected,)."""
        census = table.census
        needs = {name: values[census.first[census.connected]] for name, values in limits.needs.items()}
        for limit in limits.afterwards:
            if (untrained := untrained_of(limit.indicator)) is not None:
                values = self._performance(census, untrained, measured)[:, census.connected]
                needs[limit.indicator.name] = values.mean(axis=0)
        return needs

    def _announce(self, census: Census, indicators: Sequence[PerformanceIndicator], measured: Measured) -> None:
        """Say beforehand what scoring will take, if that is long."""
        seconds = sum(measured.seconds_ahead(each, *self._asked(census, each)) for each in indicators)
        if seconds > LONG_S:
            said = (
                f"scoring {len(census):,} networks takes about {seconds:.0f} s, once: later questions find the scores"
            )
            self.watch(0, 0, said)

    def _performance(self, census: Census, indicator: PerformanceIndicator, measured: Measured) -> Scores:
        """A performance indicator of every network on its probe for each draw, shape (draws, networks)."""
        return measured.of_keys(indicator, *self._asked(census, indicator))

    def _asked(
        self, census: Census, indicator: PerformanceIndicator
    ) -> tuple[Sequence[str], Callable[[int], Graph], tuple[int, ...]]:
        """What a memory of scores is asked for: keys, the network of each, draws."""

        def graph(network: int) -> Graph:
            return census.representative(network).probe(indicator.probe)

        return census.keys(indicator.probe, self.watch), graph, self._draws

    @property
    def _draws(self) -> tuple[int, ...]:
        return draw_seeds(self.seeds, self.repeats)


@dataclass(frozen=True)
class FrontPoint:
    """A network of a Pareto front: its score, and what it needs of each cost."""

    candidate: Candidate
    score: float
    needs: tuple[float, ...]


def _undominated(ranked: Sequence[int], needs: Scores) -> Iterator[int]:
    """Of networks, best first, those that need less of something than each better one; needs are (costs, networks)."""
    found: list[int] = []
    for at in ranked:
        if not found or (needs[:, found] > needs[:, [at]]).any(axis=0).all():
            found.append(at)
            yield at


def _hardware(census: Census, indicator: Indicator) -> Scores:
    """An indicator of every network as it is deployed, shape (networks,).

    Nothing of it is kept with the scores: it depends on boards and their tables, and those that matter are quick to
    sum up from the layers of the whole space.
    """
    if budget := budget_of(indicator):
        return budget.of_all(census.start)[census.first]
    return indicator.measure_many([census.representative(network).graph for network in range(len(census))])


def _admitted(table: ScoreTable, limits: Limits, needs: Mapping[str, Scores]) -> Iterator[int]:
    """The connected networks that every limit admits, best first."""
    known = {limit.indicator.name: limit.at_most for limit in limits.limits if limit.indicator.name in needs}
    ranked = [at for at in best_first(table.score) if all(needs[name][at] <= most for name, most in known.items())]
    if len(known) == len(limits.limits):
        yield from ranked
        return
    for first in range(0, len(ranked), _AT_ONCE):
        some = ranked[first : first + _AT_ONCE]
        admitted = limits.admitted([table.candidate(at) for at in some])
        yield from (at for at, kept in zip(some, admitted, strict=True) if kept)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of the connected networks of a space.

    Attributes:
        census: all networks.
        score: of each connected one, shape (connected,); higher is better.
        values: by performance indicator (draws, connected).
        hardware: by indicator of the deployed network that weighs something (connected,).
    """

    census: Census
    score: Scores
    values: Mapping[str, Scores]
    hardware: Mapping[str, Scores]

    @property
    def measured(self) -> int:
        """How many numbers the scores are made of."""
        return sum(values.size for values in self.values.values())

    def candidate(self, at: int) -> Candidate:
        """The representative of a connected network."""
        return self.census.representative(int(self._networks[at]))

    def finalist(self, at: int) -> Finalist:
        """A connected network with its score and its indicators."""
        values = {name: tuple(values[:, at].tolist()) for name, values in self.values.items()}
        return Finalist(self.candidate(at), float(self.score[at]), values)

    @cached_property
    def _networks(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.census.connected)


def score_rows(
    table: ScoreTable, seeds: Sequence[int], unique: bool, more: Mapping[str, Scores] = MappingProxyType({})
) -> str:
    """A score table as the text of a .csv: `architecture`, an indicator and seed a column, `score`.

    The number of a seed is the mean of its draws, as a search reports it, while scores are made of the ranks of single
    draws: with one repeat a seed, all that a score is made of is in its row. Columns of one number for all seeds (live
    FLOPs) have no seed in their name. `more`: further columns of all architectures, infinite where disconnected.
    """
    census = table.census
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "architecture",
            *(f"{name}[{seed}]" for name in table.values for seed in seeds),
            *table.hardware,
            "score",
            *more,
        ]
    )
    by_seed = [values.reshape(len(seeds), -1, values.shape[1]).mean(axis=1) for values in table.values.values()]
    columns = np.vstack([*by_seed, *table.hardware.values(), table.score])
    row_of_network = np.cumsum(census.connected) - 1
    everything = list(census.architectures())
    for at in census.first if unique else range(len(everything)):
        network = census.members[at]
        row = row_of_network[network]
        numbers = (
            [repr(float(value)) for value in columns[:, row]] if census.connected[network] else [""] * len(columns)
        )
        further = [repr(float(values[at])) if np.isfinite(values[at]) else "" for values in more.values()]
        writer.writerow([everything[at].text, *numbers, *further])
    return text.getvalue()
