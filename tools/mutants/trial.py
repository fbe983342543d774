"""How tests judge mutants: in children of one warm process, each in a copy of the checkout.

A test run that starts Python and torch anew takes longer than most mutants live. So one process imports what is heavy,
and nothing of the package; for each mutant it forks a child that runs pytest in a folder of its own.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import cache_from_source, find_spec
from itertools import accumulate
from math import log10
from pathlib import Path
from time import monotonic

import pytest
from tools.mutants.edits import Mutant
from tools.mutants.rooms import COMPILER, ENGINE, is_compiled

HEAVY = ("numpy", "scipy.stats", "torch", "numba", "hypothesis")
COPIED = ("src", "tests", "examples", "pyproject.toml")

SLOW_S = 10.0
"""A test that takes longer judges no mutant."""

JUDGED_S = 16.0
"""What all the tests that judge a mutant usually take; those of its own module may take longer."""

COMPILING_S = 120.0
"""What a test may take longer where the engine's machine code is to be made anew."""


def patience_s(usual_s: float) -> float:
    """After so long a test that usually takes `usual_s` counts as one that never ends."""
    return 20 + 5 * usual_s


class Watch:
    """A plugin of pytest: orders tests by what they usually take, ends those that do not end, times all.

    A test that hangs ends the process by SIGALRM, which says so.
    """

    def __init__(self, usual_s: Mapping[str, float], mutant: Mutant | None) -> None:
        self.usual_s, self.mutant = usual_s, mutant
        self.more_s = COMPILING_S if mutant and is_compiled(mutant.path) else 0.0
        self.took_s: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Against a mutant, in waves, so that tests of a file which share what is costly mostly stay together."""
        if self.mutant is None:
            return
        usual_s = {item: self.usual_s.get(item.nodeid, 0.0) for item in items}
        quick = [item for item in items if usual_s[item] <= SLOW_S]
        quick.sort(key=lambda item: round(2 * log10(max(usual_s[item], 0.1))))
        so_far_s = accumulate(usual_s[item] for item in quick)
        own = f"test_{Path(self.mutant.path).name}::"
        items[:] = [item for item, s in zip(quick, so_far_s, strict=True) if s <= JUDGED_S or own in item.nodeid]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Sets the alarm."""
        signal.setitimer(signal.ITIMER_REAL, patience_s(self.usual_s.get(item.nodeid, 2 * SLOW_S)) + self.more_s)
        done = yield
        signal.setitimer(signal.ITIMER_REAL, patience_s(0) + self.more_s)
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes the time of preparing, running and tidying up."""
        self.took_s[report.nodeid] = self.took_s.get(report.nodeid, 0.0) + report.duration


@dataclass(frozen=True)
class Trial:
    """Files of tests to run, against a mutant or, for None, the source as it is."""

    tests: tuple[str, ...]
    mutant: Mutant | None = None
    edited: str = ""


@dataclass(frozen=True)
class Desk:
    """A place for one trial at a time: a copy of the checkout, and caches of its own."""

    folder: Path
    root: Path

    @property
    def tree(self) -> Path:
        """The copy."""
        return self.folder / "tree"

    @property
    def log(self) -> Path:
        """What pytest said last."""
        return self.folder / "log"

    def furnish(self) -> None:
        """Makes the copy anew; what earlier runs cached stays."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        (self.folder / "warm").mkdir(exist_ok=True)
        for name in COPIED:
            if (source := self.root / name).is_dir():
                shutil.copytree(source, self.tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, self.tree / name)
        shared = self.root.parent / "shared"
        if shared.is_dir() and not (self.folder / "shared").exists():
            (self.folder / "shared").symlink_to(shared)

    def run(self, trial: Trial, usual_s: Mapping[str, float]) -> int:
        """Judges, in this process, which is good for nothing else afterwards: pytest's exit status."""
        fresh = trial.mutant is not None
        cache = self.folder / ("cache" if fresh else "warm")
        for name in ("cache", "tmp") if fresh else ("tmp",):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if fresh:
            shutil.copytree(self.folder / "warm", cache)
        # As for a worker of pytest-xdist: whoever starts it has set the caches.
        os.environ.update(PYTEST_XDIST_WORKER="gw0", PYTHONPATH=str(self.tree / "src"), NO_COLOR="1")
        os.environ.update(XDG_CACHE_HOME=str(cache), MICRONAS_CACHE=str(cache / "micronas"))
        os.chdir(self.tree)
        sys.path[:] = [str(self.tree / "src"), str(self.tree), *(path for path in sys.path if path)]
        signal.setitimer(signal.ITIMER_REAL, patience_s(SLOW_S))
        if trial.mutant is not None:
            self._edit(trial.mutant.path, trial.edited)
        _steady_hypothesis()
        watch = Watch(usual_s, trial.mutant)
        options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist"]
        options += [f"--basetemp={self.folder / 'tmp'}", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = int(pytest.main([*options, *trial.tests], plugins=[watch]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        if trial.mutant is None:
            (self.folder / "took.json").write_text(json.dumps(watch.took_s))
        return status

    def restore(self, trial: Trial) -> None:
        """Undoes the edit. The file is as old as it was: what Python made of all others is of use again."""
        if trial.mutant is not None:
            self._forget(trial.mutant.path)
            shutil.copy2(self.root / trial.mutant.path, self.tree / trial.mutant.path)

    def _edit(self, path: str, text: str) -> None:
        """Writes a mutant. If no machine code comes of it, what is kept by the engine's digest goes by the new one."""
        keeps = path.startswith(ENGINE) and not is_compiled(path)
        folder: Callable[[], Path] | None = import_module(COMPILER)._folder if keeps else None
        before = folder() if folder else None
        self._forget(path)
        (self.tree / path).write_text(text, encoding="utf-8")
        if folder and before and before.exists():
            before.rename(folder())

    def _forget(self, path: str) -> None:
        """Drops what Python made of a file, which it knows by second and size: two mutants may share both."""
        Path(cache_from_source(str(self.tree / path))).unlink(missing_ok=True)


def warm_up() -> None:
    """Imports what is heavy, on one thread: a process with more of them cannot be forked."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    for name in HEAVY:
        if find_spec(name.partition(".")[0]):
            import_module(name)
    gc.freeze()


def run_all(
    trials: Iterable[Trial], desks: Sequence[Desk], usual_s: Mapping[str, float]
) -> Iterator[tuple[Trial, Desk, int, float]]:
    """Each trial once it is done, with its desk, status (of `os.waitstatus_to_exitcode`) and seconds."""
    ahead, free = deque(trials), [*desks]
    running: dict[int, tuple[Trial, Desk, float]] = {}
    try:
        while ahead or running:
            while ahead and free:
                trial, desk = ahead.popleft(), free.pop()
                running[_forked(desk, partial(desk.run, trial, usual_s))] = trial, desk, monotonic()
            pid, status = os.wait()
            trial, desk, start = running.pop(pid)
            _end(pid)
            desk.restore(trial)
            yield trial, desk, os.waitstatus_to_exitcode(status), monotonic() - start
            free.append(desk)
    finally:
        for pid in running:
            _end(pid)


def _forked(desk: Desk, work: Callable[[], int]) -> int:
    """Starts work in a child of this process, which heads a group: what it starts ends with it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        with suppress(OSError):  # it may be quicker, or over
            os.setpgid(pid, pid)
        return pid
    status = 3  # pytest's, for an error inside
    try:
        os.setpgid(0, 0)
        with desk.log.open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        status = work()
    except BaseException:  # noqa: BLE001 (a child must never go on as its parent)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _steady_hypothesis() -> None:
    """Examples repeat, and one that fails is enough: no smaller one is looked for."""
    if find_spec("hypothesis"):
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", derandomize=True, deadline=None, database=None, phases=phases)
        settings.load_profile("mutants")
