"""Every key of a board's file is checked when it is read, and each mistake is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.hardware.boards.board import MEMORY, TargetError
from micronas.hardware.boards.target import BUNDLED, load_untimed

BOARD = "\n".join(
    line.split("#")[0].rstrip() for line in (BUNDLED / "nucleo-f746zg.toml").read_text(encoding="utf-8").splitlines()
)
NUMBERS = ("clock_hz", "flash_bytes", "flash_origin", "origin", "bytes", *MEMORY)
WRONG = {
    "a text": '"216"',
    "a truth": "true",
    "a fraction": "1.5",
    "NaN": "nan",
    "infinity": "inf",
    "negative": "-1",
    "beyond 32 bits": "4294967296",
    "hundreds of digits": "9" * 400,
    "hex of hundreds": "0x" + "F" * 400,
    "a list": "[1]",
    "a table": "{a = 1}",
    "a day": "1979-05-27",
}


def refused(text: str, tmp_path: Path) -> str:
    path = tmp_path / "b.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TargetError, match=r"b\.toml") as caught:
        load_untimed(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900
    return str(caught.value)


def with_value(key: str, value: str) -> str:
    lines = BOARD.splitlines()
    at = next(number for number, line in enumerate(lines) if line.split("=")[0].strip() == key)
    return "\n".join([*lines[:at], f"{key} = {value}", *lines[at + 1 :]])


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_numbers(key: str, value: str, tmp_path: Path) -> None:
    assert f"{key} must be a whole number of at" in refused(with_value(key, value), tmp_path)


@pytest.mark.parametrize("key", ["clock_hz", "flash_bytes", "bytes", "fetch_bytes", "line_bytes"])
def test_numbers_that_cannot_be_zero(key: str, tmp_path: Path) -> None:
    assert f"{key} must be a whole number of at least 1, not 0" in refused(with_value(key, "0"), tmp_path)


def test_hex_octal_and_binary_are_numbers(tmp_path: Path) -> None:
    for value, number in (("0x2000", 8192), ("0o20000", 8192), ("0b1_0000_0000_0000_0", 8192)):
        (tmp_path / "b.toml").write_text(with_value("flash_bytes", value), encoding="utf-8")
        assert load_untimed(tmp_path / "b.toml").flash_bytes == number


@pytest.mark.parametrize("key", ["name", "title", "core"])
@pytest.mark.parametrize("value", ["1", "true", '""', '"  "', "[]", "{}", '"a\\nb"'])
def test_texts(key: str, value: str, tmp_path: Path) -> None:
    assert key in refused(with_value(key, value), tmp_path)


@pytest.mark.parametrize(
    ("find", "instead", "says"),
    [
        ('name = "DTCM"', 'name = "DT CM"', "sram: a name is letters, digits and '_', not 'DT CM'"),
        ('name = "DTCM"', 'name = "x) > y"', "sram: a name is letters"),
        ('name = "DTCM"', 'name = "SRAM"', "two regions of memory SRAM"),
        ('name = "DTCM"', 'name = "FLASH"', "two regions of memory FLASH"),
        ('name = "DTCM"', 'name = "DTCM"\nsize = 3', "unknown key sram.size"),
        ('name = "DTCM"', "", "each [[sram]] has a name"),
        ("origin = 0x2000_0000", "origin = 0x2001_0000", "sram DTCM and SRAM overlap at 0x20010000"),
        ("origin = 0x2000_0000", "origin = 0xFFFF_FFFF", "is beyond 32 bits"),
        ("flash_origin = 0x0800_0000", "flash_origin = 0xFFFF_FFFF", "beyond 32 bits"),
        ("[[sram]]", "[sram]", "b.toml"),
        ("[memory]", "[[memory]]", "memory must be a table"),
        ("[memory]", "[memory]\nwait = 1", "unknown key memory.wait"),
        ("[sources]", "[sources]\nsrams = 'x'", "unknown key sources.srams"),
        ("[sources]", "[sources]\nmemory.wait_states = 'x'", "unknown key sources.memory"),
        ("[sources]", "more = 1\n[sources]", "unknown key memory.more"),
        ('title = "', 'volts = 3\ntitle = "', "unknown key 'volts'"),
    ],
)
def test_wrong_nesting_unknown_keys_and_regions_that_cannot_be(
    find: str, instead: str, says: str, tmp_path: Path
) -> None:
    assert find in BOARD
    assert says in refused(BOARD.replace(find, instead, 1), tmp_path)


@pytest.mark.parametrize("value", ["1", "true", "[1]", "{}", '"a\\nb"', '""'])
def test_sources_are_texts(value: str, tmp_path: Path) -> None:
    lines = BOARD.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("[sources]")) + 1
    lines[at] = f"{lines[at].split('=')[0]}= {value}"
    assert "sources" in refused("\n".join(lines), tmp_path)


def test_every_mistake_is_said_at_once(tmp_path: Path) -> None:
    said = refused(with_value("clock_hz", "0").replace('title = "', 'volts = 3\ntitle = "'), tmp_path)
    assert "unknown key 'volts'" in said
    assert "clock_hz must be" in said
