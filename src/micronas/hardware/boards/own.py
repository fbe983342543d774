"""A board known by four numbers: what it does not say is taken from the nearest bundled chip, and said to be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.sheet import TableError
from micronas.hardware.boards.table import OUR_RUNTIME, LatencyTable, read_table, rounded
from micronas.hardware.boards.target import BUNDLED, load_target, load_untimed, table_path
from micronas.mcu.cores import CORES, core_named
from micronas.mcu.layout import Region
from micronas.quantity import parse_quantity
from micronas.texts import shown


@dataclass(frozen=True)
class OwnBoard:
    """A chip as its data sheet's first page has it.

    Attributes:
        core: like `cortex-m4`.
        clock_hz: of the core.
        sram_bytes: of the largest contiguous region.
        flash_bytes: of all flash.

    Raises:
        UserError: an unknown core, or a number that no microcontroller has.
    """

    core: str
    clock_hz: int
    sram_bytes: int
    flash_bytes: int

    def __post_init__(self) -> None:
        core_named(self.core)
        for what, number, least, most in (
            ("clock", self.clock_hz, 1_000_000, 2_000_000_000),
            ("SRAM", self.sram_bytes, 1024, 64 << 20),
            ("flash", self.flash_bytes, 4096, 512 << 20),
        ):
            if not least <= number <= most:
                raise UserError(f"a {what} of {number:,} is no microcontroller's; expected {least:,} to {most:,}")

    @property
    def name(self) -> str:
        """`cortex-m4-80mhz`: what timings depend on, so boards that differ in memory alone share them."""
        return f"{self.core}-{self.clock_hz / 1e6:g}mhz"

    def target(self) -> Target:
        """The board, with the wait states and caches of the nearest bundled one of that core, and its cycles.

        Latencies are that one's cycles at this clock, together with what was profiled for this board before.
        """
        near = nearest(self.core, self.clock_hz)
        said, assumed = "said by the user", f"assumed: as of {near.name}"
        sources = dict.fromkeys(("core", "clock_hz", "sram", "flash_bytes"), said) | {"flash_origin": assumed}
        return replace(
            near,
            name=self.name,
            title=f"{self.core} at {self.clock_hz / 1e6:g} MHz, memory timing assumed as of {near.name}",
            clock_hz=self.clock_hz,
            sram=(Region("SRAM", near.arena_region.origin, self.sram_bytes),),
            flash_bytes=self.flash_bytes,
            sources=sources | {f"memory.{key}": assumed for key in near.memory},
            latency=self._table(near),
        )

    def _table(self, near: Target) -> LatencyTable:
        table, ratio = near.latency, near.clock_hz / self.clock_hz
        scaled = replace(
            table,
            board=self.name,
            overhead_ms=table.overhead_ms * ratio,
            overhead_ms_per_input_byte=table.overhead_ms_per_input_byte * ratio,
            milliseconds={signature: rounded(cost * ratio) for signature, cost in table.milliseconds.items()},
            provenance={**table.provenance, "clock_hz": str(self.clock_hz)},
        )
        try:
            own = read_table(table_path(self.name, table.runtime))
        except TableError:
            return scaled  # nothing was profiled for it yet
        return scaled.with_more(own.milliseconds) if scaled.agrees_with(own) else scaled


def nearest(core: str, clock_hz: int) -> Target:
    """The bundled board of that core whose clock is nearest, as a ratio, with the table that comes with it."""
    boards = [load_untimed(path) for path in sorted(BUNDLED.glob("*.toml"))]
    alike = [board for board in boards if board.core.name == core]
    near = min(alike, key=lambda board: (abs(math.log(board.clock_hz / clock_hz)), board.name))
    return near.with_latency(read_table(BUNDLED / f"{near.name}.csv"))


_UNITS = {"core": "", "clock": "Hz", "sram": "bytes", "flash": "bytes"}
"""What four words say of a board, and in which unit."""


def read_board(text: str) -> OwnBoard:
    """A board from `core=cortex-m4 clock=80MHz sram=128KiB flash=512KiB`.

    Raises:
        UserError: something is missing, said twice or cannot be read; names all that is wrong.
    """
    pairs = [word.partition("=") for word in text.split()]
    said = {name: value for name, _, value in pairs}
    wrong = [f"{shown(name)} is none of {', '.join(_UNITS)}" for name in said if name not in _UNITS]
    wrong += [f"{name} is missing" for name in _UNITS if not said.get(name)]
    numbers: dict[str, int] = {}
    for name, unit in _UNITS.items():
        if unit and said.get(name):
            try:
                numbers[name] = round(parse_quantity(said[name], unit, f"the {name}"))
            except UserError as error:
                wrong.append(str(error))
    if said.get("core") and said["core"] not in CORES:
        wrong.append(f"unknown core {shown(said['core'])}, known: {', '.join(CORES)}")
    if len(said) < len(pairs):
        wrong.append("something is said twice")
    if wrong:
        raise UserError(f"cannot read a board from {shown(text)}: {'; '.join(wrong)}")
    return OwnBoard(said["core"], numbers["clock"], numbers["sram"], numbers["flash"])


def load_board(text: str, runtime: str = OUR_RUNTIME) -> Target:
    """The board of a run: a name, the path of a .toml, or four numbers (`read_board`).

    Raises:
        UserError: as `load_target` and `read_board`; or another runtime's table, which no such board has.
    """
    if "=" not in text:
        return load_target(text, runtime)
    if runtime != OUR_RUNTIME:
        raise UserError(
            f"{shown(text)} has no table of {runtime}; write its .toml and profile it with that runtime's adapter"
        )
    return read_board(text).target()
