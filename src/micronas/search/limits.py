"""Which hard limits choices can still meet, and which networks keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from micronas.budget import budget_of
from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.indicators import Scores
from micronas.objective import Limit, Unreachable
from micronas.search.reach import Bounded, Reach, Table, ValuesOf, reach

LOOKING_AHEAD = "what the limits leave within reach"
"""What a watch is told while limits are looked up; of a whole space's memory the first time takes a while."""

Admitted = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cheapest:
    """The completion that needs least of a limit's indicator.

    Attributes:
        candidate: the completion; a witness, where the space is too large for a proof.
        value: what it needs.
        at_least: what none can go below: the same number where that is proven, else 0, for nothing is known.
    """

    candidate: Candidate
    value: float
    at_least: float

    @property
    def is_proven(self) -> bool:
        """Whether no completion needs less."""
        return self.at_least == self.value


@dataclass(frozen=True)
class Limits:
    """Hard limits on what an open candidate may become. A disconnected network meets none.

    Where that can be enumerated, one table of every network's number makes a question cost a masked minimum. Elsewhere
    whatever is said to be within reach has a witness; that something is out of reach is never proven, and said so.

    Attributes:
        start: what the search begins with, all of the space alive.
        limits: indicator ≤ number.
        values_of: the numbers of decided candidates by any indicator.
    """

    start: Candidate
    limits: tuple[Limit, ...]
    values_of: ValuesOf

    def refuse_unforeseeable(self, search: str) -> None:
        """For searches that must know a limit while decisions are open.

        Raises:
            UserError: a limit is on an indicator that is no sum or maximum over parts of a network.
        """
        for limit in self.afterwards:
            raise UserError(
                f"{search} cannot keep a limit on {limit.indicator.name}, which is known of whole networks only; "
                "search by exact or random"
            )

    def allows(self, candidate: Candidate) -> bool:
        """Whether one connected completion is known that meets every limit that can be foreseen."""
        return not self._foreseen or self._reach.nearest(candidate.choices).excess <= 1

    def check(self, candidate: Candidate) -> None:
        """Raise `Unreachable`, naming the limits that bind and the nearest network, unless `allows`."""
        if not self.allows(candidate):
            raise Unreachable(*self._nearest(candidate))

    def admitted(self, many: Sequence[Candidate]) -> Admitted:
        """Whether each decided network is connected and meets every limit, shape (networks,)."""
        keeps = np.array([one.is_connected for one in many], dtype=np.bool_)
        for limit in self.limits:
            left = np.flatnonzero(keeps)
            keeps[left] = self.values_of(limit.indicator, [many[at] for at in left.tolist()]) <= limit.at_most
        return keeps

    def admits(self, candidate: Candidate) -> bool:
        """Whether one decided network is connected and meets every limit."""
        return bool(self.admitted([candidate])[0])

    def cheapest(self, candidate: Candidate, limit: Limit) -> Cheapest:
        """The completion that needs least of one limit's indicator; among equals the first.

        Raises:
            UserError: the indicator is known of whole networks only.
        """
        if (budget := budget_of(limit.indicator)) is None:
            raise UserError(f"{limit.indicator.name} is known of whole networks only")
        out_of_reach = 1e-9  # so that descents go all the way
        alone = reach(self.start, (Bounded(budget, out_of_reach),), self.values_of)
        nearest = alone.nearest(candidate.choices)
        (value,) = nearest.values
        return Cheapest(candidate.of(nearest.choices), value, value if alone.is_proven else 0.0)

    def witnesses(self) -> tuple[Candidate, ...]:
        """A network that meets all limits, if the descents find one in a space too large for a table."""
        if self._reach.is_proven or not self._foreseen:
            return ()
        found = self.start.of(self._reach.nearest(self.start.choices).choices)
        return (found,) if self.admits(found) else ()

    def representative(self, candidate: Candidate) -> Candidate:
        """The one that stands for all with the same network, if every limit admits it; else the candidate itself.

        It is the cheapest on every board we know, but a board may be timed otherwise.
        """
        return self._if_kept(candidate.canonical, candidate)

    def cheapest_form(self, candidate: Candidate) -> Candidate:
        """The one that costs least of all that compute the same function, if every limit admits it."""
        return self._if_kept(candidate.cheapest_form, candidate)

    def _if_kept(self, form: Candidate, candidate: Candidate) -> Candidate:
        if form == candidate:
            return candidate
        keeps = self.admits if self.afterwards else self.allows
        return form if keeps(form) else candidate

    @cached_property
    def needs(self) -> Mapping[str, Scores]:
        """What each network of a small space needs of the limits that can be foreseen, shape (architectures,) each.

        Infinite where it is disconnected.
        """
        found = self._reach if isinstance(self._reach, Table) else Table(self.start, self._foreseen)
        return {each.budget.name: values.ravel() for each, values in zip(self._foreseen, found.values, strict=True)}

    @cached_property
    def afterwards(self) -> tuple[Limit, ...]:
        """Limits that only whole networks show."""
        return tuple(limit for limit in self.limits if budget_of(limit.indicator) is None)

    @property
    def none_admitted(self) -> str:
        """What to say where limits seemed within reach, and no network keeps them after all."""
        return f"no network that was looked at reaches {_asked(self.limits)}"

    @cached_property
    def _foreseen(self) -> tuple[Bounded, ...]:
        """Limits that are known while decisions are open."""
        return _bounded(self.limits)

    def _binding(self, candidate: Candidate) -> Sequence[Limit]:
        """Of limits that cannot be met together as few as cannot: any one of these left out, the others can."""
        binding = [limit for limit in self.limits if limit not in self.afterwards]
        for limit in tuple(binding):
            others = [each for each in binding if each is not limit]
            if others and reach(self.start, _bounded(others), self.values_of).nearest(candidate.choices).excess > 1:
                binding = others
        return binding

    @cached_property
    def _reach(self) -> Reach:
        return reach(self.start, self._foreseen, self.values_of)

    def _nearest(self, candidate: Candidate) -> tuple[str, Candidate | None]:
        """Which limits bind, and what comes nearest to them."""
        limits = self._binding(candidate)
        found = reach(self.start, _bounded(limits), self.values_of)
        nearest = found.nearest(candidate.choices)
        if np.isinf(nearest.values).any():
            return "none of these architectures has a path from input to output", None
        needs = " and ".join(
            f"{limit.indicator.name} {value:.6g} {limit.indicator.unit}".strip()
            for limit, value in zip(limits, nearest.values, strict=True)
            if value > limit.at_most
        )
        kind, near = "cheapest" if len(limits) == 1 else "nearest", candidate.of(nearest.choices)
        if found.is_proven:
            return f"no architecture reaches {_asked(limits)}; the {kind}, {near.text}, needs {needs}", near
        return (
            f"no architecture was found that reaches {_asked(limits)}; the {kind} found, {near.text}, needs {needs}; "
            f"{self.start.space.name} has {self.start.space.size:,} networks, too many to prove that there is none"
        ), near


def _bounded(limits: Sequence[Limit]) -> tuple[Bounded, ...]:
    pairs = ((budget_of(limit.indicator), limit.at_most) for limit in limits)
    return tuple(Bounded(budget, at_most) for budget, at_most in pairs if budget is not None)


def _asked(limits: Sequence[Limit]) -> str:
    """`latency ≤ 300 ms and sram ≤ 131072 bytes`."""
    return " and ".join(f"{one.indicator.name} ≤ {one.at_most:.6g} {one.indicator.unit}".strip() for one in limits)
