"""What a search looks for: weighted terms, hard limits, and scores made of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.indicators import Better, Indicator, PerformanceIndicator, Scores

AnIndicator_co = TypeVar("AnIndicator_co", bound=Indicator, covariant=True)


@dataclass(frozen=True)
class Term(Generic[AnIndicator_co]):
    """An indicator, and how much it weighs in its own direction: what is a cost is to be low, what is capacity high."""

    indicator: AnIndicator_co
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise UserError(f"the weight of {self.indicator.name} must be 0 or more, not {self.weight:g}")

    @property
    def better(self) -> Better:
        """Which way is better."""
        return self.indicator.better


@dataclass(frozen=True)
class Limit:
    """A hard limit that every answer keeps: indicator ≤ `at_most`, in the indicator's unit."""

    indicator: Indicator
    at_most: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.at_most) and self.at_most > 0):
            raise UserError(
                f"the limit on {self.indicator.name} must be above 0 {self.indicator.unit}, not {self.at_most:g}"
            )


@dataclass(frozen=True)
class Objective:
    """Performance terms, terms of the deployed network (the paper's hybrid objective, §II-C) and hard limits."""

    performance: tuple[Term[PerformanceIndicator], ...] = ()
    hardware: tuple[Term[Indicator], ...] = ()
    limits: tuple[Limit, ...] = ()

    def with_hardware_scaled(self, factor: float) -> Objective:
        """The same objective with every hardware weight multiplied."""
        return replace(self, hardware=tuple(replace(term, weight=factor * term.weight) for term in self.hardware))


class Unreachable(UserError):
    """No architecture meets the limits; the message names the nearest one and its value.

    Attributes:
        nearest: the architecture that comes nearest, where one is known.
    """

    exit_code = 3

    def __init__(self, message: str, nearest: Candidate | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


def ranks(values: Scores, better: Better) -> Scores:
    """Rank 1 is best, ties share the mean rank; shape of `values`, infinities allowed.

    Raises:
        ValueError: a value is NaN, which no indicator returns.
    """
    if np.isnan(values).any():
        raise ValueError("an indicator returned NaN")
    keys = -better.value * values
    _, where, counts = np.unique(keys, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[where]


@dataclass(frozen=True)
class Column:
    """One term's numbers for every candidate: `values` (draws, candidates), or (candidates,) for one draw."""

    values: Scores
    better: Better
    weight: float

    @property
    def mean_ranks(self) -> Scores:
        """Rank of each candidate, averaged over the draws, shape (candidates,)."""
        return np.mean([ranks(row, self.better) for row in np.atleast_2d(self.values)], axis=0)

    @property
    def shares(self) -> Scores:
        """The share of all candidates that each is no worse than: 1 if best in every draw, 1/n if worst in all."""
        candidates = self.values.shape[-1]
        return (candidates + 1 - self.mean_ranks) / candidates


def rank_score(columns: Sequence[Column]) -> Scores:
    """Σ weight · ln(share) of every candidate: 0 is first in everything, higher is better (ADR 0004).

    The ranking aggregation of AZ-NAS (Lee & Ham, CVPR 2024, eq. 12). A term of weight 0 is left out.
    """
    score = np.zeros(columns[0].values.shape[-1])
    for column in columns:
        if column.weight:
            score += column.weight * np.log(column.shares)
    return score


def best_first(score: Scores) -> list[int]:
    """Positions of the candidates, the highest score first; equals keep their order."""
    return [int(at) for at in np.argsort(-score, kind="stable")]
