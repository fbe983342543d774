"""The paper's search (§II-C): strike operations from the supernet until one architecture is left.

Every round ranks each possible removal by what it does to the performance indicators and by the
price of the option struck, and strikes one operation on every edge. With hardware weights 0 it
is the search of TE-NAS (Chen et al., 2021, Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from micronas.choices import NONE, Choices, Removal
from micronas.indicator import Better, HardwareIndicator, PerformanceIndicator, Scores
from micronas.objective import Objective, Term, best_first, ranks
from micronas.search.measurements import Measurements
from micronas.search.reach import Reach
from micronas.search.search import REPEATS, Finalist, SearchResult, Step, Watch, draw_seeds, unwatched
from micronas.spaces.space import SearchSpace, Skeleton

HARDWARE_FACTORS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Under a limit, the hardware weights are tried at each of these multiples (the paper's adaption)."""


@dataclass(frozen=True)
class PruningSearch:
    """Hardware-aware pruning by rank.

    Attributes:
        space: what is searched.
        skeleton: the one deployed; prices and limits refer to it.
        seed: of weights and random inputs.
        repeats: draws of them whose measurements are averaged for every removal (`draw_seeds`).
        watch: told about progress.
    """

    space: SearchSpace
    skeleton: Skeleton
    seed: int = 0
    repeats: int = REPEATS
    watch: Watch = unwatched
    name: str = "pruning"

    def run(self, objective: Objective) -> SearchResult:
        """Prune; under limits, once for every hardware factor, keeping the best by performance alone.

        Raises:
            Unreachable: no connected architecture meets the limits.
        """
        reach = Reach(self.space, self.skeleton, objective.limits)
        start = self._start(reach)
        factors = HARDWARE_FACTORS if objective.limits else (1.0,)
        runs: dict[Choices, tuple[float, tuple[Step, ...]]] = {}
        adapted = _with_limited_terms(objective)
        for number, factor in enumerate(factors):
            progress = _Progress(self.watch, number, len(factors), rounds=_rounds(start))
            pruned, steps = self._prune(adapted.with_hardware_scaled(factor), start, reach, progress)
            runs.setdefault(reach.representative(pruned), (factor, steps))
        finalists = self._compare(objective, {pruned: factor for pruned, (factor, _) in runs.items()})
        winner = finalists[0].architecture
        return SearchResult(winner, finalists, runs[winner][1], measured=len(self._measurements))

    def _start(self, reach: Reach) -> Choices:
        """The supernet: without `none`, as TE-NAS has it, unless the limits need it."""
        everything = self.space.everything()
        reach.check(everything)
        without_none = everything.without_option(NONE)
        return without_none if reach.allows(without_none) else everything

    def _prune(
        self, objective: Objective, choices: Choices, reach: Reach, progress: _Progress
    ) -> tuple[Choices, tuple[Step, ...]]:
        steps: list[Step] = []
        while not choices.is_decided:
            removals = choices.removals()
            progress.tell(len(steps), f"round {len(steps) + 1}: {len(removals)} candidates")
            ordered = self._by_rank(objective, choices, removals)
            choices, step = _strike(choices, ordered, reach)
            steps.append(step)
        progress.tell(len(steps), "decided")
        return choices, tuple(steps)

    def _by_rank(self, objective: Objective, choices: Choices, removals: Sequence[Removal]) -> list[Removal]:
        """The removals, the one to strike first at the front: least Σ weight · rank."""
        total = np.zeros(len(removals))
        for term in objective.performance:
            if term.weight:
                total += term.weight * ranks(self._change(term, choices, removals), term.better)
        for term in objective.hardware:
            if term.weight:
                total += term.weight * ranks(self._prices(term, removals), _best_to_strike(term))
        return [removals[at] for at in np.argsort(total, kind="stable")]

    def _change(self, term: Term[PerformanceIndicator], choices: Choices, removals: Sequence[Removal]) -> Scores:
        """What each removal does to an indicator: (after - before) / |before|, mean over the draws."""
        pruned = [choices.without(removal) for removal in removals]
        values = self._measure(term, [choices, *pruned])
        before, after = values[:, :1], values[:, 1:]
        with np.errstate(invalid="ignore"):  # ∞ - ∞: singular before and after
            change = ((after - before) / abs(before) / self.repeats).sum(axis=0)
        return np.where(np.isnan(change), term.better.worst, change)

    def _measure(self, term: Term[PerformanceIndicator], many: Sequence[Choices]) -> Scores:
        """An indicator of many choices for each draw, shape (draws, choices)."""
        return self._measurements.of(term.indicator, many, draw_seeds([self.seed], self.repeats))

    def _prices(self, term: Term[HardwareIndicator], removals: Sequence[Removal]) -> Scores:
        """The price of the option each removal strikes."""
        return np.array([term.indicator.price(self.space, self.skeleton, removal) for removal in removals])

    def _compare(self, objective: Objective, factors: dict[Choices, float]) -> tuple[Finalist, ...]:
        """Finalists, best first, by Σ weight · rank of the performance terms alone."""
        found = [*factors]
        values = {term.indicator.name: self._measure(term, found) for term in objective.performance}
        means = {name: rows.mean(axis=0) for name, rows in values.items()}
        score = -sum(
            (term.weight * ranks(means[term.indicator.name], term.better) for term in objective.performance),
            start=np.zeros(len(found)),
        )
        return tuple(
            Finalist(
                found[at],
                float(score[at]),
                {name: tuple(rows[:, at].tolist()) for name, rows in values.items()},
                factors[found[at]],
            )
            for at in best_first(score)
        )

    @cached_property
    def _measurements(self) -> Measurements:
        return Measurements(self.space)


def _strike(choices: Choices, ordered: Sequence[Removal], reach: Reach) -> tuple[Choices, Step]:
    """Apply removals one at a time, one on each edge, skipping what would put a limit out of reach."""
    struck: dict[int, Removal] = {}
    skipped: list[Removal] = []
    for removal in ordered:
        if removal.decision in struck:
            continue
        if not reach.allows(choices.without(removal)):
            skipped.append(removal)
            continue
        choices = choices.without(removal)
        struck[removal.decision] = removal
    return choices, Step(tuple(struck.values()), len(ordered), tuple(skipped))


def _best_to_strike(term: Term[HardwareIndicator]) -> Better:
    """Of a cost the dearest option is the best to strike, of a capacity the least."""
    return Better.HIGHER if term.better is Better.LOWER else Better.LOWER


def _with_limited_terms(objective: Objective) -> Objective:
    """The objective in which what is limited also weighs something, for the hardware factors to scale."""
    limited = {limit.indicator.name: limit.indicator for limit in objective.limits}
    weighed = tuple(term for term in objective.hardware if term.weight)
    for term in weighed:
        limited.pop(term.indicator.name, None)
    added = tuple(Term(one) for one in limited.values() if isinstance(one, HardwareIndicator))
    return replace(objective, hardware=weighed + added)


def _rounds(choices: Choices) -> int:
    return max(len(options) for options in choices.alive) - 1


@dataclass(frozen=True)
class _Progress:
    """Rounds of one of several runs, told as one count."""

    watch: Watch
    run: int
    runs: int
    rounds: int

    def tell(self, done: int, what: str) -> None:
        prefix = f"run {self.run + 1} of {self.runs}, " if self.runs > 1 else ""
        self.watch(self.run * self.rounds + done, self.runs * self.rounds, prefix + what)
