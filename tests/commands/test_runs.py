"""Kept runs: listed, compared, deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.terminal import CELL, TINY, kept, micronas

NAMES = ["20260103-000000-c", "20260102-000000-b", "20260101-000000-a"]


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of networks, and one that cannot be read."""
    monkeypatch.chdir(tmp_path)
    common = ("measure", CELL, "--indicators", "latency,params", "--json")
    for name, flags in (("20260101-000000-a", TINY), ("20260102-000000-b", (*TINY[:4], "--input", "16"))):
        _keep(tmp_path / "runs" / name, micronas(*common, *flags).out)
    _keep(tmp_path / "runs" / "20260103-000000-c", "{")
    return tmp_path / "runs"


def _keep(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(text)


def test_all_are_listed_the_latest_first_those_that_cannot_be_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = micronas("runs").out.splitlines()
    assert [line.strip() for line in lines if line.startswith("  2026")] == NAMES
    assert "is not valid JSON" in lines[1]
    found = lines[lines.index("  20260102-000000-b") + 1].strip()
    assert found.startswith("latency ")
    assert found.endswith(" ms, on nucleo-f746zg")
    listed = json.loads(micronas("runs", "--json").out)
    assert [one["name"] for one in listed] == NAMES
    assert "is not valid JSON" in listed[0]["error"]
    latency = json.loads(micronas("show", "20260101", "--json").out)["latency_ms"]
    assert listed[2]["latency_ms"] == pytest.approx(latency)
    assert "sram_bytes" not in listed[2]
    assert listed[2]["target"] == "nucleo-f746zg"
    monkeypatch.setenv("MICRONAS_RUNS", "nowhere")
    none = micronas("runs")
    assert (none.code, none.out) == (0, "")
    assert none.err.startswith("no run in ")


def test_two_are_shown_beside_each_other() -> None:
    said = micronas("runs", "compare", "20260101", "20260102").out
    rows = {line.split("  ")[0].strip(): line.split() for line in said.splitlines()}
    assert rows["input"][1:] == ["8x8x3", "16x16x3"]
    assert rows["parameters"][1::2] == rows["parameters"][1:2] * 2
    assert rows["latency"][1] != rows["latency"][3]
    assert said.count(CELL) == 2
    data = json.loads(micronas("runs", "compare", "20260101", "20260102", "--json").out)
    assert [one["name"] for one in data] == NAMES[:0:-1]
    assert [one["run"]["input"] for one in data] == ["8x8x3", "16x16x3"]


def test_one_alone_is_no_comparison() -> None:
    said = micronas("runs", "compare", "20260101", "20260101-000000-a")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: a comparison needs two different runs")


def test_whole_names_are_deleted_and_all_or_nothing(runs: Path) -> None:
    refused = micronas("runs", "delete", "20260101-000000-a", "20260102")
    assert refused.code == 2
    assert "there is no run '20260102'" in refused.err
    assert len([*runs.iterdir()]) == 3
    done = micronas("runs", "delete", "20260101-000000-a", "last", "20260103-000000-c")
    assert done.code == 0
    assert [path.name for path in runs.iterdir()] == ["20260102-000000-b"]
    assert done.err.count("deleted") == 2


def test_a_result_elsewhere_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(kept())
    assert micronas("runs", "delete", str(tmp_path)).code == 2
    assert (tmp_path / "result.json").exists()


def test_runs_of_one_name_in_two_places_are_told_apart(runs: Path, tmp_path: Path) -> None:
    _keep(tmp_path / "other" / "20260101-000000-a", (runs / "20260102-000000-b" / "result.json").read_text())
    data = json.loads(micronas("runs", "compare", "20260101", "other/20260101-000000-a", "--json").out)
    assert [one["run"]["input"] for one in data] == ["8x8x3", "16x16x3"]
    assert len({one["name"] for one in data}) == 2
