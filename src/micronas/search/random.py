"""The honest baseline: score architectures drawn at random, keep the best."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from micronas.choices import Choices
from micronas.indicator import Scores
from micronas.network.live import Disconnected, live
from micronas.objective import Column, Objective, best_first, rank_score
from micronas.search.measurements import Measurements
from micronas.search.reach import Reach
from micronas.search.search import REPEATS, Finalist, SearchResult, Watch, draw_seeds, unwatched
from micronas.spaces.space import SearchSpace, Skeleton


@dataclass(frozen=True)
class RandomSearch:
    """Uniformly drawn connected architectures within the limits, ranked among each other.

    Attributes:
        seed: of what is drawn from the space, and of weights and random inputs.
        repeats: draws of weights and inputs, as of the other searches (`draw_seeds`).
        samples: how many distinct networks are scored; 54 is what the pruning search looks at.
    """

    space: SearchSpace
    skeleton: Skeleton
    seed: int = 0
    repeats: int = REPEATS
    samples: int = 54
    watch: Watch = unwatched
    name: str = "random"

    def run(self, objective: Objective) -> SearchResult:
        """Draw, score by the ranks of all terms (`rank_score`), take the best.

        Raises:
            Unreachable: no connected architecture meets the limits.
        """
        reach = Reach(self.space, self.skeleton, objective.limits)
        reach.check(self.space.everything())
        drawn = self._draw(reach)
        measurements = Measurements(self.space)
        draws, values = draw_seeds([self.seed], self.repeats), dict[str, Scores]()
        for done, term in enumerate(objective.performance):
            self.watch(done, len(objective.performance), f"{term.indicator.name} of {len(drawn)} networks")
            values[term.indicator.name] = measurements.of(term.indicator, drawn, draws)
        columns = [Column(values[term.indicator.name], term.better, term.weight) for term in objective.performance]
        score = rank_score(columns + self._hardware(objective, drawn))
        finalists = tuple(
            Finalist(drawn[at], float(score[at]), {name: tuple(rows[:, at].tolist()) for name, rows in values.items()})
            for at in best_first(score)
        )
        return SearchResult(finalists[0].architecture, finalists, measured=len(measurements))

    def _hardware(self, objective: Objective, drawn: list[Choices]) -> list[Column]:
        graphs = [self.space.lower(choices, self.skeleton) for choices in drawn]
        weighed = [term for term in objective.hardware if term.weight]
        return [Column(term.indicator.measure_many(graphs), term.better, term.weight) for term in weighed]

    def _draw(self, reach: Reach) -> list[Choices]:
        """Distinct networks in the order drawn; fewer than `samples` if the limits leave fewer."""
        drawn: dict[Choices, None] = {}
        for choices in self._permutation():
            if len(drawn) == self.samples:
                break
            if reach.allows(choices) and self._is_connected(choices):
                drawn[reach.representative(choices)] = None
        return [*drawn]

    def _permutation(self) -> Iterator[Choices]:
        """Every architecture of the space once, in random order."""
        everything = self.space.everything()
        size = math.prod(len(options) for options in everything.alive)
        for number in np.random.default_rng(self.seed).permutation(size):
            yield everything.completion(int(number))

    def _is_connected(self, choices: Choices) -> bool:
        try:
            live(self.space.lower(choices, self.skeleton))
        except Disconnected:
            return False
        return True
