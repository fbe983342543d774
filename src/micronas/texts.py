"""Files of text as users have them, read with whatever byte order mark stands first, or refused in one line."""

from __future__ import annotations

import codecs
import difflib
import json
import tomllib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

from micronas.errors import UserError

MOST_BYTES = 64 << 20
"""Of a file of text: a latency table has a tenth of a megabyte, and a device would never end."""

_MOST_SHOWN = 120  # an architecture, whole
_LONGEST = 160
_MOST_NUMBER = 10**4000  # Python writes none of more than 4,300 digits, not even to say that it is too large

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def shown(value: object) -> str:
    """A value as messages quote it: on one line, and shortened."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a whole number of thousands of digits, of which Python writes none
        text = f"a {type(value).__name__} too long to write"
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN // 2]}...{text[-15:]}"


def near_to(word: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The one known word that a mistyped one comes nearest to, if any comes near."""
    return difflib.get_close_matches(word, [*known], 1, cutoff) if len(word) <= _MOST_SHOWN else []


def read_text(path: Path, error: type[UserError] = UserError) -> str:
    """The text of a file, UTF-8 or what its byte order mark says.

    Raises:
        UserError: of that kind; it cannot be read, is no text, or is larger than any of ours.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as trouble:
        raise error(f"cannot read {path}: {trouble.strerror or trouble}") from trouble
    except ValueError as trouble:  # a character that no name has
        raise error(f"cannot read {shown(str(path))}: {trouble}") from trouble
    if len(content) > MOST_BYTES:
        raise error(f"cannot read {path}: more than {MOST_BYTES >> 20} MiB, which is no file of ours")
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    try:
        return content.removeprefix(mark).decode(_MARKS.get(mark, "utf-8"))
    except UnicodeDecodeError as trouble:
        raise error(f"cannot read {path}: it is no UTF-8 text; save it as UTF-8") from trouble


def read_toml(path: Path, error: type[UserError] = UserError) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UserError: of that kind; as `read_text`, or it is no TOML, which names the line.
    """
    return _parsed(path, tomllib.loads, "TOML", error)


def read_json(path: Path) -> Any:
    """The content of a JSON file, finite numbers only.

    Raises:
        UserError: as `read_text`, or it is no JSON.
    """
    load = partial(json.loads, parse_constant=_refuse, object_pairs_hook=_said_once)
    return _parsed(path, load, "JSON", UserError)


def _parsed(path: Path, load: Callable[[str], Any], language: str, kind: type[UserError]) -> Any:
    text = read_text(path, kind)
    try:
        found = load(text)
        _check_numbers(found)
    except (ValueError, RecursionError) as error:  # a whole number of 4,300 digits is a ValueError
        raise kind(f"{path} is not valid {language}: {first_line(error)}") from error
    return found


def first_line(error: Exception) -> str:
    """What an error of Python's or a library's says, as messages repeat it."""
    line = (str(error).splitlines() or [""])[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {shown(next(key for key in keys if keys.count(key) > 1))} stands there twice")
    return found


def _check_numbers(data: object) -> None:
    """Refuse whole numbers that Python cannot write, however they are written; each field knows what is too large.

    Raises:
        ValueError: there is one.
    """
    match data:
        case int() if not -_MOST_NUMBER < data < _MOST_NUMBER:
            raise ValueError("a whole number of thousands of digits")
        case dict():
            for value in cast(dict[str, object], data).values():
                _check_numbers(value)
        case list():
            for value in cast(list[object], data):
                _check_numbers(value)
        case _:
            pass
