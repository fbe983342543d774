"""What every search takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from micronas.candidate import Candidate
from micronas.objective import Objective
from micronas.search.standing import Standing
from micronas.spaces.decisions import Removal

REPEATS = 3
"""Draws for each seed unless others are asked for: as many as TE-NAS takes the mean of (ADR 0004)."""


def draw_seeds(seeds: Sequence[int], repeats: int) -> tuple[int, ...]:
    """What single draws of weights and inputs are seeded with: repeat r of seed s with s · repeats + r (ADR 0004).

    So different seeds share no draw, and seeds 0 to 4 of three repeats are the fifteen seeds 0 to 14 of one.
    """
    return tuple(seed * repeats + repeat for seed in seeds for repeat in range(repeats))


@dataclass(frozen=True)
class Step:
    """One round: what was struck (in order), out of how many candidates, and what limits held back."""

    struck: tuple[Removal, ...]
    candidates: int
    skipped: tuple[Removal, ...] = ()


@dataclass(frozen=True)
class Finalist:
    """A network a search compared at its end, and why: hardware weight, score, measured values of each draw."""

    candidate: Candidate
    score: float
    values: dict[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    hardware_factor: float = 0.0

    @property
    def means(self) -> dict[str, float]:
        """The measured values, mean of the draws."""
        return {name: float(np.mean(draws)) for name, draws in self.values.items()}


@dataclass(frozen=True)
class SearchResult:
    """The answer, how it came about, and what else was considered.

    Attributes:
        candidate: the network found, in the cheapest form of its function.
        finalists: what the answer was chosen from, best first; the answer is the first.
        steps: the rounds that led to the answer (empty for searches without rounds).
        measured: how many numbers the performance indicators gave, whether now or kept from earlier.
        standing: where the answer stands among all networks, if the search knows them all.
        notes: what else the user should be told, a line each.
    """

    candidate: Candidate
    finalists: tuple[Finalist, ...]
    steps: tuple[Step, ...] = ()
    measured: int = 0
    standing: Standing | None = None
    notes: tuple[str, ...] = ()


class Watch(Protocol):
    """Told how a search gets on."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """`done` of `total` units of work are behind; `what` is a short phrase.

        With a `total` of 0 it is word of what is to come.
        """
        ...


def unwatched(done: int, total: int, what: str) -> None:
    """A `Watch` that looks away."""


class Search(Protocol):
    """Looks for the best architecture of a space under an objective.

    A search is its settings; what it looks through, and for what, it is given when it runs.

    Laws (`tests/contracts/test_searches.py`): the answer is decided and connected; the same seed
    gives the same answer; limits are kept or `Unreachable` is raised.
    """

    @property
    def name(self) -> str:
        """What a user types."""
        ...

    @property
    def default_terms(self) -> Mapping[str, float]:
        """What weighs how much unless a run says otherwise, by the names of the catalog."""
        ...

    def run(self, start: Candidate, objective: Objective) -> SearchResult:
        """Search all of a space (`candidate.everything`); raises `Unreachable` if none of it meets the limits."""
        ...
