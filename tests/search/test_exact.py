"""The exact search against brute force: the argmax of the published score over every connected network."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from tests.test_objective import slowly_ranked

from micronas.candidate import Candidate, everything
from micronas.errors import UserError
from micronas.hardware.indicators.compute import LiveFlops
from micronas.hardware.indicators.memory import SramTflm
from micronas.indicators import Better
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.search.exact import FINALISTS, ExactSearch, score_rows
from micronas.spaces.nasbench201.space import NasBench201
from micronas.store import ScoreStore
from micronas.testing.doubles import START, TASK, Drawn, Weight

NINE = (0, 1, 2, 3, 4, 5, 6, 7, 8)
LOWER, HIGHER = Drawn("lower"), Drawn("higher", Better.HIGHER)
DRAWN = Objective((Term(LOWER), Term(HIGHER, 0.5)), (Term(LiveFlops(), 2.0),))


def networks() -> list[Candidate]:
    """The representatives of all connected networks."""
    found = dict.fromkeys(one.canonical for one in START.completions())
    return [one for one in found if weight(one) < math.inf]


def weight(candidate: Candidate) -> float:
    return Weight().measure(candidate.graph)


def slowly_scored(seeds: tuple[int, ...], repeats: int = 1) -> dict[Candidate, float]:
    """Σ weight · ln((n + 1 - mean rank over all draws) / n), from the definition."""
    found = networks()
    graphs = [one.graph for one in found]
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
def test_the_answer_is_the_argmax_of_the_score(seeds: tuple[int, ...], repeats: int) -> None:
    expected = slowly_scored(seeds, repeats)
    found = ExactSearch(seeds, repeats).run(START, DRAWN)
    assert expected[found.candidate] == pytest.approx(max(expected.values()), abs=1e-12)
    assert len(found.finalists) == FINALISTS
    for one in found.finalists:
        assert one.score == pytest.approx(expected[one.candidate], abs=1e-12)
    assert [one.score for one in found.finalists] == sorted((one.score for one in found.finalists), reverse=True)
    assert found.measured == 2 * len(seeds) * repeats * len(expected)


@pytest.mark.parametrize(("seeds", "repeats"), [((0, 1), 2), ((0,), 4), ((0, 1, 2, 3), 1)])
def test_reported_values_are_means_over_all_draws(seeds: tuple[int, ...], repeats: int) -> None:
    best = ExactSearch(seeds, repeats).run(START, DRAWN).finalists[0]
    expected = np.mean([LOWER.with_seed(seed).measure(best.candidate.graph) for seed in range(4)])
    assert best.means["lower"] == pytest.approx(expected)


def test_a_seed_of_several_repeats_is_as_many_seeds_of_one() -> None:
    three, nine = (ExactSearch(*of).run(START, DRAWN) for of in (((0, 1, 2), 3), (NINE, 1)))
    assert three == nine


@pytest.mark.parametrize("at_most", [1.0, 2.0, 5.0, 11.0, 28.0])
def test_limits_are_hard_and_ranks_are_taken_before_them(at_most: float) -> None:
    expected = {one: score for one, score in slowly_scored((0,)).items() if weight(one) <= at_most}
    limited = Objective(DRAWN.performance, DRAWN.hardware, (Limit(Weight(), at_most),))
    found = ExactSearch(repeats=1).run(START, limited)
    assert {one.candidate for one in found.finalists} <= set(expected)
    assert found.finalists[0].score == pytest.approx(max(expected.values()), abs=1e-12)
    assert len(found.finalists) == min(FINALISTS, len(expected))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_limit_on_an_untrained_network_is_one_on_the_mean_of_all_draws(share: float) -> None:
    draws = np.array([[LOWER.with_seed(seed).measure(one.graph) for one in networks()] for seed in range(3)])
    means = dict(zip(networks(), draws.mean(axis=0).tolist(), strict=True))
    at_most = float(np.quantile([*means.values()], share))
    expected = {one: score for one, score in slowly_scored((0,), 3).items() if means[one] <= at_most}
    found = ExactSearch().run(START, Objective(DRAWN.performance, DRAWN.hardware, (Limit(LOWER, at_most),)))
    assert {one.candidate for one in found.finalists} <= set(expected)
    assert found.finalists[0].score == pytest.approx(max(expected.values()), abs=1e-12)
    assert len(found.finalists) == min(FINALISTS, len(expected))


@pytest.mark.parametrize("quantiles", [(0.2, 0.9), (0.5, 0.5), (0.9, 0.2), (1.0, 1.0)])
def test_the_standing_is_that_of_brute_force(quantiles: tuple[float, float]) -> None:
    score = slowly_scored((0,))
    needs = {one: (weight(one), LiveFlops().measure(one.graph)) for one in score}
    most = [
        float(np.quantile(numbers, share))
        for numbers, share in zip(zip(*needs.values(), strict=True), quantiles, strict=True)
    ]
    limits = (Limit(Weight(), most[0]), Limit(LiveFlops(), most[1]))
    found = ExactSearch(repeats=1).run(START, Objective(DRAWN.performance, DRAWN.hardware, limits))
    standing = found.standing
    assert standing is not None

    def best(factors: tuple[float, float]) -> float:
        """The best score under limits so many times as high."""
        bounds = [factor * bound for factor, bound in zip(factors, most, strict=True)]
        return max(score[one] for one, its in needs.items() if its[0] <= bounds[0] and its[1] <= bounds[1])

    fitting = [one for one, its in needs.items() if its[0] <= most[0] and its[1] <= most[1]]
    answer = best((1, 1))
    assert (standing.networks, standing.fitting) == (len(score), len(fitting))
    assert sum(each > answer + 1e-9 for each in score.values()) < standing.rank
    assert standing.rank <= sum(each >= answer - 1e-9 for each in score.values())
    assert score[standing.best.candidate] == pytest.approx(max(score.values()))
    assert standing.best.rank == 1
    assert standing.best.needs == {
        name: pytest.approx(its)
        for name, its in zip(("weight", "live-flops"), needs[standing.best.candidate], strict=True)
    }
    for at, name in enumerate(("weight", "live-flops")):
        for others, factor in ((standing.without, math.inf), (standing.more, 1.1)):
            factors = (factor, 1.0) if at == 0 else (1.0, factor)
            assert score[others[name].candidate] == pytest.approx(best(factors))
    assert [one.candidate for one in standing.runners_up] == [one.candidate for one in found.finalists[1:]]
    assert sorted(one.rank for one in standing.runners_up) == [one.rank for one in standing.runners_up]


def test_where_a_limit_is_known_of_single_networks_only_nobody_counts_what_fits() -> None:
    limits = (Limit(SramTflm(), 1e9),)
    standing = ExactSearch(repeats=1).run(START, Objective(DRAWN.performance, DRAWN.hardware, limits)).standing
    assert standing is not None
    assert (standing.rank, standing.fitting, standing.without, standing.more) == (1, None, {}, {})


def test_nothing_within_the_limit_names_it_and_the_nearest_value() -> None:
    indicator = Drawn()
    limited = Objective((Term(indicator),), (), (Limit(Weight(), 0.25),))
    with pytest.raises(Unreachable, match=r"reaches weight ≤ 0.25 kg; the cheapest, .*, needs weight 1 kg") as caught:
        ExactSearch().run(START, limited)
    assert caught.value.exit_code == 3
    assert indicator.asked == []


def test_disconnected_networks_have_no_score_and_are_never_candidates() -> None:
    """Even by an indicator that finds them best of all."""

    class LovesTheDead(Drawn):
        def measure(self, graph: object) -> float:
            value = super().measure(graph)  # type: ignore[arg-type]
            return 0.0 if math.isinf(value) else value

    objective = Objective((Term(LovesTheDead()),))
    assert weight(ExactSearch().run(START, objective).candidate) < math.inf
    table, notes = ExactSearch().score(START, objective)
    assert table.score.shape == (len(networks()),)
    assert notes == ()


def test_the_second_question_measures_nothing() -> None:
    ExactSearch((0, 1)).run(START, DRAWN)
    lower, higher = Drawn("lower"), Drawn("higher", Better.HIGHER)
    other = Objective((Term(lower, 3.0), Term(higher, 0.1)), (Term(Weight(), 0.3),), (Limit(Weight(), 12.0),))
    found = ExactSearch((1, 0)).run(START, other)
    assert lower.asked == higher.asked == []
    assert weight(found.candidate) <= 12.0


def test_a_hardware_weight_pulls_its_way() -> None:
    light, heavy = (
        weight(ExactSearch().run(START, Objective((Term(LOWER, 1e-3),), (Term(Weight(better=better)),))).candidate)
        for better in (Better.LOWER, Better.HIGHER)
    )
    assert (light, heavy) == (1.0, 28.0)


def test_what_the_store_said_is_in_the_result(store: ScoreStore) -> None:
    store.path.write_text("this is no database, and never was one " * 10)
    (note,) = ExactSearch().run(START, DRAWN).notes
    assert "file is not a database" in note


def test_a_store_that_cannot_be_used_costs_time_not_the_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = ScoreStore(tmp_path / "file" / "scores.sqlite3")
    found = ExactSearch(store=broken).run(START, DRAWN)
    (note,) = found.notes
    assert "cannot use the score store" in note
    assert found.candidate == ExactSearch().run(START, DRAWN).candidate


def test_a_space_too_large_to_enumerate_is_refused_at_once() -> None:
    """Before anything is measured."""
    indicator, space = Drawn(), NasBench201(channels=tuple(range(4, 264, 4)))
    with pytest.raises(UserError, match="nasbench201 is too large to enumerate, 1,015,625 networks"):
        ExactSearch().run(everything(space, TASK), Objective((Term(indicator),)))
    assert indicator.asked == []


# --- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeats", [1, 2])
def test_exported_rows_are_all_architectures_or_each_network_once(repeats: int) -> None:
    table, _ = ExactSearch((0, 2), repeats).score(START, DRAWN)
    expected = slowly_scored((0, 2), repeats)
    for unique, size in ((False, 125), (True, len(expected) + 1)):
        rows = list(csv.DictReader(io.StringIO(score_rows(table, (0, 2), unique))))
        assert len(rows) == len({row["architecture"] for row in rows}) == size
        columns = ["architecture", "lower[0]", "lower[2]", "higher[0]", "higher[2]", "live-flops", "score"]
        assert list(rows[0]) == columns
        for row in rows:
            candidate = START.of(START.space.parse(row["architecture"]))
            if math.isinf(weight(candidate)):
                assert {row[column] for column in columns[1:]} == {""}
                continue
            network = candidate.canonical
            assert float(row["score"]) == pytest.approx(expected[network], abs=1e-12)
            draws = [LOWER.with_seed(2 * repeats + repeat) for repeat in range(repeats)]
            assert float(row["lower[2]"]) == np.mean([draw.measure(network.graph) for draw in draws])


def test_by_default_three_things_weigh_alike_and_ten_are_reported() -> None:
    assert FINALISTS == 10
    assert ExactSearch().default_terms == dict.fromkeys(("ntk", "linear-regions", "live-flops"), 1.0)
