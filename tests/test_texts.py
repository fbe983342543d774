"""What users edit is text, TOML or JSON of sensible numbers, or one line says why not."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.texts import MOST_BYTES, near_to, read_json, read_text, read_toml, shown


@pytest.mark.parametrize(
    "content",
    [
        b"a = 1",
        codecs.BOM_UTF8 + b"a = 1",
        codecs.BOM_UTF16_LE + "a = 1".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "a = 1".encode("utf-16-be"),
    ],
)
def test_a_byte_order_mark_says_how_to_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    assert read_toml(tmp_path / "a.toml") == {"a": 1}


TOML = {
    "no text": b"a = '\xe9'",
    "half a character": codecs.BOM_UTF16_LE + b"a",
    "no value": b"a =",
    "the same twice": b"a = 1\na = 2",
    "a table twice": b"[a]\n[a]",
    "thousands of digits": b"a = " + b"9" * 5000,
    "hex of as many": b"a = 0x" + b"F" * 5000,
    "octal of as many": b"a = 0o" + b"7" * 6000,
    "binary of as many": b"[[b]]\na = [0b" + b"1" * 20000 + b"]",
    "deeply nested": b"a = " + b"[" * 5000,
    "a zero byte": b"a = '\0'",
    "nothing but a line": b"hello",
}


@pytest.mark.parametrize("content", TOML.values(), ids=TOML)
def test_what_is_no_toml_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.toml") as caught:
        read_toml(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


JSON = (
    b"{",
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1, "a": 2}',
    b"9" * 5000,
    b"[" * 100_000,
    b"\xff",
    b"",
    b"1 2",
)


@pytest.mark.parametrize("content", JSON)
def test_what_is_no_json_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    os.truncate(os.open(tmp_path / "large", os.O_CREAT | os.O_WRONLY), MOST_BYTES + 1)
    for path, says in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / ("x" * 300), "File name too long"),
        (Path("a\0b"), "null"),
        (tmp_path / "large", "more than 64 MiB"),
        (Path("/dev/zero"), "more than 64 MiB"),
    ):
        with pytest.raises(UserError, match=says):
            read_text(path)


@pytest.mark.parametrize("value", [10**5000, "x" * 9999, "a\nb", [10**5000], {"a": "\n" * 300}, object()], ids=type)
def test_a_value_is_shown_on_one_short_line(value: object) -> None:
    assert len(shown(value)) <= 80
    assert "\n" not in shown(value)


def test_a_word_of_thousands_of_letters_is_near_to_none() -> None:
    assert near_to("latncy", ["latency", "sram"]) == ["latency"]
    assert near_to("latency" * 1000, ["latency" * 1000]) == []
