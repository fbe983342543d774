"""Commands about networks: search, measure, scores, indicators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from micronas import catalog, page, runs
from micronas.commands.flags import (
    AsJson,
    Cells,
    Channels,
    Classes,
    Config,
    Expressivity,
    ImagesFrom,
    Input,
    Repeats,
    Runtime,
    Seed,
    Target,
    absolute,
    run_of,
    to_write,
    weight,
)
from micronas.commands.terminal import console, print_json, progress, remark
from micronas.config import Run, every_indicator, parse_latency
from micronas.hardware.target import load_target

_DEFAULT = Run()


def search(
    target: Target = None,
    search: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join(catalog.SEARCHES)}.", show_default=_DEFAULT.search)
    ] = None,
    max_latency: Annotated[str | None, typer.Option(help="Hard limit with its unit, like 300ms or 0.3s.")] = None,
    ntk_weight: Annotated[float | None, weight("Of trainability.", _DEFAULT.ntk_weight)] = None,
    regions_weight: Annotated[float | None, weight("Of expressivity.", _DEFAULT.regions_weight)] = None,
    expressivity: Expressivity = None,
    flops_weight: Annotated[float | None, weight("A cost to pruning, capacity to exact.", "0; exact search 1")] = None,
    latency_weight: Annotated[float | None, weight("Of latency, a cost.", _DEFAULT.latency_weight)] = None,
    seed: Seed = None,
    seeds: Annotated[str | None, typer.Option(help="An ensemble for --search exact, like 0-4.")] = None,
    repeats: Repeats = None,
    images: ImagesFrom = None,
    runtime: Runtime = None,
    channels: Channels = None,
    cells: Cells = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    config: Config = None,
    repeat: Annotated[Path | None, typer.Option(help="A result.json: run that search again.")] = None,
    runs_folder: Annotated[Path, typer.Option("--runs", help="Where the result's folder goes.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Search the best cell for a board."""
    given = {
        "target": target,
        "search": search,
        "max_latency_ms": None if max_latency is None else parse_latency(max_latency),
        "ntk_weight": ntk_weight,
        "regions_weight": regions_weight,
        "expressivity": expressivity,
        "flops_weight": flops_weight,
        "latency_weight": latency_weight,
        "seed": seed,
        "seeds": seeds,
        "repeats": repeats,
        "images": absolute(images),
        "runtime": runtime,
        "channels": channels,
        "cells": cells,
        "input": input,
        "classes": classes,
    }
    run = run_of(given, config=config, repeat=repeat)
    with progress() as watch:
        outcome = runs.search(run, watch)
    for line in runs.differences(repeat, outcome) if repeat else ():
        remark(f"note: {line}")
    _show(outcome, as_json)
    path = runs.keep(outcome, runs_folder)
    if as_json:
        remark(f"kept in {path}")
    else:
        page.close(path, console())


def measure(
    architecture: Annotated[str, typer.Argument(help="In the notation of NAS-Bench-201.")],
    target: Target = None,
    only: Annotated[
        str | None,
        typer.Option("--indicators", help="Only these of 'micronas indicators', like latency,sram; else all."),
    ] = None,
    emulate: Annotated[bool, typer.Option(help="Also run the whole network as firmware in the emulator.")] = False,
    seed: Seed = None,
    repeats: Repeats = None,
    images: ImagesFrom = None,
    expressivity: Expressivity = None,
    runtime: Runtime = None,
    channels: Channels = None,
    cells: Cells = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Judge one architecture by every indicator."""
    given = {
        "target": target,
        "seed": seed,
        "repeats": repeats,
        "images": absolute(images),
        "expressivity": expressivity,
        "runtime": runtime,
        "channels": channels,
        "cells": cells,
        "input": input,
        "classes": classes,
    }
    run = run_of(given, config=config)
    names = None if only is None else [name.strip() for name in only.split(",")]
    with progress() as watch:
        outcome = runs.measure(run, architecture, watch, emulated=emulate, only=names)
    _show(outcome, as_json)


def scores(
    out: Annotated[Path, typer.Option(help="The .csv file to write.")],
    seeds: Annotated[str, typer.Option(help="Like 0-4 or 1,3,5.")] = "0",
    repeats: Repeats = None,
    unique: Annotated[bool, typer.Option("--unique", help="One row for each distinct network.")] = False,
    images: ImagesFrom = None,
    expressivity: Expressivity = None,
    channels: Channels = None,
    cells: Cells = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
) -> None:
    """Export the score of every architecture of the space, and each seed's indicators (the mean of its draws)."""
    given = {
        "repeats": repeats,
        "images": absolute(images),
        "expressivity": expressivity,
        "channels": channels,
        "cells": cells,
        "input": input,
        "classes": classes,
    }
    run = replace(run_of(given), search="exact", seeds=seeds)
    with progress() as watch:
        exported = runs.export_scores(run, to_write(out), unique, watch)
    for note in exported.notes:
        remark(f"note: {note}")
    remark(f"wrote {exported.rows:,} rows to {out}")


def indicators(as_json: AsJson = False) -> None:
    """List what a network can be judged by."""
    found = [
        (one, (type(one).__doc__ or "").strip().splitlines()[0])
        for one in every_indicator(load_target(_DEFAULT.target))
    ]
    if as_json:
        print_json(
            [
                {"name": one.name, "unit": one.unit, "better": one.better.name.lower(), "what": what}
                for one, what in found
            ]
        )
        return
    table = Table("indicator", "unit", "better", "what it is", box=None, header_style="bold", pad_edge=False)
    for one, what in found:
        table.add_row(one.name, one.unit, one.better.name.lower(), what)
    console().print(table)


def _show(outcome: runs.Outcome, as_json: bool) -> None:
    for note in outcome.notes:
        remark(f"note: {note}")
    if as_json:
        print_json(outcome.to_dict())
    else:
        page.show(outcome, console())
