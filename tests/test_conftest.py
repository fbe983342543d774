"""The rules of conftest.py: no skip of a Debian test in CI, no cache outside the session's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from micronas.cache import cache_dir

INNER = """
import pytest

@pytest.mark.debian("no-such-program")
def test_without_the_program(): raise AssertionError("ran")

@pytest.mark.debian("sh")
def test_with_the_program(): pass

@pytest.mark.debian
@pytest.mark.skipif(True, reason="own condition")
def test_with_a_condition_of_its_own(): pass

@pytest.mark.skipif(True, reason="not Debian's")
def test_of_another_kind(): pass
"""


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    conftest = Path(__file__).with_name("conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_inner.py").write_text(INNER)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = debian\n")
    return tmp_path


def run(folder: Path, ci: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-rA"]
    environment = os.environ | {"MICRONAS_CI": ci}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_at_home_a_missing_program_skips_with_a_reason(inner: Path) -> None:
    result = run(inner, ci="")
    assert result.returncode == 0
    assert "needs no-such-program from a Debian package" in result.stdout
    assert "1 passed, 3 skipped" in result.stdout


def test_in_ci_such_a_skip_fails(inner: Path) -> None:
    result = run(inner, ci="1")
    assert result.returncode == 1
    assert "1 passed, 1 skipped, 2 errors" in result.stdout
    assert "no skip in CI" in result.stdout
    assert "own condition" in result.stdout


def test_caches_are_the_sessions_own() -> None:
    assert cache_dir().parent == Path(os.environ["XDG_CACHE_HOME"])
    assert "micronas-tests-" in str(cache_dir())


def test_the_last_lines_say_what_was_skipped_and_why(inner: Path) -> None:
    last = run(inner, ci="").stdout.splitlines()[-3:]
    assert [line.split(":")[0] for line in last] == ["skipped 1 test"] * 3
    assert any("no-such-program" in line for line in last)
    assert "skipped 1 test: not Debian's" in last
