"""Which modules are mutated, and which tests judge their mutants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "src/micronas"


@dataclass(frozen=True)
class Room:
    """Modules, and the tests that judge their mutants beside each one's own `tests/<path>/test_<module>.py`.

    Both are globs, below the package and below `tests`.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


# A module belongs to the first room that names it.
ROOMS = (
    Room(
        modules=("network/*.py",),
        tests=("network/*.py", "test_candidate.py", "spaces/**/*.py", "hardware/**/test_counted.py"),
    ),
    Room(
        modules=("search/*.py", "objective.py", "budget.py", "candidate.py"),
        tests=("search/*.py", "test_[lo]*.py", "test_budget.py", "contracts/test_searches.py"),
    ),
    Room(
        modules=("hardware/planning/*.py", "hardware/indicators/memory.py"),
        tests=("hardware/**/test_[amot]*.py", "deploy/test_c.py"),
    ),
    Room(
        modules=("mcu/timing.py", "mcu/pipelines.py", "mcu/instructions.py", "mcu/cores.py", "mcu/memory.py"),
        tests=("mcu/test_[eprt]*.py", "contracts/test_targets.py"),
    ),
    Room(
        modules=("mcu/operators.py",),
        tests=("mcu/test_[kpr]*.py", "deploy/test_operations.py", "deploy/test_c.py"),
    ),
    Room(
        modules=("hardware/boards/[bot]*.py", "hardware/indicators/latency.py", "hardware/indicators/prices.py"),
        tests=("hardware/**/*.py", "contracts/test_targets.py"),
    ),
    Room(
        modules=("hardware/indicators/*.py",),
        tests=("hardware/**/*.py", "contracts/test_indicators.py"),
    ),
    Room(
        modules=("spaces/**/*.py",),
        tests=("spaces/**/*.py", "contracts/test_spaces.py", "search/test_census.py", "test_large_space.py"),
    ),
    Room(
        modules=("proxies/**/*.py",),
        tests=("proxies/**/*.py", "contracts/test_indicators.py"),
    ),
)

ENGINE = f"{PACKAGE}/proxies/engine/"
COMPILER = "micronas.proxies.engine.compiled.compiling"
COMPILED = frozenset(
    {
        *("machine", "convolutions", "layout", "norms", "patterns", "planes", "instructions"),
        *("slopes", "steps", "sweeps", "tiles", "vectors", "compiling"),
    }
)
"""Modules of the engine that become machine code, or whose numbers do: each mutant is compiled, which takes seconds."""

WARMING = "tests/proxies/test_zen.py"
"""A test for whose sake the engine is compiled, before others are timed."""


def is_compiled(path: str) -> bool:
    """Whether a mutant of a module is compiled anew."""
    return path.startswith(ENGINE) and Path(path).stem in COMPILED


def judges(root: Path, rooms: Sequence[Room]) -> dict[str, list[str]]:
    """Every module in scope with the files of tests that judge it, its own first."""
    found: dict[str, list[str]] = {}
    for room in rooms:
        shared = [path for glob in room.tests for path in sorted((root / "tests").glob(glob))]
        for path in (path for glob in room.modules for path in sorted((root / PACKAGE).glob(glob))):
            own = root / "tests" / path.relative_to(root / PACKAGE).with_name(f"test_{path.name}")
            tests = (test for test in (own, *shared) if test.name.startswith("test_") and test.exists())
            relative = (str(test.relative_to(root)) for test in tests)
            found.setdefault(str(path.relative_to(root)), [*dict.fromkeys(relative)])
    return found
