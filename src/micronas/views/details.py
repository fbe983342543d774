"""What a page leaves out: where the time goes layer by layer, and how each number was obtained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from micronas.drawing import title
from micronas.hardware.indicators.breakdown import Breakdown
from micronas.indicators import titled
from micronas.origin import COMPUTED
from micronas.quantity import milliseconds
from micronas.run.findings import Reading
from micronas.run.outcome import Outcome
from micronas.views.parts import MARGIN, Copied, bars, facts, heading, indented, print_parts
from micronas.views.wording import count, headline, with_caveat

_SIDE_BY_SIDE = 96
"""Columns from which on two tables of bars stand beside each other."""


def show_layers(outcome: Outcome, console: Console) -> None:
    """Print where the latency goes: by operation, by part of the skeleton, and layer by layer."""
    print_parts(_layers(outcome, console.width - MARGIN), console)


def show_sources(outcome: Outcome, console: Console) -> None:
    """Print every number with how it was obtained, and what was asked."""
    print_parts(_sources(outcome), console)


def _layers(outcome: Outcome, width: int) -> Iterator[RenderableType | Copied]:
    yield heading(headline(outcome), style="bold")
    if outcome.breakdown is None:
        yield indented(Text("no latency was asked for, or no path leads from the input to the output"))
        return
    yield heading("where the time goes")
    yield indented(_breakdown(outcome.breakdown, width))
    yield heading("layer by layer, as they run")
    yield indented(bars(outcome.breakdown.by_layer(), bar=max(1, min(32, width - 64))))


def _sources(outcome: Outcome) -> Iterator[RenderableType | Copied]:
    yield heading(headline(outcome), style="bold")
    yield Copied(outcome.architecture, style="bold")
    yield heading("how the numbers were obtained")
    yield indented(facts(_provenance(outcome)))
    if outcome.rounds:
        yield heading("how the search got there")
        yield indented(Group(*map(Text, _rounds(outcome))))


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
            plain.append({"flops": "FLOPs", "live-flops": "FLOPs"}.get(name, titled(name)))
        else:
            yield titled(name), with_caveat(str(reading.origin), reading)
    if plain:
        yield "counts", f"computed: {', '.join(dict.fromkeys(plain))}"


def _expectation(breakdown: Breakdown) -> Sequence[str]:
    overhead = f"of it {milliseconds(breakdown.overhead_ms)} ms overhead around the layers"
    if not breakdown.band:
        return [overhead]
    low, high = map(milliseconds, breakdown.range_ms)
    caution = "" if breakdown.is_calibrated else "; no board was attached"
    evidence = [f"as to that: {breakdown.band.evidence}"] if breakdown.band.evidence else []
    return [f"expect {low} to {high} ms{caution}", *evidence, overhead]
