"""The exact search against brute force: the argmax of the published score over every connected network."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from tests.search.doubles import TINY, Drawn, Triangle, Weight
from tests.test_objective import slowly_ranked

from micronas.choices import Choices
from micronas.hardware.compute import LiveFlops
from micronas.indicator import Better
from micronas.objective import Limit, Objective, Term, Unreachable, term
from micronas.search.exact import FINALISTS, ExactSearch, score_rows
from micronas.store import ScoreStore

SPACE = Triangle()
NINE = (0, 1, 2, 3, 4, 5, 6, 7, 8)
LOWER, HIGHER = Drawn("lower"), Drawn("higher", Better.HIGHER)
DRAWN = Objective((term(LOWER), term(HIGHER, 0.5)), (Term(LiveFlops(), 2.0, Better.HIGHER),))


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "scores.sqlite3")


def networks() -> list[Choices]:
    """The representatives of all connected networks."""
    found = dict.fromkeys(map(SPACE.canonical, SPACE.everything().completions()))
    return [one for one in found if weight(one) < math.inf]


def weight(choices: Choices) -> float:
    return Weight().measure(SPACE.lower(choices, TINY))


def slowly_scored(seeds: tuple[int, ...], repeats: int = 1) -> dict[Choices, float]:
    """Σ weight · ln((n + 1 - mean rank over all draws) / n), from the definition."""
    found = networks()
    graphs = [SPACE.lower(one, TINY) for one in found]
    score = np.zeros(len(found))
    for indicator, its_weight in ((LOWER, 1.0), (HIGHER, 0.5)):
        draws = [indicator.with_seed(seed * repeats + repeat) for seed in seeds for repeat in range(repeats)]
        ranks = [slowly_ranked(list(draw.measure_many(graphs)), draw.better) for draw in draws]
        score += its_weight * np.log((len(found) + 1 - np.mean(ranks, axis=0)) / len(found))
    ranks = slowly_ranked(list(LiveFlops().measure_many(graphs)), Better.HIGHER)
    score += 2.0 * np.log((len(found) + 1 - np.array(ranks)) / len(found))
    return dict(zip(found, score.tolist(), strict=True))


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("seeds", [(0,), (3,), (0, 1, 2, 3, 4)], ids=str)
def test_the_answer_is_the_argmax_of_the_score(seeds: tuple[int, ...], repeats: int, store: ScoreStore) -> None:
    expected = slowly_scored(seeds, repeats)
    found = ExactSearch(SPACE, TINY, seeds, repeats, store=store).run(DRAWN)
    assert expected[found.architecture] == pytest.approx(max(expected.values()), abs=1e-12)
    assert len(found.finalists) == FINALISTS
    for one in found.finalists:
        assert one.score == pytest.approx(expected[one.architecture], abs=1e-12)
    assert [one.score for one in found.finalists] == sorted((one.score for one in found.finalists), reverse=True)
    assert found.measured == 2 * len(seeds) * repeats * len(expected)


@pytest.mark.parametrize(("seeds", "repeats"), [((0, 1), 2), ((0,), 4), ((0, 1, 2, 3), 1)])
def test_reported_values_are_means_over_all_draws(seeds: tuple[int, ...], repeats: int, store: ScoreStore) -> None:
    best = ExactSearch(SPACE, TINY, seeds, repeats, store=store).run(DRAWN).finalists[0]
    graph = SPACE.lower(best.architecture, TINY)
    expected = np.mean([LOWER.with_seed(seed).measure(graph) for seed in range(4)])
    assert best.means["lower"] == pytest.approx(expected)


def test_a_seed_of_several_repeats_is_as_many_seeds_of_one(store: ScoreStore) -> None:
    three, nine = (ExactSearch(SPACE, TINY, *of, store=store).run(DRAWN) for of in (((0, 1, 2), 3), (NINE, 1)))
    assert three == nine


@pytest.mark.parametrize("at_most", [1.0, 2.0, 5.0, 11.0, 28.0])
def test_limits_are_hard_and_ranks_are_taken_before_them(at_most: float, store: ScoreStore) -> None:
    expected = {one: score for one, score in slowly_scored((0,)).items() if weight(one) <= at_most}
    limited = Objective(DRAWN.performance, DRAWN.hardware, (Limit(Weight(), at_most),))
    found = ExactSearch(SPACE, TINY, repeats=1, store=store).run(limited)
    assert {one.architecture for one in found.finalists} <= set(expected)
    assert found.finalists[0].score == pytest.approx(max(expected.values()), abs=1e-12)
    assert len(found.finalists) == min(FINALISTS, len(expected))


def test_nothing_within_the_limit_names_it_and_the_nearest_value(store: ScoreStore) -> None:
    indicator = Drawn()
    limited = Objective((term(indicator),), (), (Limit(Weight(), 0.25),))
    with pytest.raises(Unreachable, match=r"reaches weight ≤ 0.25 kg; the cheapest, .*, needs weight 1 kg") as caught:
        ExactSearch(SPACE, TINY, store=store).run(limited)
    assert caught.value.exit_code == 3
    assert indicator.asked == []


def test_disconnected_networks_have_no_score_and_are_never_candidates(store: ScoreStore) -> None:
    """Even by an indicator that finds them best of all."""

    class LovesTheDead(Drawn):
        def measure(self, graph: object) -> float:
            value = super().measure(graph)  # type: ignore[arg-type]
            return 0.0 if math.isinf(value) else value

    search = ExactSearch(SPACE, TINY, store=store)
    objective = Objective((term(LovesTheDead()),))
    assert weight(search.run(objective).architecture) < math.inf
    assert search.score(objective).score.shape == (len(networks()),)


def test_the_second_question_measures_nothing(store: ScoreStore) -> None:
    ExactSearch(SPACE, TINY, (0, 1), store=store).run(DRAWN)
    lower, higher = Drawn("lower"), Drawn("higher", Better.HIGHER)
    other = Objective((term(lower, 3.0), term(higher, 0.1)), (term(Weight(), 0.3),), (Limit(Weight(), 12.0),))
    found = ExactSearch(SPACE, TINY, (1, 0), store=store).run(other)
    assert lower.asked == higher.asked == []
    assert weight(found.architecture) <= 12.0


def test_a_hardware_weight_pulls_its_way(store: ScoreStore) -> None:
    light, heavy = (
        weight(
            ExactSearch(SPACE, TINY, store=store)
            .run(Objective((term(LOWER, 1e-3),), (Term(Weight(), 1.0, better),)))
            .architecture
        )
        for better in (Better.LOWER, Better.HIGHER)
    )
    assert (light, heavy) == (1.0, 28.0)


def test_what_the_store_said_is_in_the_result(store: ScoreStore) -> None:
    store.path.write_text("this is no database, and never was one " * 10)
    (note,) = ExactSearch(SPACE, TINY, store=store).run(DRAWN).notes
    assert "file is not a database" in note


# --- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [1, 2])
def test_exported_rows_are_all_architectures_or_each_network_once(repeats: int, store: ScoreStore) -> None:
    table = ExactSearch(SPACE, TINY, (0, 2), repeats, store=store).score(DRAWN)
    expected = slowly_scored((0, 2), repeats)
    for unique, size in ((False, 125), (True, len(expected) + 1)):
        rows = list(csv.DictReader(io.StringIO(score_rows(table, (0, 2), unique))))
        assert len(rows) == len({row["architecture"] for row in rows}) == size
        columns = ["architecture", "lower[0]", "lower[2]", "higher[0]", "higher[2]", "live-flops", "score"]
        assert list(rows[0]) == columns
        for row in rows:
            choices = SPACE.parse(row["architecture"])
            if math.isinf(weight(choices)):
                assert {row[column] for column in columns[1:]} == {""}
                continue
            network = SPACE.canonical(choices)
            assert float(row["score"]) == pytest.approx(expected[network], abs=1e-12)
            draws = [LOWER.with_seed(2 * repeats + repeat) for repeat in range(repeats)]
            assert float(row["lower[2]"]) == np.mean([draw.measure(SPACE.lower(network, TINY)) for draw in draws])
