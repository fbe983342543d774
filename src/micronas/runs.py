"""From a run to its outcome: search, measure, or export every score."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from micronas import catalog
from micronas.cache import atomic_write
from micronas.choices import Choices
from micronas.config import Run, Setup, look_up, parse_seeds, set_up
from micronas.drawing import draw_cell
from micronas.errors import UserError
from micronas.hardware.counted import count_space, network_signatures
from micronas.hardware.latency import Latency
from micronas.hardware.profiled import complete
from micronas.hardware.target import Target
from micronas.indicator import Indicator, PerformanceIndicator
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.objective import Limit
from micronas.run.outcome import Kept, Outcome, Reading
from micronas.run.readings import break_down, finalists, read_indicators, rounds
from micronas.run.results import THE_ANSWERS_LATENCIES, THE_TABLE
from micronas.search.exact import ExactSearch, score_rows
from micronas.search.search import SearchResult, Watch, unwatched

if TYPE_CHECKING:
    from micronas.deploy.emulation import Emulation


def search(run: Run, watch: Watch = unwatched) -> Outcome:
    """Search as the run says. Operations the board's table lacks are profiled first, and kept for the user.

    Raises:
        UserError: something the run names is not there or cannot be read.
        Unreachable: no architecture meets the limits.
    """
    run = run.anchored()
    parts = set_up(run, watch)
    if _asks_for_latency(run):
        everything = count_space(parts.space, parts.skeleton).signatures
        parts = parts.on(complete(parts.target, everything, progress=_profiling(watch)))
    started = time.perf_counter()
    result = parts.search.run(parts.objective)
    seconds = time.perf_counter() - started
    return _outcome(run, parts, result.architecture, seconds, result)


def measure(
    run: Run,
    architecture: str,
    watch: Watch = unwatched,
    *,
    emulated: bool = False,
    only: Collection[str] | None = None,
) -> Outcome:
    """Judge one given architecture.

    `emulated`: also build its firmware and run it from reset to halt. `only`: by these indicators; a latency alone
    needs no untrained network, so it is there at once.

    Raises:
        ArchitectureError: the text is no architecture of the run's space.
        UserError: something the run names is not there or cannot be read.
    """
    run = run.anchored()
    parts = set_up(run)
    choices = parts.space.parse(architecture)
    started = time.perf_counter()
    outcome = _outcome(run, parts, choices, 0.0, watch=watch, only=only)
    emulation = _emulate(parts, choices, run.seed, watch) if emulated else None
    return replace(outcome, emulation=emulation, seconds=round(time.perf_counter() - started, 3))


def _emulate(parts: Setup, choices: Choices, seed: int, watch: Watch) -> Emulation:
    from micronas.deploy.emulate import emulate

    watch(0, 1, "building and running the firmware")
    try:
        return emulate(parts.space.lower(choices, parts.skeleton), parts.target, seed)
    except Disconnected as error:
        raise UserError(f"{parts.space.format(choices)} has no firmware: {error}") from error


def _asks_for_latency(run: Run) -> bool:
    """Whether its search compares the latencies of the whole space."""
    return run.max_latency_ms is not None or bool(run.latency_weight)


def _profiling(watch: Watch) -> Callable[[int, int], None]:
    return lambda done, total: watch(done, total, "profiling operations that the board's table lacks")


def _outcome(
    run: Run,
    parts: Setup,
    architecture: Choices,
    seconds: float,
    result: SearchResult | None = None,
    watch: Watch = unwatched,
    only: Collection[str] | None = None,
) -> Outcome:
    graph = parts.space.lower(architecture, parts.skeleton)
    indicators = _performance(parts, only)
    wanted = _wanted(only, indicators)
    timed = "latency" in wanted
    if timed:
        with suppress(Disconnected):
            parts = parts.on(complete(parts.target, network_signatures(graph), progress=_profiling(watch)))
    performance = [one for one in indicators if one.name in wanted]
    hardware: list[Indicator] = [make(parts.target) for make in catalog.HARDWARE_INDICATORS.values()]
    others = [one for one in (*catalog.COUNTS.values(), *hardware) if one.name in wanted]
    known = result.finalists[0].values if result else {}
    readings = read_indicators(parts.space, architecture, parts.skeleton, performance, others, known, parts.draws)
    return Outcome(
        space=parts.space.name,
        architecture=parts.space.format(architecture),
        drawing=tuple(draw_cell(parts.space.edges(architecture)).splitlines()),
        network=str(parts.skeleton),
        target=parts.target.name,
        indicators=readings,
        breakdown=break_down(Latency(parts.target), parts.space, architecture, parts.skeleton) if timed else None,
        seed=run.seed,
        run=run.to_dict(),
        search=run.search if result else None,
        finalists=finalists(parts.space, result) if result else (),
        rounds=rounds(result) if result else (),
        measured=result.measured if result else None,
        seconds=round(seconds, 3),
        limits=_kept(parts.objective.limits, readings),
        misfits=_misfits(parts.target, readings),
        made_from={"the images": parts.inputs.digest} | (_latencies(run, parts, graph, result) if timed else {}),
        notes=result.notes if result else (),
    )


def _latencies(run: Run, parts: Setup, graph: Graph, result: SearchResult | None) -> dict[str, str]:
    """A digest of the rows of the board's table that the outcome depends on."""
    table = parts.target.latency
    if result and _asks_for_latency(run):
        return {THE_TABLE: table.digest_of(count_space(parts.space, parts.skeleton).signatures)}
    try:
        return {THE_ANSWERS_LATENCIES: table.digest_of(network_signatures(graph))}
    except Disconnected:
        return {}


def _performance(parts: Setup, only: Collection[str] | None) -> list[PerformanceIndicator]:
    """Those of the objective; where indicators are named, all in the catalog, for any may be asked for."""
    if only is None:
        return [term.indicator for term in parts.objective.performance]
    return [make(parts.inputs) for make in catalog.PERFORMANCE_INDICATORS.values()]


def _wanted(only: Collection[str] | None, performance: Sequence[PerformanceIndicator]) -> Collection[str]:
    """Names of the indicators to read."""
    known = [one.name for one in performance]
    known += [*catalog.COUNTS, *catalog.HARDWARE_INDICATORS]
    for name in only or ():
        look_up(dict.fromkeys(known), name, "indicator")
    return known if only is None else only


def _misfits(target: Target, readings: Mapping[str, Reading]) -> tuple[str, ...]:
    """What the board has too little of for this network."""
    region = target.arena_region
    room = {
        "sram": (region.size_bytes, f"its largest SRAM region, {region.name}"),
        "flash": (target.flash_bytes, "its flash"),
    }
    return tuple(
        f"does not fit {target.name}: needs {reading.value / 1024:,.0f} KiB of {name}, {what} has {size / 1024:,.0f}"
        for name, (size, what) in room.items()
        if (reading := readings.get(name)) and reading.value is not None and reading.value > size
    )


def _kept(limits: Sequence[Limit], readings: Mapping[str, Reading]) -> tuple[Kept, ...]:
    return tuple(
        Kept(limit.indicator.name, limit.at_most, reading.value, limit.indicator.unit)
        for limit in limits
        if (reading := readings.get(limit.indicator.name)) and reading.value is not None
    )


@dataclass(frozen=True)
class Exported:
    """What was written: how many rows, and what else the user should be told, a line each."""

    rows: int
    notes: tuple[str, ...]


def export_scores(run: Run, path: Path, unique: bool, watch: Watch = unwatched) -> Exported:
    """Write every architecture's indicators, one column for each seed, and its score.

    `unique`: one row for each distinct network, its representative. A disconnected network has no
    score: its cells are empty.

    Raises:
        UserError: the file cannot be written.
    """
    parts = set_up(replace(run, search="exact"), watch)
    search = ExactSearch(parts.space, parts.skeleton, parse_seeds(run.seeds or str(run.seed)), run.repeats, watch)
    table = search.score(parts.objective)
    try:
        atomic_write(path, score_rows(table, search.seeds, unique))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    return Exported(len(table.census if unique else table.census.members), tuple(search.store.said))
