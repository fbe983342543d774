"""Numbers with their unit, as users write them (`300ms`, `128KiB`, `80MHz`, `50M`), and as they read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from micronas.errors import UserError
from micronas.texts import shown

_SCALES: Mapping[str, Mapping[str, float]] = {
    "ms": {"us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3},  # micro sign and Greek mu
    "Hz": {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "bytes": {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "KiB": 1024, "MiB": 1024**2},
}
"""What a number may be followed by, for each unit that has a scale of its own."""

_COUNT: Mapping[str, float] = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}
"""The same for all others."""


def parse_quantity(text: str, unit: str, what: str) -> float:
    """A number in `unit` of `300ms`, `128KiB`, `50M` or `12.5`; `what` names it in errors.

    Raises:
        UserError: no number, a unit that is missing or strange, or not above 0.
    """
    scales = _SCALES.get(unit, _COUNT)
    examples = {"ms": "300ms or 0.3s", "bytes": "128KiB or 131072", "Hz": "80MHz"}.get(unit, "50M or 50000000")
    match = re.fullmatch(r"\s*([-+]?[0-9._]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Z\u00b5\u03bc]*)\s*", text)
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if not match or not math.isfinite(number):
        raise UserError(f"cannot read {what} from {shown(text)}; write it like {examples}")
    if match[2] not in scales:
        *words, last = (word for word in scales if word.isascii() and word)
        raise UserError(f"{shown(text)} has no unit that is known; write {', '.join(words)} or {last}, like {examples}")
    value = number * scales[match[2]]
    if not 0 < value < math.inf:
        raise UserError(f"{what} must be above 0 and finite, not {shown(text)}")
    return value


def whole_number(word: str) -> int | None:
    """The whole number that plain digits write, none of more than 18; None if a word is no such number."""
    return int(word) if re.fullmatch(r"\s*\d{1,18}\s*", word, re.ASCII) else None


def scaled(value: float | None, unit: str) -> tuple[str, str]:
    """A number and its unit, scaled so that it reads well: `120.3 MMAC`, `312 ms`, `64.0 KiB`."""
    if value is None:
        return "none", ""
    match unit:
        case "bytes":
            return f"{value / 1024:,.1f}", "KiB"
        case "MAC":
            return f"{value / 1e6:,.2f}", "MMAC"
        case "parameters":
            return f"{value / 1e6:,.3f}", "million"
        case "ms":
            return milliseconds(value), "ms"
        case _:
            return (f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"), unit


def milliseconds(value: float) -> str:
    """As many digits as mean something: `1,204`, `304.8`, `29.0`, `0.0258`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
