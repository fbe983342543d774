"""Indicators whose number is known while decisions are still open: what hard limits and prices are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from micronas.candidate import Candidate
from micronas.indicators import Indicator, Scores
from micronas.spaces.decisions import Removal


@runtime_checkable
class Priced(Indicator, Protocol):
    """An indicator of the deployed network that can say what a single option costs (§II-B)."""

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """What the option of each removal alone adds to a network, in the indicator's unit, shape (removals,).

        `start` is open at those decisions; nobody builds a network of it.
        """
        ...


@runtime_checkable
class Budget(Priced, Protocol):
    """One that is a sum or a maximum over parts of a network, so that whole spaces are known at once."""

    def of_all(self, start: Candidate) -> Scores:
        """The number of every network that an open candidate may become, in the order of its `completions()`.

        Shape (completions,); +infinity where no path leads from the input to the output.

        Raises:
            UserError: there are too many to enumerate.
        """
        ...


def priced(indicator: Indicator) -> Priced | None:
    """The indicator, if it can say what single options cost."""
    return indicator if isinstance(indicator, Priced) else None


def budget_of(indicator: Indicator) -> Budget | None:
    """The indicator, if whole spaces of it are known at once."""
    return indicator if isinstance(indicator, Budget) else None
