"""A run as data: everything a search depends on, read from flags, a TOML file or an earlier result."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from micronas import catalog
from micronas.errors import UserError
from micronas.hardware.compute import LiveFlops
from micronas.hardware.latency import Latency
from micronas.hardware.table import OUR_RUNTIME
from micronas.hardware.target import Target, load_target
from micronas.indicator import Better, HardwareIndicator, Indicator
from micronas.inputs import Gaussian, Images, Inputs
from micronas.objective import Limit, Objective, Term, term
from micronas.search.search import REPEATS, Search, Watch, draw_seeds, unwatched
from micronas.spaces.space import SearchSpace, Skeleton

_Named = TypeVar("_Named")
_Indicator = TypeVar("_Indicator", bound=Indicator)

EXPRESSIVITIES = {name: make for name, make in catalog.PERFORMANCE_INDICATORS.items() if name != "ntk"}
"""What may stand beside the NTK: indicators of how much a network can express."""


@dataclass(frozen=True)
class Run:
    """What a user asked for. The same values give the same answer.

    Attributes:
        space, search, target: names in the catalog, or a path to a board's `.toml`.
        channels, cells, input, classes: the skeleton that is deployed.
        ntk_weight, regions_weight: weights of the performance indicators.
        flops_weight, latency_weight: weights of the hardware indicators. FLOPs are a cost to the
            pruning search (0 unless given) and capacity to the exact one (1 unless given).
        expressivity: the indicator that `regions_weight` weighs.
        runtime: whose kernels are timed on the board; another's table comes of its own profile or calibration.
        max_latency_ms: hard limit, or None.
        images: folder of images or `.npz` for the indicators; None for a seeded Gaussian batch.
        seed, repeats: of weights and random inputs; a seed is as many draws as there are repeats (`draw_seeds`).
        seeds: of an ensemble, like "0-4" (exact search only); None for `seed` alone.
    """

    space: str = "nasbench201"
    search: str = "pruning"
    target: str = "nucleo-f746zg"
    runtime: str = OUR_RUNTIME
    channels: int = 16
    cells: int = 5
    input: int = 32
    classes: int = 10
    ntk_weight: float = 1.0
    regions_weight: float = 1.0
    flops_weight: float | None = None
    latency_weight: float = 0.0
    expressivity: str = "linear-regions"
    max_latency_ms: float | None = None
    images: str | None = None
    seed: int = 0
    seeds: str | None = None
    repeats: int = REPEATS

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton that is deployed."""
        return Skeleton((self.input, self.input, 3), self.classes, self.channels, self.cells)

    def anchored(self) -> Run:
        """The same with absolute paths, so that it can be repeated from any folder."""
        images = None if self.images is None else str(Path(self.images).resolve())
        target = str(Path(self.target).resolve()) if self.target.endswith(".toml") else self.target
        return replace(self, images=images, target=target)

    def to_dict(self) -> dict[str, object]:
        """Plain data, for a result file."""
        return asdict(self)


def read_config(path: Path) -> Run:
    """A run from a TOML file whose keys are the attributes of `Run`.

    Raises:
        UserError: unreadable, no TOML, an unknown key or a value of the wrong type.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise UserError(f"{path} is not valid TOML: {error}") from error
    return run_from(data, str(path))


def run_from(data: Mapping[str, object], where: str) -> Run:
    """A run from plain data, such as an outcome has; `where` it stands is for messages.

    Raises:
        UserError: an unknown key or a value of the wrong type.
    """
    known = {field.name: field for field in fields(Run)}
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise UserError(f"{where}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        allowed = {"int": (int,), "str": (str,), "float": (int, float)}[str(known[key].type).split(" ")[0]]
        optional = value is None and "None" in str(known[key].type)
        if not optional and (isinstance(value, bool) or not isinstance(value, allowed)):
            raise UserError(f"{where}: {key} must be of type {known[key].type}, not {value!r}")
        if allowed == (int, float) and value is not None:
            try:
                float(cast(float, value))
            except OverflowError as error:
                raise UserError(f"{where}: {key} is too large a number") from error
    return Run(**cast(dict[str, Any], dict(data)))


_UNITS_MS = {"us": 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3}  # micro sign and Greek mu

MOST_SEEDS = 1000
"""An ensemble of more is a typing mistake: each is a pass over the whole space."""

MOST_REPEATS = 1000
"""More draws for a seed are a typing mistake: each is measured anew."""


def parse_latency(text: str) -> float:
    """Milliseconds of `300ms`, `0.3s` or `250us`.

    Raises:
        UserError: no unit, no number, or not above 0.
    """
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Z\u00b5\u03bc]*)\s*", text)
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if not match or not math.isfinite(number):
        raise UserError(f"cannot read a time from {text!r}; write it like 300ms or 0.3s")
    if match[2] not in _UNITS_MS:
        raise UserError(f"{text!r} has no unit that is known; write us, ms or s, like {match[1]}ms")
    milliseconds = number * _UNITS_MS[match[2]]
    if not 0 < milliseconds < math.inf:
        raise UserError(f"a latency limit must be above 0 and finite, not {text!r}")
    return milliseconds


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds of `0-4`, `7` or `1,3,5-6`.

    Raises:
        UserError: it is no such list.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if not match or (match[2] and int(match[2]) < int(match[1])):
            raise UserError(f"cannot read seeds from {text!r}; write them like 0-4 or 1,3,5")
        one_after = int(match[2] or match[1]) + 1
        if one_after - int(match[1]) + len(found) > MOST_SEEDS:
            raise UserError(f"{text!r} is more than {MOST_SEEDS} seeds; each is a pass over the whole space")
        found += range(int(match[1]), one_after)
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class Setup:
    """A run's parts, ready to go. `draws`: what single draws of weights and inputs are seeded with."""

    space: SearchSpace
    skeleton: Skeleton
    target: Target
    inputs: Inputs
    objective: Objective
    search: Search
    draws: tuple[int, ...]

    def on(self, target: Target) -> Setup:
        """The same with another state of the board's table."""
        objective = replace(
            self.objective,
            hardware=tuple(replace(term, indicator=_on(term.indicator, target)) for term in self.objective.hardware),
            limits=tuple(replace(limit, indicator=_on(limit.indicator, target)) for limit in self.objective.limits),
        )
        return replace(self, target=target, objective=objective)


def look_up(names: Mapping[str, _Named], name: str, what: str) -> _Named:
    """The catalog's entry of that name.

    Raises:
        UserError: there is none; names the near one and all there are.
    """
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"unknown {what} {name!r}; {hint}there are {', '.join(names)}")


def set_up(run: Run, watch: Watch = unwatched) -> Setup:
    """Build what a run names.

    Raises:
        UserError: an unknown name, a bad value, unreadable images or board.
    """
    _check(run)
    space = look_up(catalog.SPACES, run.space, "space")
    target = load_target(run.target, run.runtime)
    inputs = Images(run.images) if run.images else Gaussian()
    search, seeds = look_up(catalog.SEARCHES, run.search, "search"), _seeds(run)
    return Setup(
        space,
        run.skeleton,
        target,
        inputs,
        _objective(run, target, inputs),
        search(space, run.skeleton, seeds, run.repeats, watch),
        draw_seeds(seeds, run.repeats),
    )


def _check(run: Run) -> None:
    """What the parts would not see for themselves."""
    for name, number, least in (("seed", run.seed, 0), ("repeats", run.repeats, 1)):
        if number < least:
            raise UserError(f"{name} must be a whole number of at least {least}, not {number}")
    if run.repeats > MOST_REPEATS:
        raise UserError(f"repeats must be at most {MOST_REPEATS}, not {run.repeats}; each is a draw to be measured")
    flops_weight = _flops_term(run).weight
    if not any((run.ntk_weight, run.regions_weight, flops_weight, run.latency_weight)):
        raise UserError("all weights are 0, so no network would be better than another; give one of them a weight")


def every_indicator(target: Target) -> tuple[Indicator, ...]:
    """One of each in the catalog."""
    performance = [make(Gaussian()) for make in catalog.PERFORMANCE_INDICATORS.values()]
    hardware = [make(target) for make in catalog.HARDWARE_INDICATORS.values()]
    return (*performance, *catalog.COUNTS.values(), *hardware)


def _seeds(run: Run) -> tuple[int, ...]:
    if run.seeds is None:
        return (run.seed,)
    if run.search != "exact":
        raise UserError(f"several seeds are for --search exact; {run.search} takes one: --seed")
    return parse_seeds(run.seeds)


def _objective(run: Run, target: Target, inputs: Inputs) -> Objective:
    latency = Latency(target)
    trainability = catalog.PERFORMANCE_INDICATORS["ntk"]
    expressivity = look_up(EXPRESSIVITIES, run.expressivity, "expressivity")
    return Objective(
        (term(trainability(inputs), run.ntk_weight), term(expressivity(inputs), run.regions_weight)),
        (_flops_term(run), Term(latency, run.latency_weight)),
        (Limit(latency, run.max_latency_ms),) if run.max_latency_ms is not None else (),
    )


def _on(indicator: _Indicator, target: Target) -> _Indicator:
    return replace(indicator, target=target) if isinstance(indicator, Latency) else indicator


def _flops_term(run: Run) -> Term[HardwareIndicator]:
    """FLOPs are a cost in the paper's hybrid objective, and capacity where whole networks are ranked (ADR 0004)."""
    if run.search == "exact":
        return Term(LiveFlops(), 1.0 if run.flops_weight is None else run.flops_weight, Better.HIGHER)
    return Term(LiveFlops(), run.flops_weight or 0.0, Better.LOWER)
