"""Boards by their names: bundled ones, the user's own, plug-ins'; each with its latency table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from micronas.cache import user_dir
from micronas.errors import Notice
from micronas.hardware.boards.board import BoardFile, Target, TargetError
from micronas.hardware.boards.sheet import TableError
from micronas.hardware.boards.table import OUR_RUNTIME, Grade, LatencyTable, read_table, untimed
from micronas.plugins import Plugin, PluginError, plugins
from micronas.texts import near_to, shown

BUNDLED = Path(__file__).parents[1] / "targets"
"""The folder of the boards that come with the package."""


def user_folder() -> Path:
    """Where a user's own boards (`<board>.toml`) and tables (`<board>.csv`) are found by name."""
    return user_dir() / "targets"


def target_names() -> tuple[str, ...]:
    """Every board that can be named: bundled ones, the user's own, then plug-ins' (but those of a broken one)."""
    own = (path.stem for path in (*_boards(BUNDLED), *_boards(user_folder())))
    return tuple(dict.fromkeys((*own, *(name for one in plugins("board").values() for name in _names_of(one)))))


def board_plugin(name: str) -> Plugin | None:
    """The plug-in that a board's name stands for, None if it is bundled, the user's own or a path."""
    if (
        "=" in name
        or name.endswith(".toml")
        or any(name == path.stem for path in (*_boards(BUNDLED), *_boards(user_folder())))
    ):
        return None
    return next((one for one in plugins("board").values() if name in _names_of(one)), None)


def broken_boards() -> tuple[str, ...]:
    """A line for each plug-in whose boards cannot be found."""
    return tuple(str(error) for one in plugins("board").values() if isinstance(error := _folder_of(one), PluginError))


@cache
def chips() -> Mapping[str, str]:
    """The bundled board of each chip, by the chip's name in capitals: STM32L4R5ZI, RP2040, NRF5340."""
    titles = {path.stem: BoardFile.read(path).text("title") for path in _boards(BUNDLED)}
    found = {name: re.findall(r"\b(?:STM32\w+|RP\d+|nRF\d+)\b", title) for name, title in titles.items()}
    return {chip.upper(): name for name, those in found.items() for chip in those}


def _names_of(plugin: Plugin) -> tuple[str, ...]:
    folder = _folder_of(plugin)
    return () if isinstance(folder, PluginError) else tuple(path.stem for path in _boards(folder))


def _folder_of(plugin: Plugin) -> Path | PluginError:
    try:
        return plugin.folder()
    except PluginError as error:
        return error


def load_target(name_or_path: str | Path, runtime: str = OUR_RUNTIME) -> Target:
    """A board by name, or by the path of its .toml file, with the tables of one runtime's kernels.

    Its table is the user's measured one, or else the calibrated, or else the simulated. That is the .csv beside the
    board's file, unless the user has an own one (`micronas profile`) that no newer kernels have overtaken. A board
    without any is known, but nothing is timed on it yet.

    Raises:
        TargetError: there is no such board (the message suggests the nearest one), or its file is wrong.
        TableError: its table cannot be read.
    """
    path = find_target(name_or_path)
    facts = BoardFile.read(path)
    board = facts.target(untimed(facts.name(), runtime))
    usable: list[LatencyTable] = []
    for table in _tables(path, board.name, runtime):
        if not (other := _made_on_another(board, table)):
            usable.append(table)
        elif not usable:
            _pass_over(table, other)
    if not usable or usable[-1].grade is not Grade.SIMULATED:
        usable.append(board.latency)
    return replace(board, latency=usable[0], lesser=tuple(usable[1:]))


def _pass_over(table: LatencyTable, other: str) -> None:
    """Say that a table is not used, for its figures are of another chip state.

    Raises:
        TargetError: they were measured on the board, so there is no making them anew here.
    """
    what = f"the table of {table.board}"
    if table.grade is Grade.MEASURED:
        raise TargetError(
            f"{what} was measured on another state of the chip: {other}; measure it again "
            f"(micronas profile {table.board} --port PORT --replace), or correct the board's file"
        )
    calibrated = ", and its calibration does not count" if table.grade is Grade.CALIBRATED else ""
    said = f"{what} is of another state of the chip: {other}; operations are timed anew{calibrated}"
    warnings.warn(said, Notice, stacklevel=3)


def _made_on_another(target: Target, table: LatencyTable) -> str:
    """In what a board differs from that which a table was made on, "" in nothing."""
    made = table.provenance
    memory = " ".join(f"{name}={value}" for name, value in target.memory.items())
    said = {"core": target.core.name, "clock_hz": str(target.clock_hz), "memory": memory}
    for name, now in said.items():
        then = made.get(name, now)
        if then not in (now, "off"):
            return f"its {name} was {then}, and the board's is {now}"
    return ""


def load_untimed(name_or_path: str | Path) -> Target:
    """A board as `load_target` finds it, but without its table: all that profiling needs.

    Raises:
        TargetError: there is no such board, or its file is wrong.
    """
    facts = BoardFile.read(find_target(name_or_path))
    return facts.target(untimed(facts.name()))


def own_tables(board: str, runtime: str) -> dict[Grade, LatencyTable]:
    """The tables that this user has of a board and a runtime, in the order of use.

    Raises:
        TableError: one cannot be read; the message says how it is made anew.
    """
    found: dict[Grade, LatencyTable] = {}
    for grade in Grade:
        try:
            table = _read_if_there(table_path(board, runtime, grade), board)
        except TableError as error:
            raise TableError(f'{error}; "{_MAKES[grade].format(board)}" makes it anew') from error
        if table is not None:
            found.setdefault(table.grade, table)  # one file held whichever there was before they were kept apart
    return {grade: found[grade] for grade in Grade if grade in found}


_MAKES = {
    Grade.MEASURED: "micronas profile {} --port PORT",
    Grade.CALIBRATED: "micronas calibrate {} MEASUREMENTS.csv",
    Grade.SIMULATED: "micronas profile {}",
}
"""The command that makes a table of a board."""


def _tables(path: Path, name: str, runtime: str) -> list[LatencyTable]:
    """All there are of a board, in the order of use; simulated is the user's, or the one beside the board's file.

    Where both of these were made alike, they are one.
    """
    found = own_tables(name, runtime)
    beside = _read_if_there(path.with_name(f"{name}.csv"), name) if runtime == OUR_RUNTIME else None
    if beside is not None:
        own = found.get(beside.grade)
        if own is None or own.is_outdated_by(beside):
            found[beside.grade] = beside
        elif own.agrees_with(beside) and own.grade is not Grade.CALIBRATED:
            found[own.grade] = own.with_more(beside.milliseconds)
    return [found[grade] for grade in Grade if grade in found]


def _read_if_there(path: Path, board: str) -> LatencyTable | None:
    if not path.exists():
        return None
    table = read_table(path)
    if table.board != board:
        raise TargetError(f"{path}: the table is for {table.board}, not {board}")
    return table


def table_path(board: str, runtime: str, grade: Grade = Grade.SIMULATED) -> Path:
    """Where a user's own table of a board, a runtime and a grade is kept: `<board>.csv`, `<board>.measured.csv`."""
    name = board if runtime == OUR_RUNTIME else f"{board}.{re.sub(r'[^A-Za-z0-9_-]+', '-', runtime)}"
    return user_folder() / (f"{name}.csv" if grade is Grade.SIMULATED else f"{name}.{grade}.csv")


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
    if (of_chip := chips().get(text.upper())) is not None:
        return find_target(of_chip)
    near = near_to(text, (*target_names(), *chips()), cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(target_names())
    also = "".join(f" ({line})" for line in broken_boards())
    raise TargetError(f"unknown board {shown(text)}; {hint}there are {listed}, or the path of a .toml{also}")


def _boards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))
