"""The honest baseline: score architectures drawn at random, keep the best."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from micronas.candidate import Candidate
from micronas.indicators import Scores
from micronas.objective import Column, Objective, Unreachable, best_first, rank_score
from micronas.search.answer import in_cheapest_form
from micronas.search.limits import LOOKING_AHEAD, Limits
from micronas.search.measured import Measured
from micronas.search.search import REPEATS, Finalist, SearchResult, Watch, draw_seeds, unwatched
from micronas.spaces.space import SMALL
from micronas.store import ScoreStore

MOST_DRAWN = 20_000
"""Architectures drawn from a large space before a search makes do with those that keep the limits."""

_AT_ONCE = 64
"""Architectures whose limits are looked at together."""


@dataclass(frozen=True)
class RandomSearch:
    """Uniformly drawn connected architectures within the limits, ranked among each other.

    Attributes:
        seed: of what is drawn from the space, and of weights and random inputs.
        repeats: draws of weights and inputs, as of the other searches (`draw_seeds`).
        samples: how many distinct networks are scored; 54 is what the pruning search looks at.
        watch: told about progress.
        store: where scores are kept between runs; None for the user's own.
    """

    seed: int = 0
    repeats: int = REPEATS
    samples: int = 54
    watch: Watch = unwatched
    store: ScoreStore | None = None
    name: str = "random"

    @property
    def default_terms(self) -> Mapping[str, float]:
        """What weighs how much unless a run says otherwise."""
        return {"ntk": 1.0, "linear-regions": 1.0}

    def run(self, start: Candidate, objective: Objective) -> SearchResult:
        """Draw, score by the ranks of all terms (`rank_score`), take the best.

        Raises:
            UserError: something of the space is struck already, which draws know nothing of.
            Unreachable: no connected architecture that was found meets the limits.
        """
        start.check_is_everything("random search")
        draws = draw_seeds([self.seed], self.repeats)
        with Measured(self.store, self.watch) as measured:
            limits = Limits(start, objective.limits, partial(measured.values, seeds=draws))
            self.watch(0, 1, LOOKING_AHEAD)
            limits.check(start)
            drawn = self._draw(start, limits)
            values = dict[str, Scores]()
            for done, term in enumerate(objective.performance):
                self.watch(done, len(objective.performance), f"{term.indicator.name} of {len(drawn)} networks")
                values[term.indicator.name] = measured.of(term.indicator, drawn, draws)
            columns = [Column(values[term.indicator.name], term.better, term.weight) for term in objective.performance]
            score = rank_score(columns + _hardware(objective, drawn))
            found = [
                Finalist(
                    drawn[at], float(score[at]), {name: tuple(rows[:, at].tolist()) for name, rows in values.items()}
                )
                for at in best_first(score)
            ]
            finalists = in_cheapest_form(found, objective, limits, measured, draws)
        notes = (*measured.notes, *self._found_few(start, drawn))
        return SearchResult(finalists[0].candidate, finalists, measured=measured.needed, notes=notes)

    def _draw(self, start: Candidate, limits: Limits) -> list[Candidate]:
        """Distinct networks in the order drawn; fewer than `samples` if the limits leave fewer."""
        drawn: dict[Candidate, None] = {}
        numbers = _numbers(start.space.size, self.seed)
        while len(drawn) < self.samples and (some := [*islice(numbers, _AT_ONCE)]):
            many = [start.of(start.space.sample(number)) for number in some]
            foreseen = [one for one in many if limits.allows(one)] if start.is_small else many
            for one, admitted in zip(foreseen, limits.admitted(foreseen), strict=True):
                if admitted and len(drawn) < self.samples:
                    drawn[limits.representative(one)] = None
        if not drawn:
            drawn = dict.fromkeys(limits.witnesses())
        if not drawn:
            raise Unreachable(limits.none_admitted)
        return [*drawn]

    def _found_few(self, start: Candidate, drawn: Collection[Candidate]) -> Iterator[str]:
        """That the answer was chosen among fewer than asked for, where that is not for want of networks."""
        size = start.space.size
        if len(drawn) < self.samples and size > SMALL:
            yield (
                f"{len(drawn)} of {self.samples} networks were scored: no more were found within the limits among "
                f"{MOST_DRAWN:,} drawn of {size:,}; a limit with more room leaves more to choose from"
            )


def _hardware(objective: Objective, drawn: list[Candidate]) -> list[Column]:
    graphs = [candidate.graph for candidate in drawn]
    weighed = [term for term in objective.hardware if term.weight]
    return [Column(term.indicator.measure_many(graphs), term.better, term.weight) for term in weighed]


def _numbers(size: int, seed: int) -> Iterator[int]:
    """Numbers below `size`, none twice, in random order: all of them if they are few, else `MOST_DRAWN`."""
    if size <= SMALL:
        yield from np.random.default_rng(seed).permutation(size).tolist()
        return
    chance, seen = random.Random(seed), set[int]()
    for _ in range(MOST_DRAWN):
        number = chance.randrange(size)
        if number not in seen:
            seen.add(number)
            yield number
