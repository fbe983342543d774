"""Commands that time a board: profile, calibrate."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from micronas.cache import atomic_write, cache_dir
from micronas.commands.console import console, print_json, remark
from micronas.commands.flags import (
    AsJson,
    Cells,
    Channels,
    Classes,
    Input,
    Out,
    Quiet,
    Replace,
    Space,
    SpaceSetting,
    TargetName,
    Verbose,
    to_write,
)
from micronas.commands.progress import progress
from micronas.drawing import title
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.calibration import Calibration, fit, read_measurements
from micronas.hardware.boards.profiled import Progress, complete, extended, keep
from micronas.hardware.boards.profiled import profile as profile_in_emulator
from micronas.hardware.boards.table import OUR_RUNTIME, LatencyTable
from micronas.hardware.boards.target import load_target, load_untimed
from micronas.hardware.indicators.counted import count_space
from micronas.network.signature import Signature
from micronas.origin import Word
from micronas.run.asking import asked_for
from micronas.run.run import Run
from micronas.run.setup import graph_of, space_of, task_of
from micronas.search.search import Watch
from micronas.views import parts, wording

_SHOWN = 12
"""Operations that a profile's page lists."""


def profile(
    board: TargetName,
    channels: Channels = None,
    cells: Cells = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    space: Space = None,
    space_settings: SpaceSetting = None,
    cc: Annotated[str | None, typer.Option(help='An own cross compiler, like "arm-none-eabi-gcc"; else zig.')] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="A C file that hands over another runtime's kernels (micronas_adapter.h).")
    ] = None,
    memory: Annotated[
        bool, typer.Option(help="With the waits for flash and SRAM; a table without is not kept.")
    ] = True,
    port: Annotated[
        str | None, typer.Option(help="Measure on the board itself: /dev/ttyACM0, COM3 or a pyserial URL.")
    ] = None,
    out: Out = None,
    replace: Replace = False,
    as_json: AsJson = False,
    quiet: Quiet = False,  # noqa: ARG001 (its callback does it)
    verbose: Verbose = False,  # noqa: ARG001
) -> None:
    """Time every operation of the space on a board: in the emulator, or on the board itself."""
    run = asked_for(
        {
            "space": space,
            "space_setting": space_settings,
            "channels": channels,
            "cells": cells,
            "input": input,
            "classes": classes,
        }
    )
    target, compiler = load_untimed(board), _command(cc)
    file = to_write(out) if out else None
    if port is not None:
        _refuse_beside_port(adapter, memory)
    signatures = _signatures(run)
    with progress() as watch:
        if port is None:
            told = _telling(watch, f"timing {len(signatures)} operations in the emulator")
            table = profile_in_emulator(
                target, signatures, compiler=compiler, adapter=adapter, with_memory=memory, progress=told
            )
        else:
            table = _measured(target, signatures, port, compiler, watch)
    path = _kept(table, file, replace) if memory or file else None
    missing = [str(signature) for signature in table.missing(signatures)]
    if as_json:
        print_json(_profile_data(table, path) | {"untimed": missing})
    else:
        _show_profile(target, table, path, missing)


def calibrate(
    board: TargetName,
    measurements: Annotated[
        Path, typer.Argument(help="A .csv with the columns name (operation or architecture) and milliseconds.")
    ],
    runtime: Annotated[str | None, typer.Option(help="Whose kernels were measured.", show_default=OUR_RUNTIME)] = None,
    channels: Channels = None,
    cells: Cells = None,
    input: Input = None,  # noqa: A002 (the flag is --input)
    classes: Classes = None,
    space: Space = None,
    space_settings: SpaceSetting = None,
    out: Out = None,
    replace: Replace = False,
    force: Annotated[
        bool, typer.Option("--force", help="Believe a common scale that is no board's; keep a table in doubt.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,  # noqa: ARG001 (its callback does it)
    verbose: Verbose = False,  # noqa: ARG001
) -> None:
    """Fit a board's simulated latencies to what was measured on it."""
    run = asked_for(
        {
            "space": space,
            "space_setting": space_settings,
            "channels": channels,
            "cells": cells,
            "input": input,
            "classes": classes,
        }
    )
    file = to_write(out) if out else None
    target = _to_calibrate(board, runtime)
    found = read_measurements(measurements, partial(graph_of, run), _signatures(run))
    with progress() as watch:
        needed = [signature for each in found for signature in each.counts]
        table = complete(target, needed, _telling(watch, "profiling operations that the board's table lacks")).latency
        told = _telling(watch, "leaving out each measurement in turn")
        calibration = fit(table, found, runtime, told, force=force)
    is_kept = not calibration.doubt or force or file is not None
    path = _kept(calibration.applied_to(table), file, replace) if is_kept else None
    if as_json:
        print_json(_calibration_data(calibration, target, path))
    else:
        _show_calibration(calibration, target, path)


# --- profile ------------------------------------------------------------------------------------


def _signatures(run: Run) -> tuple[Signature, ...]:
    return count_space(space_of(run), task_of(run)).operations


def _command(cc: str | None) -> tuple[str, ...]:
    """The words of a compiler's command."""
    try:
        words = () if cc is None else tuple(shlex.split(cc))
    except ValueError as error:
        raise UserError(f"cannot read the compiler's command {cc!r}: {error}") from error
    if cc is not None and not words:
        raise UserError("--cc names no compiler; write it like --cc arm-none-eabi-gcc, or leave it out for zig")
    return words


def _telling(watch: Watch, what: str) -> Progress:
    return lambda done, total: watch(done, total, what)


def _refuse_beside_port(adapter: Path | None, memory: bool) -> None:
    if adapter is not None:
        raise UserError("--adapter cannot stand beside --port: the board's image holds our own kernels")
    if not memory:
        raise UserError("--no-memory cannot stand beside --port: the board waits for its memory as it does")


def _measured(
    target: Target, signatures: tuple[Signature, ...], port: str, compiler: tuple[str, ...], watch: Watch
) -> LatencyTable:
    from micronas.deploy.operations import profile_board
    from micronas.mcu.toolchain import Toolchain

    watch(0, len(signatures), "building the firmware")
    return profile_board(
        target,
        signatures,
        port,
        cache_dir() / "firmware" / f"{target.name}.bin",
        toolchain=Toolchain(cache_dir() / "toolchain", compiler),
        progress=_telling(watch, f"timing operations on the board at {port}"),
    )


def _kept(table: LatencyTable, out: Path | None, replace: bool) -> Path:
    """Write a table to a file, or keep it for the user together with what was timed alike before."""
    if out is None:
        done = keep(extended(table), replace=replace)
        if done.backup:
            why = f", made by another {done.made_otherwise}," if done.made_otherwise else ""
            remark(f"note: the table that was there{why} is in {done.backup}")
        if done.in_use is not table.grade:
            remark(f"note: {table.board} has a {done.in_use} table, which is kept apart and goes before it")
        return done.path
    atomic_write(out, table.dump())
    return out


def _profile_data(table: LatencyTable, path: Path | None) -> dict[str, object]:
    return {
        "target": table.board,
        "runtime": table.runtime,
        "kernel_version": table.kernel_version,
        "origin": str(table.word),
        "how": table.origin.how,
        "overhead_ms": table.overhead_ms,
        "latency_ms": {str(signature): cost for signature, cost in table.milliseconds.items()},
        "provenance": dict(table.provenance),
        "path": str(path) if path else None,
    }


def _show_profile(target: Target, table: LatencyTable, path: Path | None, missing: list[str]) -> None:
    screen = console()
    count = wording.count(len(table.milliseconds), "operation")
    screen.print(parts.heading(f"{table.board}: {count} {table.word} with {table.runtime}", "bold"))
    screen.print()
    screen.print(parts.indented(_slowest(table, target.clock_hz)))
    if missing:
        untimed = wording.count(len(missing), "operation")
        screen.print(parts.indented(Text(f"{untimed} untimed, first of all {missing[0]}")))
    screen.print(parts.heading("how the numbers were obtained"))
    how = [("kernels", f"{table.runtime} {table.kernel_version}, {table.dtype}")]
    how += [(name.replace("_", " "), words) for name, words in table.provenance.items() if name != "clock_hz"]
    how.append(("clock", f"{target.clock_hz / 1e6:g} MHz"))
    screen.print(parts.indented(parts.facts(how)))
    _show_path(path, "without waits it is no board's latency; --out writes it to a file")


def _slowest(table: LatencyTable, clock_hz: int) -> Table:
    slowest = sorted(table.milliseconds.items(), key=lambda item: -item[1])
    shown = Table("slowest operations", "ms", "cycles", box=None, header_style="dim", pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    rows = [(str(signature), cost) for signature, cost in slowest[:_SHOWN]]
    for name, cost in (*rows, ("overhead of a network", table.overhead_ms)):
        shown.add_row(name, f"{cost:,.3f}", f"{cost * clock_hz / 1000:,.0f}")
    return shown


def _show_path(path: Path | None, why_not: str) -> None:
    if path is None:
        console().print(Text(f"  not kept: {why_not}"))
        return
    console().print(Text("  kept in  ", style="dim", end="") + Text(str(path)), soft_wrap=True)


# --- calibrate ----------------------------------------------------------------------------------


def _to_calibrate(board: str, runtime: str | None) -> Target:
    """The board with the simulated table of that runtime's kernels, or if it has none, of ours."""
    target = load_target(board, runtime or OUR_RUNTIME).as_simulated()
    return target if target.latency.milliseconds else load_target(board).as_simulated()


def _calibration_data(calibration: Calibration, target: Target, path: Path | None) -> dict[str, object]:
    return {
        "target": target.name,
        "runtime": calibration.runtime,
        "scaled": calibration.source,
        "origin": str(Word.SIMULATED),
        "measurements": len(calibration.errors) + len(calibration.outliers),
        "scales": dict(calibration.scales),
        "common_scale": calibration.common,
        "overhead_ms": calibration.overhead_ms,
        "median_error": calibration.typical_error,
        "band": calibration.band,
        "outliers": dict(calibration.outliers),
        "do_not_use": calibration.doubt,
        "path": str(path) if path else None,
    }


def _show_calibration(calibration: Calibration, target: Target, path: Path | None) -> None:
    screen = console()
    screen.print(parts.heading(f"{target.name}: calibrated with {calibration.summary}", "bold"))
    screen.print()
    scales = [(title(name), f"x {scale:.3f}") for name, scale in sorted(calibration.scales.items())]
    rows = [*scales, ("all others", f"x {calibration.common:.3f}"), ("overhead", f"{calibration.overhead_ms:.3g} ms")]
    rows.append(("", f"scale the simulated figures of {calibration.source}; they stay simulated"))
    screen.print(parts.indented(parts.facts(rows)))
    screen.print(parts.heading("how well it predicts what it has not seen"))
    errors = [
        ("median", f"{calibration.typical_error:.1%}"),
        ("nine of ten within", wording.band(1 - calibration.band, 1 + calibration.band)),
    ]
    errors += [("outlier, no say", f"{name}: {error:.0%} off") for name, error in calibration.outliers.items()]
    errors += [("do not use", calibration.doubt)] if calibration.doubt else []
    screen.print(parts.indented(parts.facts(errors)))
    _show_path(path, "a calibration that makes figures no better; --force keeps it, --out writes it to a file")
