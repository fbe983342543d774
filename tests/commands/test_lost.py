"""What was computed is kept whatever becomes of the page, and what cannot be kept is found out beforehand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import TINY, kept, micronas

from micronas.cache import atomic_write
from micronas.run import results

SEARCH = ("search", *TINY, "--repeats", "1", "--search", "random", "--search-setting", "samples=2")
SHELL = f"{sys.executable} -m micronas {' '.join(SEARCH)}"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "ending", ["| true", "> /dev/full", ">&-", "--json > /dev/full", "--json | true", "2> /dev/full", "-q | head -c 1"]
)
def test_a_page_that_nobody_reads_costs_no_result(ending: str) -> None:
    done = subprocess.run(f"{SHELL} {ending}", shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    (run,) = Path("runs").iterdir()
    outcome = results.read_back(run / "result.json")
    assert outcome.search == "random"
    if "2>" not in ending and "-q" not in ending:
        assert f"kept in runs/{run.name}/result.json" in done.stderr


@pytest.mark.parametrize("where", ["file", "file/below", "/dev/null", "/dev/null/x", "/proc/none/x"])
def test_where_no_run_can_be_kept_nothing_is_searched(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    monkeypatch.setattr("micronas.run.running.search", lambda *_, **__: pytest.fail("it searched"))
    said = micronas(*SEARCH, "--runs", where)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(f"error: cannot write the result below {where}: ")


def test_no_empty_folder_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: str) -> None:
        if path.name == results.RESULT:
            raise OSError(28, "No space left on device", str(path))
        atomic_write(path, content)

    monkeypatch.setattr(results, "atomic_write", full)
    said = micronas(*SEARCH)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "No space left on device" in said.err
    assert [*Path("runs").iterdir()] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_a_run_can_be_repeated_from_a_pipe() -> None:
    first = micronas(*SEARCH, "--json")
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_text(first.out))
    writer.start()
    again = micronas("search", "--repeat", "pipe", "--json")
    writer.join()
    assert again.code == 0
    assert json.loads(again.out)["architecture"] == json.loads(first.out)["architecture"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("made_from", "text"),
        ("made_from", None),
        ("made_from", [1]),
        ("versions", 3),
        ("versions", None),
        ("run", [1, 2]),
        ("run", {"space": 5}),
        ("run", {"limits": {"latency": "fast"}}),
        ("run", {"nothing": 1}),
        ("indicators", {"ntk": 5}),
        ("limits", [{}]),
        ("finalists", "none"),
        ("latency", {"value": 3}),
        ("standing", {"rank": 1}),
        ("schema", "2"),
        ("architecture", None),
    ],
)
def test_a_result_that_was_edited_and_sealed_again_is_one_line_before_any_work(
    key: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micronas.run.running.search", lambda *_, **__: pytest.fail("it searched"))
    Path("r.json").write_text(json.dumps(results.seal({**json.loads(kept(search="exact")), key: value})))
    said = micronas("search", "--repeat", "r.json")
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert "r.json" in said.err
