"""Fronts and several boards by the command line, on a space of 125 architectures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.terminal import micronas

from micronas import catalog
from micronas.testing.doubles import Drawn, Triangle

ASKED = ("--space", "triangle", "--repeats", "1")


@pytest.fixture(autouse=True)
def _toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {name: lambda _, name=name: Drawn(name) for name in ("ntk", "linear-regions")}
    monkeypatch.setattr(catalog, "INDICATORS", {**catalog.INDICATORS, **drawn})
    monkeypatch.setattr(catalog, "SPACES", {**catalog.SPACES, "triangle": Triangle})
    monkeypatch.chdir(tmp_path)


def test_a_front_is_in_the_json_the_csv_and_the_page() -> None:
    data = json.loads(micronas("search", *ASKED, "--front", "sram,flash", "--json").out)
    assert {"architecture", "score", "sram_bytes", "flash_bytes", "latency_ms"} == {*data["front"][0]}
    assert data["front"][0]["architecture"] in [one["architecture"] for one in data["finalists"]]
    (path,) = Path("runs").glob("*/front.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [one["score"] for one in data["front"]]
    assert [float(row["sram_bytes"]) for row in rows] == [one["sram_bytes"] for one in data["front"]]
    shown = micronas("show")
    assert f"the front: {len(rows)} networks" in shown.out


def test_front_alone_is_of_latency() -> None:
    alone, said = (
        json.loads(micronas("search", *ASKED, *front, "--json").out)["front"]
        for front in (["--front"], ["--front", "latency"])
    )
    assert alone == said
    assert [one["latency_ms"] for one in said] == sorted((one["latency_ms"] for one in said), reverse=True)


@pytest.mark.slow
def test_several_boards_are_answered_in_one_go() -> None:
    boards = ("nucleo-f746zg", "raspberry-pi-pico")
    together = micronas("search", *ASKED, "--targets", ",".join(boards), "--json")
    answers = json.loads(together.out)
    assert [one["target"] for one in answers] == [*boards]
    alone = json.loads(micronas("search", *ASKED, "--target", boards[1], "--json").out)
    same = ("architecture", "latency_ms", "finalists", "limits")
    assert {name: answers[1][name] for name in same} == {name: alone[name] for name in same}
    shown = micronas("search", *ASKED, "--targets", ",".join(boards), "--max-latency", "1us")
    assert shown.out.count("no architecture reaches latency") == 2 or shown.out.count("latency ≤") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--front", "ntk"], "ntk is no cost that is known of a whole space"),
        (["--front", "speed"], "unknown indicator 'speed'"),
        (["--front", "--search", "random"], "only exact search knows a front; random looks at some networks"),
        (["--targets", "nrf5340dk", "--target", "nrf5340dk"], "--targets cannot stand beside --target or --repeat"),
        (["--targets", "nowhere"], "unknown board 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], says: str) -> None:
    said = micronas("search", *ASKED, *words)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert says in said.err
    assert not Path("runs").exists()


def test_scores_say_what_a_board_needs_and_are_written_as_csv() -> None:
    said = micronas("scores", *ASKED, "--target", "nrf5340dk", "--unique", "--out", "scores.csv")
    assert said.code == 0
    with Path("scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if row["score"])
    words = ("measure", row["architecture"], "--space", "triangle", "--target", "nrf5340dk", "--json")
    data = json.loads(micronas(*words, "--indicators", "latency,sram,flash").out)
    for name, unit in (("latency", "ms"), ("sram", "bytes"), ("flash", "bytes")):
        assert float(row[f"{name}_{unit}"]) == pytest.approx(data["indicators"][name]["value"], rel=1e-9)
    refused = micronas("scores", *ASKED, "--out", "scores.parquet")
    assert refused.err == "error: scores are written as .csv, so not to scores.parquet; name it scores.csv\n"
