"""A run as data: everything a search or a measurement depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from micronas.errors import UserError
from micronas.hardware.boards.table import OUR_RUNTIME
from micronas.quantity import whole_number
from micronas.search.search import REPEATS
from micronas.texts import near_to, shown

_LONGEST = 4096  # letters of a path
_LARGEST = 10**99  # what each number may be is checked where it is used

Number = int | float
Setting = Number | str | Sequence[int]
"""The value of one setting of a space or a search."""

_GONE = {
    "max_latency_ms": "limits={'latency': 300}",
    "ntk_weight": "terms={'ntk': 1}",
    "regions_weight": "terms={'linear-regions': 1}",
    "expressivity": "terms={'ntk': 1, 'naswot': 1}",
    "flops_weight": "terms={'flops': 1} or terms={'live-flops': 1}",
    "latency_weight": "terms={'latency': 1}",
    "channels": "space_settings={'channels': 16}",
    "cells": "space_settings={'cells': 5}",
}
"""Names of an earlier version, and how the same is written now."""


@dataclass(frozen=True)
class Run:
    """What a user asked for. The same values give the same answer.

    Raises:
        UserError: a name that is none of these, or a value of another type than is said here.

    Attributes:
        space: name in the catalog.
        space_settings: what is not as the space has it by default: `{"channels": 8, "cells": 3}`.
        search: name in the catalog; None for what suits the space: exact where it can be enumerated, else pruning,
            or random where a decision's options cannot lie side by side.
        search_settings: what is not as the search has it by default: `{"samples": 200}`.
        target: a board's name, the path of its `.toml`, or what is known of it:
            "core=cortex-m4 clock=80MHz sram=128KiB flash=512KiB".
        runtime: whose kernels are timed on the board; another's table comes of its own profile or calibration.
        input: height and width of the pictures, as one number or like "96x64" or "96x64x1"; where channels are not
            said, those of the images, else 3.
        classes: outputs of the network; None for as many as the images' folder has, else 10.
        terms: how much each indicator weighs, by its name in the catalog; None for what the search weighs by default.
        limits: hard limits, indicator ≤ number, in the indicator's unit (milliseconds, bytes, MACs).
        fit: whether the board's own memory limits `sram` and `flash` too, less what is reserved for the application.
        reserve_sram, reserve_flash: bytes; None for what `run.room` takes by default.
        margin: "none": a latency limit is kept by the estimate; "band": by the upper end of its error band.
        images: folder of images or `.npz` for the indicators; None for a seeded Gaussian batch.
        batch: images a draw, of indicators that draw a batch; None for each one's own. More rank better and cost more.
        seed, repeats: of weights and random inputs; a seed is as many draws as there are repeats (`draw_seeds`).
        seeds: of an ensemble, like "0-4" (exact search only); None for `seed` alone.
    """

    space: str = "nasbench201"
    space_settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    search: str | None = None
    search_settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    target: str = "nucleo-f746zg"
    runtime: str = OUR_RUNTIME
    input: int | str = 32
    classes: int | None = None
    terms: Mapping[str, float] | None = None
    limits: Mapping[str, float] = field(default_factory=dict[str, float])
    fit: bool = True
    reserve_sram: int | None = None
    reserve_flash: int | None = None
    margin: str = "none"
    images: str | None = None
    batch: int | None = None
    seed: int = 0
    seeds: str | None = None
    repeats: int = REPEATS

    def __new__(cls, *_: object, **given: object) -> Run:
        """Refuse names that are no attributes, in words instead of Python's."""
        check_names(given, "a run")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for one in fields(self):
            if wrong := _wrong(getattr(self, one.name), str(one.type)):
                raise UserError(f"{one.name} of a run must be {wrong}, not {shown(getattr(self, one.name))}")
        for name in ("space_settings", "search_settings"):  # as files have them, several numbers are a list
            settings = cast(Mapping[str, Any], getattr(self, name))
            object.__setattr__(self, name, {setting: _frozen(value) for setting, value in settings.items()})

    @property
    def picture(self) -> tuple[int, int, int | None]:
        """(height, width, channels) that `input` says; channels None where it does not say them.

        Raises:
            UserError: it says no such thing.
        """
        if isinstance(self.input, int):
            return self.input, self.input, None
        words = self.input.lower().split("x")
        numbers = [number for word in words if (number := whole_number(word)) is not None]
        if len(words) > 3 or len(numbers) < len(words):
            raise UserError(f"cannot read the input from {shown(self.input)}; write it like 96, 96x64 or 96x96x1")
        height, width, *channels = (*numbers, *numbers[:1] * (len(numbers) == 1))
        return height, width, channels[0] if channels else None

    def anchored(self) -> Run:
        """The same with absolute paths, so that it can be repeated from any folder."""
        images = None if self.images is None else str(Path(self.images).resolve())
        target = str(Path(self.target).resolve()) if self.target.endswith(".toml") else self.target
        return replace(self, images=images, target=target)

    def to_dict(self) -> dict[str, object]:
        """Plain data, for a result file."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def check_names(given: Mapping[str, object], where: str) -> None:
    """Refuse what is no attribute of a run.

    Raises:
        UserError: such a name; says the near one, or how it is written now.
    """
    known = [one.name for one in fields(Run)]
    for name in given:
        if name in known:
            continue
        near = near_to(name, known)
        hint = f"write {_GONE[name]}" if name in _GONE else f"did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"{where}: unknown key {shown(name)}" + (f"; {hint}" if hint else f"; there are {', '.join(known)}")
        )


def _wrong(value: object, annotated: str) -> str:
    """What a value should be, "" if it is that."""
    if value is None and "None" in annotated:
        return ""
    match annotated.removesuffix(" | None"):
        case "int":
            large = type(value) is int and abs(value) >= _LARGEST
            return "" if type(value) is int and not large else "a whole number" + " of no hundred digits" * large
        case "bool":
            return "" if type(value) is bool else "true or false"
        case "int | str":
            return "" if _is_whole(value) or isinstance(value, str) else 'a whole number, or a text like "96x96x1"'
        case "str":
            odd = f" of at most {_LONGEST:,} letters that a name may have" if isinstance(value, str) and value else ""
            return "" if _is_text(value) else f"a text{odd}"
        case "Mapping[str, float]":
            return "" if _all_named(value, _is_number) else "a finite number for each indicator's name"
        case _:
            return "" if _all_named(value, _is_setting) else "a number, a text or a list of whole numbers for each name"


def _frozen(value: Any) -> Any:
    return tuple(cast(list[int], value)) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(its) for name, its in cast(dict[str, Any], value).items()}
    return list(cast(tuple[int, ...], value)) if isinstance(value, tuple) else value


def _all_named(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(type(name) is str and fits(its) for name, its in cast(Any, value).items())


def _is_text(value: Any) -> bool:
    """Whether it can be a name or a path: bytes that are no UTF-8 are, for there are such names."""
    if not isinstance(value, str) or not value or "\0" in value or len(value) > _LONGEST:
        return False
    try:
        value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63  # all that a TOML file may hold


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_setting(value: Any) -> bool:
    whole = type(value) in (list, tuple) and all(map(_is_whole, value))
    return whole or isinstance(value, str) or _is_number(value)
