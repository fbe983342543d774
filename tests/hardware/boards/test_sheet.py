"""Tables as spreadsheet programs write them: read as they are meant, or refused with the columns that were found."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from micronas.hardware.boards.calibration import read_measurements
from micronas.hardware.boards.sheet import Sheet, TableError, sheet_of
from micronas.hardware.boards.table import read_table
from micronas.hardware.boards.target import BUNDLED
from micronas.run.run import Run
from micronas.run.setup import graph_of
from micronas.texts import read_text

TABLE = BUNDLED / "nucleo-f746zg.csv"
PLAIN = "\n".join(TABLE.read_text(encoding="utf-8").splitlines()[:30]) + "\n"
WANTED = ("name", "milliseconds")


def sheet(text: str) -> Sheet:
    return sheet_of(Path("m.csv"), text, WANTED)


def numbers(*words: str, apart: str = ";") -> list[float]:
    quoted = [f'"{word}"' if apart in word else word for word in words]
    lines = [f"name{apart}milliseconds", *(f"a{apart}{word}" for word in quoted)]
    return [*sheet("\n".join(lines)).positive("milliseconds")]


def wide(text: str) -> str:
    """As a program that fills every line up to the widest."""
    lines = text.splitlines()
    return "\n".join(line if not line.startswith("#") else f'"{line}"' + "," * 17 for line in lines) + "\n" + "," * 17


WAYS: dict[str, Callable[[str], bytes]] = {
    "as we write it": str.encode,
    "with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16, little end": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, big end": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "lines of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "lines of old Macs": lambda text: text.replace("\n", "\r").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "decimal commas": lambda text: german(text).encode(),
    "decimal commas after tabs": lambda text: german(text).replace(";", "\t").encode(),
    "every word quoted": lambda text: "\n".join(map(quoted, text.splitlines())).encode(),
    "lines filled up": lambda text: wide(text).encode(),
    "empty columns and rows": lambda text: text.replace("\n", ",,\n").replace("\nconv", "\n\n,,,\n\nconv", 1).encode(),
    "spaces that break no line": lambda text: text.replace("milliseconds\n", "\u00a0Milliseconds \n").encode(),
    "a line that says the separator": lambda text: text.replace("kind,", "sep=,\nkind,", 1).encode(),
}


def german(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(line if line.startswith("#") else line.replace(",", ";").replace(".", ",") for line in lines)


def quoted(line: str) -> str:
    return line if line.startswith("#") else ",".join(f'"{word}"' for word in line.split(","))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_table_reads_the_same_however_a_program_writes_it(way: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(PLAIN, encoding="utf-8")
    expected = read_table(path)
    path.write_bytes(way(PLAIN))
    again = read_table(path)
    assert again.milliseconds == expected.milliseconds
    assert again.agrees_with(expected)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_so_do_measurements(way: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "measured.csv"
    path.write_text(PLAIN, encoding="utf-8")
    expected = [*read_table(path).milliseconds.values()]
    path.write_bytes(way(PLAIN))
    assert [one.milliseconds for one in read_measurements(path, partial(graph_of, Run()), ())] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("365,7", "1.234,5"), [365.7, 1234.5]),
        (("365.7", "1,234.5"), [365.7, 1234.5]),
        (("1.234", "365,7"), [1234.0, 365.7]),
        (("1.234", "365.75"), [1.234, 365.75]),
        (("1,234", "365,75"), [1.234, 365.75]),
        (("1,234", "0.5"), [1234.0, 0.5]),
        (("1.234", "0.123"), [1.234, 0.123]),
        (("1.234", "1234.567"), [1.234, 1234.567]),
        (("1.234.567", "1.234"), [1234567.0, 1234.0]),
        (("12,34,567.5", "1,234"), [1234567.5, 1234.0]),
        (("1 234,5", "1\u202f234"), [1234.5, 1234.0]),
        (("1'234.5", "1\u2019234"), [1234.5, 1234.0]),
        (("1,5E+02", "365"), [150.0, 365.0]),
        ((".5", "5.", "1e3"), [0.5, 5.0, 1000.0]),
    ],
)
def test_numbers_of_any_country_are_read_as_they_are_meant(words: tuple[str, ...], expected: list[float]) -> None:
    for apart in (";", "\t"):
        assert numbers(*words, apart=apart) == expected


def test_between_commas_a_dot_parts_decimals_unless_another_row_says_otherwise() -> None:
    assert numbers("1.234", apart=",") == [1.234]
    assert numbers("1.234", "365,7", apart=",") == [1234.0, 365.7]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("1.234",), "milliseconds 1.234 may be 1.234 or 1234, and no other row says which"),
        (("1,234",), "milliseconds 1,234 may be 1.234 or 1234, and no other row says which"),
        (("365", "1.234"), "line 3: milliseconds 1.234 may be"),
        (("12.5", "12,5"), "line 3: milliseconds must be a number, not '12,5'"),
        (("1.23.456",), "must be a number"),
        (("1,2,3",), "must be a number"),
        (("0,0",), "must be finite and above 0"),
        (("-1,5",), "must be finite and above 0"),
        (("1e999",), "must be finite and above 0"),
        (("2e9",), "must be at most 1e+09"),
        (("1_000",), "must be a number"),
        (("\u0663",), "must be a number"),
        (("12,5 ms",), "must be a number, not '12,5 ms'"),
        (("",), "must be a number, not ''"),
    ],
)
def test_what_may_mean_two_numbers_or_none_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(TableError) as caught:
        numbers(*words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_between_commas_a_number_in_quotes_may_mean_two() -> None:
    with pytest.raises(TableError, match=r"1,234 may be 1\.234 or 1234"):
        numbers("1,234", apart=",")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Name;Zeit\na;1\n", "line 1: no column 'milliseconds': found name, zeit; expected name, milliseconds"),
        ("name|milliseconds\na|1\n", "no column 'name': found name|milliseconds; expected name, milliseconds"),
        ("name,milliseconds,name\na,1,b\n", "two columns 'name'"),
        ("name,milliseconds\na,365,7\n", "line 2: 3 values, not 2; a decimal comma needs quotes"),
        ("name,milliseconds,\na,1,7\n", "line 2: 3 values, not 2"),
        ("name,milliseconds\na\n", "line 2: 1 values, not 2"),
        ('name,milliseconds\n"a,1\n', "line 2: a quote that does not close"),
        ("\n\n", "no column names in it; expected name, milliseconds"),
        ("a,b,c,d,e,f,g,h\n", "found a, b, c, d, e, f and 2 more; expected"),
        ("sep=|\nname|milliseconds\n", "no column 'name'"),
    ],
)
def test_what_is_no_table_is_refused_with_the_columns_found(text: str, says: str) -> None:
    with pytest.raises(TableError) as caught:
        sheet(text)
    assert says in str(caught.value)


def test_a_quoted_name_may_hold_separators_and_ends_of_lines() -> None:
    found = sheet('name,milliseconds\n"a, ""b""\nc",1\nd,2\n')
    assert [(line, row["name"]) for line, row in found.rows] == [(2, 'a, "b"\nc'), (4, "d")]


@pytest.mark.parametrize("column", ["in_height", "kernel_width", "operands", "relu_in"])
@pytest.mark.parametrize("word", ["1.024", "-1", "1e3", "3.0", "9" * 5000, "\u0663", "true", ""])
def test_whole_numbers_are_plain_digits(column: str, word: str, tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    names = next(line for line in lines if line.startswith("kind")).split(",")
    words = lines[-1].split(",")
    words[names.index(column)] = word
    (tmp_path / "t.csv").write_text("\n".join([*lines[:-1], ",".join(words)]), encoding="utf-8")
    with pytest.raises(TableError, match=f"{column} must be a whole number, not") as caught:
        read_table(tmp_path / "t.csv")
    assert len(str(caught.value)) < 400


def test_other_encodings_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("name,Größe\n".encode("cp1252"))
    with pytest.raises(TableError, match="no UTF-8 text; save it as UTF-8"):
        read_text(tmp_path / "t.csv", TableError)
