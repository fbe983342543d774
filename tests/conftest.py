"""What every test may count on: caches of its own, the shared data sets, Debian's programs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = ("target", "images", "max_latency", "max_sram", "max_flash", "max_flops")
CACHES = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Redirects every cache before any test module is imported: the user's own is never touched.

    Python processes that tests start, wherever they run, see this checkout. Workers of one run share its caches, and
    each computes on one thread: threads that wait for one another's cores only heat them.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        return
    config.stash[CACHES] = folder = tempfile.TemporaryDirectory(prefix="micronas-tests-")
    os.environ["XDG_CACHE_HOME"] = folder.name
    os.environ["MICRONAS_CACHE"] = str(Path(folder.name) / "micronas")
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    for name in (*VARIABLES, "runs"):  # the user's own answers
        os.environ.pop(f"MICRONAS_{name.upper()}", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    if CACHES in config.stash:
        config.stash[CACHES].cleanup()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.debian("qemu-system-arm")` skips where that program is absent."""
    for marker in item.iter_markers("debian"):
        programs: tuple[str, ...] = marker.args
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)} from a Debian package; .ci/run installs it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With MICRONAS_CI set, a test marked `debian` may not skip, whoever asked for the skip."""
    report = yield
    if report.skipped and os.environ.get("MICRONAS_CI") and item.get_closest_marker("debian"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{item.nodeid}: no skip in CI: {reason}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(
            f"no reference data in {folder}: CIFAR-10, NAS-Bench-201 and arenas of TFLite-Micro, which are not public"
        )
    return folder


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """The very last lines say what was not tested, and for want of what."""
    yield
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):  # a worker tells the one that started it
        return
    reasons = Counter(_reason(report) for report in reporter.stats.get("skipped", ()))
    for reason, count in sorted(reasons.items()):
        reporter.write_line(f"skipped {count} {'test' if count == 1 else 'tests'}: {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(said.removeprefix("Skipped: ").split())
