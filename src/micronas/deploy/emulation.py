"""What runs of a whole network as firmware showed, in the emulator or on a board, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from micronas.origin import Origin, Word

ORIGIN = Origin(Word.SIMULATED, "the firmware image, run from reset to halt, priced kernel by kernel")
"""Of every cycle and millisecond of an `Emulation`."""


@dataclass(frozen=True)
class Emulation:
    """One simulated inference of one image.

    Attributes:
        target: the board's name.
        cycles, instructions: from reset to halt, start-up included.
        latency_ms: those cycles at the board's clock. Simulated.
        logits: what the image computed, and `matches_reference`: whether the integer reference computes the same.
        arena_bytes: size of the arena's symbol: number (B) of the memory model.
        statics: bytes of every other variable, by name.
        stack_bytes: how deep the stack went.
        flash_bytes: code and constants.
        by_layer: cycles of each layer, what follows its kernel included; the first entry is `start-up`.
        by_cause: cycles by what they are lost to.
    """

    target: str
    cycles: float
    instructions: int
    latency_ms: float
    logits: tuple[int, ...]
    matches_reference: bool
    arena_bytes: int
    statics: Mapping[str, int]
    stack_bytes: int
    flash_bytes: int
    by_layer: Mapping[str, float]
    by_cause: Mapping[str, float]

    @property
    def sram_bytes(self) -> int:
        """Number (C) of the memory model: arena, statics and the stack that was used."""
        return self.arena_bytes + sum(self.statics.values()) + self.stack_bytes


ON_BOARD = Origin(Word.MEASURED, "on the board, by its own counter of core cycles")
"""Of every millisecond of a `BoardRun`."""


@dataclass(frozen=True)
class BoardRun:
    """Inferences that a board counted, their logits checked against the integer reference's. Measured.

    Attributes:
        target: the board's name.
        runs: how many, after one to warm up.
        median_ms, least_ms: of one inference, at the board's clock.
        image: what names the image; another network, other weights, kernels or start-up code are another one.
        compiler: of the image.
    """

    target: str
    runs: int
    median_ms: float
    least_ms: float
    image: str
    compiler: str
