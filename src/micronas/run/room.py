"""The room that a board leaves a network: its memory, less what is reserved for the application."""

from __future__ import annotations

from dataclasses import dataclass

from micronas.errors import UserError
from micronas.hardware.boards.board import Target

RESERVED = {"sram": 16 * 1024, "flash": 64 * 1024}
"""Bytes left to an application by default (stack, statics, its code), or an eighth of the memory if that is less."""

_FLAG = {"sram": "--reserve-sram", "flash": "--reserve-flash"}


@dataclass(frozen=True)
class Room:
    """What an indicator may need on a board.

    Attributes:
        indicator: its name, `sram` or `flash`.
        memory: what the memory is called.
        size_bytes: of the memory.
        reserved_bytes: of it, for the application.
    """

    indicator: str
    memory: str
    size_bytes: int
    reserved_bytes: int

    @property
    def at_most(self) -> int:
        """Bytes left to the network."""
        return self.size_bytes - self.reserved_bytes

    def __str__(self) -> str:
        """`16 of 240 KiB SRAM1`: what of it is reserved."""
        reserved, size = (f"{size / 1024:,.1f}".removesuffix(".0") for size in (self.reserved_bytes, self.size_bytes))
        return f"{reserved} of {size} KiB {self.memory}"


def rooms_of(target: Target, reserve_sram: int | None = None, reserve_flash: int | None = None) -> tuple[Room, ...]:
    """Of a board's largest contiguous SRAM region, which an arena must fit, and of its flash.

    Raises:
        UserError: a reserve below 0, or that leaves nothing.
    """
    region = target.arena_region
    return (
        _room("sram", region.name, region.size_bytes, reserve_sram),
        _room("flash", "flash", target.flash_bytes, reserve_flash),
    )


def _room(indicator: str, memory: str, size_bytes: int, reserve: int | None) -> Room:
    reserved = min(RESERVED[indicator], size_bytes // 8) if reserve is None else reserve
    if not 0 <= reserved < size_bytes:
        raise UserError(
            f"a reserve of {reserved / 1024:,.1f} KiB leaves nothing of {memory} ({size_bytes / 1024:,.1f} KiB); "
            f"give {_FLAG[indicator]} less"
        )
    return Room(indicator, memory, size_bytes, reserved)
