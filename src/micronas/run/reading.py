"""What users write, read: numbers with units, seeds, a run's TOML file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, cast

from micronas.errors import UserError
from micronas.quantity import whole_number
from micronas.run.run import Run, check_names
from micronas.texts import read_toml, shown

MOST_SEEDS = 1000
"""An ensemble of more is a typing mistake: each is a pass over the whole space."""


def parse_pair(text: str, flag: str) -> tuple[str, str]:
    """(name, value) of `NAME=VALUE`.

    Raises:
        UserError: it is no such pair.
    """
    name, found, value = text.partition("=")
    if not (found and name.strip() and value.strip()):
        raise UserError(f"cannot read {flag} from {shown(text)}; write it like {flag} NAME=VALUE")
    return name.strip(), value.strip()


def parse_weight(text: str, name: str) -> float:
    """A weight of 0 or more.

    Raises:
        UserError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UserError(f"the weight of {name} must be 0 or more, not {shown(text)}")
    return number


def parse_setting(text: str) -> int | float | str | tuple[int, ...]:
    """A setting as it is typed: a number, whole numbers parted by commas, else a text."""
    several = [whole_number(word) for word in text.split(",")]
    if len(several) > 1 and all(number is not None for number in several):
        return tuple(number for number in several if number is not None)
    for read in (int, float):
        try:
            return read(text)
        except ValueError:  # of more digits than Python reads, too
            continue
    return text


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds of `0-4`, `7` or `1,3,5-6`.

    Raises:
        UserError: it is no such list.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UserError(f"cannot read seeds from {shown(text)}; write them like 0-4 or 1,3,5")
        one_after = int(match[2] or match[1]) + 1
        if one_after - int(match[1]) + len(found) > MOST_SEEDS:
            raise UserError(f"{shown(text)} is more than {MOST_SEEDS} seeds; each is a pass over the whole space")
        found += range(int(match[1]), one_after)
    return tuple(dict.fromkeys(found))


def read_config(path: Path) -> Run:
    """A run from a TOML file whose keys are the attributes of `Run`.

    Raises:
        UserError: unreadable, no TOML, an unknown key or a value of the wrong type.
    """
    return run_of(read_toml(path), str(path))


def run_of(data: object, where: str) -> Run:
    """The run that plain data says.

    Raises:
        UserError: it says none; the message begins with where it was read.
    """
    if not isinstance(data, dict):
        raise UserError(f"{where} holds no run")
    values = cast(dict[str, Any], data)
    check_names(values, where)
    try:
        return Run(**values)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
