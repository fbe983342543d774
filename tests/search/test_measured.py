"""What untrained networks score: measured once for each draw, kept as it comes, completed after an interruption."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from micronas.candidate import Candidate
from micronas.indicators import Scores
from micronas.network.graph import Graph
from micronas.network.identity import weights_key
from micronas.search import measured
from micronas.search.census import Census, take_census
from micronas.search.measured import DRAWS, Measured
from micronas.sources import version_of
from micronas.spaces.decisions import NONE, Removal
from micronas.store import ScoreStore, Series
from micronas.testing.doubles import START, Drawn, Weight


@pytest.fixture(scope="module")
def census() -> Census:
    return take_census(START)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "CHUNK", 10)
    monkeypatch.setattr(measured, "_FEW", 10)
    monkeypatch.setattr(measured, "_EACH_S", math.inf)


def networks(census: Census) -> list[Candidate]:
    return [census.representative(at) for at in range(len(census))]


def one_by_one(census: Census, indicator: Drawn) -> list[float]:
    return [indicator.measure(one.graph) for one in networks(census)]


def measure(census: Census, store: ScoreStore, indicator: Drawn, seeds: Sequence[int]) -> Scores:
    with Measured(store) as known:
        return known.of(indicator, networks(census), seeds)


def cut_off(census: Census, store: ScoreStore, seed: int, networks: int) -> None:
    """Leave the first networks of one draw in the store."""

    class CutOff(Drawn):
        __module__ = Drawn.__module__  # whose numbers these are

        def measure_many(self, graphs: Sequence[Graph]) -> Scores:
            if len(self.asked) >= networks:
                raise KeyboardInterrupt
            return super().measure_many(graphs)

    with pytest.raises(KeyboardInterrupt):
        measure(census, store, CutOff(), [seed])


def test_every_network_is_measured_once_on_its_probe(census: Census, store: ScoreStore) -> None:
    indicator = Drawn()
    (found,) = measure(census, store, indicator, [0])
    assert len(indicator.asked) == len(census)
    assert found.tolist() == one_by_one(census, Drawn())
    assert [bool(math.isinf(value)) for value in found] == (~census.connected).tolist()


def test_a_run_cut_off_between_chunks_measures_only_the_rest(census: Census, store: ScoreStore) -> None:
    cut_off(census, store, seed=0, networks=30)
    told: list[tuple[int, int, str]] = []
    rest = Drawn()
    with Measured(store, lambda done, total, what: told.append((done, total, what))) as known:
        (found,) = known.of(rest, networks(census), [0])
    assert len(rest.asked) == len(census) - 30 == told[0][1]
    assert told[0] == (0, len(census) - 30, f"drawn of {len(census) - 30} networks")
    assert found.tolist() == one_by_one(census, Drawn())


def test_other_seeds_and_names_are_other_series(census: Census, store: ScoreStore) -> None:
    first = measure(census, store, Drawn(), [0])
    for other in (Drawn(seed=1), Drawn("other")):
        found = measure(census, store, other, [other.seed])
        assert found.tolist() == [one_by_one(census, other)] != first.tolist()
    assert measure(census, store, Drawn(), [0]).tolist() == first.tolist()


@pytest.mark.parametrize("draws", [1, 2, 16])
def test_draws_cut_off_at_different_places_are_completed_and_nothing_is_measured_twice(
    draws: int, census: Census, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "DRAWS", draws)
    for seed, number in ((0, 30), (2, 10), (5, 30)):
        cut_off(census, store, seed, number)
    seeds, missing, rest = (0, 1, 2, 5), 4 * len(census) - 70, Drawn()
    told: list[tuple[int, int, str]] = []
    with Measured(store, lambda done, total, what: told.append((done, total, what))) as known:
        found = known.of(rest, networks(census), seeds)
        assert len(rest.asked) == len(set(rest.asked)) == missing
        assert found.tolist() == [one_by_one(census, Drawn(seed=seed)) for seed in seeds]
        assert {(total, what) for _, total, what in told} == {(missing, f"drawn of {len(census)} networks, 4 draws")}
        assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})
        known.of(rest, networks(census), seeds)
    assert len(rest.asked) == missing
    measure(census, store, rest, seeds)
    assert len(rest.asked) == missing


def test_a_run_killed_between_two_writes_measures_only_what_was_not_written(census: Census, store: ScoreStore) -> None:
    """Each draw of a pass is a write of its own; the fifth is the second draw's of the second ten networks."""

    class Killed(ScoreStore):
        writes = 0

        def write(self, scores: Mapping[Series, Mapping[str, float]]) -> None:
            self.writes += 1
            if self.writes >= 5:
                raise KeyboardInterrupt
            super().write(scores)

    with pytest.raises(KeyboardInterrupt):
        measure(census, Killed(store.path), Drawn(), range(3))
    rest = Drawn()
    found = measure(census, store, rest, range(3))
    assert len(rest.asked) == len(set(rest.asked)) == 3 * len(census) - 40
    assert found.tolist() == [one_by_one(census, Drawn(seed=seed)) for seed in range(3)]


def test_more_draws_of_a_space_measure_only_the_new_ones(census: Census, store: ScoreStore) -> None:
    indicator = Drawn()
    measure(census, store, indicator, [1])
    measure(census, store, indicator, [0, 1, 2])
    assert len(indicator.asked) == len(set(indicator.asked)) == 3 * len(census)


def test_open_candidates_are_remembered_by_their_networks_and_draws(store: ScoreStore) -> None:
    indicator = Drawn()
    many = [START, START.without(Removal(0, NONE)), START]
    with Measured(store) as known:
        first = known.of(indicator, many, [0])
        assert known.of(indicator, many, [0]).tolist() == first.tolist()
        assert len(indicator.asked) == known.needed == 2
        known.of(indicator, [START], [1])
        assert known.needed == 3
        several = known.of(indicator, many, [2, 1, 0])
        assert len(set(indicator.asked)) == len(indicator.asked) == known.needed == 6
    graphs = [one.graph for one in many]
    assert several.tolist() == [Drawn(seed=seed).measure_many(graphs).tolist() for seed in (2, 1, 0)]


def test_networks_that_draw_the_same_weights_are_one(store: ScoreStore) -> None:
    """What is dead draws nothing: behind it any operation may stand."""
    twins = [START.of(START.space.parse(f"{dead}|nor_conv_1x1|none")) for dead in ("nor_conv_3x3", "avg_pool_3x3")]
    assert weights_key(twins[0].graph) == weights_key(twins[1].graph)
    indicator = Drawn()
    with Measured(store) as known:
        (found,) = known.of(indicator, twins, [0])
    assert len(indicator.asked) == 1
    assert found[0] == found[1]


def test_a_pass_takes_no_more_draws_than_fit_the_memory(store: ScoreStore) -> None:
    passes: list[int] = []

    class Counted(Drawn):
        def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
            passes.append(len(seeds))
            return super().measure_draws(graphs, seeds)

    many, seeds = [*START.completions()][30:35], range(2 * DRAWS + 1)
    with Measured(store) as known:
        found = known.of(Counted(), many, seeds)
    assert passes == [DRAWS, DRAWS, 1]
    graphs = [one.graph for one in many]
    assert found.tolist() == [Drawn(seed=seed).measure_many(graphs).tolist() for seed in seeds]


def test_values_of_what_is_deployed_are_not_kept_and_of_untrained_networks_are_means(store: ScoreStore) -> None:
    some = [*START.completions()][-4:]
    with Measured(store) as known:
        assert known.values(Weight(), some, (0, 1)).tolist() == [Weight().measure(one.graph) for one in some]
        assert known.needed == 0
        assert not store.path.exists()  # what depends on boards is not kept among the scores
        found = known.values(Drawn(), some, (0, 1))
    graphs = [one.canonical.graph for one in some]  # isomorphic networks draw other weights
    assert found.tolist() == [(Drawn(seed=0).measure(one) + Drawn(seed=1).measure(one)) / 2 for one in graphs]


def test_a_store_that_cannot_be_used_is_said_once_and_costs_only_time(tmp_path: Path, census: Census) -> None:
    (tmp_path / "file").touch()
    with Measured(ScoreStore(tmp_path / "file" / "scores.sqlite3")) as known:
        found = known.of(Drawn(), networks(census), [0, 1])
    assert found.tolist() == [one_by_one(census, Drawn(seed=seed)) for seed in (0, 1)]
    (note,) = known.notes
    assert "cannot use the score store" in note


def test_what_the_store_says_is_among_the_notes(store: ScoreStore, census: Census) -> None:
    store.path.write_text("this is no database, and never was one " * 10)
    with Measured(store) as known:
        known.of(Drawn(), networks(census), [0])
    (note,) = known.notes
    assert "file is not a database" in note


def test_what_was_needed_counts_whether_the_store_had_it_or_not(census: Census, store: ScoreStore) -> None:
    keys = {weights_key(one.graph) for one in networks(census)}
    for asked in (len(keys) * 2, 0):
        indicator = Drawn()
        with Measured(store) as known:
            for _ in range(2):  # nor does it count twice
                known.of(indicator, networks(census), [0, 1])
        assert known.needed == len(keys) * 2
        assert len(indicator.asked) == asked


def test_a_score_is_kept_under_the_code_of_its_indicator(census: Census, store: ScoreStore) -> None:
    with Measured(store) as known:
        ((value,),) = known.of(Drawn(), networks(census)[:1], [0]).tolist()
    series = Series("drawn", Drawn().fingerprint, version_of(Drawn.__module__))
    assert store.read(series) == {weights_key(networks(census)[0].graph): value}


@pytest.mark.parametrize(("patience_s", "writes"), [(-1.0, 3), (math.inf, 1)])
def test_what_waits_is_written_when_it_has_waited_long_enough(
    patience_s: float, writes: int, census: Census, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(ScoreStore):
        written = 0

        def write(self, scores: Mapping[Series, Mapping[str, float]]) -> None:
            self.written += 1
            super().write(scores)

    monkeypatch.setattr(measured, "CHUNK", 1000)
    monkeypatch.setattr(measured, "_FEW", 1000)
    monkeypatch.setattr(measured, "DRAWS", 1)
    monkeypatch.setattr(measured, "_PATIENCE_S", patience_s)
    counting = Counting(store.path)
    measure(census, counting, Drawn(), [0, 1, 2])
    assert counting.written == writes


@pytest.mark.parametrize(("each_s", "sizes"), [(math.inf, [3, 6, 12, 20]), (0.0, [3, 1, 1, 1, 1])])
def test_chunks_grow_and_shrink_as_their_time_allows(
    each_s: float, sizes: list[int], census: Census, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "CHUNK", 20)
    monkeypatch.setattr(measured, "_FEW", 3)
    monkeypatch.setattr(measured, "_EACH_S", each_s)
    told: list[tuple[int, int, str]] = []
    with Measured(store, lambda done, total, what: told.append((done, total, what))) as known:
        found = known.of(Drawn(), networks(census), [0])
    assert [after - before for (before, _, _), (after, _, _) in pairwise(told)][: len(sizes)] == sizes
    assert found.tolist() == [one_by_one(census, Drawn())]


def test_what_is_ahead_is_judged_by_a_few_which_are_kept(
    census: Census, store: ScoreStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = [one.graph for one in networks(census)]
    keys = [weights_key(graph) for graph in graphs]
    now = 0.0

    class Slow(Drawn):
        def measure(self, graph: Graph) -> float:
            nonlocal now
            now += 0.5
            return super().measure(graph)

    monkeypatch.setattr(measured.time, "monotonic", lambda: now)
    slow = Slow()
    with Measured(store) as known:
        assert known.seconds_ahead(slow, keys, graphs.__getitem__, [0, 1]) == 0  # not worth asking
        monkeypatch.setattr(measured, "_MANY", 20)
        monkeypatch.setattr(measured, "_SAMPLED", 25)
        assert known.seconds_ahead(slow, keys, graphs.__getitem__, [0, 1]) == pytest.approx(len(keys) * 2 * 0.5)
        asked = len(slow.asked)
        assert 0 < asked < 2 * len(keys)
        known.of_keys(slow, keys, graphs.__getitem__, [0, 1])
        assert len(slow.asked) == len(set(slow.asked)) == 2 * len(keys)
        assert known.seconds_ahead(slow, keys, graphs.__getitem__, [0, 1]) == 0
