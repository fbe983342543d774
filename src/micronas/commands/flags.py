"""Flags that several commands share. None means not given: the run's own default, or its file's value, holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from micronas import catalog
from micronas.commands.console import voice
from micronas.errors import UserError
from micronas.hardware.boards.target import user_folder
from micronas.run.asking import DEFAULT, EXPRESSIVITIES, variable
from micronas.run.outcome import Outcome
from micronas.run.reading import run_of
from micronas.run.run import Run


def _option(
    words: str, *names: str, default: object = None, least: float | None = None, else_: str | None = None
) -> Any:
    """An option whose default is shown though typer sees none; `else_`: the variable that stands in for it."""
    shown = False if default is None else str(default)
    return typer.Option(*names, help=f"{words} Else ${else_}." if else_ else words, show_default=shown, min=least)


Target = Annotated[
    str | None,
    _option(
        "Board: a name from 'micronas targets', or the path of a .toml.",
        default=DEFAULT.target,
        else_=variable("target"),
    ),
]
Core = Annotated[str | None, _option("Of your own board, with --clock, --sram, --flash: cortex-m4.")]
Clock = Annotated[str | None, _option("Of your own board, like 80MHz.")]
Sram = Annotated[str | None, _option("Of your own board, its largest region, like 128KiB.")]
FlashOf = Annotated[str | None, _option("Of your own board, like 512KiB.", "--flash")]
TargetName = Annotated[str, typer.Argument(help="A name from 'micronas targets', or the path of a .toml.")]
Runtime = Annotated[str | None, _option("Whose kernels are timed on the board.", default=DEFAULT.runtime)]
Seed = Annotated[int | None, _option("Of weights and random inputs.", default=DEFAULT.seed, least=0)]
Repeats = Annotated[
    int | None, _option("Draws of weights and inputs for a seed, averaged.", default=DEFAULT.repeats, least=1)
]
ImagesFrom = Annotated[
    str | None, _option("Folder of images or .npz; without, seeded noise.", "--images", else_=variable("images"))
]
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
MaxLatency = Annotated[
    str | None, _option("Hard limit with its unit, like 300ms or 0.3s.", else_=variable("max_latency"))
]
MaxSram = Annotated[
    str | None,
    _option("Hard limit on the planned arena, like 128KiB.", default="the board's", else_=variable("max_sram")),
]
MaxFlash = Annotated[
    str | None,
    _option("Hard limit on weights and code, like 512KiB.", default="the board's", else_=variable("max_flash")),
]
MaxFlops = Annotated[
    str | None, _option("Hard limit on multiply-accumulates of live edges, like 50M.", else_=variable("max_flops"))
]
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
Expressivity = Annotated[str | None, _option(f"One of: {', '.join(EXPRESSIVITIES)}.", default=EXPRESSIVITIES[0])]
Space = Annotated[str | None, _option(f"One of: {', '.join(catalog.SPACES)}.", default=DEFAULT.space)]
SpaceSetting = Annotated[
    list[str] | None, _option("NAME=VALUE, like channels=8,16; may be repeated.", "--space-setting")
]
Config = Annotated[Path | None, _option("A .toml with a run's values; flags given beside it win.")]
RunsFolder = Annotated[
    Path,
    typer.Option("--runs", envvar=variable("runs"), help="Where runs are kept, each in a folder of its own."),
]
RUNS = Path("runs")
"""Where runs are kept unless --runs says otherwise."""

A_RUN = "its folder or result.json, the start of its name, or last"
"""How a user names a run."""

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

Replace = Annotated[
    bool,
    typer.Option("--replace", help="Put it in the place of a table of yours that is worth more, or says otherwise."),
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
