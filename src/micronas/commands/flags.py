"""Flags that several commands share. None means not given: the run's own default, or its file's value, holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from micronas import catalog
from micronas.commands.console import voice
from micronas.errors import UserError
from micronas.hardware.boards.target import user_folder
from micronas.quantity import parse_quantity
from micronas.run.outcome import Outcome
from micronas.run.reading import parse_pair, parse_setting, parse_weight, read_config, run_of
from micronas.run.run import Run
from micronas.run.setup import look_up, search_of, unit_of
from micronas.search.search import unwatched

_DEFAULT = Run()


def _option(words: str, *names: str, default: object = None, least: float | None = None) -> Any:
    """An option whose default is shown though typer sees none."""
    shown = False if default is None else str(default)
    return typer.Option(*names, help=words, show_default=shown, min=least)


Target = Annotated[
    str | None, _option("Board: a name from 'micronas targets', or the path of a .toml.", default=_DEFAULT.target)
]
Core = Annotated[str | None, _option("Of your own board, with --clock, --sram, --flash: cortex-m4.")]
Clock = Annotated[str | None, _option("Of your own board, like 80MHz.")]
Sram = Annotated[str | None, _option("Of your own board, its largest region, like 128KiB.")]
FlashOf = Annotated[str | None, _option("Of your own board, like 512KiB.", "--flash")]
TargetName = Annotated[str, typer.Argument(help="A name from 'micronas targets', or the path of a .toml.")]
Runtime = Annotated[str | None, _option("Whose kernels are timed on the board.", default=_DEFAULT.runtime)]
Seed = Annotated[int | None, _option("Of weights and random inputs.", default=_DEFAULT.seed, least=0)]
Repeats = Annotated[
    int | None, _option("Draws of weights and inputs for a seed, averaged.", default=_DEFAULT.repeats, least=1)
]
ImagesFrom = Annotated[str | None, _option("Folder of images or .npz; else seeded noise.", "--images")]
Batch = Annotated[
    int | None, _option("Images a draw, of NTK, NASWOT and Zen-score.", default="32; Zen-score 16", least=2)
]
Channels = Annotated[int | None, _option("C, channels of the first stage.", default=16)]
Cells = Annotated[int | None, _option("N, cells per stage.", default=5)]
Stages = Annotated[int | None, _option("Stages of cells, each of half the resolution.", default=3, least=1)]
StemStride = Annotated[int | None, _option("Stride of the first convolution: 1, 2 or 4.", default=1, least=1)]
Input = Annotated[
    str | None, _option("The pictures: 96, 96x64 or 96x96x1 (height, width, channels).", default="32x32, as the images")
]
Classes = Annotated[int | None, _option("Outputs of the network.", default="as --images has, else 10")]
MaxLatency = Annotated[str | None, _option("Hard limit with its unit, like 300ms or 0.3s.")]
MaxSram = Annotated[str | None, _option("Hard limit on the planned arena, like 128KiB.", default="the board's")]
MaxFlash = Annotated[str | None, _option("Hard limit on weights and code, like 512KiB.", default="the board's")]
MaxFlops = Annotated[str | None, _option("Hard limit on multiply-accumulates of live edges, like 50M.")]
LimitOn = Annotated[
    list[str] | None, _option("NAME=VALUE of any indicator, like params=500k; may be repeated.", "--limit")
]
Fit = Annotated[
    bool | None, _option("Whether the board's own memory limits the search.", "--fit/--no-fit", default="fit")
]
ReserveSram = Annotated[str | None, _option("Left to the application.", default="16KiB, or an eighth if less")]
ReserveFlash = Annotated[str | None, _option("Left to the application.", default="64KiB, or an eighth if less")]
Margin = Annotated[
    str | None, _option("none or band: keep a latency limit at the upper end of its error band.", default="none")
]
EXPRESSIVITIES = ("linear-regions", "naswot", "zen-score", "synflow")
"""What may stand beside the NTK: indicators of how much a network can express."""

Expressivity = Annotated[str | None, _option(f"One of: {', '.join(EXPRESSIVITIES)}.", default=EXPRESSIVITIES[0])]
Space = Annotated[str | None, _option(f"One of: {', '.join(catalog.SPACES)}.", default=_DEFAULT.space)]
SpaceSetting = Annotated[
    list[str] | None, _option("NAME=VALUE, like channels=8,16; may be repeated.", "--space-setting")
]
Config = Annotated[Path | None, _option("A .toml with a run's values; flags given beside it win.")]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where runs are kept, each in a folder of its own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout; progress on stderr.")]


def _hush(quiet: bool) -> None:
    voice.quiet = quiet


def _tell(verbose: bool) -> None:
    voice.verbose = verbose


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_hush, help="Nothing on stderr but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_tell, help="Say on stderr what was done, and how long it took.")
]
Layers = Annotated[bool, typer.Option("--layers", help="Where the latency goes, layer by layer, in place of the page.")]
Sources = Annotated[bool, typer.Option("--sources", help="How each number was obtained, in place of the page.")]
Out = Annotated[
    Path | None, _option(f"Write the table here; else it is kept for all later commands, in {user_folder()}.")
]


def weighs(words: str, default: object) -> Any:
    """An option for a weight: 0 or more."""
    return _option(words, default=default, least=0.0)


def to_write(path: Path) -> Path:
    """A file that can be written to, found out before the work and not after it.

    Raises:
        UserError: it cannot.
    """
    folder = next(each for each in path.absolute().parents if each.exists())
    replaceable = path.is_file() or not path.exists()  # a pipe or a device would be replaced by a file
    if not replaceable or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"cannot write {path}: it is no file, or its folder takes no files; choose another --out")
    return path


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

_READ: Mapping[str, Callable[[str, str], Any]] = {
    "space_settings": lambda _, text: parse_setting(text),
    "search_settings": lambda _, text: parse_setting(text),
    "limits": lambda name, text: parse_quantity(text, unit_of(name), f"a limit on {name}"),
    "terms": lambda name, text: parse_weight(text, name),
}
"""How a value of each mapping is read from text."""


def flags_given(arguments: Mapping[str, object]) -> dict[str, object]:
    """Of a command's arguments those that say something of its run."""
    known = {*(one.name for one in fields(Run)), *_FLAGS, *_BOARD, "expressivity"}
    return {name: value for name, value in arguments.items() if name in known and value is not None}


_BOARD = ("core", "clock", "sram", "flash")
"""Flags that together say a board."""


def asked_for(given: Mapping[str, object], *, config: Path | None = None, brought: Run | None = None) -> Run:
    """The run that flags ask for; `given` are fields of `Run` and flags of `_FLAGS`, None where a flag was not given.

    `brought`: a run whose values hold where no flag says otherwise, in place of a `config`.

    Raises:
        UserError: a file or a value that cannot be read.
    """
    said = {name: value for name, value in given.items() if value is not None}
    run = brought or (read_config(config) if config else _DEFAULT)
    own = {one.name: said[one.name] for one in fields(Run) if one.name in said}
    for name in ("reserve_sram", "reserve_flash"):
        if name in own:
            own[name] = _reserve(str(own[name]), name)
    if board := {name: said[name] for name in _BOARD if name in said}:
        if "target" in own:
            raise UserError(
                f"--{next(iter(board))} cannot stand beside --target: the four say a board; drop one of them"
            )
        own["target"] = " ".join(f"{name}={value}" for name, value in board.items())
    if "seed" in own and "seeds" not in own:
        own["seeds"] = None  # of an ensemble that the flag replaces
    run = replace(run, **cast(dict[str, Any], own))
    filled: dict[str, dict[str, Any]] = {attribute: {} for attribute in _READ}
    for attribute, name, value in _filled(said):
        if name in filled[attribute]:
            raise UserError(f"{name} is given twice, as {filled[attribute][name]} and as {value}; drop one of them")
        filled[attribute][name] = value
    for attribute in ("space_settings", "search_settings", "limits"):
        run = replace(run, **{attribute: {**getattr(run, attribute), **filled[attribute]}})
    expressivity = cast(str | None, said.get("expressivity"))
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
        for text in said.get(flag, ()) if name is None else ():
            name_given, value = parse_pair(text, f"--{flag.replace('_', '-')}")
            yield attribute, name_given, _READ[attribute](name_given, value)


def _terms(run: Run, expressivity: str | None, weights: Mapping[str, float]) -> Mapping[str, float]:
    """What weighs how much: what the run says, or its search has by default, and over it what flags say."""
    terms = run.terms if run.terms is not None else search_of(run, (run.seed,), unwatched).default_terms
    before = next((name for name in EXPRESSIVITIES if name in terms), EXPRESSIVITIES[0])
    after = expressivity or before
    look_up(dict.fromkeys(EXPRESSIVITIES), after, "expressivity")
    names = {_EXPRESSIVITY: after, _FLOPS: "live-flops" if "live-flops" in terms else "flops"}
    kept = {after if name == before else name: weight for name, weight in terms.items()}
    return kept | {names.get(name, name): weight for name, weight in weights.items()}


def stands_alone(flag: str, given: Mapping[str, object], config: Path | None = None) -> None:
    """A flag that says everything.

    Raises:
        UserError: there are others beside it.
    """
    said = [name for name, value in {"config": config, **given}.items() if value is not None]
    if said:
        other = said[0].removesuffix("_ms").replace("_", "-")
        raise UserError(f"--{other} cannot stand beside {flag}: the run's file says everything; drop one of them")


def brought_by(outcome: Outcome, path: Path, images: str | None = None) -> Run:
    """The run that a kept outcome came of; `images` are those given in place of its own.

    Raises:
        UserError: its values are none that this version knows, or its images are gone.
    """
    run = run_of(outcome.run, str(path))
    if images is None and run.images is not None and not Path(run.images).exists():
        raise UserError(
            f"the images of {path} are not at {run.images} any more; put them back, or start anew with --images"
        )
    return run
