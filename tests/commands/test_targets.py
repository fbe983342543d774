"""Boards of one's own by the command line: begun, checked, kept, shown, and used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.terminal import CELL, micronas

from micronas.hardware.boards.board import BoardFile, TargetError
from micronas.hardware.boards.target import BUNDLED, chips, load_target


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_board_is_begun_kept_and_found_by_its_name() -> None:
    assert micronas("targets", "new", "weather.toml").code == 0
    said = micronas("targets", "add", "weather.toml")
    assert said.code == 0
    assert said.err.endswith("use it as --target weather\n")
    Path("weather.toml").unlink()
    listed = {one["name"]: one for one in json.loads(micronas("targets", "--json").out)}
    assert listed["weather"]["sram_bytes"] == {"SRAM1": 131072}
    shown = micronas("targets", "show", "weather")
    assert "our board (its chip)" in shown.out
    assert "128 KiB at 0x20000000" in shown.out
    assert json.loads(micronas("targets", "show", "weather", "--json").out) == listed["weather"]


def test_the_table_beside_it_comes_along() -> None:
    micronas("targets", "new", "weather.toml")
    table = load_target("nucleo-l4r5zi").latency.dump().replace("# board: nucleo-l4r5zi", "# board: weather")
    Path("weather.csv").write_text(table)
    assert micronas("targets", "add", "weather.toml").code == 0
    said = micronas("measure", CELL, "--target", "weather", "--indicators", "latency", "--json")
    assert json.loads(said.out)["latency_ms"] > 0


def test_all_mistakes_are_said_at_once_and_nothing_is_kept() -> None:
    micronas("targets", "new", "weather.toml")
    text = Path("weather.toml").read_text()
    for right, wrong in (
        ('cortex-m4"', 'cortex-m9"'),
        ("bytes = 131_072", "bytes = -1"),
        ("wait_states = 3", ""),
        ('sram = "unver', '# "'),
    ):
        assert right in text
        text = text.replace(right, wrong, 1)
    Path("weather.toml").write_text(f'colour = "red"\n{text}')
    said = micronas("targets", "add", "weather.toml")
    assert said.code == 2
    assert said.err.count("\n") == 1
    for words in (
        "weather.toml, line 1: unknown key 'colour'",
        "unknown core 'cortex-m9'",
        "sram SRAM1: bytes must be a whole number of at least 1, not -1",
        "memory.wait_states is missing",
        "sources does not say where sram is from",
    ):
        assert words in said.err
    assert said.err.count("weather.toml") == 1
    assert "weather" not in micronas("targets").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["new", "weather"], "a board's file ends in .toml, so not weather"),
        (["new", "here.toml"], "here.toml is there already; choose another name, or remove it"),
        (["add", "none.toml"], "cannot read none.toml"),
        (["add", "here.toml"], "nucleo-f746zg comes with micronas; give your board another name in here.toml"),
        (["show", "wether"], "unknown board 'wether'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], says: str) -> None:
    Path("here.toml").write_text((BUNDLED / "nucleo-f746zg.toml").read_text())
    said = micronas("targets", *words)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert says in said.err


def test_the_template_is_a_board_file() -> None:
    micronas("targets", "new", "weather.toml")
    BoardFile.read(Path("weather.toml")).check()


def test_a_chip_is_its_board() -> None:
    assert chips()["STM32L4R5ZI"] == "nucleo-l4r5zi"
    for chip in ("STM32L4R5ZI", "stm32l4r5zi", "RP2040", "nRF5340"):
        assert load_target(chip).name in chips().values()
    with pytest.raises(TargetError, match="unknown board 'STM32L4R5Z'; did you mean 'STM32L4R5ZI'"):
        load_target("STM32L4R5Z")


def test_four_numbers_are_a_board_in_one_command() -> None:
    board = ("--core", "cortex-m4", "--clock", "80MHz", "--sram", "64KiB", "--flash", "512KiB")
    said = micronas("measure", CELL, *board, "--indicators", "latency,sram,flash", "--json")
    data = json.loads(said.out)
    assert data["target"] == "cortex-m4-80mhz"
    assert {limit["indicator"]: limit["at_most"] for limit in data["limits"]} == {
        "sram": 56 * 1024,
        "flash": 448 * 1024,
    }
    both = micronas("measure", CELL, *board, "--target", "nrf5340dk")
    assert both.err == "error: --core cannot stand beside --target: the four say a board; drop one of them\n"
