"""Commands about which boards there are: targets, targets show, targets add, targets new."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from micronas.cache import atomic_write
from micronas.commands.console import console, print_json, remark
from micronas.commands.flags import AsJson, TargetName, to_write
from micronas.errors import UserError
from micronas.hardware.boards.board import MEMORY, NAME, BoardFile, Target
from micronas.hardware.boards.table import LatencyTable
from micronas.hardware.boards.target import broken_boards, load_target, target_names, user_folder
from micronas.origin import Word
from micronas.views import parts

app = typer.Typer(invoke_without_command=True)


@app.callback()
def targets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the boards; add, show or begin one of your own."""
    if context.invoked_subcommand is not None:
        return
    found = [load_target(name) for name in target_names()]
    for line in broken_boards():
        remark(f"note: {line}")
    if as_json:
        print_json([_target_data(one) for one in found])
        return
    table = Table(
        "board", "core", "clock", "SRAM KiB", "flash KiB", "latencies", box=None, header_style="bold", pad_edge=False
    )
    for column in (2, 3, 4):
        table.columns[column].justify = "right"
    for column in range(5):
        table.columns[column].no_wrap = True
    for one in found:
        sram = " + ".join(f"{region.size_bytes / 1024:.0f}" for region in one.sram)
        clock, flash = f"{one.clock_hz / 1e6:.0f} MHz", f"{one.flash_bytes / 1024:,.0f}"
        table.add_row(one.name, one.core.name, clock, sram, flash, _timed(one.latency))
    console().print(table)


@app.command()
def show(board: TargetName, as_json: AsJson = False) -> None:
    """Show all that is known of a board, and where each fact is from."""
    one = load_target(board)
    if as_json:
        print_json(_target_data(one))
        return
    regions = [(region.name, f"{region.size_bytes / 1024:,.0f} KiB at {region.origin:#010x}") for region in one.sram]
    flash = f"{one.flash_bytes / 1024:,.0f} KiB at {one.flash_origin:#010x}"
    facts = [("core", one.core.name), ("clock", f"{one.clock_hz / 1e6:g} MHz"), *regions, ("flash", flash)]
    facts += [(name, f"{one.memory[name]:,}") for name in MEMORY]
    facts.append(("latencies", str(one.latency.origin) if one.latency.milliseconds else "none yet: profile it"))
    screen = console()
    screen.print(parts.heading(f"{one.name}: {one.title}", "bold"))
    screen.print()
    screen.print(parts.indented(parts.facts(facts)))
    screen.print(parts.heading("where the facts are from"))
    screen.print(parts.indented(parts.facts(one.sources.items())))


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A board's .toml; a .csv of latencies beside it comes along.")],
) -> None:
    """Check a board's file, and keep it so that its name can be used from anywhere."""
    board = BoardFile.read(file)
    board.check()
    name = board.name()
    if name in target_names() and not (user_folder() / f"{name}.toml").exists():
        raise UserError(f"{name} comes with micronas; give your board another name in {file}")
    load_target(file)  # its table, too, can be read
    for ending in (".csv", ".toml"):  # the board's last: it is there with its table, or not at all
        source = file if ending == ".toml" else file.with_name(f"{name}.csv")
        if source.exists():
            atomic_write(user_folder() / f"{name}{ending}", source.read_bytes())
    remark(f"kept {name} in {user_folder()}; use it as --target {name}")


@app.command()
def new(file: Annotated[Path, typer.Argument(help="The .toml to write; its name becomes the board's.")]) -> None:
    """Write a board's file to fill in, every key explained."""
    if file.suffix != ".toml":
        raise UserError(f"a board's file ends in .toml, so not {file}")
    if not re.fullmatch(NAME, file.stem):
        raise UserError(f"{file}: a board's name is letters, digits, '.', '_' and '-'; choose another name")
    if file.exists():
        raise UserError(f"{file} is there already; choose another name, or remove it")
    atomic_write(to_write(file), TEMPLATE.replace("NAME", file.stem))
    remark(f"wrote {file}: fill it in, then 'micronas targets add {file}'")


TEMPLATE = """# A board of your own. Every key must be there; numbers are from the chip's data sheet.
name = "NAME"                  # what you type: letters, digits, '.', '_' and '-'
title = "our board (its chip)"
core = "cortex-m4"             # cortex-m7, cortex-m4, cortex-m33 or cortex-m0plus
clock_hz = 80_000_000          # of the core, as your firmware sets it
flash_bytes = 524_288          # memory for code and weights
flash_origin = 0x0800_0000     # its first address

[[sram]]                       # one of these for each contiguous region; an arena must fit one of them
name = "SRAM1"
origin = 0x2000_0000
bytes = 131_072

[memory]                       # what the timing model knows, in core cycles and bytes
wait_states = 3                # cycles beyond the first that a read of flash takes at that clock
fetch_bytes = 16               # read from flash at once
line_bytes = 32                # of a line of its caches
code_cache_bytes = 1_024       # cache or accelerator for instructions; 0 if there is none
data_cache_bytes = 256         # the same for data
bus_cycles = 0                 # what the bus to the flash adds to each read
sram_line_cycles = 0           # cycles to fill a cache line from SRAM; 0 without a data cache

[sources]                      # the document each fact is from, or "unverified"
core = "unverified"
clock_hz = "unverified"
sram = "unverified"
flash_bytes = "unverified"
flash_origin = "unverified"
"memory.wait_states" = "unverified"
"memory.fetch_bytes" = "unverified"
"memory.line_bytes" = "unverified"
"memory.code_cache_bytes" = "unverified"
"memory.data_cache_bytes" = "unverified"
"memory.bus_cycles" = "unverified"
"memory.sram_line_cycles" = "unverified"
"""
"""A board's file as `targets new` writes it."""


def _timed(table: LatencyTable) -> str:
    """In few words how latencies are known; every figure itself stands beside the whole label."""
    if not table.milliseconds:
        return "none yet: profile it"
    if table.word is Word.MEASURED:
        return f"measured, {table.runtime}"
    return f"simulated, {'calibrated' if table.is_calibrated else 'uncalibrated'}"


def _target_data(one: Target) -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "core": one.core.name,
        "clock_hz": one.clock_hz,
        "sram_bytes": {region.name: region.size_bytes for region in one.sram},
        "flash_bytes": one.flash_bytes,
        "latency": str(one.latency.origin),
        "sources": dict(one.sources),
    }
