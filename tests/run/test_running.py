"""A run says everything: its result file alone repeats the search."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.terminal import CELL

from micronas import catalog
from micronas.indicators import untrained_of
from micronas.network import deployed as deployed_module
from micronas.network import legalised as legalised_module
from micronas.network import live as live_module
from micronas.run.reading import run_of
from micronas.run.results import keep, read_back
from micronas.run.run import Run
from micronas.run.running import measure
from micronas.run.running import search as find
from micronas.run.setup import usual_means
from micronas.spaces.nasbench201.space import NasBench201
from micronas.testing.doubles import Drawn, Triangle


@pytest.mark.parametrize("search", list(catalog.SEARCHES))
def test_a_result_file_alone_repeats_the_search(search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {name: lambda _, name=name: Drawn(name) for name in ("ntk", "linear-regions")}
    monkeypatch.setattr(catalog, "INDICATORS", {**catalog.INDICATORS, **drawn})
    monkeypatch.setattr(catalog, "SPACES", {"triangle": Triangle})
    terms = {"ntk": 1, "linear-regions": 1, "flops": 0.5}
    run = Run("triangle", search=search, fit=False, seed=5, repeats=1, limits={"layers": 4.0}, terms=terms)
    run = replace(run, target="raspberry-pi-pico")
    first = find(run)
    path = keep(first, tmp_path)
    kept = run_of(read_back(path).run, str(path))
    assert kept == replace(run, input="32x32x3", classes=10)  # nothing is left to a default
    one, other = first.to_dict() | {"seconds": 0}, find(kept).to_dict() | {"seconds": 0}
    assert one == other
    assert json.loads(path.read_text(encoding="utf-8"))["architecture"] == one["architecture"]
    assert find(replace(run, seed=6)).to_dict()["finalists"] != one["finalists"]


def test_measuring_hardware_lowers_once_and_deploys_once_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency with its breakdown, SRAM of two runtimes, flash and every count: of one graph and one form of it each."""
    made: list[str] = []

    def counted(name: str, make: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*arguments: object) -> object:
            made.append(name)
            return make(*arguments)

        return wrapper

    monkeypatch.setattr(NasBench201, "lower", counted("lowered", NasBench201.lower))
    monkeypatch.setattr(live_module, "_fed", counted("live", live_module._fed))
    monkeypatch.setattr(deployed_module, "_fold_relu", counted("deployed", deployed_module._fold_relu))
    monkeypatch.setattr(legalised_module, "_TfliteOperators", counted("legalised", legalised_module._TfliteOperators))
    names = [name for name, make in catalog.INDICATORS.items() if untrained_of(make(usual_means())) is None]
    outcome = measure(Run(), CELL, only=names)
    assert [*outcome.indicators] == names
    assert outcome.breakdown is not None
    assert sorted(made) == ["deployed", "legalised", "live", "lowered"]
