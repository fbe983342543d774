"""Flags that several commands share. None means not given: the run's own default, or its file's value, holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from micronas.config import EXPRESSIVITIES, Run, read_config, run_from
from micronas.errors import UserError
from micronas.hardware.target import user_folder
from micronas.run.outcome import Outcome

_DEFAULT = Run()


def _option(words: str, *names: str, default: object = None, least: float | None = None) -> Any:
    """An option whose default is shown though typer sees none."""
    shown = False if default is None else str(default)
    return typer.Option(*names, help=words, show_default=shown, min=least)


Target = Annotated[
    str | None, _option("Board: a name from 'micronas targets', or the path of a .toml.", default=_DEFAULT.target)
]
Board = Annotated[str, typer.Argument(help="A name from 'micronas targets', or the path of a .toml.")]
Runtime = Annotated[str | None, _option("Whose kernels are timed on the board.", default=_DEFAULT.runtime)]
Seed = Annotated[int | None, _option("Of weights and random inputs.", default=_DEFAULT.seed, least=0)]
Repeats = Annotated[
    int | None, _option("Draws of weights and inputs for a seed, averaged.", default=_DEFAULT.repeats, least=1)
]
ImagesFrom = Annotated[str | None, _option("Folder of images or .npz; else seeded noise.", "--images")]
Channels = Annotated[int | None, _option("C, channels of the first stage.", default=_DEFAULT.channels)]
Cells = Annotated[int | None, _option("N, cells per stage.", default=_DEFAULT.cells)]
Input = Annotated[int | None, _option("Height and width of the input image.", default=_DEFAULT.input)]
Classes = Annotated[int | None, _option("Outputs of the network.", default=_DEFAULT.classes)]
Expressivity = Annotated[str | None, _option(f"One of: {', '.join(EXPRESSIVITIES)}.", default=_DEFAULT.expressivity)]
Config = Annotated[Path | None, _option("A .toml with a run's values; flags given beside it win.")]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where runs are kept, each in a folder of its own.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on stdout; progress on stderr.")]
Out = Annotated[
    Path | None, _option(f"Write the table here; else it is kept for all later commands, in {user_folder()}.")
]


def weight(words: str, default: object) -> Any:
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


def run_of(given: Mapping[str, object], *, config: Path | None = None, brought: Run | None = None) -> Run:
    """The run that flags ask for; `given` are fields of `Run`, None where a flag was not given.

    `brought`: a run whose values hold where no flag says otherwise, in place of a `config`.

    Raises:
        UserError: a file that cannot be read.
    """
    said = {name: value for name, value in given.items() if value is not None}
    if "seed" in said and "seeds" not in said:
        said["seeds"] = None  # of an ensemble that the flag replaces
    base = brought or (read_config(config) if config else _DEFAULT)
    return replace(base, **cast(dict[str, Any], said))


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
    run = run_from(outcome.run, str(path))
    if images is None and run.images is not None and not Path(run.images).exists():
        raise UserError(
            f"the images of {path} are not at {run.images} any more; put them back, or start anew with --images"
        )
    return run
