"""A board as its file describes it: `<board>.toml`, read strictly, all that is wrong said at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

from micronas.errors import UserError
from micronas.hardware.boards.table import Grade, LatencyTable, untimed
from micronas.mcu.cores import Core, core_named
from micronas.mcu.layout import Region
from micronas.mcu.memory import MemoryModel
from micronas.network.signature import Signature
from micronas.texts import read_text, read_toml, shown

_FACTS = ("core", "clock_hz", "sram", "flash_bytes", "flash_origin")
_KEYS = ("name", "title", "memory", "sources", *_FACTS)


MEMORY = (
    *("wait_states", "fetch_bytes", "line_bytes", "code_cache_bytes", "data_cache_bytes"),
    *("bus_cycles", "sram_line_cycles"),
)
"""The parameters of a board's [memory], all in core cycles and bytes; `mcu.memory.MemoryModel.of_flash` says what."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""A board's name: it becomes part of file names."""

_LEAST = {"fetch_bytes": 1, "line_bytes": 1}
"""Of these there is no chip with none; of the others 0 says that there is nothing of the kind."""

_MOST = 2**32 - 1
"""Addresses, sizes and hertz of a 32-bit chip."""

_REGION = ("name", "origin", "bytes")
_MOST_REGIONS = 16


class TargetError(UserError):
    """A board that is not known, or whose file cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Target:
    """One board as its data sheet describes it, and what operations cost on it.

    Attributes:
        name: what a user types, e.g. `nucleo-f746zg`.
        title: what the vendor calls it.
        core: the processor.
        clock_hz: of the core; the clock all figures are for.
        sram: contiguous regions. An arena must fit one of them, never their sum.
        flash_bytes: non-volatile memory that holds code and weights.
        flash_origin: its first address.
        memory: what the timing model knows of flash and caches: `MemoryModel.of_flash` takes these names.
        sources: for every fact (and `memory.<parameter>`) the document it is from, or "unverified".
        latency: the table.
        lesser: tables of lesser grades that are kept as well, in the order of use.
    """

    name: str
    title: str
    core: Core
    clock_hz: int
    sram: tuple[Region, ...]
    flash_bytes: int
    flash_origin: int
    memory: Mapping[str, int]
    sources: Mapping[str, str]
    latency: LatencyTable
    lesser: tuple[LatencyTable, ...] = ()

    @property
    def arena_region(self) -> Region:
        """The largest SRAM region: the largest arena fits here, or nowhere."""
        return max(self.sram, key=lambda region: region.size_bytes)

    @property
    def memory_model(self) -> MemoryModel:
        """The board's memory as the timing model takes it."""
        return MemoryModel.of_flash(**self.memory)

    def table_of(self, signatures: Iterable[Signature]) -> LatencyTable:  # noqa: ARG002 (see `latency.Timed`)
        """What is timed on it, whatever is asked for; a `profiled.Bench` times the rest."""
        return self.latency

    def with_latency(self, table: LatencyTable) -> Target:
        """The same board with another table."""
        return replace(self, latency=table)

    def as_simulated(self) -> Target:
        """The same board with the one of its tables that is simulated and not calibrated."""
        raw = (table for table in (self.latency, *self.lesser) if table.grade is Grade.SIMULATED)
        return replace(self, latency=next(raw, untimed(self.name)), lesser=())


@dataclass(frozen=True)
class BoardFile:
    """The content of a board's .toml, not trusted yet."""

    path: Path
    content: Mapping[str, object]
    lines: tuple[str, ...]

    @staticmethod
    def read(path: Path) -> BoardFile:
        """The content of a file."""
        content = read_toml(path, TargetError)
        return BoardFile(path, content, tuple(read_text(path, TargetError).splitlines()))

    def wrong(self, key: str, message: str) -> TargetError:
        """An error that names the line where the key is."""
        at = [number for number, line in enumerate(self.lines, 1) if line.split("=")[0].strip().strip("[]") == key]
        return TargetError(f"{self.path}, line {at[0]}: {message}" if at else f"{self.path}: {message}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self.content.get(key, default)
        if not isinstance(value, str) or not value.strip() or len(value.splitlines()) > 1:
            wrong = f"must be a text of one line, not {shown(value)}"
            raise self.wrong(key, f"{key} {wrong}" if value is not None else f"{key!r} is missing")
        return value

    def name(self) -> str:
        """What a user types; it becomes part of file names."""
        name = self.text("name")
        if not re.fullmatch(NAME, name):
            raise self.wrong("name", f"name must be letters, digits, '.', '_' and '-', not {shown(name)}")
        return name

    def number(self, key: str, content: Mapping[str, object], prefix: str = "", least: int = 1) -> int:
        """A whole number."""
        value = content.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
            limits = f"at least {least}" if not isinstance(value, int) or value < least else f"at most {_MOST:,}"
            wrong = "is missing" if value is None else f"must be a whole number of {limits}, not {shown(value)}"
            raise self.wrong(key, f"{prefix}{key} {wrong}")
        return value

    def table(self, key: str) -> dict[str, object]:
        """A table."""
        value = self.content.get(key)
        if not isinstance(value, dict):
            raise self.wrong(
                key, f"[{key}] is missing" if value is None else f"{key} must be a table, as [{key}] begins"
            )
        return cast("dict[str, object]", value)

    def region(self, part: Mapping[str, object]) -> Region:
        """One region of SRAM."""
        name = part.get("name")
        if not isinstance(name, str):
            raise self.wrong("sram", "each [[sram]] has a name, an origin and bytes")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,30}", name):  # it is written into linker scripts
            raise self.wrong("sram", f"sram: a name is letters, digits and '_', not {shown(name)}")
        origin = self.number("origin", part, f"sram {name}: ", least=0)
        region = Region(name, origin, self.number("bytes", part, f"sram {name}: "))
        if unknown := [key for key in part if key not in _REGION]:
            raise self.wrong("sram", f"unknown key sram.{shown(unknown[0])[1:-1]}; there are {', '.join(_REGION)}")
        if region.end > _MOST + 1:
            raise self.wrong("sram", f"sram {name}: its end, {region.end:#x}, is beyond 32 bits")
        return region

    def sram(self) -> tuple[Region, ...]:
        """All regions."""
        parts = self.content.get("sram")
        if not isinstance(parts, list) or not parts:
            raise self.wrong("sram", "no [[sram]] region")
        found = cast("list[object]", parts)
        if len(found) > _MOST_REGIONS:
            raise self.wrong("sram", f"{len(found)} [[sram]] regions; no chip has more than {_MOST_REGIONS}")
        regions = [self.region(cast("dict[str, object]", part) if isinstance(part, dict) else {}) for part in found]
        names = ["FLASH", *(region.name for region in regions)]  # the linker's names of all memories
        if twice := [name for name in names if names.count(name) > 1]:
            raise self.wrong("sram", f"two regions of memory {twice[0]}; give each [[sram]] a name of its own")
        in_order = sorted(regions, key=lambda region: region.origin)
        for before, after in pairwise(in_order):
            if before.end > after.origin:
                raise self.wrong("sram", f"sram {before.name} and {after.name} overlap at {after.origin:#x}")
        return tuple(regions)

    def memory(self) -> dict[str, int]:
        """The parameters of the timing model."""
        found = self.table("memory")
        if unknown := [key for key in found if key not in MEMORY]:
            raise self.wrong(unknown[0], f"unknown key memory.{shown(unknown[0])[1:-1]}; there are {', '.join(MEMORY)}")
        return {key: self.number(key, found, "memory.", least=_LEAST.get(key, 0)) for key in MEMORY}

    def source(self, fact: str) -> str:
        """Where a fact is from."""
        found = self.table("sources").get(fact)
        if not found:
            raise self.wrong("sources", f'sources does not say where {fact} is from; write "unverified" if unknown')
        if not isinstance(found, str) or len(found.splitlines()) > 1:
            raise self.wrong(fact, f"sources.{fact} must be a text of one line, not {shown(found)}")
        return found

    def sources(self) -> dict[str, str]:
        """Where everything is from."""
        facts = (*_FACTS, *(f"memory.{key}" for key in MEMORY))
        further = {key: str(value) for key, value in self.table("sources").items()}
        return further | {fact: self.source(fact) for fact in facts}

    def _flash(self) -> None:
        """Refuse flash that ends beyond 32 bits."""
        origin = self.number("flash_origin", self.content, least=0)
        if origin + self.number("flash_bytes", self.content) > _MOST + 1:
            raise self.wrong("flash_bytes", "flash_bytes from flash_origin on end beyond 32 bits")

    def _known_sources(self) -> None:
        known = (*_FACTS, "name", "title", *(f"memory.{key}" for key in MEMORY))
        for fact in self.table("sources"):
            if fact not in known:
                raise self.wrong("sources", f'unknown key sources.{shown(fact)[1:-1]}; quote "memory.KEY"')
            self.source(fact)

    def check(self) -> None:
        """Refuse all that is wrong, at once.

        Raises:
            TargetError: something is; a message for each.
        """
        found = dict.fromkeys(str(error) for look in self._looks() if (error := _error_of(look)))
        if found:
            first, *others = found
            rest = [words.removeprefix(str(self.path)).lstrip(":, ") for words in others]
            raise TargetError("; ".join([first, *rest]))

    def _known(self, key: str) -> None:
        if key not in _KEYS:
            raise self.wrong(key, f"unknown key {shown(key)}; there are {', '.join(_KEYS)}")

    def _looks(self) -> Iterator[Callable[[], object]]:
        yield from (partial(self._known, key) for key in self.content)
        yield self.name
        yield partial(self.text, "title")
        yield lambda: core_named(self.text("core"))
        for key, least in (("clock_hz", 1), ("flash_bytes", 1), ("flash_origin", 0)):
            yield partial(self.number, key, self.content, least=least)
        yield self._flash
        yield self.sram
        yield self.memory
        yield self._known_sources
        for key in MEMORY:
            yield lambda key=key: self.number(key, self.table("memory"), "memory.", least=_LEAST.get(key, 0))
        for fact in (*_FACTS, *(f"memory.{key}" for key in MEMORY)):
            yield partial(self.source, fact)

    def target(self, latency: LatencyTable) -> Target:
        """The board, with that table.

        Raises:
            TargetError: as `check`.
        """
        self.check()
        return Target(
            self.name(),
            self.text("title"),
            core_named(self.text("core")),
            self.number("clock_hz", self.content),
            self.sram(),
            self.number("flash_bytes", self.content),
            self.number("flash_origin", self.content, least=0),
            self.memory(),
            self.sources(),
            latency,
        )


def _error_of(look: Callable[[], object]) -> UserError | None:
    try:
        look()
    except UserError as error:
        return error
    return None
