"""Which limits open choices can still meet: the cheapest connected completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from micronas.choices import Choices
from micronas.indicator import Scores
from micronas.objective import Limit, Unreachable
from micronas.spaces.space import SearchSpace, Skeleton


@dataclass(frozen=True)
class Reach:
    """Answers from one table of every architecture's value, so a question costs a masked minimum.

    For spaces small enough to enumerate (NAS-Bench-201: 15,625). A disconnected architecture has
    infinite values, and is never a completion.
    """

    space: SearchSpace
    skeleton: Skeleton
    limits: tuple[Limit, ...]

    def allows(self, choices: Choices) -> bool:
        """Whether one connected completion meets every limit."""
        return not self.limits or bool((self._excess[self._block(choices)] <= 1).any())

    def check(self, choices: Choices) -> None:
        """Raise `Unreachable`, naming the limits that bind and the nearest architecture, unless `allows`."""
        if not self.allows(choices):
            raise Unreachable(self._nearest(choices))

    def lowest(self, choices: Choices, limit: Limit) -> Choices:
        """The cheapest connected completion by one limit's indicator; among equals the first."""
        costs = self._values[self.limits.index(limit)][self._block(choices)]
        return choices.completion(int(costs.argmin()))

    def representative(self, choices: Choices) -> Choices:
        """What a search answers with: the class's representative, unless only the architecture itself is allowed.

        The representative is the cheapest on every board we know, but a board may be timed otherwise.
        """
        canonical = self.space.canonical(choices)
        return canonical if self.allows(canonical) else choices

    @cached_property
    def admitted(self) -> npt.NDArray[np.bool_]:
        """Whether each architecture meets every limit, shape (architectures,); with limits, only connected ones do."""
        return self._excess.ravel() <= 1

    def _nearest(self, choices: Choices) -> str:
        block = self._block(choices)
        excess = self._excess[block]
        if np.isinf(excess).all():
            return "none of these architectures has a path from input to output"
        nearest = choices.completion(int(excess.argmin()))
        reached = [float(values[block].flat[excess.argmin()]) for values in self._values]
        needs = " and ".join(
            f"{limit.indicator.name} {value:.6g} {limit.indicator.unit}"
            for limit, value in zip(self.limits, reached, strict=True)
            if value > limit.at_most
        )
        asked = " and ".join(
            f"{limit.indicator.name} ≤ {limit.at_most:.6g} {limit.indicator.unit}" for limit in self.limits
        )
        kind = "cheapest" if len(self.limits) == 1 else "nearest"
        return f"no architecture reaches {asked}; the {kind}, {self.space.format(nearest)}, needs {needs}"

    def _block(self, choices: Choices) -> tuple[npt.NDArray[np.intp], ...]:
        pairs = zip(self.space.everything().alive, choices.alive, strict=True)
        return np.ix_(*([every.index(option) for option in alive] for every, alive in pairs))

    @cached_property
    def _values(self) -> Sequence[Scores]:
        """By limit, with one axis for each decision."""
        shape = [len(options) for options in self.space.everything().alive]
        return [limit.indicator.of_space(self.space, self.skeleton).reshape(shape) for limit in self.limits]

    @cached_property
    def _excess(self) -> Scores:
        """How far each architecture is from all limits: the largest value / limit, one axis for each decision."""
        ratios = [values / limit.at_most for values, limit in zip(self._values, self.limits, strict=True)]
        shape = [len(options) for options in self.space.everything().alive]
        return np.max(ratios, axis=0) if ratios else np.zeros(shape)
