"""Tables of text as spreadsheet programs of any country write them, read without a guess or refused in one line.

Columns stand apart by commas, semicolons or tabs, whichever gives the columns that are wanted; bytes may be UTF-8 or
UTF-16 with a mark, lines may end in any way, cells may be quoted, and columns and rows without content do not count.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from micronas.errors import UserError
from micronas.texts import shown

Row = tuple[int, Mapping[str, str]]
"""The line at which a row begins, and its words by column."""

_LISTED = 6  # columns that a message names
_APART = (",", ";", "\t")
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
_MOST = 1e9  # milliseconds: eleven days

_PLAIN = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)(?:[eE][-+]?\d{1,4})?|[-+]?(?:nan|inf|infinity)", re.ASCII | re.I)
_GROUPED = {
    ".": re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+", re.ASCII),
    ",": re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})", re.ASCII),
}
"""Whole numbers in groups of three digits, by what stands between; of India's with commas all but the last have two."""


class TableError(UserError):
    """A table that cannot be read; the message names the file and the line."""


@dataclass(frozen=True)
class Sheet:
    """A table's rows with content.

    Attributes:
        path: its file.
        columns: their names in small letters.
        named_at: the line of these.
        rows: (line, words by column) of each.
        apart: what stands between two columns.
        faults: (line, what is wrong) of rows that do not fit the columns.
    """

    path: Path
    columns: tuple[str, ...]
    named_at: int
    rows: tuple[Row, ...]
    apart: str
    faults: tuple[tuple[int, str], ...] = ()

    def positive(self, column: str) -> Iterator[float]:
        """The finite numbers above zero of a column, row by row.

        Raises:
            TableError: one is none; or a dot or comma may part groups of digits as well as decimals.
        """
        point = self._point([row[column] for _, row in self.rows])
        for line, row in self.rows:
            yield self._positive(line, column, row[column], point)

    def wrong(self, line: int, message: object) -> TableError:
        """An error that names the line."""
        return TableError(f"{self.path}, line {line}: {message}")

    def _point(self, words: Sequence[str]) -> Literal["", ".", ","]:
        """What parts decimals in a column, "" if nothing says so.

        Where columns stand apart by commas a dot does, unless a number shows that it cannot.
        """
        for point, other in ((".", ","), (",", ".")):
            if any(_parts_decimals(word.translate(_SPACES).strip(), point, other) for word in words):
                return "." if point == "." else ","
        return "." if self.apart == "," and not any("," in word for word in words) else ""

    def _positive(self, line: int, column: str, word: str, point: str) -> float:
        bare = word.translate(_SPACES).strip()
        grouped = re.fullmatch(r"([-+]?\d{1,3}(?:[ '\u2019]\d{3})+)([.,]\d*)?", bare, re.ASCII)
        if grouped:
            bare = re.sub(r"[ '\u2019]", "", grouped[1]) + (grouped[2] or "").replace(",", ".")
        elif not point and _may_be_groups(bare):
            as_decimal, as_groups = bare.replace(",", "."), re.sub("[.,]", "", bare)
            raise self.wrong(
                line,
                f"{column} {bare} may be {as_decimal} or {as_groups}, and no other row says which; write {as_decimal}0 "
                f"or {as_groups}",
            )
        elif point:
            other = "," if point == "." else "."
            whole, mark, decimals = bare.partition(point)
            if _GROUPED[other].fullmatch(whole):
                whole = whole.replace(other, "")
            bare = f"{whole}{'.' if mark else ''}{decimals}" if other not in whole + decimals else bare
        if not _PLAIN.fullmatch(bare):
            raise self.wrong(line, f"{column} must be a number, not {shown(word)}")
        number = float(bare)
        if not (math.isfinite(number) and number > 0):
            raise self.wrong(line, f"{column} must be finite and above 0, not {shown(word)}")
        if number > _MOST:
            raise self.wrong(line, f"{column} must be at most {_MOST:g}, not {shown(word)}")
        return number


def sheet_of(path: Path, text: str, *wanted: Sequence[str]) -> Sheet:
    """The table that a text is, with the columns wanted; where there are several choices, with those of any.

    Raises:
        TableError: it lacks a column (says which it has), or a row has words for more or fewer columns.
    """
    lines = _lines(text)
    first = next((line for line in lines if _has_content(line) and not _is_remark(line)), None)
    said = re.fullmatch(r'"?sep=([,;\t])"?[,;\t]*\s*', first or "", re.ASCII)  # how one program says it to itself
    if said:
        lines = ["" if line is first else line for line in lines]
    tried: list[Sheet] = []
    for apart in [said[1]] if said else _APART:
        tried.append(_parted(path, lines, apart))
        if _has_any(tried[-1], wanted):
            break
    else:
        raise _lacking(max(tried, key=lambda sheet: len(sheet.columns)), wanted)
    for line, message in tried[-1].faults:
        raise tried[-1].wrong(line, message)
    return tried[-1]


def remarks_of(text: str) -> list[str]:
    """The lines that begin with # and stand before any other, without it: as they were before a spreadsheet had them.

    Such a program quotes a cell, and fills a line up with separators.
    """
    found: list[str] = []
    for line in _lines(text):
        if _is_remark(line):
            found.append(_remark(line))
        elif _has_content(line):
            break
    return found


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))


def _is_remark(line: str) -> bool:
    return line.lstrip(' \t"').startswith("#")


def _has_content(line: str) -> bool:
    return bool(line.strip(' \t;,"'))


def _remark(line: str) -> str:
    bare = line.strip().rstrip(",;\t ")
    if bare.startswith('"') and bare.endswith('"') and len(bare) > 1:
        bare = bare[1:-1].replace('""', '"')
    return bare.lstrip(' "').removeprefix("#").strip()


def _parted(path: Path, lines: Sequence[str], apart: str) -> Sheet:
    """The table as it is if that stands between columns."""
    columns, named_at = (), 1
    rows: list[Row] = []
    faults: list[tuple[int, str]] = []
    for line, words in _cells(lines, apart):
        if words is None:
            faults.append(
                (line, f"a quote that does not close, or a cell of more than {csv.field_size_limit():,} letters")
            )
        elif not columns:
            named = [word.translate(_SPACES).strip().casefold() for word in words]
            columns, named_at = _without_empty_end(named), line
        else:
            given = (*words[: len(columns)], *_without_empty_end(words[len(columns) :]))
            if len(given) == len(columns):
                rows.append((line, dict(zip(columns, given, strict=True))))
            else:
                quotes = "; a decimal comma needs quotes" if apart == "," and len(given) > len(columns) else ""
                faults.append((line, f"{len(given)} values, not {len(columns)}{quotes}"))
    return Sheet(path, columns, named_at, tuple(rows), apart, tuple(faults))


_MOST_LINES = 10  # of a cell


def _cells(lines: Sequence[str], apart: str) -> Iterator[tuple[int, list[str] | None]]:
    """(its first line, its words) of every row with content; None for words whose quotes do not close."""
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if _is_remark(line) or not _has_content(line):
            continue
        words = _words(line, apart)
        while words is None and at < len(lines) and at - number < _MOST_LINES:  # a quoted cell may hold ends of lines
            line, at = f"{line}\n{lines[at]}", at + 1
            words = _words(line, apart)
        at = number if words is None else at
        if words is None or any(word.strip() for word in words):
            yield number, words


def _without_empty_end(words: Sequence[str]) -> tuple[str, ...]:
    last = max((at for at, word in enumerate(words) if word.strip()), default=-1)
    return tuple(words[: last + 1])


def _words(line: str, apart: str) -> list[str] | None:
    """The cells of a line, None if its quotes do not close."""
    try:
        return next(csv.reader([line], delimiter=apart, strict=True), list[str]())
    except csv.Error:
        return None


def _has_any(sheet: Sheet, wanted: Sequence[Sequence[str]]) -> bool:
    return any({*each} <= {*sheet.columns} for each in wanted) and len({*sheet.columns}) == len(sheet.columns)


def _lacking(sheet: Sheet, wanted: Sequence[Sequence[str]]) -> TableError:
    """What is wrong with the columns."""
    if not sheet.columns:
        if sheet.faults:
            return sheet.wrong(*sheet.faults[0])
        return TableError(f"{sheet.path}: no column names in it; expected {_listed(wanted[0])}")
    if twice := [name for name in sheet.columns if sheet.columns.count(name) > 1]:
        return sheet.wrong(sheet.named_at, f"two columns {shown(twice[0])}; give each a name of its own")
    nearest = min(wanted, key=lambda each: len({*each} - {*sheet.columns}))
    lacking = next(name for name in nearest if name not in sheet.columns)
    found = f"found {_listed(sheet.columns)}; expected {_listed(nearest)}"
    return sheet.wrong(sheet.named_at, f"no column {lacking!r}: {found}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shown(name)[1:-1] for name in names[:_LISTED]) + more


def _parts_decimals(word: str, point: str, other: str) -> bool:
    """Whether a number shows that this parts its decimals, or that the other parts groups and so cannot."""
    if word.count(point) == 1 and not _may_be_groups(word) and re.fullmatch(r"[-+\d.,' \u2019eE]+", word, re.ASCII):
        whole, _, decimals = word.partition(point)
        return other not in decimals and (other not in whole or bool(_GROUPED[other].fullmatch(whole)))
    return word.count(other) > 1 and bool(_GROUPED[other].fullmatch(word))


def _may_be_groups(word: str) -> bool:
    """Whether its only mark may part a group of three digits: of 1.234 or 1,234, but not of 0.234, 12.5 or 1234.567."""
    return bool(re.fullmatch(r"[-+]?[1-9]\d{0,2}[.,]\d{3}", word, re.ASCII))
