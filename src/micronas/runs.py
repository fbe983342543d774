"""From a run to its outcome: search or measure, and keep the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from micronas import catalog
from micronas.cache import atomic_write
from micronas.choices import Choices
from micronas.config import Run, Setup, look_up, parse_seeds, set_up
from micronas.errors import UserError
from micronas.hardware.counted import count_space, network_signatures
from micronas.hardware.latency import Latency
from micronas.hardware.profiled import complete
from micronas.hardware.target import Target
from micronas.indicator import Indicator, PerformanceIndicator
from micronas.network.live import Disconnected
from micronas.objective import Limit
from micronas.outcome import Kept, Outcome, Reading, break_down, read_indicators
from micronas.search.exact import ExactSearch, score_rows
from micronas.search.search import SearchResult, Watch, unwatched

if TYPE_CHECKING:
    from micronas.deploy.emulate import Emulation


def search(run: Run, watch: Watch = unwatched) -> Outcome:
    """Search as the run says. Operations the board's table lacks are profiled first, and kept for the user.

    Raises:
        UserError: something the run names is not there or cannot be read.
        Unreachable: no architecture meets the limits.
    """
    parts = set_up(run, watch)
    if run.max_latency_ms is not None or run.latency_weight:
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
    parts = set_up(run)
    choices = parts.space.parse(architecture)
    started = time.perf_counter()
    outcome = _outcome(run, parts, choices, 0.0, watch=watch, only=only)
    emulation = _emulate(parts, choices, run.seed, watch) if emulated else None
    return replace(outcome, emulation=emulation, seconds=time.perf_counter() - started)


def _emulate(parts: Setup, choices: Choices, seed: int, watch: Watch) -> Emulation:
    from micronas.deploy.emulate import emulate

    watch(0, 1, "building and running the firmware")
    try:
        return emulate(parts.space.lower(choices, parts.skeleton), parts.target, seed)
    except Disconnected as error:
        raise UserError(f"{parts.space.format(choices)} has no firmware: {error}") from error


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
    if "latency" in wanted:
        with suppress(Disconnected):
            parts = parts.on(complete(parts.target, network_signatures(graph), progress=_profiling(watch)))
    performance = [one for one in indicators if one.name in wanted]
    hardware: list[Indicator] = [make(parts.target) for make in catalog.HARDWARE_INDICATORS.values()]
    others = [one for one in (*catalog.COUNTS.values(), *hardware) if one.name in wanted]
    known = result.finalists[0].values if result else {}
    readings = read_indicators(parts.space, architecture, parts.skeleton, performance, others, known, parts.draws)
    return Outcome(
        parts.space,
        architecture,
        parts.skeleton,
        parts.target.name,
        readings,
        break_down(Latency(parts.target), parts.space, architecture, parts.skeleton) if "latency" in wanted else None,
        run.seed,
        run.to_dict(),
        run.search if result else None,
        result,
        seconds,
        _kept(parts.objective.limits, readings),
        _misfits(parts.target, readings),
        notes=result.notes if result else (),
        made_from={"the images": parts.inputs.digest, "the latency table": parts.target.latency.digest},
    )


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


def _misfits(target: Target, readings: Mapping[str, Reading]) -> list[str]:
    """What the board has too little of for this network."""
    region = target.arena_region
    room = {
        "sram": (region.size_bytes, f"its largest SRAM region, {region.name}"),
        "flash": (target.flash_bytes, "its flash"),
    }
    return [
        f"does not fit {target.name}: needs {reading.value / 1024:,.0f} KiB of {name}, {what} has {size / 1024:,.0f}"
        for name, (size, what) in room.items()
        if (reading := readings.get(name)) and reading.value is not None and reading.value > size
    ]


def _kept(limits: Sequence[Limit], readings: Mapping[str, Reading]) -> list[Kept]:
    return [
        Kept(limit.indicator.name, limit.at_most, value, limit.indicator.unit)
        for limit in limits
        if (value := readings[limit.indicator.name].value) is not None
    ]


def differences(path: Path, outcome: Outcome) -> list[str]:
    """What has changed since the result in a file, each a line for the user: images, latency table, answer."""
    before = json.loads(path.read_text(encoding="utf-8"))
    made_from: Mapping[str, str] = before.get("made_from", {})
    lines = [
        f"{what} changed since {path} was written, so the answer may differ"
        for what, digest in outcome.made_from.items()
        if made_from.get(what, digest) != digest
    ]
    if before.get("architecture") != outcome.text:
        lines.append(f"the answer differs from that of {path}: {before.get('architecture')}")
    return lines


def keep(outcome: Outcome, folder: Path) -> Path:
    """Write `<folder>/<time>-<board>-<search>/result.json`, whole or not at all.

    Raises:
        UserError: the folder cannot be written to.
    """
    name = f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-{outcome.target}-{outcome.search or 'measure'}"
    try:
        path = _fresh(folder, name) / "result.json"
        atomic_write(path, json.dumps(outcome.to_dict(), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"cannot write the result below {folder}: {error.strerror}; choose another --runs") from error
    return path


def _fresh(folder: Path, name: str) -> Path:
    """A new folder; two runs within a second get different ones."""
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(17, "too many runs within one second")


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
