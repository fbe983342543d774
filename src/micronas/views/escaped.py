"""What comes from outside (names, paths, files, devices) may hold characters that command a terminal: none is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from micronas.run.outcome import Outcome

_COMMANDS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters but the end of a line, marks that turn text round or hide in it, and bytes that are no text."""


def escaped(text: str) -> str:
    r"""Text in which such a character is written out: `\x1b`, `\u202e`; a byte that is no text as `\xe9`."""
    return _COMMANDS.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def inert(outcome: Outcome) -> Outcome:
    """The same outcome, every text in it escaped before it is laid out: a table would cut what grows later."""
    return Outcome.from_dict(_inert(outcome.to_dict()))


def _inert(data: Any) -> Any:
    match data:
        case str():
            return escaped(data)
        case dict():
            return {_inert(key): _inert(value) for key, value in cast(dict[Any, Any], data).items()}
        case list() | tuple():
            return [_inert(value) for value in cast(list[Any], data)]
        case _:
            return data


class SafeConsole(Console):
    """A console whose text commands nothing; styles and its own controls are as ever."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich has it, each piece of text escaped."""
        for segment in super().render(renderable, options):
            if segment.control or not _COMMANDS.search(segment.text):
                yield segment
            else:
                yield Segment(escaped(segment.text), segment.style)
