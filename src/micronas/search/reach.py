"""How near open choices can come to hard limits: read from a table where they are few, found where they are not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from micronas.budget import Budget
from micronas.candidate import Candidate
from micronas.indicators import Indicator, Scores
from micronas.spaces.decisions import Choices

ValuesOf = Callable[[Indicator, Sequence[Candidate]], Scores]
"""(indicator, decided candidates) -> their numbers, shape (candidates,)."""

_BEGINNINGS = 8
"""Places from which descents begin."""


@dataclass(frozen=True)
class Bounded:
    """A hard limit that can be foreseen while decisions are open: budget ≤ `at_most`."""

    budget: Budget
    at_most: float


@dataclass(frozen=True)
class Nearest:
    """A connected completion of open choices, near to all limits.

    Attributes:
        choices: decided.
        values: what it needs of each budget; infinite if no completion is connected.
        excess: the largest value / limit: what is at most 1 meets all.
    """

    choices: Choices
    values: tuple[float, ...]
    excess: float


class Reach(Protocol):
    """Finds the completion that is nearest to some limits."""

    @property
    def is_proven(self) -> bool:
        """Whether no completion is nearer than the one found."""
        ...

    def nearest(self, choices: Choices) -> Nearest:
        """The completion nearest to all limits at once; among equals the first."""
        ...


@dataclass(frozen=True)
class Table:
    """For spaces that are small enough to enumerate: every network's number, so a question is a masked minimum."""

    start: Candidate
    limits: tuple[Bounded, ...]
    is_proven: bool = True

    def nearest(self, choices: Choices) -> Nearest:
        """The first completion with the least excess."""
        pairs = zip(self.start.choices.alive, choices.alive, strict=True)
        block = np.ix_(*([every.index(option) for option in alive] for every, alive in pairs))
        excess = self.excess[block]
        at = int(excess.argmin())
        values = tuple(float(each[block].flat[at]) for each in self.values)
        return Nearest(choices.completion(at), values, float(excess.flat[at]))

    @cached_property
    def excess(self) -> Scores:
        """The largest value / limit of each network, one axis for each decision; infinite where disconnected."""
        ratios = [values / limit.at_most for values, limit in zip(self.values, self.limits, strict=True)]
        return np.max(ratios, axis=0) if ratios else np.zeros(self._shape)

    @cached_property
    def values(self) -> Sequence[Scores]:
        """What each network needs of each limit, one axis for each decision; infinite where disconnected."""
        return [limit.budget.of_all(self.start).reshape(self._shape) for limit in self.limits]

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(len(options) for options in self.start.choices.alive)


@dataclass(frozen=True)
class Descents:
    """For spaces too large to enumerate: from several completions down, decision by decision.

    What is found is a witness: a network that needs just that. There may be nearer ones.
    """

    start: Candidate
    limits: tuple[Bounded, ...]
    values_of: ValuesOf
    is_proven: bool = False

    def nearest(self, choices: Choices) -> Nearest:
        """The best end of all descents; the first that meets the limits ends the search."""
        best: Nearest | None = None
        for beginning in _beginnings(choices):
            found = self._descended(choices, beginning)
            if best is None or found.excess < best.excess:
                best = found
            if best.excess <= 1:
                break
        assert best is not None
        return best

    def _descended(self, choices: Choices, beginning: Choices) -> Nearest:
        """Down until no other option of any decision is nearer."""
        (at,) = self._looked_at([beginning])
        before = np.inf
        while 1 < at.excess < before or (at.excess > 1 and before == np.inf):
            before = at.excess
            for decision, options in enumerate(choices.alive):
                others = self._looked_at([at.choices.fixed(decision, option) for option in options])
                at = min((at, *others), key=lambda one: one.excess)
            if np.isinf(at.excess):
                break
        return at

    def _looked_at(self, many: Sequence[Choices]) -> list[Nearest]:
        candidates = [self.start.of(choices) for choices in many]
        values = np.array([self.values_of(limit.budget, candidates) for limit in self.limits], dtype=np.float64)
        values[:, [not one.is_connected for one in candidates]] = np.inf
        excess = (values / np.array([[limit.at_most] for limit in self.limits])).max(axis=0)
        return [
            Nearest(choices, tuple(map(float, values[:, at])), float(excess[at])) for at, choices in enumerate(many)
        ]


def reach(start: Candidate, limits: tuple[Bounded, ...], values_of: ValuesOf) -> Reach:
    """The way that suits what an open candidate may become."""
    return Table(start, limits) if start.is_small else Descents(start, limits, values_of)


def _beginnings(choices: Choices) -> Iterator[Choices]:
    """Completions to begin a descent at: the first, the last, and some drawn."""
    chance = random.Random(0)
    yield choices.completion(0)
    yield choices.completion(choices.size - 1)
    for _ in range(_BEGINNINGS - 2):
        yield choices.completion(chance.randrange(choices.size))
