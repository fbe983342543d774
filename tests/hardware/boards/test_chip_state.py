"""A table's figures are of one core, one clock and one memory, and of no other."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from tests.terminal import CELL, micronas

from micronas.errors import Notice
from micronas.hardware.boards.board import TargetError
from micronas.hardware.boards.target import BUNDLED, load_target, target_names

TABLE = (BUNDLED / "nucleo-f446re.csv").read_text()
BOARD = (BUNDLED / "nucleo-f446re.toml").read_text()

STATES = [
    ("clock_hz = 180_000_000", "clock_hz = 84_000_000", "its clock_hz was 180000000, and the board's is 84000000"),
    ("clock_hz = 180_000_000", "clock_hz = 1", "its clock_hz was 180000000, and the board's is 1"),
    ('core = "cortex-m4"', 'core = "cortex-m0plus"', "its core was cortex-m4, and the board's is cortex-m0plus"),
    ("wait_states = 5", "wait_states = 4", "its memory was wait_states=5"),
    ("fetch_bytes = 16", "fetch_bytes = 8", "and the board's is wait_states=5 fetch_bytes=8"),
    ("line_bytes = 16", "line_bytes = 32", "line_bytes=32"),
    ("code_cache_bytes = 1_024", "code_cache_bytes = 0", "code_cache_bytes=0"),
    ("data_cache_bytes = 128", "data_cache_bytes = 256", "data_cache_bytes=256"),
    ("bus_cycles = 0", "bus_cycles = 2", "bus_cycles=2"),
    ("sram_line_cycles = 0", "sram_line_cycles = 3", "sram_line_cycles=3"),
]


def board(folder: Path, find: str = "", put: str = "", table: str = TABLE) -> Path:
    """A copy of a board's two files, changed."""
    assert find in BOARD
    path = folder / "mine.toml"
    path.write_text(BOARD.replace('name = "nucleo-f446re"', 'name = "mine"').replace(find, put, 1))
    path.with_suffix(".csv").write_text(table.replace("board: nucleo-f446re", "board: mine"))
    return path


@pytest.mark.parametrize(("find", "put", "words"), STATES)
def test_in_another_state_operations_are_timed_anew_and_that_is_said(
    find: str, put: str, words: str, tmp_path: Path
) -> None:
    path = board(tmp_path, find, put)
    with pytest.warns(Notice, match="the table of mine is of another state of the chip: ") as said:
        target = load_target(path)
    assert words in str(said[0].message)
    assert not target.latency.milliseconds


@pytest.mark.parametrize(("find", "put", "words"), STATES)
def test_measured_figures_of_another_state_are_refused(find: str, put: str, words: str, tmp_path: Path) -> None:
    path = board(tmp_path, find, put, TABLE.replace("source: simulated", "source: measured"))
    with pytest.raises(TargetError, match="was measured on another state of the chip: ") as caught:
        load_target(path)
    assert words in str(caught.value)


def test_the_same_state_keeps_its_table(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_target(board(tmp_path)).latency.milliseconds
        for name in target_names():
            assert load_target(name).latency.milliseconds, name


def test_the_figures_are_those_of_the_new_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "cache"))
    flags = ("--channels", "4", "--cells", "1", "--input", "8", "--indicators", "latency", "--json")
    path = board(tmp_path, "clock_hz = 180_000_000", "clock_hz = 90_000_000")
    said = micronas("measure", CELL, *flags, "--target", str(path))
    assert said.code == 0
    assert said.err.count("note: the table of mine is of another state of the chip") == 1
    as_it_was = json.loads(micronas("measure", CELL, *flags, "--target", "nucleo-f446re").out)["latency_ms"]
    assert json.loads(said.out)["latency_ms"] == pytest.approx(2 * as_it_was, rel=1e-3)
