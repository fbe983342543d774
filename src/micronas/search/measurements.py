"""Performance indicators of choices for several draws, each measured once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from micronas.choices import Choices
from micronas.indicator import PerformanceIndicator, Scores
from micronas.spaces.space import SearchSpace

DRAWS = 16
"""Draws measured in one pass: enough to share, few enough that kernels and images (5 MB each) fit anywhere."""

_Key = TypeVar("_Key")


class Measurements:
    """Remembers what was measured, by indicator, seed and choices; measures the rest in one pass."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._known: dict[PerformanceIndicator, dict[Choices, float]] = {}

    def __len__(self) -> int:
        """How many numbers were measured."""
        return sum(map(len, self._known.values()))

    def of(self, indicator: PerformanceIndicator, many: Sequence[Choices], seeds: Sequence[int]) -> Scores:
        """The indicator of each choices on its own reduced skeleton for each draw, shape (seeds, choices)."""
        known = {seed: self._known.setdefault(indicator.with_seed(seed), {}) for seed in seeds}
        for draws, missing in by_missing_draws(known, many).items():
            graphs = [self._space.lower(choices, indicator.skeleton) for choices in missing]
            for seed, values in zip(draws, indicator.measure_draws(graphs, draws).tolist(), strict=True):
                known[seed].update(zip(missing, values, strict=True))
        return np.array([[known[seed][choices] for choices in many] for seed in seeds])


def by_missing_draws(known: Mapping[int, Container[_Key]], keys: Iterable[_Key]) -> dict[tuple[int, ...], list[_Key]]:
    """Keys by the seeds for which they are not known, `DRAWS` at most: a pass each measures them, and nothing twice."""
    found: dict[tuple[int, ...], list[_Key]] = defaultdict(list)
    for key in dict.fromkeys(keys):
        missing = [seed for seed, those in known.items() if key not in those]
        for start in range(0, len(missing), DRAWS):
            found[tuple(missing[start : start + DRAWS])].append(key)
    return found
