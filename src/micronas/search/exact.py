"""The exact search: score every network of the space, then answer any board and any budget at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from micronas.choices import Choices
from micronas.indicator import Scores
from micronas.objective import Column, Objective, Unreachable, best_first, rank_score
from micronas.search.census import Census, take_census
from micronas.search.reach import Reach
from micronas.search.scoring import SpaceScores
from micronas.search.search import REPEATS, Finalist, SearchResult, Watch, draw_seeds, unwatched
from micronas.spaces.space import SearchSpace, Skeleton
from micronas.store import ScoreStore, default_store

FINALISTS = 10
"""How many of the best are reported."""


@dataclass(frozen=True)
class ExactSearch:
    """Argmax of a score made of ranks (`rank_score`) under hard limits; ranks are over all networks, before limits.

    An indicator's ranks are averaged over all draws: those of one seed, or of an ensemble of seeds (ADR 0004).

    Attributes:
        space: what is searched; small enough to enumerate.
        skeleton: the one deployed; FLOPs and limits refer to it.
        seeds: of weights and random inputs.
        repeats: draws of them for each seed (`draw_seeds`).
        watch: told about progress.
        store: where scores are kept between runs.
    """

    space: SearchSpace
    skeleton: Skeleton
    seeds: tuple[int, ...] = (0,)
    repeats: int = REPEATS
    watch: Watch = unwatched
    store: ScoreStore = field(default_factory=default_store)
    name: str = "exact"

    def run(self, objective: Objective) -> SearchResult:
        """Score what the store does not know, rank, and take the best that every limit admits.

        Raises:
            Unreachable: no connected network meets the limits.
        """
        reach = Reach(self.space, self.skeleton, objective.limits)
        reach.check(self.space.everything())
        table = self.score(objective)
        admitted = reach.admitted[table.census.first[table.census.connected]]
        best = [at for at in best_first(table.score) if admitted[at]]
        if not best:  # reach knows of one, but it is no representative
            raise Unreachable("no network meets the limits in its cheapest form; its board's table is out of order")
        finalists = tuple(table.finalist(at) for at in best[:FINALISTS])
        return SearchResult(
            finalists[0].architecture,
            finalists,
            measured=table.measured,
            notes=tuple(self.store.said),
        )

    def score(self, objective: Objective) -> ScoreTable:
        """The score of every connected network, higher is better."""
        census = take_census(self.space, self.watch)
        scores = SpaceScores(census, self.store, self.watch)
        draws = draw_seeds(self.seeds, self.repeats)
        performance = {
            term.indicator.name: scores.performance(term.indicator, draws)[:, census.connected]
            for term in objective.performance
        }
        columns = [Column(performance[term.indicator.name], term.better, term.weight) for term in objective.performance]
        weighed = [term for term in objective.hardware if term.weight]
        hardware = {
            term.indicator.name: scores.hardware(term.indicator, self.skeleton)[census.connected] for term in weighed
        }
        columns += [Column(hardware[term.indicator.name], term.better, term.weight) for term in weighed]
        return ScoreTable(census, rank_score(columns), performance, hardware)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of the connected networks of a space.

    Attributes:
        census: all networks.
        score: of each connected one, shape (connected,); higher is better.
        values: by performance indicator (draws, connected).
        hardware: by hardware indicator that weighs something (connected,).
    """

    census: Census
    score: Scores
    values: Mapping[str, Scores]
    hardware: Mapping[str, Scores]

    @property
    def measured(self) -> int:
        """How many numbers the scores are made of."""
        return sum(values.size for values in self.values.values())

    def architecture(self, at: int) -> Choices:
        """The representative of a connected network."""
        return self.census.representative(int(self._networks[at]))

    def finalist(self, at: int) -> Finalist:
        """A connected network with its score and its indicators."""
        values = {name: tuple(values[:, at].tolist()) for name, values in self.values.items()}
        return Finalist(self.architecture(at), float(self.score[at]), values)

    @cached_property
    def _networks(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.census.connected)


def score_rows(table: ScoreTable, seeds: Sequence[int], unique: bool) -> str:
    """A score table as the text of a .csv: `architecture`, an indicator and seed a column, `score`.

    The number of a seed is the mean of its draws, as a search reports it, while scores are made of the ranks of single
    draws: with one repeat a seed, all that a score is made of is in its row. Columns of one number for all seeds (live
    FLOPs) have no seed in their name.
    """
    census = table.census
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["architecture", *(f"{name}[{seed}]" for name in table.values for seed in seeds), *table.hardware, "score"]
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
        writer.writerow([census.space.format(everything[at]), *numbers])
    return text.getvalue()
