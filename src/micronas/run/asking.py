"""From what a user says, in flags, keywords, variables of the environment or a file, to a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from micronas.errors import UserError
from micronas.quantity import parse_quantity
from micronas.run.reading import parse_pair, parse_setting, parse_weight, read_config
from micronas.run.run import Run
from micronas.run.setup import look_up, search_of, unit_of
from micronas.search.search import unwatched
from micronas.texts import near_to, shown

DEFAULT = Run()

EXPRESSIVITIES = ("linear-regions", "naswot", "zen-score", "synflow")
"""What may stand beside the NTK: indicators of how much a network can express."""

VARIABLES = ("target", "images", "max_latency", "max_sram", "max_flash", "max_flops")
"""Flags that a variable of the environment says where none is given: MICRONAS_TARGET, MICRONAS_MAX_LATENCY, …"""

_EXPRESSIVITY, _FLOPS = "the expressivity", "the FLOPs"
"""Terms that flags know by another name: which of `EXPRESSIVITIES` weighs, and FLOPs as capacity or as a cost."""

_FLAGS: Mapping[str, tuple[str, str | None]] = {
    "channels": ("space_settings", "channels"),
    "cells": ("space_settings", "cells"),
    "stages": ("space_settings", "stages"),
    "stem_stride": ("space_settings", "stem_stride"),
    "max_latency": ("limits", "latency"),
    "max_sram": ("limits", "sram"),
    "max_flash": ("limits", "flash"),
    "max_flops": ("limits", "live-flops"),
    "ntk_weight": ("terms", "ntk"),
    "regions_weight": ("terms", _EXPRESSIVITY),
    "flops_weight": ("terms", _FLOPS),
    "latency_weight": ("terms", "latency"),
    "space_setting": ("space_settings", None),
    "search_setting": ("search_settings", None),
    "limit": ("limits", None),
    "weight": ("terms", None),
}
"""Flags that fill a mapping of the run: its attribute, and the name in it; None for those that take NAME=VALUE."""

_BOARD = ("core", "clock", "sram", "flash")
"""Flags that together say a board."""

_READ: Mapping[str, Callable[[str, str], Any]] = {
    "space_settings": lambda _, text: parse_setting(text),
    "search_settings": lambda _, text: parse_setting(text),
    "limits": lambda name, text: parse_quantity(text, unit_of(name), f"a limit on {name}"),
    "terms": lambda name, text: parse_weight(text, name),
}
"""How a value of each mapping is read from text."""

NAMES = (*(one.name for one in fields(Run)), *_FLAGS, *_BOARD, "expressivity")
"""All that can be said of a run: its attributes, and flags."""


def variable(name: str) -> str:
    """Of the environment, which says a flag: `MICRONAS_MAX_LATENCY`."""
    return f"MICRONAS_{name.upper()}"


def flags_given(arguments: Mapping[str, object]) -> dict[str, object]:
    """Of a command's arguments those that say something of its run."""
    return {name: value for name, value in arguments.items() if name in NAMES and value is not None}


def asked_for(given: Mapping[str, object], *, config: Path | None = None, brought: Run | None = None) -> Run:
    """The run that a command's flags ask for; None where a flag was not given.

    A flag wins over a variable of the environment, and that over a file.

    `brought`: a run whose values hold where no flag says otherwise, in place of a `config` and of the environment.

    Raises:
        UserError: a file or a value that cannot be read.
    """
    said = {name: value for name, value in given.items() if value is not None}
    if brought:
        return _with(brought, said)
    return _with(_in_environment(read_config(config) if config else DEFAULT, said), said)


def run_with(run: Run, keywords: Mapping[str, object]) -> Run:
    """A run, but for what keywords say: attributes of `Run` and, underlined, flags of `micronas search`.

    Raises:
        UserError: a name that is none of those, or a value that cannot be read.
    """
    for name in keywords:
        if name not in NAMES:
            near = near_to(name, NAMES)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NAMES)}"
            raise UserError(f"unknown keyword {shown(name)}; {hint}")
    return _with(run, {name: value for name, value in keywords.items() if value is not None})


def _in_environment(run: Run, said: Mapping[str, object]) -> Run:
    """The run as variables have it where no flag says the same."""
    four = any(name in said for name in _BOARD)
    for name in VARIABLES:
        value = os.environ.get(variable(name), "").strip()
        if not value or (four and name == "target"):
            continue
        try:
            run = _with(run, {name: value})
        except UserError as error:
            raise UserError(f"{variable(name)} of the environment: {error}") from error
    return run


def _with(run: Run, said: Mapping[str, Any]) -> Run:
    """The run with what is said over it."""
    own = {one.name: said[one.name] for one in fields(Run) if one.name in said}
    for name in ("reserve_sram", "reserve_flash"):
        if isinstance(own.get(name), str):
            own[name] = _reserve(own[name], name)
    if board := {name: said[name] for name in _BOARD if name in said}:
        if "target" in own:
            raise UserError(
                f"--{next(iter(board))} cannot stand beside --target: the four say a board; drop one of them"
            )
        own["target"] = " ".join(f"{name}={value}" for name, value in board.items())
    if "seed" in own and "seeds" not in own:
        own["seeds"] = None  # of an ensemble that the flag replaces
    run = replace(run, **own)
    filled: dict[str, dict[str, Any]] = {attribute: {} for attribute in _READ}
    for attribute, name, value in _filled(said):
        if name in (before := {**own.get(attribute, {}), **filled[attribute]}):
            raise UserError(f"{name} is given twice, as {before[name]} and as {value}; drop one of them")
        filled[attribute][name] = value
    for attribute in ("space_settings", "search_settings", "limits"):
        run = replace(run, **{attribute: {**getattr(run, attribute), **filled[attribute]}})
    expressivity = said.get("expressivity")
    if expressivity is not None and not isinstance(expressivity, str):
        raise UserError(f"expressivity must be a text, one of {', '.join(EXPRESSIVITIES)}, not {shown(expressivity)}")
    if expressivity is None and not filled["terms"]:
        return run
    return replace(run, terms=_terms(run, expressivity, filled["terms"]))


def _reserve(text: str, name: str) -> int:
    """Bytes to leave free; none is as good an answer as any."""
    flag = f"--{name.replace('_', '-')}"
    return 0 if text.strip() in ("0", "0B", "0KiB") else int(parse_quantity(text, "bytes", flag))


def _filled(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(attribute of the run, name in it, value) of every flag that fills a mapping."""
    for flag, (attribute, name) in _FLAGS.items():
        if flag in said and name is not None:
            yield attribute, name, _READ[attribute](name, str(said[flag]))
        for text in _texts(said.get(flag, ()), flag) if name is None else ():
            name_given, value = parse_pair(text, f"--{flag.replace('_', '-')}")
            yield attribute, name_given, _READ[attribute](name_given, value)


def _texts(given: object, flag: str) -> Sequence[str]:
    """What a flag that may be given several times says."""
    several = cast("Sequence[object]", given) if isinstance(given, (list, tuple)) else [given]
    for text in several:
        if not isinstance(text, str):
            raise UserError(f"{flag} must be a list of texts like 'NAME=VALUE', not {shown(text)}")
    return cast("list[str]", several)


def _terms(run: Run, expressivity: str | None, weights: Mapping[str, float]) -> Mapping[str, float]:
    """What weighs how much: what the run says, or its search has by default, and over it what flags say."""
    terms = run.terms if run.terms is not None else search_of(run, (run.seed,), unwatched).default_terms
    before = next((name for name in EXPRESSIVITIES if name in terms), EXPRESSIVITIES[0])
    after = expressivity or before
    look_up(dict.fromkeys(EXPRESSIVITIES), after, "expressivity")
    names = {_EXPRESSIVITY: after, _FLOPS: "live-flops" if "live-flops" in terms else "flops"}
    kept = {after if name == before else name: weight for name, weight in terms.items()}
    return kept | {names.get(name, name): weight for name, weight in weights.items()}
