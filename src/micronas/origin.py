"""Where a number comes from: one of five words, and beside it how exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """How a number was obtained. A simulated one is never called measured."""

    COMPUTED = "computed"
    SIMULATED = "simulated"
    MEASURED = "measured"
    PUBLISHED = "published"
    ASSUMED = "assumed"


@dataclass(frozen=True)
class Origin:
    """What must stand beside a number: the word, and with what it was obtained, "" if there is no more to say."""

    word: Word
    how: str = ""

    def __str__(self) -> str:
        """`simulated: micronas cb79340004a0, timing model 1, uncalibrated`, or just `computed`."""
        return f"{self.word}: {self.how}" if self.how else str(self.word)


COMPUTED = Origin(Word.COMPUTED)
"""Counted or calculated from the network itself, and no more to say."""
