"""What an outcome is made of: an indicator's number, a limit and what is needed of it, places among all networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from micronas.origin import Origin


def said_of(origin: Origin) -> dict[str, object]:
    """How a number was obtained, as plain data beside it."""
    return {"origin": str(origin.word), "how": origin.how}


@dataclass(frozen=True)
class Reading:
    """One indicator's number, and what must be said beside it; a network that cannot be scored has None."""

    value: float | None
    unit: str
    origin: Origin
    caveat: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        caveat = {"caveat": self.caveat} if self.caveat else {}
        return {"value": self.value, "unit": self.unit, **said_of(self.origin), **caveat}


class Verdict(StrEnum):
    """Whether a network keeps a limit, as far as its number is known."""

    FITS = "fits"
    IF_RIGHT = "fits if the estimate is right"
    NOT = "does not fit"


@dataclass(frozen=True)
class Kept:
    """A limit, and what the network needs of it.

    Attributes:
        indicator: its name.
        at_most: the limit, in `unit`.
        reached: what the network needs by the estimate; None if it is disconnected.
        unit: the indicator's.
        whose: "asked", or what of the board it is less: `16 of 240 KiB SRAM1`.
        enforced: whether the search had to keep it.
        upper: the upper end of what it may need, where there is an error band.
    """

    indicator: str
    at_most: float
    reached: float | None
    unit: str
    whose: str = "asked"
    enforced: bool = True
    upper: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether it is kept."""
        if self.reached is None or self.reached > self.at_most:
            return Verdict.NOT
        return Verdict.IF_RIGHT if (self.upper or self.reached) > self.at_most else Verdict.FITS


@dataclass(frozen=True)
class Finalist:
    """An architecture a search compared at its end, and why; of its values, those that are infinite are None."""

    architecture: str
    score: float | None
    values: Mapping[str, float | None]
    hardware_factor: float = 0.0


@dataclass(frozen=True)
class Ranked:
    """A network by its place among all, 1 for the best score, and what it needs of each limit in its unit."""

    architecture: str
    rank: int
    needs: Mapping[str, float]


@dataclass(frozen=True)
class Standing:
    """Where the answer stands among all connected networks, and what the limits keep out.

    Attributes:
        rank: of the answer; 1 is the best score.
        networks: how many there are.
        fitting: how many of them keep all limits; None if a limit is known of single networks only.
        best: the best of all, whatever it needs.
        runners_up: what else keeps all limits, best first.
        without: by limit, the best if that limit alone were dropped.
        more: by limit, the best if that limit alone were a tenth higher.
    """

    rank: int
    networks: int
    fitting: int | None
    best: Ranked
    runners_up: tuple[Ranked, ...] = ()
    without: Mapping[str, Ranked] = field(default_factory=dict[str, Ranked])
    more: Mapping[str, Ranked] = field(default_factory=dict[str, Ranked])

    @property
    def percentile(self) -> float:
        """Of a hundred networks, how many the answer is no worse than."""
        return 100 * (self.networks - self.rank + 1) / self.networks

    @property
    def binding(self) -> tuple[str, ...]:
        """The limits without which the answer would be a better one."""
        return tuple(name for name, other in self.without.items() if other.rank < self.rank)


@dataclass(frozen=True)
class Round:
    """A round of a search: what was struck (decision, option), of how many candidates, and what limits held back."""

    candidates: int
    struck: tuple[tuple[int, str], ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class FrontPoint:
    """A network that none beats in score and in every cost at once; `needs` are in the indicators' units."""

    architecture: str
    score: float
    needs: Mapping[str, float]

    def to_dict(self) -> dict[str, object]:
        """One flat mapping: `latency_ms`, `sram_bytes`, …; an indicator without a unit by its name."""
        return {"architecture": self.architecture, "score": self.score, **self.needs}
