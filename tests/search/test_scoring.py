"""Scores of a whole space: each network measured once, kept as they come, completed after an interruption."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.search.doubles import TINY, Drawn, Triangle, Weight

from micronas.hardware.compute import Flops, LiveFlops
from micronas.indicator import Scores
from micronas.network.graph import Graph
from micronas.search import measurements, scoring
from micronas.search.census import Census, take_census
from micronas.search.scoring import SpaceScores
from micronas.search.search import unwatched
from micronas.store import ScoreStore, Series

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


def cut_off(census: Census, store: ScoreStore, seed: int, networks: int) -> None:
    """Leave the first networks of one draw in the store."""

    class CutOff(Drawn):
        def measure_many(self, graphs: Sequence[Graph]) -> Scores:
            if len(self.asked) >= networks:
                raise KeyboardInterrupt
            return super().measure_many(graphs)

    with pytest.raises(KeyboardInterrupt):
        SpaceScores(census, store, unwatched).performance(CutOff(), [seed])


def test_every_network_is_measured_once_by_its_representative(census: Census, store: ScoreStore) -> None:
    indicator = Drawn()
    (found,) = SpaceScores(census, store, unwatched).performance(indicator, [0])
    assert len(indicator.asked) == len(census)
    assert found.tolist() == one_by_one(census, Drawn())
    assert [bool(math.isinf(value)) for value in found] == (~census.connected).tolist()


def test_a_run_cut_off_between_chunks_measures_only_the_rest(census: Census, store: ScoreStore) -> None:
    cut_off(census, store, seed=0, networks=30)
    told: list[tuple[int, int, str]] = []
    rest = Drawn()
    scores = SpaceScores(census, store, lambda done, total, what: told.append((done, total, what)))
    (found,) = scores.performance(rest, [0])
    assert len(rest.asked) == len(census) - 30 == told[0][1]
    assert told[0] == (0, len(census) - 30, f"drawn of {len(census) - 30} networks")
    assert found.tolist() == one_by_one(census, Drawn())


def test_other_seeds_skeletons_and_names_are_other_series(census: Census, store: ScoreStore) -> None:
    scores = SpaceScores(census, store, unwatched)
    first = scores.performance(Drawn(), [0])
    for other in (Drawn(seed=1), Drawn("other")):
        assert scores.performance(other, [other.seed]).tolist() == [one_by_one(census, other)] != first.tolist()
    assert scores.performance(Drawn(), [0]).tolist() == first.tolist()


@pytest.mark.parametrize("draws", [1, 2, 16])
def test_draws_cut_off_at_different_places_are_completed_and_nothing_is_measured_twice(
    draws: int, census: Census, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "DRAWS", draws)
    for seed, networks in ((0, 30), (2, 10), (5, 30)):
        cut_off(census, store, seed, networks)
    seeds, missing, rest = (0, 1, 2, 5), 4 * len(census) - 70, Drawn()
    told: list[tuple[int, int, str]] = []
    scores = SpaceScores(census, store, lambda done, total, what: told.append((done, total, what)))
    found = scores.performance(rest, seeds)
    assert len(rest.asked) == len(set(rest.asked)) == missing
    assert found.tolist() == [one_by_one(census, Drawn(seed=seed)) for seed in seeds]
    assert {(total, what) for _, total, what in told} == {(missing, f"drawn of {len(census)} networks, 4 draws")}
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
    scores.performance(rest, seeds)
    assert len(rest.asked) == missing


def test_a_run_killed_between_the_writes_of_two_draws_measures_only_what_was_not_written(
    census: Census, tmp_path: Path, store: ScoreStore
) -> None:
    class Killed(ScoreStore):
        writes = 0

        def write(self, series: Series, scores: Mapping[str, float]) -> None:
            self.writes += 1
            if self.writes == 5:
                raise KeyboardInterrupt
            super().write(series, scores)

    with pytest.raises(KeyboardInterrupt):
        SpaceScores(census, Killed(store.path), unwatched).performance(Drawn(), range(3))
    rest = Drawn()
    found = SpaceScores(census, store, unwatched).performance(rest, range(3))
    assert len(rest.asked) == len(set(rest.asked)) == 3 * len(census) - 40
    assert found.tolist() == [one_by_one(census, Drawn(seed=seed)) for seed in range(3)]


def test_more_draws_of_a_space_measure_only_the_new_ones(census: Census, store: ScoreStore) -> None:
    scores, indicator = SpaceScores(census, store, unwatched), Drawn()
    scores.performance(indicator, [1])
    scores.performance(indicator, [0, 1, 2])
    assert len(indicator.asked) == len(set(indicator.asked)) == 3 * len(census)


@pytest.mark.parametrize("indicator", [LiveFlops(), Weight(), Flops()], ids=lambda one: one.name)
def test_hardware_indicators_of_connected_networks_equal_one_by_one(
    indicator: LiveFlops | Weight | Flops, census: Census, store: ScoreStore
) -> None:
    found = SpaceScores(census, store, unwatched).hardware(indicator, TINY)
    expected = np.array(one_by_one(census, indicator))
    assert found[census.connected].tolist() == expected[census.connected].tolist()
    assert not store.path.exists()  # what depends on boards is not kept among the scores
