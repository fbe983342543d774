"""What a latency may come to on the board: bands of classes of operations, and of all that a network runs.

The band of a network is the mean of its operations' bands, each weighted by its milliseconds: it runs from the sum of
their lowest to the sum of their highest figures, as a board that is slower is so throughout. Overhead takes that mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from micronas.hardware.boards.sheet import sheet_of
from micronas.hardware.boards.table import LatencyTable
from micronas.network.signature import Signature
from micronas.origin import Word
from micronas.texts import read_text

FILE = Path(__file__).with_suffix(".csv")
"""Low, high and evidence by core and class: the one place where they stand."""

LEAST_BAND = 0.01
"""A calibration promises no better: measurements of a few cases never say so much."""

CALIBRATED = "measurements that were left out"
"""The evidence for the band of a calibrated figure."""

DECIMALS = 12
"""Of the end of a band; what is below is the order of summation."""

_ANY = "*"


@dataclass(frozen=True)
class Band:
    """From `low` to `high` times a figure, and what speaks for it."""

    low: float
    high: float
    evidence: str = ""

    @property
    def width(self) -> float:
        """High less low, in shares of the figure."""
        return self.high - self.low

    @staticmethod
    def around(share: float, evidence: str = "") -> Band:
        """As much below as above."""
        return Band(1 - share, 1 + share, evidence)


@cache
def bands() -> Mapping[tuple[str, str], Band]:
    """Every band of the file, by core and class."""
    sheet = sheet_of(FILE, read_text(FILE), ("core", "class", "low", "high", "evidence"))
    return {
        (row["core"], row["class"]): Band(low, high, row["evidence"])
        for (_, row), low, high in zip(sheet.rows, sheet.positive("low"), sheet.positive("high"), strict=True)
    }


@lru_cache(maxsize=4096)
def uncalibrated(core: str, operation: str, kind: str) -> Band:
    """The band of a simulated figure of one class, else of its kind, else of what nothing is known of."""
    known = bands()
    return known.get((core, operation)) or known.get((core, kind)) or known[_ANY, _ANY]


def band_of(table: LatencyTable, signature: Signature) -> Band:
    """The band of one figure of a simulated table.

    A class that a calibration saw has the calibration's own error. Where a board lies is told by the common scale too,
    so a class that it never saw keeps the width of its band alone, about the scaled figure.
    """
    found = uncalibrated(table.provenance.get("core", ""), signature.operation, signature.kind)
    if not table.is_calibrated:
        return found
    error = max(LEAST_BAND, float(table.provenance["calibration_error"]))
    if signature.operation in table.measured_classes:
        return Band.around(error, CALIBRATED)
    return Band.around(max(error, (found.high / found.low) ** 0.5 - 1), found.evidence)


def band_of_network(table: LatencyTable, ran: Iterable[Signature]) -> Band | None:
    """The band of a latency: the mean of its operations' bands by milliseconds. None of a table of measurements."""
    if table.word is Word.MEASURED:
        return None
    return mean((table[signature], band_of(table, signature)) for signature in ran)


def mean(parts: Iterable[tuple[float, Band]]) -> Band:
    """Of (milliseconds, their band): both ends weighted by the milliseconds, every evidence with its share of them."""
    pairs = list(parts)
    total = sum(ms for ms, _ in pairs)
    shares: dict[str, float] = defaultdict(float)
    for ms, band in pairs:
        shares[band.evidence] += ms / total
    low = sum(ms * band.low for ms, band in pairs) / total
    high = sum(ms * band.high for ms, band in pairs) / total
    return Band(round(low, DECIMALS), round(high, DECIMALS), _told(shares))


def _told(shares: Mapping[str, float]) -> str:
    """`no evidence`, `published boards ran … (88 % of the time), no evidence (12 %)`."""
    ranked = [(said, f"{100 * share:.0f} %") for said, share in sorted(shares.items(), key=lambda one: -one[1])]
    (first, most), *others = [one for one in ranked if one[1] != "0 %"]
    if not others:
        return first
    return ", ".join((f"{first} ({most} of the time)", *(f"{said} ({share})" for said, share in others)))
