"""A candidate: everything decided about one network, and what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from micronas.errors import UserError
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.spaces.decisions import Choices, Removal
from micronas.spaces.space import SMALL, SearchSpace
from micronas.task import Probe, Task


@dataclass(frozen=True)
class Candidate:
    """One network of a space for a task; or, where decisions are still open, the supernet of all that it may become.

    It lowers itself, once: whatever judges or builds it takes `graph`, or the `probe` it asks for.
    """

    space: SearchSpace
    task: Task
    choices: Choices

    @cached_property
    def graph(self) -> Graph:
        """The network as it is deployed: plain layers.

        Raises:
            OpenDecisions: a decision is open whose options cannot lie side by side.
            UserError: the task's pictures do not fit.
        """
        graph = self.space.lower(self.choices, self.task)
        if not isinstance(graph, Graph):  # pyright: ignore[reportUnnecessaryIsInstance] (a plug-in's may be anything)
            raise UserError(f"{self.space.name}: lower must make a Graph, not {type(graph).__name__}")
        return graph

    def probe(self, probe: Probe) -> Graph:
        """The reduced network that an indicator judges."""
        return self.space.probe(self.choices, probe)

    @cached_property
    def is_connected(self) -> bool:
        """Whether a path leads from the input to the output."""
        try:
            live(self.graph)
        except Disconnected:
            return False
        return True

    @property
    def text(self) -> str:
        """The architecture in its space's notation."""
        return self.space.format(self.choices)

    @property
    def is_small(self) -> bool:
        """Whether all of its space can be enumerated, and with it all that it may become."""
        return max(self.choices.size, self.space.size) <= SMALL

    def check_is_everything(self, who: str) -> None:
        """For `who` looks at all of a space, and would answer for what is struck already.

        Raises:
            UserError: something is.
        """
        if self.choices != self.space.everything():
            raise UserError(f"{who} begins with all of {self.space.name}, not with a part: everything(space, task)")

    def of(self, choices: Choices) -> Candidate:
        """Another one of the same space, for the same task."""
        return replace(self, choices=choices)

    def without(self, *removals: Removal) -> Candidate:
        """The same with options struck."""
        return self.of(self.choices.without(*removals))

    def completions(self) -> Iterator[Candidate]:
        """Every network it may become, in the order of `Choices.completions`."""
        return map(self.of, self.choices.completions())

    @property
    def canonical(self) -> Candidate:
        """The one that stands for all with the same network; this one if it is that."""
        return self._if_other(self.space.canonical(self.choices))

    @property
    def cheapest_form(self) -> Candidate:
        """The one that costs least of all that compute the same function; this one if it is that."""
        return self._if_other(self.space.cheapest_form(self.choices))

    def _if_other(self, choices: Choices) -> Candidate:
        return self if choices == self.choices else self.of(choices)


def everything(space: SearchSpace, task: Task) -> Candidate:
    """All networks of a space: what a search begins with."""
    return Candidate(space, task, space.everything())
