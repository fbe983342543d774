"""A run's parts, built once from what it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from micronas import catalog
from micronas.budget import budget_of
from micronas.candidate import Candidate, everything
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.own import load_board
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Indicator, PerformanceIndicator, untrained_of
from micronas.inputs import Gaussian, Images
from micronas.network.graph import Graph
from micronas.objective import Limit, Objective, Term
from micronas.run.reading import parse_seeds
from micronas.run.room import Room, rooms_of
from micronas.run.run import Run, Setting
from micronas.search.search import Search, Watch, draw_seeds, unwatched
from micronas.spaces.space import OpenDecisions, SearchSpace
from micronas.task import Task
from micronas.texts import shown

MOST_REPEATS = 1000
"""More draws for a seed are a typing mistake: each is measured anew."""

MOST_IMAGES = 100_000
"""More images a draw are a typing mistake, and fill the memory."""

_MEMORIES = ("sram", "flash")

USUAL_CLASSES = 10
"""Outputs of a network for which neither the run nor its pictures say how many."""

_Named = TypeVar("_Named")


@dataclass(frozen=True)
class Setup:
    """A run's parts, ready to go.

    Attributes:
        run: what was asked for, with nothing left to a default: the search, the input, the classes.
        start: all of the space, for the task.
        means: what indicators are made with: the pictures, and the board.
        objective: what is looked for.
        search: how.
        draws: what single draws of weights and inputs are seeded with.
        rooms: what the board leaves a network.
        notes: what of it was taken from the pictures, a line each.
    """

    run: Run
    start: Candidate
    means: catalog.Means
    objective: Objective
    search: Search
    draws: tuple[int, ...]
    rooms: tuple[Room, ...]
    notes: tuple[str, ...] = ()

    @property
    def bench(self) -> Bench:
        """The board, on which what is asked for gets timed."""
        return self.means.bench

    def refuse_unfit_pictures(self) -> None:
        """Find out before a search, and not after it, whether the space's networks can take the task's pictures.

        Raises:
            UserError: they cannot; the message says what would do.
        """
        self.start.of(self.start.space.sample(0)).graph  # noqa: B018 (lowering it is the test)

    def indicator(self, name: str) -> Indicator:
        """An indicator by its name in the catalog.

        Raises:
            UserError: there is none of that name.
        """
        return catalog.indicator(name, self.means)


def look_up(names: Mapping[str, _Named], name: str, what: str) -> _Named:
    """The catalog's entry of that name.

    Raises:
        UserError: there is none; names the near one and all there are.
    """
    if name in names:
        return names[name]
    raise catalog.unknown(name, what, names)


def set_up(run: Run, watch: Watch = unwatched) -> Setup:
    """Build what a run names.

    Raises:
        UserError: an unknown name, a bad value, unreadable images or board.
    """
    seeds = _seeds(run)
    inputs = Images(run.images) if run.images else Gaussian()
    asked, run = run, _pictured(run, inputs)
    start = everything(space_of(run), task_of(run))
    run = run if run.search else replace(run, search=usual_search(start, run))
    bench = Bench(load_board(run.target, run.runtime), profiling(watch))
    means = catalog.Means(inputs, bench, run.batch)
    search = search_of(run, seeds, watch)
    rooms = rooms_of(bench.target, run.reserve_sram, run.reserve_flash)
    objective = _objective(run, means, search, rooms)
    notes = (*_taken_from_pictures(asked, inputs), *_assumed(bench.target))
    return Setup(run, start, means, objective, search, draw_seeds(seeds, run.repeats), rooms, notes)


def _pictured(run: Run, inputs: Images | Gaussian) -> Run:
    """The run with input and classes said, as it says them, the pictures do, or as usual."""
    height, width, channels = run.picture
    shown = isinstance(inputs, Images)
    if channels is None:
        channels = inputs.channels if shown else 3
    classes = run.classes if run.classes is not None else (inputs.classes if shown else None) or USUAL_CLASSES
    return replace(run, input=f"{height}x{width}x{channels}", classes=classes)


def _taken_from_pictures(run: Run, inputs: Images | Gaussian) -> Iterator[str]:
    if isinstance(inputs, Images):
        if run.picture[2] is None and inputs.channels == 1:
            yield f"{inputs.where} holds grey pictures, so the network reads one channel"
        if run.classes is None and inputs.classes:
            yield f"{inputs.classes} classes, as {inputs.where} has"
        elif run.classes and inputs.classes and run.classes != inputs.classes:
            yield f"{inputs.where} has {inputs.classes} classes, and {run.classes} were asked for"


def _assumed(board: Target) -> Iterator[str]:
    """What was not known of the board."""
    assumed = {source for source in board.sources.values() if source.startswith("assumed: ")}
    if assumed:
        how = "'micronas targets new' writes a file in which to say it"
        yield f"memory timing of {board.name} is {', '.join(sorted(assumed))}; {how}"


def usual_search(start: Candidate, run: Run) -> str:
    """What searches a space unless a run says: exact where it can be enumerated, else pruning where it can prune.

    Pruning draws all options of a decision side by side, and foresees limits; where one cannot be, random searches.
    """
    if start.is_small:
        return "exact"
    try:
        start.graph  # noqa: B018 (lowering it is the test)
    except OpenDecisions:
        return "random"
    usual = usual_means()
    foreseen = (budget_of(catalog.indicator(name, usual)) for name in run.limits)
    return "pruning" if all(foreseen) else "random"


def profiling(watch: Watch) -> catalog.Progress:
    """Tells a watch how profiling gets on."""
    return lambda done, total: watch(done, total, "profiling operations that the board's table lacks")


def space_of(run: Run) -> SearchSpace:
    """The space of a run, with its settings.

    Raises:
        UserError: no such space or setting.
    """
    types = catalog.fields_of("space", run.space)
    return catalog.space(run.space, **_settings(run.space, types, run.space_settings))


def task_of(run: Run) -> Task:
    """What a run's networks are for."""
    height, width, channels = run.picture
    return Task(
        (height, width, 3 if channels is None else channels), USUAL_CLASSES if run.classes is None else run.classes
    )


def graph_of(run: Run, architecture: str, numbers: Mapping[str, int]) -> Graph:
    """The network of an architecture; of the run's numbers (input, classes, settings of the space) some may be others.

    Raises:
        ArchitectureError: the text is none of the run's space.
    """
    own = {name: number for name, number in numbers.items() if name in ("input", "classes")}
    settings = {**run.space_settings, **{name: number for name, number in numbers.items() if name not in own}}
    run = replace(run, space_settings=settings, **own)
    start = everything(space_of(run), task_of(run))
    return start.of(start.space.parse(architecture)).graph


def search_of(run: Run, seeds: tuple[int, ...], watch: Watch) -> Search:
    """The search of a run, with its settings.

    Raises:
        UserError: no such search or setting, or several seeds for a search that takes one.
    """
    name = run.search or "exact"
    types = catalog.fields_of("search", name)
    if len(seeds) > 1 and "seeds" not in types:
        raise UserError(f"several seeds are for --search exact; {name} takes one: --seed")
    seeded = {"seeds": seeds} if "seeds" in types else {"seed": min(seeds)}
    plumbing = {"repeats": run.repeats, "watch": watch, **seeded}
    own = {name: annotated for name, annotated in types.items() if name not in _PLUMBING}
    settings = _settings(name, own, run.search_settings)
    return catalog.search(name, **{each: value for each, value in plumbing.items() if each in types}, **settings)


_PLUMBING = ("seed", "seeds", "repeats", "watch", "store", "name")
"""Fields of a search that are no settings."""


def _settings(what: str, types: Mapping[str, str], given: Mapping[str, Setting]) -> dict[str, Setting]:
    """Settings as fields of these types take them.

    Raises:
        UserError: a name that is no field, or a value of another type.
    """
    found: dict[str, Setting] = {}
    for name, value in given.items():
        if not types:
            raise UserError(f"{what} has no settings, so {shown(name)} is none")
        annotated = look_up(types, name, f"setting of {what}")
        several = annotated.startswith("tuple")
        its: Any = value if not several else tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not _fits(its, annotated):
            raise UserError(f"{name} of {what} must be {_WORDS.get(annotated, annotated)}, not {shown(value)}")
        found[name] = its
    return found


_WORDS = {
    "int": "a whole number of at least 1",
    "float": "a number",
    "str": "a text",
    "tuple[int, ...]": "one or several different whole numbers of at least 1",
}


def _fits(value: object, annotated: str) -> bool:
    match annotated:
        case "int":
            return type(value) is int and value >= 1
        case "float":
            return type(value) in (int, float)
        case "tuple[int, ...]":
            several = cast(tuple[object, ...], value)
            whole = all(type(each) is int and each >= 1 for each in several)
            return whole and 0 < len(several) == len({*several})
        case _:
            return isinstance(value, str)


def _seeds(run: Run) -> tuple[int, ...]:
    """What the parts would not see for themselves, checked; the seeds of the run."""
    look_up(_MARGINS, run.margin, "margin")
    least_of = (("seed", run.seed, 0), ("repeats", run.repeats, 1), ("batch", run.batch, 1))
    for name, number, least in (
        *least_of,
        *((f"reserve_{one}", getattr(run, f"reserve_{one}"), 0) for one in _MEMORIES),
    ):
        if number is not None and number < least:
            raise UserError(f"{name} must be a whole number of at least {least}, not {number}")
    if run.batch is not None and run.batch > MOST_IMAGES:
        raise UserError(f"batch must be at most {MOST_IMAGES:,}, not {run.batch:,}; all of them are in memory at once")
    if run.repeats > MOST_REPEATS:
        raise UserError(f"repeats must be at most {MOST_REPEATS}, not {run.repeats}; each is a draw to be measured")
    if run.seed >= 2**63:
        raise UserError(f"seed must be below {2**63:,}, not {run.seed}")
    return (run.seed,) if run.seeds is None else parse_seeds(run.seeds)


def _objective(run: Run, means: catalog.Means, search: Search, rooms: Sequence[Room]) -> Objective:
    weights = search.default_terms if run.terms is None else run.terms
    if not any(weights.values()):
        raise UserError("all weights are 0, so no network would be better than another; give one of them a weight")
    untrained: list[Term[PerformanceIndicator]] = []
    deployed: list[Term[Indicator]] = []
    for name, weight in weights.items():
        indicator = catalog.indicator(name, means)
        if (one := untrained_of(indicator)) is not None:
            untrained.append(Term(one, weight))
        else:
            deployed.append(Term(indicator, weight))
    return Objective(tuple(untrained), tuple(deployed), _limits(run, means, rooms))


def _limits(run: Run, means: catalog.Means, rooms: Sequence[Room]) -> tuple[Limit, ...]:
    """What was asked for, and what the board leaves where the run is to fit; of two on one indicator the lower."""
    board = {room.indicator: float(room.at_most) for room in rooms} if run.fit else {}
    lowest = dict(run.limits) | {name: min(size, run.limits.get(name, size)) for name, size in board.items()}
    return tuple(Limit(_limited(name, run, means), at_most) for name, at_most in lowest.items())


def _limited(name: str, run: Run, means: catalog.Means) -> Indicator:
    if name == "latency" and _MARGINS[run.margin]:
        return Latency(means.bench, at_upper_end=True)
    return catalog.indicator(name, means)


_MARGINS = {"none": False, "band": True}
"""Whether a latency limit is kept by the upper end of the error band."""


def unit_of(name: str) -> str:
    """The unit of an indicator, by its name in the catalog.

    Raises:
        UserError: there is none of that name.
    """
    return catalog.indicator(name, usual_means()).unit


def usual_means() -> catalog.Means:
    """Noise for pictures and the default board: enough to ask an indicator what it is."""
    return catalog.Means(Gaussian(), Bench(load_board(Run().target)))


def every_indicator(means: catalog.Means) -> tuple[Indicator, ...]:
    """One of each that is built in."""
    return tuple(make(means) for make in catalog.INDICATORS.values())
