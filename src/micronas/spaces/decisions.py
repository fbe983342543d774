"""What a search has decided so far: the options still alive at each decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

NONE = "none"
"""The option that draws nothing: its decision contributes zero. Not every space has it."""


@dataclass(frozen=True)
class Removal:
    """Striking one option from one decision (an index into `Choices.alive`)."""

    decision: int
    option: str


@dataclass(frozen=True)
class Choices:
    """The options alive at each decision; an architecture has exactly one left everywhere.

    Pruning, exact search and evolution all speak it. Values never change: striking an option
    makes new choices.
    """

    alive: tuple[tuple[str, ...], ...]

    @property
    def is_decided(self) -> bool:
        """Whether one option is left at every decision."""
        return all(len(options) == 1 for options in self.alive)

    @property
    def size(self) -> int:
        """How many architectures these choices still allow."""
        return prod(len(options) for options in self.alive)

    def removals(self) -> tuple[Removal, ...]:
        """Every option that may be struck: those of the open decisions, in order."""
        return tuple(
            Removal(decision, option)
            for decision, options in enumerate(self.alive)
            if len(options) > 1
            for option in options
        )

    def without(self, *removals: Removal) -> Choices:
        """These choices with options struck.

        Raises:
            ValueError: an option is not alive, or the last one of its decision.
        """
        alive = [list(options) for options in self.alive]
        for removal in removals:
            options = alive[removal.decision]
            if options == [removal.option] or removal.option not in options:
                raise ValueError(f"cannot strike {removal.option!r} from decision {removal.decision}: {options} alive")
            options.remove(removal.option)
        return Choices(tuple(tuple(options) for options in alive))

    def fixed(self, decision: int, option: str) -> Choices:
        """These choices with one decision taken."""
        return Choices((*self.alive[:decision], (option,), *self.alive[decision + 1 :]))

    def without_option(self, option: str) -> Choices:
        """These choices with an option struck wherever another is left."""
        return self.without(*(removal for removal in self.removals() if removal.option == option))

    def completion(self, number: int) -> Choices:
        """One architecture these choices still allow, by its place in `completions()`, from 0."""
        picked: list[str] = []
        for options in reversed(self.alive):
            number, at = divmod(number, len(options))
            picked.append(options[at])
        return Choices(tuple((option,) for option in reversed(picked)))

    def completions(self) -> Iterator[Choices]:
        """Every architecture these choices still allow, in lexicographic order of the options."""
        for options in product(*self.alive):
            yield Choices(tuple((option,) for option in options))
