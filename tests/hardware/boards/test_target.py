"""A board is read from its file, found by name, and refused in one line when its file is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.hardware.boards.board import TargetError
from micronas.hardware.boards.table import OUR_RUNTIME, UntimedOperation
from micronas.hardware.boards.target import BUNDLED, load_target, table_path, target_names, user_folder
from micronas.network.signature import Kind, Signature

BOARD = (BUNDLED / "nucleo-f746zg.toml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "cache"))


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_unknown_board_suggests_the_near_one() -> None:
    with pytest.raises(TargetError, match="unknown board 'nucleo-f746'; did you mean 'nucleo-f746zg'"):
        load_target("nucleo-f746")


def test_a_board_of_the_users_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    text = BOARD.replace('name = "nucleo-f746zg"', 'name = "mine"').replace("216_000_000", "100_000_000")
    path = write(tmp_path / "elsewhere", "mine", text)
    assert load_target(str(path)).clock_hz == 100_000_000
    shutil.copytree(path.parent, user_folder())
    assert load_target("mine").clock_hz == 100_000_000
    assert "mine" in target_names()


def test_a_board_without_a_table_is_known_but_nothing_is_timed(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", BOARD.replace('name = "nucleo-f746zg"', 'name = "mine"'))
    with pytest.raises(UntimedOperation, match="mine has no timing for relu 8x8x8"):
        load_target(path).latency[Signature(Kind.RELU, (8, 8, 8), (8, 8, 8))]


def test_a_table_of_another_board_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", BOARD.replace('"nucleo-f746zg"', '"mine"'))
    shutil.copy(BUNDLED / "nucleo-f746zg.csv", tmp_path / "mine.csv")
    with pytest.raises(TargetError, match=r"mine\.csv: the table is for nucleo-f746zg, not mine"):
        load_target(path)


@pytest.mark.parametrize(
    ("find", "replace", "complaint"),
    [
        ('name = "nucleo-f746zg"', 'name = "../mine"', "line 1: name must be letters, digits"),
        ("core =", "core", "line 3"),
        ('"cortex-m7"', '"cortex-m9"', "unknown core 'cortex-m9'; known: cortex-m7"),
        ("216_000_000", '"fast"', "line 4: clock_hz must be a whole number of at least 1, not 'fast'"),
        ("216_000_000", "0", "line 4: clock_hz must be a whole number of at least 1, not 0"),
        ("clock_hz", "clock", "line 4: unknown key 'clock'"),
        ("bytes = 65_536", "size = 65_536", "sram DTCM: bytes is missing"),
        ("flash_bytes = 1_048_576\n", "", "flash_bytes is missing"),
        ("wait_states = 7\n", "", "memory.wait_states is missing"),
        ("wait_states = 7\n", "wait_states = 7\nwaits = 7\n", "unknown key memory.waits; there are wait_states"),
        ("[[sram]]", "[[ram]]", "unknown key 'ram'"),
        ('sram = "Zephyr', 'ram = "Zephyr', "sources does not say where sram is from"),
        ('"memory.bus_cycles" = "', '"memory.bus" = "', "sources does not say where memory.bus_cycles is from"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_and_line(tmp_path: Path, find: str, replace: str, complaint: str) -> None:
    assert find in BOARD
    path = write(tmp_path, "broken", BOARD.replace(find, replace))
    with pytest.raises(UserError) as failure:
        load_target(path)
    assert complaint in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot read .*none\.toml: No such file"):
        load_target(tmp_path / "none.toml")


def test_a_users_table_is_kept_by_board_and_runtime() -> None:
    assert table_path("mine", OUR_RUNTIME).name == "mine.csv"
    assert table_path("mine", "CMSIS-NN 7/x").name == "mine.CMSIS-NN-7-x.csv"
