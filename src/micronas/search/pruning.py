"""The paper's search (§II-C): strike operations from the supernet until one architecture is left.

Every round ranks each possible removal by what it does to the performance indicators and by the
price of the option struck, and strikes one operation on every edge. With hardware weights 0 it
is the search of TE-NAS (Chen et al., 2021, Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from micronas.budget import priced
from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.indicators import Better, Indicator, PerformanceIndicator, Scores
from micronas.objective import Objective, Term, best_first, ranks
from micronas.search.answer import in_cheapest_form
from micronas.search.limits import LOOKING_AHEAD, Limits
from micronas.search.measured import Measured
from micronas.search.search import REPEATS, Finalist, SearchResult, Step, Watch, draw_seeds, unwatched
from micronas.spaces.decisions import NONE, Removal
from micronas.spaces.space import OpenDecisions
from micronas.store import ScoreStore

HARDWARE_FACTORS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Under a limit, the hardware weights are tried at each of these multiples (the paper's adaption)."""


@dataclass(frozen=True)
class PruningSearch:
    """Hardware-aware pruning by rank.

    Attributes:
        seed: of weights and random inputs.
        repeats: draws of them whose measurements are averaged for every removal (`draw_seeds`).
        watch: told about progress.
        store: where scores are kept between runs; None for the user's own.
    """

    seed: int = 0
    repeats: int = REPEATS
    watch: Watch = unwatched
    store: ScoreStore | None = None
    name: str = "pruning"

    @property
    def default_terms(self) -> Mapping[str, float]:
        """What weighs how much unless a run says otherwise."""
        return {"ntk": 1.0, "linear-regions": 1.0}

    def run(self, start: Candidate, objective: Objective) -> SearchResult:
        """Prune; under limits, once for every hardware factor, keeping the best by performance alone.

        Raises:
            UserError: a limit that cannot be foreseen, a weight without a price, decisions whose options cannot lie
                side by side (the message names them), or something of the space is struck already.
            Unreachable: no connected architecture meets the limits.
        """
        start.check_is_everything("pruning search")
        with Measured(self.store, self.watch) as measured:
            limits = Limits(start, objective.limits, partial(measured.values, seeds=self._draws))
            limits.refuse_unforeseeable(self.name)
            _refuse_what_has_no_price(objective)
            self.watch(0, 1, LOOKING_AHEAD)
            supernet = _supernet(start, limits)
            _refuse_what_is_not_parallel(supernet)
            factors = HARDWARE_FACTORS if objective.limits else (1.0,)
            runs: dict[Candidate, tuple[float, tuple[Step, ...]]] = {}
            adapted = _with_limited_terms(objective)
            for number, factor in enumerate(factors):
                progress = _Progress(self.watch, number, len(factors), rounds=_rounds(supernet))
                pruning = _Pruning(adapted.with_hardware_scaled(factor), limits, measured, self._draws, progress)
                pruned, steps = pruning.prune(supernet)
                runs.setdefault(limits.representative(pruned), (factor, steps))
            found = self._compare(objective, {pruned: factor for pruned, (factor, _) in runs.items()}, measured)
            steps = runs[found[0].candidate][1]
            needed = measured.needed
            finalists = in_cheapest_form(found, objective, limits, measured, self._draws)
        return SearchResult(finalists[0].candidate, finalists, steps, measured=needed, notes=measured.notes)

    @property
    def _draws(self) -> tuple[int, ...]:
        return draw_seeds([self.seed], self.repeats)

    def _compare(
        self, objective: Objective, factors: dict[Candidate, float], measured: Measured
    ) -> tuple[Finalist, ...]:
        """Finalists, best first, by Σ weight · rank of the performance terms alone."""
        found = [*factors]
        values = {
            term.indicator.name: measured.of(term.indicator, found, self._draws) for term in objective.performance
        }
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


@dataclass(frozen=True)
class _Pruning:
    """One way down from the supernet, under one objective."""

    objective: Objective
    limits: Limits
    measured: Measured
    draws: tuple[int, ...]
    progress: _Progress

    def prune(self, candidate: Candidate) -> tuple[Candidate, tuple[Step, ...]]:
        """Round by round, until one option is left at every decision."""
        steps: list[Step] = []
        while not candidate.choices.is_decided:
            removals = candidate.choices.removals()
            self.progress.tell(len(steps), f"round {len(steps) + 1}: {len(removals)} candidates")
            candidate, step = _strike(candidate, self._by_rank(candidate, removals), self.limits)
            steps.append(step)
        self.progress.tell(len(steps), "decided")
        return candidate, tuple(steps)

    def _by_rank(self, candidate: Candidate, removals: Sequence[Removal]) -> list[Removal]:
        """The removals, the one to strike first at the front: least Σ weight · rank."""
        total = np.zeros(len(removals))
        for term in self.objective.performance:
            if term.weight:
                total += term.weight * ranks(self._change(term, candidate, removals), term.better)
        for term in self.objective.hardware:
            if term.weight:
                total += term.weight * ranks(_prices(term, candidate, removals), _best_to_strike(term))
        return [removals[at] for at in np.argsort(total, kind="stable")]

    def _change(self, term: Term[PerformanceIndicator], candidate: Candidate, removals: Sequence[Removal]) -> Scores:
        """What each removal does to an indicator: (after - before) / |before|, mean over the draws."""
        pruned = [candidate.without(removal) for removal in removals]
        values = self.measured.of(term.indicator, [candidate, *pruned], self.draws)
        before, after = values[:, :1], values[:, 1:]
        with np.errstate(invalid="ignore"):  # ∞ - ∞: singular before and after
            change = ((after - before) / abs(before) / len(self.draws)).sum(axis=0)
        return np.where(np.isnan(change), term.better.worst, change)


def _supernet(start: Candidate, limits: Limits) -> Candidate:
    """Where pruning begins: without `none`, as TE-NAS has it, unless the limits need it."""
    limits.check(start)
    without_none = start.of(start.choices.without_option(NONE))
    return without_none if limits.allows(without_none) else start


def _strike(candidate: Candidate, ordered: Sequence[Removal], limits: Limits) -> tuple[Candidate, Step]:
    """Apply removals one at a time, one on each edge, skipping what would put a limit out of reach."""
    struck: dict[int, Removal] = {}
    skipped: list[Removal] = []
    for removal in ordered:
        if removal.decision in struck:
            continue
        if not limits.allows(candidate.without(removal)):
            skipped.append(removal)
            continue
        candidate = candidate.without(removal)
        struck[removal.decision] = removal
    return candidate, Step(tuple(struck.values()), len(ordered), tuple(skipped))


def _prices(term: Term[Indicator], candidate: Candidate, removals: Sequence[Removal]) -> Scores:
    """The price of the option each removal strikes."""
    indicator = priced(term.indicator)
    assert indicator is not None, "refused before"
    return indicator.prices(candidate.of(candidate.space.everything()), removals)


def _best_to_strike(term: Term[Indicator]) -> Better:
    """Of a cost the dearest option is the best to strike, of a capacity the least."""
    return Better.HIGHER if term.better is Better.LOWER else Better.LOWER


def _with_limited_terms(objective: Objective) -> Objective:
    """The objective in which what is limited also weighs something, for the hardware factors to scale."""
    weighed = tuple(term for term in objective.hardware if term.weight)
    names = {term.indicator.name for term in weighed}
    limited = {limit.indicator.name: limit.indicator for limit in objective.limits}
    added = (Term(indicator) for name, indicator in limited.items() if name not in names)
    return replace(objective, hardware=(*weighed, *added))


def _refuse_what_has_no_price(objective: Objective) -> None:
    for term in objective.hardware:
        if term.weight and priced(term.indicator) is None:
            raise UserError(f"pruning cannot weigh {term.indicator.name}, which puts no price on single operations")


def _refuse_what_is_not_parallel(supernet: Candidate) -> None:
    """Find out at once whether the space can draw all that is open: else no indicator tells its options apart."""
    try:
        supernet.graph  # noqa: B018 (lowering it is the test)
    except OpenDecisions as error:
        raise UserError(
            f"pruning cannot take {', '.join(error.names)} of {supernet.space.name}, whose options cannot lie side by "
            "side; search by exact or random"
        ) from error


def _rounds(supernet: Candidate) -> int:
    return max(len(options) for options in supernet.choices.alive) - 1


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
