"""The result page in the terminal: the cell, its numbers, where the time goes, and how we know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from micronas.drawing import draw_cell
from micronas.hardware.latency import Breakdown
from micronas.outcome import Outcome, Reading

if TYPE_CHECKING:
    from micronas.deploy.emulate import Emulation

_TITLES = {
    "ntk": "NTK condition number",
    "linear-regions": "linear regions",
    "flops": "FLOPs (all edges)",
    "live-flops": "FLOPs (live edges)",
    "params": "parameters",
    "latency": "latency",
    "sram": "peak SRAM",
    "sram-tflm": "peak SRAM, TFLite-Micro",
    "flash": "flash",
}


def show(outcome: Outcome, console: Console) -> None:
    """Print the page."""
    console.print(Group(*_parts(outcome)))


def _parts(outcome: Outcome) -> Iterable[RenderableType]:
    yield Rule(_headline(outcome), align="left")
    yield _indented(Text(outcome.text, style="bold", overflow="fold"))
    yield _indented(Text(draw_cell(outcome.space.edges(outcome.architecture)), no_wrap=True))
    yield _indented(_readings(outcome))
    if outcome.breakdown:
        yield Rule("where the time goes", align="left", style="dim")
        yield _indented(_breakdown(outcome.breakdown))
    else:
        yield _indented(Text("No path leads from the input to the output: this network computes a constant."))
    if outcome.misfits:
        yield _indented(Text("\n".join(outcome.misfits), style="bold red"))
    if outcome.emulation:
        yield Rule("run as firmware in the emulator", align="left", style="dim")
        yield _indented(Text("\n".join(_emulated(outcome.emulation))))
    if outcome.limits:
        yield Rule("what the limit allowed", align="left", style="dim")
        yield _indented(Text("\n".join(_limits(outcome))))
    yield Rule("how the numbers were obtained", align="left", style="dim")
    yield _indented(Text("\n".join(_provenance(outcome)), style="dim"))


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 1, 2))


def _headline(outcome: Outcome) -> str:
    if outcome.search:
        return f"[bold]{outcome.target}[/]  found by {outcome.search}, seed {outcome.seed}, in {outcome.seconds:.1f} s"
    return f"[bold]{outcome.target}[/]  {outcome.skeleton}"


def _readings(outcome: Outcome) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, reading in outcome.indicators.items():
        table.add_row(_TITLES.get(name, name), _quantity(name, reading, outcome.breakdown), reading.source)
    return table


def _quantity(name: str, reading: Reading, breakdown: Breakdown | None) -> str:
    if reading.value is None:
        return "none"
    if name == "latency" and breakdown and breakdown.band:
        return f"[bold]{reading.value:.4g} ms[/] ±{breakdown.band:.0%}"
    return _with_unit(reading.value, reading.unit)


def _with_unit(value: float, unit: str) -> str:
    """`120.3 MMAC`, `312 ms`, `64.0 KiB`: four digits and a scale that reads well."""
    match unit:
        case "bytes":
            return f"{value / 1024:,.1f} KiB"
        case "MAC" | "parameters":
            short = {"MAC": "MMAC", "parameters": "M"}[unit]
            return f"{value / 1e6:,.3f} {short}"
        case _:
            digits = f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
            return f"{digits} {unit}".strip()


def _breakdown(breakdown: Breakdown) -> Group:
    return Group(
        _bars(breakdown.by_operation(), breakdown.latency_ms),
        Text(),
        _bars(breakdown.by_stage(), breakdown.latency_ms),
    )


def _bars(milliseconds: dict[str, float], total: float) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=18)
    table.add_column(justify="right")
    table.add_column(justify="right", style="dim")
    table.add_column(width=40)
    for name, cost in milliseconds.items():
        table.add_row(name, f"{cost:.2f} ms", f"{cost / total:.0%}", Bar(total, 0, cost, color="cyan"))
    return table


def _limits(outcome: Outcome) -> Iterable[str]:
    for asked, reached in outcome.limits:
        yield f"asked for {asked}; reached {reached}"
    result = outcome.result
    if result and result.steps:
        skipped = sum(len(step.skipped) for step in result.steps)
        yield (
            f"{len(result.finalists)} different cells came of the hardware weights tried; this one is the best by "
            f"performance alone (hardware weights x {result.finalists[0].hardware_factor:g})"
        )
        yield f"{skipped} removals were skipped because they would have put the limit out of reach"


def _emulated(emulation: Emulation) -> Iterable[str]:
    yield f"{emulation.latency_ms:.4g} ms from reset to halt, {emulation.cycles:,.0f} cycles (simulated)"
    yield (
        f"SRAM {emulation.sram_bytes / 1024:,.1f} KiB: arena {emulation.arena_bytes:,} bytes, "
        f"stack {emulation.stack_bytes:,}, statics {sum(emulation.statics.values()):,}"
    )
    yield f"flash {emulation.flash_bytes / 1024:,.1f} KiB"
    same = "equal to" if emulation.matches_reference else "NOT equal to"
    yield f"logits {same} the integer reference's (random int8 weights)"


def _provenance(outcome: Outcome) -> Iterable[str]:
    if outcome.breakdown:
        low, high = outcome.breakdown.range_ms
        yield f"latency: {outcome.breakdown.source}"
        if outcome.breakdown.band:
            yield f"         expect {low:.4g} to {high:.4g} ms on the board; no board was attached"
        yield f"         overhead {outcome.breakdown.overhead_ms:g} ms besides the layers"
    yield f"network: {outcome.skeleton}, int8"
    if outcome.result:
        measured = outcome.result.measured
        yield f"search:  {measured} measurements of untrained networks; nothing was trained, no label was read"
