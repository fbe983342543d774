"""Scores of a whole space: each network measured once, kept as they come, completed after an interruption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.search.doubles import TINY, Drawn, Triangle, Weight

from micronas.graph import Graph
from micronas.hardware.compute import Flops, LiveFlops
from micronas.indicator import Scores
from micronas.search import scoring
from micronas.search.census import Census, take_census
from micronas.search.scoring import SpaceScores
from micronas.search.search import unwatched
from micronas.store import ScoreStore

SPACE = Triangle()


@pytest.fixture(scope="module")
def census() -> Census:
    return take_census(SPACE)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScoreStore:
    monkeypatch.setattr(scoring, "CHUNK", 10)
    return ScoreStore(tmp_path / "scores.sqlite3")


def one_by_one(census: Census, indicator: Drawn | LiveFlops | Weight | Flops) -> list[float]:
    return [indicator.measure(SPACE.lower(census.representative(at), TINY)) for at in range(len(census))]


def test_every_network_is_measured_once_by_its_representative(census: Census, store: ScoreStore) -> None:
    indicator = Drawn()
    found = SpaceScores(census, store, unwatched).performance(indicator)
    assert len(indicator.asked) == len(census)
    assert found.tolist() == one_by_one(census, Drawn())
    assert [bool(math.isinf(value)) for value in found] == (~census.connected).tolist()


def test_a_run_cut_off_between_chunks_measures_only_the_rest(census: Census, store: ScoreStore) -> None:
    class CutOff(Drawn):
        def measure_many(self, graphs: Sequence[Graph]) -> Scores:
            if len(self.asked) >= 30:
                raise KeyboardInterrupt
            return super().measure_many(graphs)

    with pytest.raises(KeyboardInterrupt):
        SpaceScores(census, store, unwatched).performance(CutOff())
    told: list[tuple[int, int, str]] = []
    rest = Drawn()
    found = SpaceScores(census, store, lambda done, total, what: told.append((done, total, what))).performance(rest)
    assert len(rest.asked) == len(census) - 30 == told[0][1]
    assert told[0] == (0, len(census) - 30, f"drawn of {len(census) - 30} networks")
    assert found.tolist() == one_by_one(census, Drawn())


def test_other_seeds_skeletons_and_names_are_other_series(census: Census, store: ScoreStore) -> None:
    scores = SpaceScores(census, store, unwatched)
    first = scores.performance(Drawn())
    for other in (Drawn(seed=1), Drawn("other")):
        assert scores.performance(other).tolist() == one_by_one(census, other) != first.tolist()
    assert scores.performance(Drawn()).tolist() == first.tolist()


@pytest.mark.parametrize("indicator", [LiveFlops(), Weight(), Flops()], ids=lambda one: one.name)
def test_hardware_indicators_of_connected_networks_equal_one_by_one(
    indicator: LiveFlops | Weight | Flops, census: Census, store: ScoreStore
) -> None:
    found = SpaceScores(census, store, unwatched).hardware(indicator, TINY)
    expected = np.array(one_by_one(census, indicator))
    assert found[census.connected].tolist() == expected[census.connected].tolist()
    assert not store.path.exists()  # what depends on boards is not kept among the scores
