"""Inputs that are almost right: a true one, changed a few times as editors, spreadsheets, cables and enemies would."""

from __future__ import annotations

import codecs
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e308",
        "-0.0",
        "1e-320",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "٣",
    ),
    *(
        "1.234",
        "1,234",
        "1.234,5",
        "1 234",
        "12,5",
        "true",
        "9" * 19,
        "9" * 400,
        "9" * 5000,
        "0x" + "F" * 5000,
        "1e",
        ".",
    ),
)
"""What a number is changed into."""

WORDS = (
    *(
        "",
        " ",
        "\0",
        "\n",
        "\r",
        "\t",
        '"',
        "'",
        ";",
        ",",
        "|",
        "#",
        "=",
        "[",
        "]",
        "{",
        "}",
        "+",
        "~",
        "..",
        "../x",
        "~x/y",
    ),
    *(
        "\x1b[31m",
        "\u202e",
        "\ufeff",
        "\u00a0",
        "\u2028",
        "\udce9",
        "é" * 300,
        "a" * 5000,
        "[[" * 2000,
        "[x]\n",
        "x = 1\n",
    ),
    *("null", "[]", "{}", '{"a": 1}', "[1, 2]", '"text"', "true", "1979-05-27", "-", "sep=;\n", "%s", "$HOME", "\\x"),
)
"""What is put in, or in the place of a word."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**70, 10**400, 0.5, -1.5, 1e308, "", "a", "\x1b[2J", "\udce9", "x" * 3000, [], {}),
    *([1], [None], {"a": 1}, [[[]]], "2" * 5000),
)
"""What a value of JSON is changed into."""

Change = Callable[[bytes, random.Random], bytes]


def mangled(content: bytes, chance: random.Random) -> bytes:
    """The content after one to four changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(_CHANGES)(content, chance)
    return content


def mangled_json(text: str, chance: random.Random) -> Any:
    """The data of a JSON text with one to three values changed, dropped, doubled or put elsewhere."""
    data: Any = json.loads(text)
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = _places(data)
        if not places:
            return data
        holder, key = chance.choice(places)
        if isinstance(holder, dict) and chance.random() < 0.2:
            del holder[key]
        elif isinstance(holder, dict) and chance.random() < 0.1:
            holder[chance.choice(WORDS)] = holder[key]
        else:
            holder[key] = chance.choice(VALUES)
    return data


def _places(data: Any) -> Sequence[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    ahead: list[Any] = [data]
    while ahead:
        holder = ahead.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, value in items:
            found.append((holder, key))
            ahead.append(value)
    return found


def _bytes_of(text: str) -> bytes:
    return text.encode(errors="surrogatepass" if not re.search("[\udc80-\udcff]", text) else "surrogateescape")


def _flip(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) or 1)
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    first, last = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[min(last, first + chance.choice((1, 20, 10**9))) :]


def _shorten(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _double(content: bytes, chance: random.Random) -> bytes:
    first, last = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:last] + content[last:]


def _put_in(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + _bytes_of(chance.choice(WORDS)) + content[at:]


def _a_piece(pattern: bytes, instead: Sequence[str]) -> Change:
    def change(content: bytes, chance: random.Random) -> bytes:
        found = [*re.finditer(pattern, content[:20_000])]
        if not found:
            return _put_in(content, chance)
        one = chance.choice(found)
        return content[: one.start()] + _bytes_of(chance.choice(instead)) + content[one.end() :]

    return change


def _lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = (chance.randrange(len(lines)) for _ in range(2))
    match chance.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines.insert(at, b"" if chance.random() < 0.5 else b",,,,")
    return b"\n".join(lines)


def _as_programs_write(content: bytes, chance: random.Random) -> bytes:
    """Another mark, encoding, end of line or separator."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return codecs.BOM_UTF8 + content
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: codecs.BOM_UTF8 + content,
        lambda: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        lambda: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda: text.encode("utf-16-le"),
        lambda: text.encode("cp1252", errors="replace"),
        lambda: content.replace(b"\n", b"\r\n"),
        lambda: content.replace(b"\n", b"\r"),
        lambda: content.replace(b",", b";"),
        lambda: content.replace(b",", b";").replace(b".", b","),
        lambda: content.replace(b",", b"\t"),
        lambda: content.replace(b"\n", b",,\n"),
    )
    return chance.choice(ways)()


_CHANGES: tuple[Change, ...] = (
    *(_flip, _cut, _shorten, _double, _put_in, _lines, _as_programs_write),
    *(_a_piece(rb"\d[\d_.]*", NUMBERS), _a_piece(rb"\d[\d_.]*", NUMBERS)),
    *(_a_piece(rb"(?<== )\S[^\n]*", (*WORDS, *NUMBERS)), _a_piece(rb'"[^"\n]*"|\w+', (*WORDS, *NUMBERS))),
)
