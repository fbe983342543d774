"""The result page in the terminal: whether it fits, the cell, its numbers, what more would buy, and why this one."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from micronas.deploy.emulation import BoardRun, Emulation
from micronas.indicators import titled
from micronas.quantity import milliseconds, scaled
from micronas.run.findings import Kept, Ranked, Standing, Verdict
from micronas.run.outcome import Outcome
from micronas.views.parts import MARGIN, Copied, facts, heading, indented, lines_of, print_parts
from micronas.views.wording import band_of, count, headline, word_of


def show(outcome: Outcome, console: Console) -> None:
    """Print the page, as wide as the console: what was found, and what a user asks next."""
    print_parts(_page(outcome, console.width - MARGIN), console)


def close(path: Path, console: Console) -> None:
    """The last lines: what to do next with a kept result, never broken, so that they can be copied."""
    file, folder = shlex.quote(str(path)), shlex.quote(str(path.parent))
    for label, text in (
        ("again", f"micronas search --repeat {file}"),
        ("details", f"micronas show {folder} --layers --sources"),
        ("export", f"micronas export {folder} --format c --out {folder}/c"),
    ):
        print_parts([Copied(text, label)], console)


def compare(found: Mapping[str, Outcome | str], console: Console) -> None:
    """The answers for several boards, a line each; why, where there is none."""
    table = Table("board", "latency", "SRAM", "flash", "architecture", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:4]:
        column.justify, column.no_wrap = "right", True
    for name, outcome in found.items():
        if isinstance(outcome, str):
            table.add_row(name, "", "", "", Text(outcome))
            continue
        table.add_row(name, *_needs(outcome), Text("\n".join(lines_of(outcome.architecture, 40))))
    console.print(table)


def show_runs(found: Mapping[str, Outcome | str], console: Console) -> None:
    """Kept runs by name, and below each what came of it; why, where one cannot be read."""
    for name, outcome in found.items():
        said = outcome if isinstance(outcome, str) else ", ".join(_found(outcome))
        print_parts([Copied(name, style="bold"), indented(indented(Text(said)))], console)


def _found(outcome: Outcome) -> Iterator[str]:
    """`latency 300.1 ms`, `SRAM 64.0 KiB`, …, `fits nucleo-f746zg`."""
    for name in ("latency", "sram", "flash"):
        if number := _number(outcome, name):
            yield f"{titled(name)} {number}"
    yield f"{outcome.verdict or 'on'} {outcome.target}"


def differ(found: Mapping[str, Outcome], console: Console) -> None:
    """Kept runs beside each other: what was asked differently, then every number; architectures whole, below."""
    table = Table("", *map(escape, found), box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    asked = {key: [one.run.get(key) for one in found.values()] for each in found.values() for key in each.run}
    for key, said in asked.items():
        if any(value != said[0] for value in said):
            table.add_row(key, *(Text("" if value is None else _plain(value)) for value in said))
    for name in dict.fromkeys(name for one in found.values() for name in one.indicators):
        table.add_row(titled(name), *(_number(one, name) for one in found.values()))
    table.add_row("verdict", *(one.verdict or "" for one in found.values()))
    console.print(table)
    for name, outcome in found.items():
        print_parts([heading(name), Copied(outcome.architecture)], console)


def _plain(value: object) -> str:
    """A value of a run: `latency=300, sram=131072`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={its}" for name, its in cast(Mapping[str, object], value).items())
    return str(value)


def _number(outcome: Outcome, name: str) -> str:
    reading = outcome.indicators.get(name)
    return " ".join(scaled(reading.value, reading.unit)).strip() if reading else ""


def _needs(outcome: Outcome) -> Iterator[str]:
    """Latency, SRAM and flash; "" for what was not asked for."""
    return (_number(outcome, name) for name in ("latency", "sram", "flash"))


def _page(outcome: Outcome, width: int) -> Iterator[RenderableType | Copied]:
    yield heading(headline(outcome), style="bold")
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
    if outcome.on_board:
        yield heading("run on the board")
        yield indented(facts(_on_board(outcome.on_board)))
    if outcome.front:
        yield heading(f"the front: {count(len(outcome.front), 'network')}, the best score first")
        yield indented(_front(outcome))


# --- whether it fits ---------------------------------------------------------------------------

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
    upper = "" if one.upper is None else f" up to {' '.join(scaled(one.upper, one.unit))}"
    return f"{titled(one.indicator)}{upper}"


def _limit_bars(outcome: Outcome, width: int) -> RenderableType:
    """What is used of what is allowed, a limit a line, and in one word how that is known."""
    rows = [_used(one, outcome) for one in outcome.limits]
    widest = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    bar = min(20, width - sum(widest) - 2 * len(widest))
    if sum(widest[1:]) + 2 * len(widest) + _SHORTEST_BAR > width:  # no room for columns
        return Group(*(Text(" ".join(row)) for row in rows))
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
    allowed = " ".join(scaled(one.at_most, one.unit))
    word = word_of(outcome, one.indicator, reading) if reading else ""
    return titled(one.indicator), " ".join(scaled(one.reached, one.unit)), f"of {allowed}", share, word


def _whose(limits: Sequence[Kept]) -> Iterator[tuple[str, str]]:
    """What of the board is left to the application, and which limits the search did not have to keep."""
    asked = [one for one in limits if one.whose == "asked"]
    reserved = [one.whose for one in limits if one not in asked]
    if reserved:
        yield "reserved", ", ".join(reserved)
    unkept = [titled(one.indicator) for one in limits if not one.enforced and one not in asked]
    if unkept:
        yield "no limit", f"of the search: {', '.join(unkept)}"


# --- numbers -----------------------------------------------------------------------------------


def _numbers(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What is no limit, by the one word that says how it was obtained: name, number, unit, band, caveat."""
    limited = {one.indicator for one in outcome.limits}
    words: dict[str, list[str]] = {}
    for name, reading in outcome.indicators.items():
        if name not in limited:
            caveat = f" ({reading.caveat})" if reading.caveat else ""
            number = " ".join(filter(None, scaled(reading.value, reading.unit)))
            said = f"{titled(name)} {number}{band_of(outcome, name)}{caveat}"
            words.setdefault(str(reading.origin.word), []).append(said)
    yield from ((word, ", ".join(said)) for word, said in words.items())


# --- why this one ------------------------------------------------------------------------------


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
            needs = " ".join(scaled(other.needs[one.indicator], one.unit))
            buys.append(f"of {titled(one.indicator)} buys rank {other.rank:,} ({needs})")
        elif other is not None:
            nothing.append(titled(one.indicator))
    if nothing:
        buys.append(f"of {' or '.join(nothing)} {'' if buys else 'buys '}nothing")
    binding = [titled(name) for name in standing.binding]
    return f"{', '.join(buys)}; {' and '.join(binding) or 'none of them'} bind{'s' if len(binding) < 2 else ''}"


def _rejected(outcome: Outcome, best: Ranked) -> str:
    """`needs latency 512.0 ms, 171 % of the limit`: every limit that it breaks, by how much."""
    needs = ((one, best.needs.get(one.indicator, 0.0)) for one in outcome.limits)
    broken = (
        f"{titled(one.indicator)} {' '.join(scaled(value, one.unit))}, {100 * value / one.at_most:.0f} %"
        for one, value in needs
        if value > one.at_most
    )
    return f"needs {'; '.join(broken)} of the limit"


# --- fronts and firmware -----------------------------------------------------------------------

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
        table.add_row(f"{one.score:.3f}", *numbers, Text("\n".join(lines_of(one.architecture, 40))))
    return table


def _on_board(run: BoardRun) -> Iterable[tuple[str, str]]:
    spread = f"median of {run.runs}, the least {milliseconds(run.least_ms)} ms"
    yield "latency", f"{milliseconds(run.median_ms)} ms, {spread}, measured by the board's own counter"
    yield "logits", "equal to the integer reference's (random int8 weights)"
    yield "image", f"{run.image}, {run.compiler}"


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
