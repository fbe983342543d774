"""Which limits open choices can still meet: the cheapest connected completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from micronas.choices import Choices
from micronas.indicator import Scores
from micronas.objective import Limit, Unreachable
from micronas.spaces.space import SearchSpace, Skeleton


@dataclass(frozen=True)
class Reach:
    """Answers from one table of every architecture's value, so a question costs a masked minimum.

    For spaces small enough to enumerate (NAS-Bench-201: 15,625). An architecture has the value of
    its class's representative, which is what a search answers with; a disconnected one is never a
    completion.
    """

    space: SearchSpace
    skeleton: Skeleton
    limits: tuple[Limit, ...]

    def allows(self, choices: Choices) -> bool:
        """Whether one connected completion meets every limit."""
        return not self.limits or bool(self._admitted[self._block(choices)].any())

    def check(self, choices: Choices) -> None:
        """Raise `Unreachable`, naming the nearest architecture, unless `allows`."""
        if self.allows(choices):
            return
        for limit, values in zip(self.limits, self._values, strict=True):
            block = values[self._block(choices)]
            lowest = float(block.min())
            if lowest > limit.at_most:
                raise Unreachable(
                    f"no architecture reaches {limit.indicator.name} ≤ {limit.at_most:g} {limit.indicator.unit}; "
                    f"the cheapest, {self.space.format(self.lowest(choices, limit))}, needs {lowest:.4g} "
                    f"{limit.indicator.unit}"
                )
        names = " and ".join(
            f"{limit.indicator.name} ≤ {limit.at_most:g} {limit.indicator.unit}" for limit in self.limits
        )
        raise Unreachable(f"no architecture meets {names} together, though each can be met alone")

    def lowest(self, choices: Choices, limit: Limit) -> Choices:
        """The cheapest connected completion by one limit's indicator."""
        at = self.limits.index(limit)
        block = self._values[at][self._block(choices)]
        picked = np.unravel_index(int(block.argmin()), block.shape)
        return Choices(tuple((options[at],) for options, at in zip(choices.alive, picked, strict=True)))

    def _block(self, choices: Choices) -> tuple[np.ndarray, ...]:
        everything = self.space.everything().alive
        return np.ix_(
            *(
                [full.index(option) for option in options]
                for full, options in zip(everything, choices.alive, strict=True)
            )
        )

    @cached_property
    def _values(self) -> Sequence[Scores]:
        everything = self.space.everything()
        shape = tuple(len(options) for options in everything.alive)
        return [limit.indicator.of_space(self.space, self.skeleton).reshape(shape) for limit in self.limits]

    @cached_property
    def _admitted(self) -> np.ndarray:
        return np.all(
            [values <= limit.at_most for values, limit in zip(self._values, self.limits, strict=True)], axis=0
        )
