"""The command line: search, measure, targets, indicators."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from micronas import catalog, page, runs
from micronas.config import Run, every_indicator, parse_latency, read_run
from micronas.errors import UserError
from micronas.hardware.target import load_target, target_names
from micronas.search.search import Watch

app = typer.Typer(
    name="micronas",
    help="Find the best convolutional network for your microcontroller, in a minute, without training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DEFAULT = Run()

_Mistyped = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for a flag it cannot read; whether click is vendored in it depends on its version."""

Target = Annotated[str, typer.Option(help="Board: a name from 'micronas targets', or the path of a .toml.")]
Seed = Annotated[int, typer.Option(help="Of weights and random inputs.", min=0)]
ImagesFrom = Annotated[str | None, typer.Option("--images", help="Folder of images or .npz; else seeded noise.")]
Channels = Annotated[int, typer.Option(help="C, channels of the first stage.")]
Cells = Annotated[int, typer.Option(help="N, cells per stage.")]
Input = Annotated[int, typer.Option(help="Height and width of the input image.")]
Classes = Annotated[int, typer.Option(help="Outputs of the network.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; progress on stderr.")]
RunsFolder = Annotated[Path, typer.Option("--runs", help="Where the result's folder goes.")]
Weight = typer.Option(help="0 or more.", min=0.0)


@app.command()
def search(
    context: typer.Context,
    target: Target = _DEFAULT.target,
    search: Annotated[str, typer.Option(help=f"One of: {', '.join(catalog.SEARCHES)}.")] = _DEFAULT.search,
    max_latency: Annotated[str | None, typer.Option(help="Hard limit with its unit, like 300ms or 0.3s.")] = None,
    ntk_weight: Annotated[float, Weight] = _DEFAULT.ntk_weight,
    regions_weight: Annotated[float, Weight] = _DEFAULT.regions_weight,
    flops_weight: Annotated[
        float | None, typer.Option(help="A cost to pruning (0), capacity to exact (1).", min=0.0)
    ] = None,
    latency_weight: Annotated[float, Weight] = _DEFAULT.latency_weight,
    seed: Seed = _DEFAULT.seed,
    seeds: Annotated[str | None, typer.Option(help="An ensemble for --search exact, like 0-4.")] = None,
    repeats: Annotated[int, typer.Option(help="Measurements averaged, each with fresh weights.", min=1)] = 3,
    images: ImagesFrom = None,
    channels: Channels = _DEFAULT.channels,
    cells: Cells = _DEFAULT.cells,
    input: Input = _DEFAULT.input,  # noqa: A002 (the flag is --input)
    classes: Classes = _DEFAULT.classes,
    repeat: Annotated[Path | None, typer.Option(help="A result.json: run that search again.")] = None,
    runs_folder: RunsFolder = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Search the best cell for a board."""
    if repeat is not None:
        _refuse_beside_repeat(context)
        run = read_run(repeat)
    else:
        run = Run(
            search=search,
            target=target,
            channels=channels,
            cells=cells,
            input=input,
            classes=classes,
            ntk_weight=ntk_weight,
            regions_weight=regions_weight,
            flops_weight=flops_weight,
            latency_weight=latency_weight,
            max_latency_ms=None if max_latency is None else parse_latency(max_latency),
            images=images,
            seed=seed,
            seeds=seeds,
            repeats=repeats,
        )
    with _progress() as watch:
        outcome = runs.search(run, watch)
    _show(outcome, as_json)
    path = runs.keep(outcome, runs_folder)
    _say(f"kept in {path}; the same again: micronas search --repeat {path}")


@app.command()
def measure(
    architecture: Annotated[str, typer.Argument(help="In the notation of NAS-Bench-201.")],
    target: Target = _DEFAULT.target,
    seed: Seed = _DEFAULT.seed,
    images: ImagesFrom = None,
    channels: Channels = _DEFAULT.channels,
    cells: Cells = _DEFAULT.cells,
    input: Input = _DEFAULT.input,  # noqa: A002 (the flag is --input)
    classes: Classes = _DEFAULT.classes,
    emulate: Annotated[bool, typer.Option(help="Also run the whole network as firmware in the emulator.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge one architecture by every indicator."""
    run = Run(target=target, channels=channels, cells=cells, input=input, classes=classes, images=images, seed=seed)
    with _progress() as watch:
        outcome = runs.measure(run, architecture, watch, emulate)
    _show(outcome, as_json)


@app.command()
def scores(
    out: Annotated[Path, typer.Option(help="The .csv file to write.")],
    seeds: Annotated[str, typer.Option(help="Like 0-4 or 1,3,5.")] = "0",
    unique: Annotated[bool, typer.Option("--unique", help="One row for each distinct network.")] = False,
    images: ImagesFrom = None,
    channels: Channels = _DEFAULT.channels,
    cells: Cells = _DEFAULT.cells,
    input: Input = _DEFAULT.input,  # noqa: A002 (the flag is --input)
    classes: Classes = _DEFAULT.classes,
) -> None:
    """Export the score of every architecture of the space."""
    run = Run(
        search="exact",
        seeds=seeds,
        images=images,
        channels=channels,
        cells=cells,
        input=input,
        classes=classes,
    )
    with _progress() as watch:
        exported = runs.export_scores(run, out, unique, watch)
    for note in exported.notes:
        _say(f"note: {note}")
    _say(f"wrote {exported.rows:,} rows to {out}")


@app.command()
def targets(as_json: AsJson = False) -> None:
    """List the boards."""
    found = [load_target(name) for name in target_names()]
    if as_json:
        rows = [
            {
                "name": one.name,
                "title": one.title,
                "core": one.core.name,
                "clock_hz": one.clock_hz,
                "sram_bytes": {region.name: region.size_bytes for region in one.sram},
                "flash_bytes": one.flash_bytes,
                "latency": one.latency.label,
                "sources": dict(one.sources),
            }
            for one in found
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("board", "core", "clock", "SRAM", "flash", "latencies", box=None, header_style="bold")
    for one in found:
        sram = " + ".join(f"{region.size_bytes / 1024:.0f}" for region in one.sram)
        clock, flash = f"{one.clock_hz / 1e6:.0f} MHz", f"{one.flash_bytes / 1024:.0f} KiB"
        table.add_row(one.name, one.core.name, clock, f"{sram} KiB", flash, one.latency.label)
    Console().print(table)


@app.command()
def indicators(as_json: AsJson = False) -> None:
    """List what a network can be judged by."""
    found = every_indicator(load_target(_DEFAULT.target))
    if as_json:
        rows = [{"name": one.name, "unit": one.unit, "better": one.better.name.lower()} for one in found]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("indicator", "unit", "better", "what it is", box=None, header_style="bold")
    for one in found:
        what = (type(one).__doc__ or "").strip().splitlines()[0]
        table.add_row(one.name, one.unit, one.better.name.lower(), what)
    Console().print(table)


def main() -> None:
    """Run the command line; the user's mistakes are one line and exit code 2 (3: a limit out of reach)."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        _say(f"error: {error}")
        code = error.exit_code
    except _Mistyped as error:
        _say(f"error: {error.format_message()}")  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; no result was written")
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _show(outcome: runs.Outcome, as_json: bool) -> None:
    for note in outcome.notes:
        _say(f"note: {note}")
    if as_json:
        print(json.dumps(outcome.to_dict(), indent=2, ensure_ascii=False))
    else:
        page.show(outcome, Console())


def _say(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr)


def _refuse_beside_repeat(context: typer.Context) -> None:
    """A repeated run takes everything from its file."""
    allowed = {"repeat", "as_json", "runs_folder"}
    for name in context.params:
        if name not in allowed and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} cannot stand beside --repeat: the run's file says everything; drop one of them")


@contextmanager
def _progress() -> Generator[Watch]:
    """A live bar on stderr: what is done, and the time left."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=None)

        def watch(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield watch


if __name__ == "__main__":
    main()
