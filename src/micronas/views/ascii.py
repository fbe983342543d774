"""What stands for drawn characters where a terminal's encoding lacks them."""

from __future__ import annotations

import codecs

HANDLER = "micronas.plain"
"""The name of the error handler: `stream.reconfigure(errors=HANDLER)`."""

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("─━", "-"),
        **dict.fromkeys("│┃", "|"),
        **dict.fromkeys("┼├┤┬┴┌┐└┘╭╮╰╯", "+"),
        **dict.fromkeys("█▉▊▋▌▐", "#"),
        **dict.fromkeys("▍▎▏▕", " "),
        "▶": ">",
        "▲": "^",
        "±": "+-",
        "≤": "<=",
        "≥": ">=",
        "→": "->",
        "·": ";",
        "…": "...",
        "µ": "u",
        "×": "x",
        "–": "-",
        "−": "-",
        "’": "'",
    }
)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "replace").decode(), error.end


codecs.register_error(HANDLER, _plain)
