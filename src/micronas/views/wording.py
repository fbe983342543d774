"""What pages call things: indicators by their titles, numbers with their units, plurals."""

from __future__ import annotations

from micronas.run.findings import Reading
from micronas.run.outcome import Outcome


def headline(outcome: Outcome) -> str:
    """`nucleo-f746zg: found by exact, seed 0, in 70.3 s`; of a network that was given, what it is."""
    seeds = outcome.run.get("seeds")
    drawn = f"seeds {seeds}" if seeds else f"seed {outcome.seed}"
    how = f"found by {outcome.search}, {drawn}, in {outcome.seconds:.1f} s"
    return f"{outcome.target}: {how if outcome.search else outcome.network}"


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,500 measurements`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def band(low: float, high: float) -> str:
    """`±20 %` of a number that lies between .8 and 1.2 times what is said, `−5/+25 %`, `+0/+30 %`."""
    below, above = (round(100 * (end - 1)) for end in (low, high))
    return f"±{above} %" if below == -above else f"{_signed(below)}/{_signed(above)} %"


def _signed(percent: int) -> str:
    return f"−{-percent}" if percent < 0 else f"+{percent}"


def word_of(outcome: Outcome, name: str, reading: Reading) -> str:
    """`computed`, `simulated −5/+25 %`, `computed; disconnected`."""
    return with_caveat(f"{reading.origin.word}{band_of(outcome, name)}", reading)


def band_of(outcome: Outcome, name: str) -> str:
    """The error band behind a latency, "" for any other number."""
    found = outcome.breakdown.band if name == "latency" and outcome.breakdown else None
    return f" {band(found.low, found.high)}" if found else ""


def with_caveat(origin: str, reading: Reading) -> str:
    """How a number was obtained, and what must be said beside it."""
    return f"{origin}; {reading.caveat}" if reading.caveat else origin
