"""A board known by four numbers: what it says is kept, what it does not say is the nearest chip's, and said to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.hardware.boards.own import OwnBoard, load_board, nearest, read_board
from micronas.hardware.boards.profiled import keep
from micronas.hardware.boards.target import load_target
from micronas.run.run import Run
from micronas.run.setup import set_up

TEXT = "core=cortex-m4 clock=80MHz sram=128KiB flash=512KiB"


def test_four_numbers_are_a_board() -> None:
    board = load_board(TEXT)
    assert (board.name, board.core.name, board.clock_hz) == ("cortex-m4-80mhz", "cortex-m4", 80_000_000)
    assert (board.arena_region.size_bytes, board.flash_bytes) == (128 * 1024, 512 * 1024)
    assert board.sources["sram"] == "said by the user"
    assert board.sources["memory.wait_states"] == "assumed: as of nucleo-l4r5zi"


def test_its_cycles_are_those_of_the_nearest_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two boards of that core the one at 120 MHz is nearer to 80 than the one at 180, as a ratio."""
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))  # where nobody has profiled more for either
    near, board = load_target("nucleo-l4r5zi"), load_board(TEXT)
    assert nearest("cortex-m4", 80_000_000).name == near.name
    assert nearest("cortex-m4", 170_000_000).name == "nucleo-f446re"
    assert board.memory == near.memory
    for signature, milliseconds in near.latency.milliseconds.items():
        assert board.latency[signature] == pytest.approx(milliseconds * 120 / 80, rel=1e-6)
    assert board.latency.overhead_of((32, 32, 3)) == pytest.approx(near.latency.overhead_of((32, 32, 3)) * 1.5)
    assert board.latency.origin.word == near.latency.origin.word


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m4", "cortex-m33", "cortex-m0plus"])
def test_every_core_has_a_nearest_chip(core: str) -> None:
    assert OwnBoard(core, 64_000_000, 20 * 1024, 64 * 1024).target().core.name == core


def test_what_was_profiled_for_it_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    board = load_board(TEXT)
    (first, *_) = board.latency.milliseconds
    new = replace(first, in_shape=(7, 7, 16), out_shape=(7, 7, 16))
    keep(replace(board.latency, milliseconds={new: 1.25}))
    assert load_board(TEXT).latency[new] == 1.25
    assert load_board(TEXT).latency[first] == board.latency[first]
    other = load_board(TEXT.replace("80MHz", "40MHz"))
    assert new not in other.latency.milliseconds


def test_a_run_takes_it_and_says_what_is_assumed() -> None:
    parts = set_up(Run(target=TEXT))
    assert {limit.indicator.name: limit.at_most for limit in parts.objective.limits} == {
        "sram": (128 - 16) * 1024,
        "flash": (512 - 64) * 1024,
    }
    (note,) = parts.notes
    assert note.startswith("memory timing of cortex-m4-80mhz is assumed: as of nucleo-l4r5zi; ")
    assert set_up(Run()).notes == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("core=cortex-m4 clock=80MHz sram=128KiB", ["flash is missing"]),
        (
            "core=cortex-m9 clock=80 sram=many flash=1MiB",
            ["unknown core 'cortex-m9'", "'80' has no unit", "the sram from 'many'"],
        ),
        (f"{TEXT} colour=red", ["'colour' is none of core, clock, sram, flash"]),
        (f"{TEXT} clock=90MHz", ["something is said twice"]),
        (TEXT.replace("128KiB", "1B"), ["a SRAM of 1 is no microcontroller's"]),
        (TEXT.replace("80MHz", "80GHz"), ["a clock of 80,000,000,000 is no microcontroller's"]),
    ],
)
def test_what_is_wrong_is_said_all_at_once(text: str, says: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read_board(text)
    for each in says:
        assert each in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_runtime_has_no_such_table() -> None:
    with pytest.raises(UserError, match="has no table of tinyengine"):
        load_board(TEXT, "tinyengine")
