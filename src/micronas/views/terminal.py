"""The result page in the terminal: the cell, its numbers, where the time goes, and how we know."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from micronas.deploy.emulation import Emulation
from micronas.drawing import title
from micronas.hardware.indicators.breakdown import Breakdown
from micronas.origin import COMPUTED
from micronas.run.outcome import Kept, Outcome, Reading, Verdict

_TITLES = {
    "ntk": "NTK condition number",
    "linear-regions": "linear regions",
    "naswot": "NASWOT",
    "zen-score": "Zen-score",
    "synflow": "SynFlow",
    "flops": "FLOPs, all edges",
    "live-flops": "FLOPs, live edges",
    "params": "parameters",
    "layers": "layers with weights (live)",
    "sram": "peak SRAM",
    "sram-tflm": "peak SRAM, TFLite-Micro",
}
_MARGIN = 2
_SIDE_BY_SIDE = 96
"""Columns from which on two tables of bars stand beside each other."""


def show(outcome: Outcome, console: Console) -> None:
    """Print the page, as wide as the console."""
    console.print(Group(*_parts(outcome, console.width - _MARGIN)))


def close(path: Path, console: Console) -> None:
    """The last lines: where the result is and the command that repeats it, never broken, so that they can be copied."""
    words = shlex.quote(str(path))
    for label, text in (("kept in", str(path)), ("again", f"micronas search --repeat {words}")):
        console.print(Text(f"  {label:9}", style="dim", end="") + Text(text), soft_wrap=True)


def compare(found: Mapping[str, Outcome | str], console: Console) -> None:
    """The answers for several boards, a line each; why, where there is none."""
    table = Table("board", "latency", "SRAM", "flash", "architecture", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:4]:
        column.justify, column.no_wrap = "right", True
    for name, outcome in found.items():
        if isinstance(outcome, str):
            table.add_row(name, "", "", "", Text(outcome))
            continue
        readings = (outcome.indicators.get(each) for each in ("latency", "sram", "flash"))
        numbers = (" ".join(quantity(one.value, one.unit)) if one else "" for one in readings)
        table.add_row(name, *numbers, Text("\n".join(_lines(outcome.architecture, 40))))
    console.print(table)


def heading(text: str, style: str = "dim") -> Rule:
    """A line with words at its left end."""
    return Rule(Text(text), align="left", style=style)


def indented(what: RenderableType) -> Padding:
    """Something below a heading, with an empty line behind it."""
    return Padding(what, (0, 0, 1, _MARGIN), expand=False)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """A column of names and a column of words; a name stands once where the words of several lines follow."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, words in pairs:
        table.add_row(name, Text(words))
    return table


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,500 measurements`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def band(share: float) -> str:
    """`±20 %`."""
    return f"±{100 * share:.0f} %"


def _parts(outcome: Outcome, width: int) -> Iterable[RenderableType]:
    yield heading(_headline(outcome), style="bold")
    yield Text()
    if outcome.limits:
        yield indented(Group(_verdict(outcome), _limit_bars(outcome, width)))
    yield indented(Text("\n".join(_lines(outcome.architecture, width)), style="bold", overflow="fold"))
    yield indented(Text("\n".join(outcome.drawing), no_wrap=True, overflow="crop"))
    yield indented(_readings(outcome))
    if outcome.breakdown:
        yield heading("where the time goes")
        yield indented(_breakdown(outcome.breakdown, width))
    elif "latency" in outcome.indicators:
        yield indented(Text("No path leads from the input to the output: this network computes a constant."))
    if outcome.emulation:
        yield heading("run as firmware in the emulator")
        yield indented(facts(_emulated(outcome.emulation)))
    if outcome.rounds:
        yield heading("how the search got there")
        yield indented(Group(*map(Text, _rounds(outcome))))
    if outcome.front:
        yield heading(f"the front: {count(len(outcome.front), 'network')}, the best score first")
        yield indented(_front(outcome))
    yield heading("how the numbers were obtained")
    yield indented(facts(_provenance(outcome)))


def _headline(outcome: Outcome) -> str:
    seeds = outcome.run.get("seeds")
    drawn = f"seeds {seeds}" if seeds else f"seed {outcome.seed}"
    how = f"found by {outcome.search}, {drawn}, in {outcome.seconds:.1f} s"
    return f"{outcome.target}: {how if outcome.search else outcome.network}"


def _lines(architecture: str, width: int) -> list[str]:
    """The architecture in as few lines as fit, broken only where a node ends."""
    nodes = architecture.split("+")
    lines = [nodes[0]]
    for node in nodes[1:]:
        if len(lines[-1]) + len(node) + 1 <= width:
            lines[-1] += f"+{node}"
        else:
            lines[-1] += "+"
            lines.append(node)
    return lines


# --- whether it fits ----------------------------------------------------------------------------

_STYLES = {Verdict.FITS: "bold green", Verdict.IF_RIGHT: "bold yellow", Verdict.NOT: "bold red"}


def _verdict(outcome: Outcome) -> Text:
    """`fits nucleo-f746zg`, `does not fit nucleo-f746zg: SRAM`: what of it is in question is named."""
    verdict = outcome.verdict
    assert verdict is not None
    head, _, condition = str(verdict).partition(" if ")
    words = f"{head} {outcome.target}" + (f" if {condition}" if condition else "")
    if verdict is not Verdict.FITS:
        culprits = (one.indicator for one in outcome.limits if one.verdict is verdict)
        words += f": {', '.join(_LIMITED.get(name, name) for name in culprits)}"
    return Text(words, style=_STYLES[verdict])


def _limit_bars(outcome: Outcome, width: int) -> Table:
    """What is used of what is allowed, a limit a line."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(width=max(6, min(20, width - 70)))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for one in outcome.limits:
        reached, unit = quantity(one.reached, one.unit)
        allowed, of_unit = quantity(one.at_most, one.unit)
        share = "" if one.reached is None else f"{100 * one.reached / one.at_most:.0f} %"
        colour = "red" if one.verdict is Verdict.NOT else "green"
        bar = Bar(one.at_most, 0, min(one.reached or 0.0, one.at_most), color=colour)
        said = Text(f"{reached} {unit}", style="bold")
        table.add_row(_LIMITED.get(one.indicator, one.indicator), said, f"of {allowed} {of_unit}", bar, share, _of(one))
    return table


def _of(one: Kept) -> str:
    """Whose limit it is, and what else must be said of it."""
    upper = "" if one.upper is None else f"{quantity(one.upper, one.unit)[0]} {one.unit} at most"
    own = "" if one.whose == "asked" else one.whose if one.enforced else f"{one.whose} (not a limit of the search)"
    return "; ".join(words for words in (own, upper) if words)


_LIMITED = {"sram": "SRAM", "flash": "flash", "live-flops": "FLOPs", "sram-tflm": "SRAM of TFLite-Micro"}
"""What a limit is called."""


# --- numbers ------------------------------------------------------------------------------------


def _readings(outcome: Outcome) -> Table:
    """Name, number, unit, band, and in one word how it was obtained."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for name, reading in outcome.indicators.items():
        number, unit = quantity(reading.value, reading.unit)
        if name == "latency" and outcome.breakdown and outcome.breakdown.band:
            unit += f" {band(outcome.breakdown.band)}"
        table.add_row(_TITLES.get(name, name), number, unit, _word(reading))
    return table


def _word(reading: Reading) -> str:
    """`computed`, `simulated`, ..., and the caveat if there is one."""
    return _said(str(reading.origin.word), reading)


def _said(origin: str, reading: Reading) -> str:
    return f"{origin}; {reading.caveat}" if reading.caveat else origin


def quantity(value: float | None, unit: str) -> tuple[str, str]:
    """A number and its unit, scaled so that it reads well: `120.3 MMAC`, `312 ms`, `64.0 KiB`."""
    if value is None:
        return "none", ""
    match unit:
        case "bytes":
            return f"{value / 1024:,.1f}", "KiB"
        case "MAC":
            return f"{value / 1e6:,.2f}", "MMAC"
        case "parameters":
            return f"{value / 1e6:,.3f}", "million"
        case "ms":
            return milliseconds(value), "ms"
        case _:
            return (f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"), unit


def milliseconds(value: float) -> str:
    """As many digits as mean something: `1,204`, `304.8`, `29.0`, `0.0258`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


# --- where the time goes ------------------------------------------------------------------------


def _breakdown(breakdown: Breakdown, width: int) -> RenderableType:
    tables = (breakdown.by_operation(), _in_order(breakdown))
    if width < _SIDE_BY_SIDE:
        names = max(len(title(name)) for table in tables for name in table)
        return Group(bars(tables[0], names=names), Text(), bars(tables[1], names=names))
    both = Table.grid(padding=(0, 6, 0, 0))
    both.add_row(*(bars(table, bar=14) for table in tables))
    return both


def _in_order(breakdown: Breakdown) -> dict[str, float]:
    """Milliseconds of each part of the skeleton as they run; the overhead last."""
    costs = breakdown.by_stage()
    order = [*dict.fromkeys(cost.stage for cost in breakdown.costs), "overhead"]
    return {name: costs[name] for name in order if name in costs}


def bars(costs: Mapping[str, float], bar: int = 32, names: int = 0) -> Table:
    """Milliseconds by name, with their share of the whole as a number and as a bar; widths in columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=names)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(width=bar)
    total = sum(costs.values())
    longest = max(costs.values(), default=0.0)
    for name, cost in costs.items():
        table.add_row(title(name), f"{cost:,.2f} ms", _share(cost / total), Bar(longest, 0, cost, color="cyan"))
    return table


def _share(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"


# --- what was asked, and how we know ------------------------------------------------------------


def _rounds(outcome: Outcome) -> Iterable[str]:
    cells, skipped = len(outcome.finalists), sum(len(one.skipped) for one in outcome.rounds)
    factor = f"(hardware weights x {outcome.finalists[0].hardware_factor:g})"
    if cells == 1:
        yield f"every hardware weight that was tried led to this cell {factor}"
    else:
        yield f"{cells} cells came of the hardware weights that were tried; this is the best by performance alone"
        yield f"it was found with {factor[1:-1]}"
    if skipped:
        yield f"{count(skipped, 'removal')} skipped: the limit would have been out of reach"


_SHOWN = 12
"""Networks of a front that the page lists, spread over it; `front.csv` has all."""


def _front(outcome: Outcome) -> Table:
    names = [*outcome.front[0].needs]
    table = Table("score", *names, "architecture", box=None, header_style="dim", pad_edge=False)
    for column in table.columns[:-1]:
        column.justify, column.no_wrap = "right", True
    last = len(outcome.front) - 1
    shown = sorted({round(at * last / (_SHOWN - 1)) for at in range(_SHOWN)})
    for one in (outcome.front[at] for at in shown):
        numbers = (f"{value:,.6g}" for value in one.needs.values())
        table.add_row(f"{one.score:.3f}", *numbers, Text("\n".join(_lines(one.architecture, 40))))
    return table


def _emulated(emulation: Emulation) -> Iterable[tuple[str, str]]:
    yield (
        "latency",
        f"{milliseconds(emulation.latency_ms)} ms from reset to halt, {emulation.cycles:,.0f} cycles, "
        "simulated, priced kernel by kernel",
    )
    parts = {
        "arena": emulation.arena_bytes,
        "stack": emulation.stack_bytes,
        "statics": sum(emulation.statics.values()),
    }
    listed = ", ".join(f"{name} {size:,}" for name, size in parts.items())
    yield "SRAM", f"{emulation.sram_bytes / 1024:,.1f} KiB: {listed} bytes"
    yield "flash", f"{emulation.flash_bytes / 1024:,.1f} KiB"
    same = "equal to" if emulation.matches_reference else "NOT equal to"
    yield "logits", f"{same} the integer reference's (random int8 weights)"


def _provenance(outcome: Outcome) -> Iterable[tuple[str, str]]:
    yield "network", f"{outcome.network}, int8"
    for names, source in _by_source(outcome.indicators):
        yield names, source
        if names == "latency" and outcome.breakdown:
            yield from (("", line) for line in _expectation(outcome.breakdown))
    if outcome.measured is not None:
        measured = count(outcome.measured, "measurement")
        yield "search", f"{measured} of untrained networks; no label was read"


def _by_source(readings: Mapping[str, Reading]) -> Iterable[tuple[str, str]]:
    """Indicators that are merely counted are told in one line."""
    plain: list[str] = []
    for name, reading in readings.items():
        if reading.origin == COMPUTED and not reading.caveat:
            plain.append({"flops": "FLOPs", "live-flops": "FLOPs"}.get(name, _TITLES.get(name, name)))
        else:
            yield _TITLES.get(name, name), _said(str(reading.origin), reading)
    if plain:
        yield "counts", f"computed: {', '.join(dict.fromkeys(plain))}"


def _expectation(breakdown: Breakdown) -> Sequence[str]:
    overhead = f"of it {milliseconds(breakdown.overhead_ms)} ms overhead around the layers"
    if not breakdown.band:
        return [overhead]
    low, high = map(milliseconds, breakdown.range_ms)
    caution = "" if breakdown.is_calibrated else "; no board was attached"
    return [f"expect {low} to {high} ms{caution}", overhead]
