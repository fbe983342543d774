"""From a run to its outcome: search or measure, and keep the result."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from micronas import catalog
from micronas.cache import atomic_write
from micronas.choices import Choices
from micronas.config import Run, Setup, set_up
from micronas.errors import UserError
from micronas.hardware.latency import Latency
from micronas.indicator import Indicator
from micronas.objective import Limit
from micronas.outcome import Outcome, Reading, break_down, read_indicators
from micronas.search.search import SearchResult, Watch, unwatched


def search(run: Run, watch: Watch = unwatched) -> Outcome:
    """Search as the run says.

    Raises:
        UserError: something the run names is not there or cannot be read.
        Unreachable: no architecture meets the limits.
    """
    parts = set_up(run, watch)
    started = time.perf_counter()
    result = parts.search.run(parts.objective)
    seconds = time.perf_counter() - started
    return _outcome(run, parts, result.architecture, seconds, result)


def measure(run: Run, architecture: str) -> Outcome:
    """Judge one given architecture.

    Raises:
        ArchitectureError: the text is no architecture of the run's space.
        UserError: something the run names is not there or cannot be read.
    """
    parts = set_up(run)
    started = time.perf_counter()
    outcome = _outcome(run, parts, parts.space.parse(architecture), 0.0)
    return replace(outcome, seconds=time.perf_counter() - started)


def _outcome(
    run: Run, parts: Setup, architecture: Choices, seconds: float, result: SearchResult | None = None
) -> Outcome:
    performance = [term.indicator.with_seed(run.seed) for term in parts.objective.performance]
    hardware: list[Indicator] = [make(parts.target) for make in catalog.HARDWARE_INDICATORS.values()]
    others = [*catalog.COUNTS.values(), *hardware]
    known = result.finalists[0].values if result else {}
    readings = read_indicators(parts.space, architecture, parts.skeleton, performance, others, known)
    return Outcome(
        parts.space,
        architecture,
        parts.skeleton,
        parts.target.name,
        readings,
        break_down(Latency(parts.target), parts.space, architecture, parts.skeleton),
        run.seed,
        run.to_dict(),
        run.search if result else None,
        result,
        seconds,
        _reached(parts.objective.limits, readings),
    )


def _reached(limits: Sequence[Limit], readings: dict[str, Reading]) -> list[tuple[str, str]]:
    return [
        (
            f"{limit.indicator.name} ≤ {limit.at_most:.6g} {limit.indicator.unit}",
            f"{readings[limit.indicator.name].value:.6g} {limit.indicator.unit}",
        )
        for limit in limits
    ]


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
