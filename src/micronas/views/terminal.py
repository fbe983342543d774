"""The result page in the terminal: whether it fits, the cell, its numbers, what more would buy, and how we know."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from micronas.deploy.emulation import Emulation
from micronas.drawing import title
from micronas.hardware.indicators.breakdown import Breakdown
from micronas.origin import COMPUTED
from micronas.run.outcome import Kept, Outcome, Ranked, Reading, Standing, Verdict

_TITLES = {
    "ntk": "NTK condition number",
    "linear-regions": "linear regions",
    "naswot": "NASWOT",
    "zen-score": "Zen-score",
    "synflow": "SynFlow",
    "flops": "FLOPs",
    "live-flops": "live FLOPs",
    "params": "parameters",
    "layers": "layers with weights",
    "sram": "SRAM",
    "sram-tflm": "SRAM of TFLite-Micro",
}
"""What an indicator is called; others go by their names."""

_MARGIN = 2
_LABEL = 11
"""Columns of the words at the left of a page."""

_SIDE_BY_SIDE = 96
"""Columns from which on two tables of bars stand beside each other."""


def show(outcome: Outcome, console: Console) -> None:
    """Print the page, as wide as the console: what was found, and what a user asks next."""
    _print(_page(outcome, console.width - _MARGIN), console)


def show_layers(outcome: Outcome, console: Console) -> None:
    """Print where the latency goes: by operation, by part of the skeleton, and layer by layer."""
    _print(_layers(outcome, console.width - _MARGIN), console)


def show_sources(outcome: Outcome, console: Console) -> None:
    """Print every number with how it was obtained, and what was asked."""
    _print(_sources(outcome), console)


def close(path: Path, console: Console) -> None:
    """The last lines: what to do next with a kept result, never broken, so that they can be copied."""
    file, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    for label, text in (
        ("again", f"micronas search --repeat {file}"),
        ("details", f"micronas show {folder} --layers --sources"),
        ("export", f"micronas export {folder} --format c --out {folder}/c"),
    ):
        _print([Copied(text, label)], console)


@dataclass(frozen=True)
class Copied:
    """Text that is copied from the page: however long, no line break is put into it."""

    text: str
    label: str = ""
    style: str = ""

    def __rich__(self) -> Text:
        label = f"{self.label:{_LABEL}}" if self.label else ""
        return Text(" " * _MARGIN + label, style="dim", end="") + Text(self.text, style=self.style)


def _print(parts: Iterable[RenderableType | Copied], console: Console) -> None:
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Copied))


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
    """Something below a heading."""
    return Padding(what, (0, 0, 0, _MARGIN), expand=False)


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """A column of names and a column of words; a name stands once where the words of several lines follow."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=_LABEL - 2)
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


def _page(outcome: Outcome, width: int) -> Iterator[RenderableType | Copied]:
    yield heading(_headline(outcome), style="bold")
    if outcome.limits:
        yield indented(_verdict(outcome))
        yield indented(_limit_bars(outcome, width))
        yield indented(facts(_whose(outcome.limits)))
    yield Copied(outcome.architecture, style="bold")
    yield from (Copied(line) for line in outcome.drawing)
    if "latency" in outcome.indicators and not outcome.breakdown:
        yield indented(Text("No path leads from the input to the output: this network computes a constant."))
    yield indented(facts(_numbers(outcome)))
    if outcome.images:
        yield Copied(outcome.images, "images")
    if outcome.standing:
        yield from _standing(outcome, outcome.standing)
    if outcome.emulation:
        yield heading("run as firmware in the emulator")
        yield indented(facts(_emulated(outcome.emulation)))
    if outcome.front:
        yield heading(f"the front: {count(len(outcome.front), 'network')}, the best score first")
        yield indented(_front(outcome))


def _layers(outcome: Outcome, width: int) -> Iterator[RenderableType | Copied]:
    yield heading(_headline(outcome), style="bold")
    if outcome.breakdown is None:
        yield indented(Text("no latency was asked for, or no path leads from the input to the output"))
        return
    yield heading("where the time goes")
    yield indented(_breakdown(outcome.breakdown, width))
    yield heading("layer by layer, as they run")
    yield indented(bars(outcome.breakdown.by_layer(), bar=max(1, min(32, width - 64))))


def _sources(outcome: Outcome) -> Iterator[RenderableType | Copied]:
    yield heading(_headline(outcome), style="bold")
    yield Copied(outcome.architecture, style="bold")
    yield heading("how the numbers were obtained")
    yield indented(facts(_provenance(outcome)))
    if outcome.rounds:
        yield heading("how the search got there")
        yield indented(Group(*map(Text, _rounds(outcome))))


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
        culprits = (one for one in outcome.limits if one.verdict is verdict)
        words += f": {', '.join(map(_in_question, culprits))}"
    return Text(words, style=_STYLES[verdict])


def _in_question(one: Kept) -> str:
    """`latency, up to 34.2 ms`."""
    upper = "" if one.upper is None else f" up to {' '.join(quantity(one.upper, one.unit))}"
    return f"{_titled(one.indicator)}{upper}"


def _limit_bars(outcome: Outcome, width: int) -> Table:
    """What is used of what is allowed, a limit a line, and in one word how that is known."""
    rows = [_used(one, outcome) for one in outcome.limits]
    widest = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    bar = min(20, width - sum(widest) - 2 * len(widest))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    for justify in ("right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    if bar >= _SHORTEST_BAR:
        table.add_column(width=bar)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for one, (name, reached, allowed, share, word) in zip(outcome.limits, rows, strict=True):
        colour = "red" if one.verdict is Verdict.NOT else "green"
        drawn = [Bar(one.at_most, 0, min(one.reached or 0.0, one.at_most), color=colour)]
        shown = drawn if bar >= _SHORTEST_BAR else []
        table.add_row(name, Text(reached, style="bold"), allowed, *shown, share, word)
    return table


_SHORTEST_BAR = 4
"""Columns below which a bar is left out."""


def _used(one: Kept, outcome: Outcome) -> tuple[str, str, str, str, str]:
    """Its name, what is used, what is allowed, the share, and how it is known."""
    share = "" if one.reached is None else f"{100 * one.reached / one.at_most:.0f} %"
    reading = outcome.indicators.get(one.indicator)
    allowed = " ".join(quantity(one.at_most, one.unit))
    word = _word(outcome, one.indicator, reading) if reading else ""
    return _titled(one.indicator), " ".join(quantity(one.reached, one.unit)), f"of {allowed}", share, word


def _whose(limits: Sequence[Kept]) -> Iterator[tuple[str, str]]:
    """What of the board is left to the application, and which limits the search did not have to keep."""
    asked = [one for one in limits if one.whose == "asked"]
    reserved = [one.whose for one in limits if one not in asked]
    if reserved:
        yield "reserved", ", ".join(reserved)
    unkept = [_titled(one.indicator) for one in limits if not one.enforced and one not in asked]
    if unkept:
        yield "no limit", f"of the search: {', '.join(unkept)}"


def _titled(name: str) -> str:
    return _TITLES.get(name, name)


# --- numbers ------------------------------------------------------------------------------------


def _numbers(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What is no limit, by the one word that says how it was obtained: name, number, unit, band, caveat."""
    limited = {one.indicator for one in outcome.limits}
    words: dict[str, list[str]] = {}
    for name, reading in outcome.indicators.items():
        if name not in limited:
            caveat = f" ({reading.caveat})" if reading.caveat else ""
            number = " ".join(filter(None, quantity(reading.value, reading.unit)))
            said = f"{_titled(name)} {number}{_band(outcome, name)}{caveat}"
            words.setdefault(str(reading.origin.word), []).append(said)
    yield from ((word, ", ".join(said)) for word, said in words.items())


def _word(outcome: Outcome, name: str, reading: Reading) -> str:
    """`computed`, `simulated ±20 %`, `computed; disconnected`."""
    return _said(f"{reading.origin.word}{_band(outcome, name)}", reading)


def _band(outcome: Outcome, name: str) -> str:
    return (
        f" {band(outcome.breakdown.band)}" if name == "latency" and outcome.breakdown and outcome.breakdown.band else ""
    )


def _said(origin: str, reading: Reading) -> str:
    return f"{origin}; {reading.caveat}" if reading.caveat else origin


# --- why this one -------------------------------------------------------------------------------


def _standing(outcome: Outcome, standing: Standing) -> Iterator[RenderableType | Copied]:
    """Its rank, what a tenth more of a limit would buy, what comes next, and the best network, if that does not fit."""
    fit = "" if standing.fitting is None or not outcome.limits else f"; {standing.fitting:,} fit"
    pairs = [("rank", f"{standing.rank:,} of {standing.networks:,} networks (above {_above(standing)} %){fit}")]
    if standing.more:
        pairs.append(("10 % more", _more(outcome, standing)))
    yield indented(facts(pairs))
    for one in standing.runners_up[: 2 if len(outcome.limits) < _MANY_LIMITS else 1]:
        yield Copied(f"{one.architecture} rank {one.rank:,}", "runner-up")
    if standing.best.rank < standing.rank:
        yield Copied(f"{standing.best.architecture} rank 1 {_rejected(outcome, standing.best)}", "not chosen")


_MANY_LIMITS = 4
"""From so many on, one runner-up leaves the page on a screen; the file has more."""


def _above(standing: Standing) -> str:
    """The percentage of networks that are ranked below, rounded down: 100 only if that is all others."""
    share = 100 * (standing.networks - standing.rank) / max(1, standing.networks - 1)
    return f"{math.floor(10 * share) / 10:g}"


def _more(outcome: Outcome, standing: Standing) -> str:
    """`of latency buys rank 163 (31.2 ms), of SRAM, flash nothing; latency binds`."""
    buys: list[str] = []
    nothing: list[str] = []
    for one in outcome.limits:
        other = standing.more.get(one.indicator)
        if other is not None and other.rank < standing.rank:
            needs = " ".join(quantity(other.needs[one.indicator], one.unit))
            buys.append(f"of {_titled(one.indicator)} buys rank {other.rank:,} ({needs})")
        elif other is not None:
            nothing.append(_titled(one.indicator))
    if nothing:
        buys.append(f"of {' or '.join(nothing)} {'' if buys else 'buys '}nothing")
    binding = [_titled(name) for name in standing.binding]
    return f"{', '.join(buys)}; {' and '.join(binding) or 'none of them'} bind{'s' if len(binding) < 2 else ''}"


def _rejected(outcome: Outcome, best: Ranked) -> str:
    """`needs latency 512.0 ms, 171 % of the limit`: every limit that it breaks, by how much."""
    needs = ((one, best.needs.get(one.indicator, 0.0)) for one in outcome.limits)
    broken = (
        f"{_titled(one.indicator)} {' '.join(quantity(value, one.unit))}, {100 * value / one.at_most:.0f} %"
        for one, value in needs
        if value > one.at_most
    )
    return f"needs {'; '.join(broken)} of the limit"


# --- quantities ---------------------------------------------------------------------------------


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
    tables = ({title(name): cost for name, cost in breakdown.by_operation().items()}, _in_order(breakdown))
    if width < _SIDE_BY_SIDE:
        names = max(len(name) for table in tables for name in table)
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
        table.add_row(name, f"{cost:,.2f} ms", _share(cost / total), Bar(longest, 0, cost, color="cyan"))
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
    if outcome.images:
        yield "images", outcome.images
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
            plain.append({"flops": "FLOPs", "live-flops": "FLOPs"}.get(name, _titled(name)))
        else:
            yield _titled(name), _said(str(reading.origin), reading)
    if plain:
        yield "counts", f"computed: {', '.join(dict.fromkeys(plain))}"


def _expectation(breakdown: Breakdown) -> Sequence[str]:
    overhead = f"of it {milliseconds(breakdown.overhead_ms)} ms overhead around the layers"
    if not breakdown.band:
        return [overhead]
    low, high = map(milliseconds, breakdown.range_ms)
    caution = "" if breakdown.is_calibrated else "; no board was attached"
    return [f"expect {low} to {high} ms{caution}", overhead]
