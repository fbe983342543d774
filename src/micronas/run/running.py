"""From a run to its outcome: search, measure, or export every score."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, cast

from micronas import catalog
from micronas.budget import Budget, budget_of
from micronas.cache import atomic_write, cache_dir
from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.hardware.boards.target import board_plugin
from micronas.hardware.indicators.breakdown import Breakdown
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Better, Indicator, Scores, untrained_of
from micronas.inputs import Images
from micronas.network.live import Disconnected
from micronas.objective import Unreachable
from micronas.run.advice import notes, smaller
from micronas.run.findings import FrontPoint, Kept, Reading
from micronas.run.outcome import Outcome, versions
from micronas.run.readings import break_down, finalists, read_indicators, rounds, standing
from micronas.run.results import THE_ANSWERS_LATENCIES, THE_IMAGES, THE_TABLE
from micronas.run.room import Room
from micronas.run.run import Run
from micronas.run.setup import Setup, set_up
from micronas.search.exact import ExactSearch, score_rows
from micronas.search.measured import Measured
from micronas.search.search import SearchResult, Watch, unwatched

if TYPE_CHECKING:
    from micronas.deploy.emulation import BoardRun, Emulation


def search(run: Run, watch: Watch = unwatched, *, front: Sequence[str] = ()) -> Outcome:
    """Search as the run says. Operations the board's table lacks are profiled when asked for, and kept for the user.

    `front`: also the Pareto front of the score and these indicators, which only exact search knows.

    Raises:
        UserError: something the run names is not there or cannot be read.
        Unreachable: no architecture meets the limits.
    """
    run = _checked(run).anchored()
    parts = set_up(run, watch)
    parts.refuse_unfit_pictures()
    _costs(parts, front)  # refused before the search, not after it
    started = time.perf_counter()
    try:
        result = parts.search.run(parts.start, parts.objective)
    except Unreachable as error:
        raise _advised(error, parts) from error
    seconds = time.perf_counter() - started
    outcome = _outcome(parts, result.candidate, seconds, None, result)
    return replace(outcome, front=_front(parts, front)) if front else outcome


def measure(
    run: Run,
    architecture: str,
    watch: Watch = unwatched,
    *,
    emulated: bool = False,
    port: str | None = None,
    only: Collection[str] | None = None,
) -> Outcome:
    """Judge one given architecture.

    `emulated`: also build its firmware and run it from reset to halt. `port`: also time its firmware on the board at
    that serial port or pyserial URL. `only`: by these indicators; a latency alone needs no untrained network, so it is
    there at once.

    Raises:
        ArchitectureError: the text is no architecture of the run's space.
        UserError: something the run names is not there or cannot be read.
    """
    run = _checked(run).anchored()
    if isinstance(only, str):
        raise UserError(f"only is a list of indicators' names, like [{only!r}], not a text")
    parts = set_up(run, watch)
    candidate = parts.start.of(parts.start.space.parse(architecture))
    candidate.graph  # noqa: B018 (lowering it is the test of its pictures, before anything is measured)
    started = time.perf_counter()
    outcome = _outcome(parts, candidate, 0.0, only)
    emulation = _emulate(parts, candidate, run.seed, watch) if emulated else None
    on_board = None if port is None else _time_on_board(parts, candidate, run.seed, port, watch)
    return replace(outcome, emulation=emulation, on_board=on_board, seconds=round(time.perf_counter() - started, 3))


_ALWAYS = ("latency", "sram", "flash")
"""What a front says of each network, whatever it is the front of."""


def _costs(parts: Setup, names: Sequence[str]) -> list[Budget]:
    """The indicators of a front.

    Raises:
        UserError: one is not known of whole spaces, or the search does not know all of one.
    """
    if names and not isinstance(parts.search, ExactSearch):
        raise UserError(f"only exact search knows a front; {parts.search.name} looks at some networks: --search exact")
    found = [(name, budget_of(parts.indicator(name))) for name in names]
    for name, budget in found:
        if budget is None or budget.better is not Better.LOWER:
            raise UserError(f"{name} is no cost that is known of a whole space; a front is of latency, sram, flash, …")
    return [budget for _, budget in found if budget]


def _front(parts: Setup, names: Sequence[str]) -> tuple[FrontPoint, ...]:
    exact = cast(ExactSearch, parts.search)
    found = exact.front(parts.start, parts.objective, _costs(parts, names))
    shown = [parts.indicator(name) for name in dict.fromkeys((*names, *_ALWAYS))]
    graphs = [one.candidate.graph for one in found]
    columns = {f"{one.name}_{one.unit}" if one.unit else one.name: one.measure_many(graphs).tolist() for one in shown}
    return tuple(
        FrontPoint(one.candidate.text, one.score, {name: values[at] for name, values in columns.items()})
        for at, one in enumerate(found)
    )


def _advised(error: Unreachable, parts: Setup) -> Unreachable:
    """The same with what would help."""
    limits = parts.objective.limits
    flags = error.nearest and smaller(error.nearest, limits)
    if flags:
        return Unreachable(f"{error}; {flags} would help", error.nearest)
    board = parts.run.fit and any(limit.indicator.name not in parts.run.limits for limit in limits)
    return Unreachable(f"{error}; --no-fit searches without the board's memory" if board else str(error), error.nearest)


def _checked(run: object) -> Run:
    if not isinstance(run, Run):
        raise UserError(f"a run must be a micronas.Run, not {run!r}")
    return run


FORMATS = ("c", "firmware", "emulator")
"""What a network is exported as: sources, a board's image, or sources with the image that the emulator runs."""

RANDOM_WEIGHTS = "random weights"
"""What every file of an export says of its weights."""


def export(
    run: Run,
    architecture: str,
    folder: Path,
    kind: str,
    name: str = "model",
    watch: Watch = unwatched,
    *,
    scratch_apart: bool = False,
) -> tuple[Path, ...]:
    """Write a network as C, or as the firmware of the run's board, with random int8 weights of the run's seed.

    `scratch_apart`: of C, the kernels' scratch is a buffer of its own, not a part of the arena.

    Raises:
        UserError: something the run names is not there, the network runs nothing, or nothing can be written.
    """
    from micronas.deploy.export import export_c, export_emulated, export_firmware

    if kind not in FORMATS:
        raise catalog.unknown(kind, "format", FORMATS)
    if kind != "c" and name != "model":
        raise UserError(f"the model of an image is called model, not {name}; --name is of --format c")
    if kind != "c" and scratch_apart:
        raise UserError("an image has its scratch in the arena; --scratch-apart is of --format c")
    parts = set_up(_checked(run).anchored(), watch)
    candidate = parts.start.of(parts.start.space.parse(architecture))
    words = candidate.space.describe(candidate.choices, candidate.task)
    made = versions()
    provenance = (
        f"Network: {candidate.text} of {candidate.space.name}, {words}, int8.",
        f"Weights: {RANDOM_WEIGHTS}, seed {parts.run.seed}: it computes, but recognises nothing.",
        f"Made by micronas {made.get('micronas', '')}. What is generated is yours; the kernels are under Apache-2.0.",
    )
    graph, target, seed = candidate.graph, parts.bench.target, parts.run.seed
    watch(0, 1, "writing the network")
    try:
        if kind == "c":
            return export_c(graph, folder, name, seed, provenance, scratch_apart=scratch_apart)
        if kind == "emulator":
            return export_emulated(graph, folder, target, seed, provenance)
        return export_firmware(graph, folder, target, seed, provenance)
    except Disconnected as error:
        raise UserError(f"{candidate.text} cannot be exported: {error}") from error


def _emulate(parts: Setup, candidate: Candidate, seed: int, watch: Watch) -> Emulation:
    from micronas.deploy.emulate import emulate

    watch(0, 1, "building and running the firmware")
    try:
        return emulate(candidate.graph, parts.bench.target, seed)
    except Disconnected as error:
        raise UserError(f"{candidate.text} has no firmware: {error}") from error


def _time_on_board(parts: Setup, candidate: Candidate, seed: int, port: str, watch: Watch) -> BoardRun:
    from micronas.deploy.emulate import default_toolchain
    from micronas.deploy.on_board import time_network

    watch(0, 1, f"timing the network on the board at {port}")
    target = parts.bench.target
    file = cache_dir() / "firmware" / f"{target.name}-network.bin"
    try:
        return time_network(candidate.graph, target, seed, port, file, toolchain=default_toolchain())
    except Disconnected as error:
        raise UserError(f"{candidate.text} has no firmware: {error}") from error


def _outcome(
    parts: Setup,
    candidate: Candidate,
    seconds: float,
    only: Collection[str] | None,
    result: SearchResult | None = None,
) -> Outcome:
    wanted = _wanted(parts, only)
    searched = set(parts.bench.used)
    with Measured(watch=unwatched) as measured:
        known = result.finalists[0].values if result else {}
        indicators = [parts.indicator(name) for name in wanted]
        readings = read_indicators(candidate, indicators, known, parts.draws, measured)
    timed = "latency" in wanted
    breakdown = break_down(Latency(parts.bench), candidate.graph) if timed else None
    return Outcome(
        space=candidate.space.name,
        architecture=candidate.text,
        drawing=tuple(candidate.space.drawing(candidate.choices).splitlines()),
        network=candidate.space.describe(candidate.choices, candidate.task),
        target=parts.bench.target.name,
        indicators=readings,
        breakdown=breakdown,
        seed=parts.run.seed,
        run=parts.run.anchored().to_dict(),
        search=parts.run.search if result else None,
        finalists=finalists(result) if result else (),
        rounds=rounds(result) if result else (),
        measured=result.measured if result else None,
        seconds=round(seconds, 3),
        standing=standing(result) if result else None,
        limits=_kept(parts, candidate, readings, breakdown, bool(result)),
        versions=versions() | _plugins_of(parts.run),
        images=str(parts.means.inputs) if isinstance(parts.means.inputs, Images) else "",
        made_from={**_pictures(parts, indicators), **_latencies(parts, searched)},
        notes=(
            *parts.notes,
            *(notes(candidate, parts.start, parts.objective.limits) if result else ()),
            *(result.notes if result else ()),
            *measured.notes,
        ),
    )


def _wanted(parts: Setup, only: Collection[str] | None) -> Collection[str]:
    """Names of the indicators to read: of untrained networks those that weigh, unless others are asked for."""
    if only is None:
        weighing = [term.indicator.name for term in parts.objective.performance]
        deployed = [name for name in catalog.INDICATORS if untrained_of(parts.indicator(name)) is None]
        named = [name for name in (*(parts.run.terms or ()), *parts.run.limits) if name not in catalog.INDICATORS]
        return [*dict.fromkeys((*weighing, *deployed, *named))]
    for name in only:
        parts.indicator(name)
    return [name for name in catalog.names("indicator") if name in only]


def _plugins_of(run: Run) -> dict[str, str]:
    """The versions of the distributions whose plug-ins a run names."""
    named = [("space", run.space), ("search", run.search or "exact")]
    named += [("indicator", name) for name in (*(run.terms or ()), *run.limits)]
    found = [catalog.used(family, name) for family, name in named] + [board_plugin(run.target)]
    return {one.distribution: one.version for one in found if one}


def _pictures(parts: Setup, indicators: Sequence[Indicator]) -> dict[str, str]:
    """A digest of the pictures that the draws of these indicators take."""
    if not isinstance(parts.means.inputs, Images):
        return {THE_IMAGES: "gaussian"}
    asked = [one for each in indicators if (one := untrained_of(each))]
    drawn = [one.with_seed(seed).fingerprint for one in asked for seed in parts.draws]
    return {THE_IMAGES: blake2b("\n".join(drawn).encode(), digest_size=16).hexdigest()} if drawn else {}


def _latencies(parts: Setup, searched: Collection[object]) -> dict[str, str]:
    """A digest of the rows of the board's table that the outcome depends on."""
    used = tuple(parts.bench.used)
    if not used:
        return {}
    return {THE_TABLE if searched else THE_ANSWERS_LATENCIES: parts.bench.target.latency.digest_of(used)}


def _kept(
    parts: Setup, candidate: Candidate, readings: Mapping[str, Reading], breakdown: Breakdown | None, searched: bool
) -> tuple[Kept, ...]:
    """Every limit, and what the network needs of it; of a given network those whose indicators were asked for."""
    run, board = parts.run, {room.indicator: room for room in parts.rooms}
    names = dict.fromkeys((*run.limits, *board))
    return tuple(
        _kept_one(name, parts, board.get(name), _reached(name, parts, candidate, readings), breakdown, searched)
        for name in names
        if searched or name in readings
    )


def _kept_one(
    name: str, parts: Setup, room: Room | None, reached: float | None, breakdown: Breakdown | None, searched: bool
) -> Kept:
    run = parts.run
    asked = run.limits.get(name)
    if asked is not None and (room is None or not run.fit or asked <= room.at_most):
        at_most, whose, enforced = asked, "asked", searched
    else:
        assert room is not None  # it was named by one of the two
        at_most, whose, enforced = float(room.at_most), str(room), searched and run.fit
    upper = breakdown.range_ms[1] if name == "latency" and breakdown and breakdown.band else None
    return Kept(name, at_most, reached, parts.indicator(name).unit, whose, enforced, upper)


def _reached(name: str, parts: Setup, candidate: Candidate, readings: Mapping[str, Reading]) -> float | None:
    if name in readings:
        return readings[name].value
    with Measured() as measured:
        return float(measured.values(parts.indicator(name), [candidate], parts.draws)[0])


def _of_board(parts: Setup) -> dict[str, Scores]:
    """What every architecture of the space needs of the board, by column."""
    found = {name: cast(Budget, parts.indicator(name)) for name in _ALWAYS}
    return {f"{name}_{budget.unit}": budget.of_all(parts.start) for name, budget in found.items()}


@dataclass(frozen=True)
class Exported:
    """What was written: how many rows, and what else the user should be told, a line each."""

    rows: int
    notes: tuple[str, ...]


def export_scores(run: Run, path: Path, unique: bool, watch: Watch = unwatched, *, board: bool = False) -> Exported:
    """Write every architecture's indicators, one column for each seed, and its score.

    `board`: also what it needs of the run's board: latency, SRAM, flash.

    `unique`: one row for each distinct network, its representative. A disconnected network has no
    score: its cells are empty.

    Raises:
        UserError: the file cannot be written.
    """
    if path.suffix != ".csv":
        raise UserError(f"scores are written as .csv, so not to {path}; name it {path.with_suffix('.csv')}")
    parts = set_up(replace(run, search="exact"), watch)
    parts.refuse_unfit_pictures()
    exact = cast(ExactSearch, parts.search)
    table, notes = exact.score(parts.start, parts.objective)
    try:
        atomic_write(path, score_rows(table, exact.seeds, unique, _of_board(parts) if board else {}))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    return Exported(len(table.census if unique else table.census.members), notes)
