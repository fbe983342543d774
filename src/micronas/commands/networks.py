"""Commands about networks: search, measure, show, scores, indicators."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from micronas import catalog
from micronas.cache import atomic_write
from micronas.commands.console import console, print_json, remark
from micronas.commands.flags import (
    A_RUN,
    RUNS,
    AsJson,
    Batch,
    Cells,
    Channels,
    Classes,
    Clock,
    Config,
    Core,
    Expressivity,
    Fit,
    FlashOf,
    ImagesFrom,
    Input,
    Layers,
    LimitOn,
    Margin,
    MaxFlash,
    MaxFlops,
    MaxLatency,
    MaxSram,
    Quiet,
    Repeats,
    ReserveFlash,
    ReserveSram,
    RunsFolder,
    Runtime,
    Seed,
    Sources,
    Space,
    SpaceSetting,
    Sram,
    Stages,
    StemStride,
    Target,
    Verbose,
    brought_by,
    stands_alone,
    to_write,
    weighs,
)
from micronas.commands.progress import progress
from micronas.errors import UserError
from micronas.indicators import Indicator
from micronas.objective import Unreachable
from micronas.run import results, running
from micronas.run.asking import asked_for, flags_given
from micronas.run.outcome import Outcome
from micronas.run.run import Run
from micronas.run.setup import usual_means
from micronas.spaces.space import ArchitectureError
from micronas.views import details, terminal
from micronas.views.escaped import inert


def search(
    target: Target = None,
    core: Core = None,
    clock: Clock = None,
    sram: Sram = None,
    flash: FlashOf = None,
    max_latency: MaxLatency = None,
    max_sram: MaxSram = None,
    max_flash: MaxFlash = None,
    max_flops: MaxFlops = None,
    limit: LimitOn = None,
    fit: Fit = None,
    reserve_sram: ReserveSram = None,
    reserve_flash: ReserveFlash = None,
    margin: Margin = None,
    search: Annotated[
        str | None,
        typer.Option(help=f"One of: {', '.join(catalog.SEARCHES)}.", show_default="exact where the space is small"),
    ] = None,
    search_setting: Annotated[
        list[str] | None, typer.Option("--search-setting", help="NAME=VALUE, like samples=200; may be repeated.")
    ] = None,
    space: Space = None,
    space_setting: SpaceSetting = None,
    weight: Annotated[
        list[str] | None, typer.Option("--weight", help="NAME=WEIGHT of any indicator, like naswot=2; may be repeated.")
    ] = None,
    ntk_weight: Annotated[float | None, weighs("Of trainability.", "1")] = None,
    regions_weight: Annotated[float | None, weighs("Of expressivity.", "1")] = None,
    expressivity: Expressivity = None,
    flops_weight: Annotated[float | None, weighs("A cost to pruning, capacity to exact.", "0; exact search 1")] = None,
    latency_weight: Annotated[float | None, weighs("Of latency, a cost.", "0")] = None,
    seed: Seed = None,
    seeds: Annotated[str | None, typer.Option(help="An ensemble for exact search, like 0-4.")] = None,
    repeats: Repeats = None,
    images: ImagesFrom = None,
    batch: Batch = None,
    runtime: Runtime = None,
    channels: Channels = None,
    cells: Cells = None,
    stages: Stages = None,
    stem_stride: StemStride = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    front: Annotated[
        str | None,
        typer.Option(
            help="Also the Pareto front of the score and these: --front, or --front latency,sram,flash.",
            show_default=False,
        ),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Several boards, parted by commas, answered from one scoring.")
    ] = None,
    config: Config = None,
    repeat: Annotated[str | None, typer.Option(help=f"Search as that run did: {A_RUN}.")] = None,
    runs_folder: RunsFolder = RUNS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search the best network that fits a board."""
    given = flags_given(locals())
    results.check_folder(runs_folder)
    costs = [name.strip() for name in (front or "").split(",") if name.strip()]
    if targets is not None:
        if repeat is not None or "target" in given:
            raise UserError("--targets cannot stand beside --target or --repeat; drop one of them")
        _search_boards(asked_for(given, config=config), targets, costs, runs_folder, as_json)
        return
    if repeat is None:
        outcome = _searched(asked_for(given, config=config), costs)
    else:
        stands_alone("--repeat", given, config)
        earlier = results.locate(repeat, runs_folder)
        before = results.read_back(earlier)
        outcome = _searched(brought_by(before, earlier))
        for line in results.differences(before, outcome, earlier):
            remark(f"note: {line}")
    path = _kept(outcome, runs_folder)  # whatever becomes of the page
    try:
        _show(outcome, as_json)
        if not as_json:
            terminal.close(path, console())
    finally:
        remark(f"kept in {path}")


def measure(
    architecture: Annotated[str, typer.Argument(help=f"In its space's notation, or of a run: {A_RUN}.")],
    target: Target = None,
    core: Core = None,
    clock: Clock = None,
    sram: Sram = None,
    flash: FlashOf = None,
    only: Annotated[
        str | None,
        typer.Option("--indicators", help="Only these of 'micronas indicators', like latency,sram; else all."),
    ] = None,
    emulate: Annotated[bool, typer.Option(help="Also run the whole network as firmware in the emulator.")] = False,
    port: Annotated[
        str | None,
        typer.Option(help="Also time the whole network on the board itself: /dev/ttyACM0, COM3 or a pyserial URL."),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="With --emulate: keep its C and its ELF in this folder.")] = None,
    seed: Seed = None,
    repeats: Repeats = None,
    images: ImagesFrom = None,
    batch: Batch = None,
    expressivity: Expressivity = None,
    runtime: Runtime = None,
    space: Space = None,
    space_setting: SpaceSetting = None,
    channels: Channels = None,
    cells: Cells = None,
    stages: Stages = None,
    stem_stride: StemStride = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    config: Config = None,
    layers: Layers = False,
    sources: Sources = False,
    runs_folder: RunsFolder = RUNS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge one architecture by every indicator. A run brings its board, skeleton, seeds and images; flags win."""
    run, text = _named(architecture, flags_given(locals()), runs_folder, config)
    if keep is not None and not emulate:
        raise UserError("--keep keeps what --emulate builds; give both")
    names = None if only is None else [name.strip() for name in only.split(",")]
    with _named_rightly(architecture, runs_folder), progress() as watch:
        outcome = running.measure(run, text, watch, emulated=emulate, port=port, only=names)
        if keep is not None:
            running.export(run, text, keep, "emulator")
    _show(outcome, as_json, layers=layers, sources=sources)


def show(
    run: Annotated[str, typer.Argument(help=f"{A_RUN}.", show_default=True)] = results.LAST,
    layers: Layers = False,
    sources: Sources = False,
    runs_folder: RunsFolder = RUNS,
    as_json: AsJson = False,
) -> None:
    """Show a kept run again, as it was; nothing is searched or measured."""
    path = results.locate(run, runs_folder)
    outcome = results.read_back(path)
    _show(outcome, as_json, layers=layers, sources=sources)
    if outcome.search and not (as_json or layers or sources):
        terminal.close(path, console())


def export(
    architecture: Annotated[str, typer.Argument(help=f"In its space's notation, or of a run: {A_RUN}.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    kind: Annotated[
        str,
        typer.Option("--format", help="c: sources and a self-test; firmware: an image for the board's serial port."),
    ] = "c",
    name: Annotated[str, typer.Option(help="Of the C: prefixes its symbols and files.")] = "model",
    scratch_apart: Annotated[
        bool, typer.Option("--scratch-apart", help="Of the C: kernels' scratch in a buffer apart from the arena.")
    ] = False,
    target: Target = None,
    core: Core = None,
    clock: Clock = None,
    sram: Sram = None,
    flash: FlashOf = None,
    seed: Seed = None,
    space: Space = None,
    space_setting: SpaceSetting = None,
    channels: Channels = None,
    cells: Cells = None,
    stages: Stages = None,
    stem_stride: StemStride = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    runs_folder: RunsFolder = RUNS,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a network as C, or as a board's firmware; its weights are random as yet."""
    run, text = _named(architecture, flags_given(locals()), runs_folder)
    with _named_rightly(architecture, runs_folder), progress() as watch:
        written = running.export(run, text, out, kind, name, watch, scratch_apart=scratch_apart)
    remark(f"note: {running.RANDOM_WEIGHTS}, seed {run.seed}: trained ones are not in it")
    if as_json:
        print_json({"format": kind, "weights": running.RANDOM_WEIGHTS, "files": [str(path) for path in written]})
    else:
        for path in written:
            console().print(str(path), soft_wrap=True, markup=False)


@contextmanager
def _named_rightly(architecture: str, runs_folder: Path) -> Generator[None]:
    """What is no architecture of the space might have been meant for a run: say that it is none either."""
    try:
        yield
    except ArchitectureError as error:
        raise UserError(f"{error}; nor does {architecture!r} name a run in {runs_folder}") from error


def _named(
    architecture: str, given: Mapping[str, object], runs_folder: Path, config: Path | None = None
) -> tuple[Run, str]:
    """The run that flags and, if one is named, a kept run ask for, and its architecture; flags win."""
    earlier = results.find(architecture, runs_folder)
    if earlier is None:
        return asked_for(given, config=config), architecture
    stands_alone("a run", {}, config)
    before = results.read_back(earlier)
    images = cast(str | None, given.get("images"))
    return asked_for(given, brought=brought_by(before, earlier, images)), before.architecture


def scores(
    out: Annotated[Path, typer.Option(help="The .csv file to write.")],
    target: Target = None,
    seeds: Annotated[str, typer.Option(help="Like 0-4 or 1,3,5.")] = "0",
    repeats: Repeats = None,
    unique: Annotated[bool, typer.Option("--unique", help="One row for each distinct network.")] = False,
    images: ImagesFrom = None,
    batch: Batch = None,
    expressivity: Expressivity = None,
    space: Space = None,
    space_setting: SpaceSetting = None,
    channels: Channels = None,
    cells: Cells = None,
    stages: Stages = None,
    stem_stride: StemStride = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Export the score of every architecture of the space, and each seed's indicators (the mean of its draws)."""
    given = flags_given(locals())
    run = replace(asked_for(given), search="exact", seeds=seeds)
    with progress() as watch:
        exported = running.export_scores(run, to_write(out), unique, watch, board=target is not None)
    for note in exported.notes:
        remark(f"note: {note}")
    remark(f"wrote {exported.rows:,} rows to {out}")


def indicators(as_json: AsJson = False) -> None:
    """List what a network can be judged by, plug-ins' too."""
    found: list[tuple[str, str, str, str]] = []
    for name in catalog.names("indicator"):
        try:
            one = catalog.indicator(name, usual_means())
        except UserError as error:
            remark(f"note: {error}")
            continue
        found.append((one.name, one.unit, one.better.name.lower(), _what(name, one)))
    if as_json:
        print_json([dict(zip(("name", "unit", "better", "what"), row, strict=True)) for row in found])
        return
    table = Table("indicator", "unit", "better", "what it is", box=None, header_style="bold", pad_edge=False)
    for row in found:
        table.add_row(*row)
    console().print(table)


def _what(name: str, one: Indicator) -> str:
    brought = catalog.used("indicator", name)
    return str(brought) if brought else (type(one).__doc__ or "").strip().splitlines()[0]


def _searched(run: Run, front: Sequence[str] = ()) -> Outcome:
    with progress() as watch:
        return running.search(run, watch, front=front)


def _kept(outcome: Outcome, runs_folder: Path) -> Path:
    path = results.keep(outcome, runs_folder)
    if outcome.front:
        atomic_write(path.with_name("front.csv"), results.front_rows(outcome.front))
    return path


def _search_boards(run: Run, targets: str, front: Sequence[str], runs_folder: Path, as_json: bool) -> None:
    """An answer for each board: the first scores the space, the others find its scores stored."""
    names = list(dict.fromkeys(name.strip() for name in targets.split(",") if name.strip()))
    found: dict[str, Outcome | str] = {}
    for name in names:
        try:
            found[name] = _searched(replace(run, target=name), front)
        except Unreachable as error:
            found[name] = str(error)
    for name, outcome in found.items():
        if isinstance(outcome, Outcome):
            for note in outcome.notes:
                remark(f"note: {name}: {note}")
            remark(f"kept in {_kept(outcome, runs_folder)}")
    if as_json:
        print_json([one if isinstance(one, str) else results.sealed(one) for one in found.values()])
    else:
        terminal.compare(found, console())


def _show(outcome: Outcome, as_json: bool, *, layers: bool = False, sources: bool = False) -> None:
    for note in outcome.notes:
        remark(f"note: {note}")
    if as_json:
        print_json(results.sealed(outcome))
        return
    outcome = inert(outcome)
    if not (layers or sources):
        terminal.show(outcome, console())
    if layers:
        details.show_layers(outcome, console())
    if sources:
        details.show_sources(outcome, console())
