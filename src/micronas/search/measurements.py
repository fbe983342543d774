"""Performance indicators of choices, each measured once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micronas.choices import Choices
from micronas.indicator import PerformanceIndicator, Scores
from micronas.spaces.space import SearchSpace


class Measurements:
    """Remembers what was measured, by indicator, seed and choices; measures the rest in one pass."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._known: dict[tuple[PerformanceIndicator, Choices], float] = {}

    def __len__(self) -> int:
        """How many numbers were measured."""
        return len(self._known)

    def of(self, indicator: PerformanceIndicator, many: Sequence[Choices]) -> Scores:
        """The indicator of each choices on its own reduced skeleton, shape (choices,)."""
        missing = [choices for choices in dict.fromkeys(many) if (indicator, choices) not in self._known]
        if missing:
            graphs = [self._space.lower(choices, indicator.skeleton) for choices in missing]
            values = indicator.measure_many(graphs)
            self._known.update({(indicator, choices): float(v) for choices, v in zip(missing, values, strict=True)})
        return np.array([self._known[indicator, choices] for choices in many])
