"""A target: core, clock, memories and latency table of one board. Boards are data (`targets/*.toml`), not code."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from micronas.cache import cache_dir
from micronas.errors import UserError
from micronas.hardware.boards.table import OUR_RUNTIME, LatencyTable, TableError, read_table, untimed
from micronas.mcu.cores import Core, core_named
from micronas.mcu.layout import Region
from micronas.mcu.memory import MemoryModel
from micronas.network.signature import Signature
from micronas.plugins import Plugin, PluginError, plugins

BUNDLED = Path(__file__).parents[1] / "targets"
"""The folder of the boards that come with the package."""

_FACTS = ("core", "clock_hz", "sram", "flash_bytes", "flash_origin")
_KEYS = ("name", "title", "memory", "sources", *_FACTS)


MEMORY = (
    *("wait_states", "fetch_bytes", "line_bytes", "code_cache_bytes", "data_cache_bytes"),
    *("bus_cycles", "sram_line_cycles"),
)
"""The parameters of a board's [memory], all in core cycles and bytes; `mcu.memory.MemoryModel.of_flash` says what."""


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


def user_folder() -> Path:
    """Where a user's own boards (`<board>.toml`) and tables (`<board>.csv`) are found by name."""
    return cache_dir() / "targets"


def target_names() -> tuple[str, ...]:
    """Every board that can be named: bundled ones, the user's own, then plug-ins' (but those of a broken one)."""
    own = (path.stem for path in (*_boards(BUNDLED), *_boards(user_folder())))
    return tuple(dict.fromkeys((*own, *(name for one in plugins("board").values() for name in _names_of(one)))))


def board_plugin(name: str) -> Plugin | None:
    """The plug-in that a board's name stands for, None if it is bundled, the user's own or a path."""
    if name.endswith(".toml") or any(name == path.stem for path in (*_boards(BUNDLED), *_boards(user_folder()))):
        return None
    return next((one for one in plugins("board").values() if name in _names_of(one)), None)


def broken_boards() -> tuple[str, ...]:
    """A line for each plug-in whose boards cannot be found."""
    return tuple(str(error) for one in plugins("board").values() if isinstance(error := _folder_of(one), PluginError))


def _names_of(plugin: Plugin) -> tuple[str, ...]:
    folder = _folder_of(plugin)
    return () if isinstance(folder, PluginError) else tuple(path.stem for path in _boards(folder))


def _folder_of(plugin: Plugin) -> Path | PluginError:
    try:
        return plugin.folder()
    except PluginError as error:
        return error


def load_target(name_or_path: str | Path, runtime: str = OUR_RUNTIME) -> Target:
    """A board by name, or by the path of its .toml file, with the table of one runtime's kernels.

    The table is the .csv beside the board's file, unless the user has an own one (`micronas profile`)
    that no newer kernels have overtaken. A board without any is known, but nothing is timed on it yet.

    Raises:
        TargetError: there is no such board (the message suggests the nearest one), or its file is wrong.
        TableError: its table cannot be read.
    """
    path = find_target(name_or_path)
    facts = _Facts.read(path)
    return facts.target(_table(path, facts.name(), runtime))


def load_untimed(name_or_path: str | Path) -> Target:
    """A board as `load_target` finds it, but without its table: all that profiling needs.

    Raises:
        TargetError: there is no such board, or its file is wrong.
    """
    facts = _Facts.read(find_target(name_or_path))
    return facts.target(untimed(facts.name()))


def _table(path: Path, name: str, runtime: str) -> LatencyTable:
    """The user's table, with what the one beside the board's file adds if both were made alike; else that one."""
    own = _own_table(name, runtime)
    beside = _read_if_there(path.with_name(f"{name}.csv"), name) if runtime == OUR_RUNTIME else None
    if own is not None and beside is not None:
        alike = own.agrees_with(beside) and not own.is_calibrated
        own = None if own.is_outdated_by(beside) else own.with_more(beside.milliseconds) if alike else own
    return own or beside or untimed(name, runtime)


def _own_table(name: str, runtime: str) -> LatencyTable | None:
    try:
        return _read_if_there(table_path(name, runtime), name)
    except TableError as error:
        raise TableError(f'{error}; "micronas profile {name}" makes it anew') from error


def _read_if_there(path: Path, board: str) -> LatencyTable | None:
    if not path.exists():
        return None
    table = read_table(path)
    if table.board != board:
        raise TargetError(f"{path}: the table is for {table.board}, not {board}")
    return table


def table_path(board: str, runtime: str) -> Path:
    """Where a user's own table of a board and a runtime is kept."""
    name = board if runtime == OUR_RUNTIME else f"{board}.{re.sub(r'[^A-Za-z0-9_-]+', '-', runtime)}"
    return user_folder() / f"{name}.csv"


def find_target(name_or_path: str | Path) -> Path:
    """The .toml file of a board.

    Raises:
        TargetError: there is none; the message suggests the nearest name.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        return Path(text)
    for folder in (user_folder(), BUNDLED):
        if text in (path.stem for path in _boards(folder)):
            return folder / f"{text}.toml"
    if (plugin := board_plugin(text)) is not None:
        return plugin.folder() / f"{text}.toml"
    near = difflib.get_close_matches(text, target_names(), 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(target_names())
    also = "".join(f" ({line})" for line in broken_boards())
    raise TargetError(f"unknown board {text!r}; {hint}there are {listed}, or the path of a .toml{also}")


def _boards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))


@dataclass(frozen=True)
class _Facts:
    """The content of a board's file, not trusted yet."""

    path: Path
    content: Mapping[str, object]
    lines: tuple[str, ...]

    @staticmethod
    def read(path: Path) -> _Facts:
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except OSError as error:
            raise TargetError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:  # no UTF-8 or no TOML; tomllib names the line
            raise TargetError(f"{path} is no TOML file: {error}") from error
        facts = _Facts(path, content, tuple(text.splitlines()))
        if unknown := [key for key in content if key not in _KEYS]:
            raise facts.wrong(unknown[0], f"unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
        return facts

    def wrong(self, key: str, message: str) -> TargetError:
        """An error that names the line where the key is."""
        at = [number for number, line in enumerate(self.lines, 1) if line.split("=")[0].strip().strip("[]") == key]
        return TargetError(f"{self.path}, line {at[0]}: {message}" if at else f"{self.path}: {message}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self.content.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"{key} must be a text" if value is not None else f"{key!r} is missing")
        return value

    def name(self) -> str:
        name = self.text("name")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):  # it becomes part of file names
            raise self.wrong("name", f"name must be letters, digits, '.', '_' and '-', not {name!r}")
        return name

    def number(self, key: str, content: Mapping[str, object], prefix: str = "", least: int = 1) -> int:
        value = content.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            wrong = "is missing" if value is None else f"must be a whole number of at least {least}, not {value!r}"
            raise self.wrong(key, f"{prefix}{key} {wrong}")
        return value

    def table(self, key: str) -> dict[str, object]:
        value = self.content.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, f"[{key}] is missing")
        return cast("dict[str, object]", value)

    def region(self, part: Mapping[str, object]) -> Region:
        name = part.get("name")
        if not isinstance(name, str):
            raise self.wrong("sram", "each [[sram]] has a name, an origin and bytes")
        origin = self.number("origin", part, f"sram {name}: ", least=0)
        return Region(name, origin, self.number("bytes", part, f"sram {name}: "))

    def sram(self) -> tuple[Region, ...]:
        parts = self.content.get("sram")
        if not isinstance(parts, list) or not parts:
            raise self.wrong("sram", "no [[sram]] region")
        found = cast("list[object]", parts)
        return tuple(self.region(cast("dict[str, object]", part) if isinstance(part, dict) else {}) for part in found)

    def memory(self) -> dict[str, int]:
        found = self.table("memory")
        if unknown := [key for key in found if key not in MEMORY]:
            raise self.wrong(unknown[0], f"unknown key memory.{unknown[0]}; there are {', '.join(MEMORY)}")
        return {key: self.number(key, found, "memory.", least=0) for key in MEMORY}

    def sources(self) -> dict[str, str]:
        found = {key: str(value) for key, value in self.table("sources").items()}
        for fact in (*_FACTS, *(f"memory.{key}" for key in self.table("memory"))):
            if not found.get(fact):
                raise self.wrong("sources", f'sources does not say where {fact} is from; write "unverified" if unknown')
        return found

    def target(self, latency: LatencyTable) -> Target:
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
