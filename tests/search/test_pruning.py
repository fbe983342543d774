"""The pruning search against a plain re-implementation of the published algorithm, and its promises under limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from tests.test_objective import slowly_ranked

from micronas.candidate import Candidate, everything
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import Flops
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Better, PerformanceIndicator, Scores
from micronas.network.graph import Graph
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.search.limits import LOOKING_AHEAD
from micronas.search.pruning import HARDWARE_FACTORS, PruningSearch
from micronas.spaces.decisions import NONE, Choices, Removal
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.testing.doubles import START, Drawn, Weight

CELLS = everything(NasBench201(), Task())
LOWER, HIGHER = Drawn("lower"), Drawn("higher", Better.HIGHER)
DRAWN = Objective((Term(LOWER), Term(HIGHER)))


def plainly_pruned(
    start: Candidate, indicators: Sequence[PerformanceIndicator], seed: int, repeats: int
) -> tuple[Candidate, list[int]]:
    """TE-NAS, Algorithm 1, as one would write it on a blackboard: the cell, and the candidates of each round."""
    alive = [[option for option in options if option != NONE] for options in start.choices.alive]
    candidates: list[int] = []
    while any(len(options) > 1 for options in alive):
        asked = [(edge, option) for edge, options in enumerate(alive) for option in options if len(options) > 1]
        candidates.append(len(asked))
        totals = [0.0] * len(asked)
        for indicator in indicators:
            changes = [0.0] * len(asked)
            for repeat in range(repeats):
                fresh = indicator.with_seed(seed * repeats + repeat)
                before = fresh.measure(_lowered(start, alive, fresh))
                for at, (edge, option) in enumerate(asked):
                    rest = [[o for o in options if (e, o) != (edge, option)] for e, options in enumerate(alive)]
                    changes[at] += fresh.measure(_lowered(start, rest, fresh)) / before
            for at, rank in enumerate(slowly_ranked([change / repeats for change in changes], indicator.better)):
                totals[at] += rank
        for edge in range(len(alive)):
            struck = min((total, at) for at, total in enumerate(totals) if asked[at][0] == edge)[1]
            alive[edge].remove(asked[struck][1])
    return start.of(Choices(tuple((option,) for (option,) in alive))), candidates


def _lowered(start: Candidate, alive: Sequence[Sequence[str]], indicator: PerformanceIndicator) -> Graph:
    return start.of(Choices(tuple(tuple(options) for options in alive))).probe(indicator.probe)


# --- the published algorithm --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_without_hardware_weights_it_is_the_published_search(seed: int) -> None:
    expected, _ = plainly_pruned(CELLS, [LOWER, HIGHER], seed, repeats=2)
    found = PruningSearch(seed, repeats=2).run(CELLS, DRAWN)
    assert found.candidate == expected.cheapest_form


@pytest.mark.parametrize("seed", [0, 1])
def test_with_the_real_indicators_it_is_the_published_search(seed: int) -> None:
    indicators = Ntk(batch=6), LinearRegions(samples=200)
    expected, candidates = plainly_pruned(CELLS, indicators, seed, repeats=1)
    found = PruningSearch(seed, repeats=1).run(CELLS, Objective(tuple(map(Term, indicators))))
    assert found.candidate == expected.cheapest_form
    assert candidates == [24, 18, 12] == [step.candidates for step in found.steps]


def test_54_candidates_in_three_rounds_one_struck_on_every_edge_none_before_all() -> None:
    found = PruningSearch(repeats=1).run(CELLS, DRAWN)
    assert [step.candidates for step in found.steps] == [24, 18, 12]
    for step in found.steps:
        assert sorted(removal.decision for removal in step.struck) == [0, 1, 2, 3, 4, 5]
        assert step.skipped == ()
    struck = [removal for step in found.steps for removal in step.struck]
    assert NONE not in {removal.option for removal in struck}
    left = CELLS.of(CELLS.choices.without_option(NONE)).without(*struck)
    assert found.candidate == left.cheapest_form
    assert found.finalists[0].candidate == found.candidate


def test_same_seed_same_answer_and_other_seeds_measure_with_other_weights() -> None:
    first, second = (PruningSearch(3, repeats=2).run(CELLS, DRAWN) for _ in range(2))
    assert first == second
    asked: list[set[int]] = []
    for seed in (0, 1):
        indicator = Drawn()
        PruningSearch(seed, repeats=3).run(START, Objective((Term(indicator),)))
        asked.append({its_seed for its_seed, _ in indicator.asked})
    assert asked == [{0, 1, 2}, {3, 4, 5}]


def test_each_network_is_measured_once_for_each_repeat() -> None:
    indicator = Drawn()
    found = PruningSearch(repeats=2).run(CELLS, Objective((Term(indicator),)))
    assert len(indicator.asked) == len(set(indicator.asked)) == found.measured
    assert found.measured == 2 * (1 + 24 + 1 + 18 + 1 + 12 + 1)


def test_a_removal_that_leaves_a_singular_kernel_is_the_last_to_be_made() -> None:
    class Singular(Drawn):
        def measure(self, graph: Graph) -> float:
            return 1.0 if any("edge01.nor_conv_3x3" in layer.name for layer in graph) else math.inf

    found = PruningSearch(repeats=1).run(START, Objective((Term(Singular()),)))
    assert found.steps[-1].struck
    struck = [removal for step in found.steps for removal in step.struck]
    assert Removal(0, "nor_conv_3x3") not in struck


def test_when_all_is_singular_the_search_still_decides() -> None:
    class Singular(Drawn):
        def measure_many(self, graphs: Sequence[Graph]) -> Scores:
            return np.full(len(graphs), math.inf)

    assert PruningSearch(repeats=1).run(START, Objective((Term(Singular()),))).candidate.choices.is_decided


# --- hardware weights ---------------------------------------------------------------------------


def cost_of(indicator: Weight, weight: float) -> float:
    found = PruningSearch(1, repeats=1).run(START, Objective((Term(LOWER),), (Term(indicator, weight),)))
    return indicator.measure(found.candidate.graph)


def test_a_heavy_hardware_weight_leaves_the_cheapest_options() -> None:
    assert cost_of(Weight(), 1e6) == 1.0  # skips only
    assert cost_of(Weight(), 1e6) <= cost_of(Weight(), 0.0)


def test_as_capacity_the_same_term_leaves_the_dearest() -> None:
    assert cost_of(Weight(better=Better.HIGHER), 1e6) == 28.0  # three 3x3


def test_the_price_of_a_removal_is_that_of_the_option_struck() -> None:
    asked: list[tuple[Removal, ...]] = []

    class Noting(Weight):
        def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
            assert start == START
            asked.append(tuple(removals))
            return super().prices(start, removals)

    found = PruningSearch(repeats=1).run(START, Objective((Term(LOWER, 0.0),), (Term(Noting()),)))
    assert asked[0] == START.choices.without_option(NONE).removals()
    dearest_first = ["nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1"]
    assert [{removal.option for removal in step.struck} for step in found.steps] == [{one} for one in dearest_first]


def test_latency_and_flops_weights_make_real_cells_cheaper() -> None:
    latency = Latency(load_target("nucleo-f746zg"))

    def milliseconds(*hardware: Term) -> float:
        found = PruningSearch(repeats=1).run(CELLS, Objective((Term(LOWER), Term(HIGHER)), hardware))
        return latency.measure(found.candidate.graph)

    free = milliseconds()
    assert milliseconds(Term(latency, 100.0)) < free
    assert milliseconds(Term(Flops(), 100.0)) < free


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_most", [1.0, 2.0, 3.5, 5.0, 10.0, 12.0, 28.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_finalist_is_within_the_limit_and_the_best_by_performance_wins(at_most: float, seed: int) -> None:
    weight = Weight()
    found = PruningSearch(seed, repeats=1).run(
        START, Objective((Term(LOWER), Term(HIGHER)), (), (Limit(weight, at_most),))
    )
    for finalist in found.finalists:
        assert finalist.candidate.choices.is_decided
        assert weight.measure(finalist.candidate.graph) <= at_most
    lower, higher = ([one.means[name] for one in found.finalists] for name in ("lower", "higher"))
    sums = np.array(slowly_ranked(lower, Better.LOWER)) + np.array(slowly_ranked(higher, Better.HIGHER))
    assert sums[0] == sums.min()
    assert [one.score for one in found.finalists] == (-sums).tolist()


def test_a_term_that_is_limited_as_well_weighs_once() -> None:
    """Under a limit that binds nothing, a weight of next to nothing changes nothing, whatever it is multiplied by."""
    limits = (Limit(Weight(), 1000.0),)
    hardly = PruningSearch(1, repeats=1).run(START, Objective((Term(LOWER),), (Term(Weight(), 1e-9),), limits))
    assert len(hardly.finalists) == 1
    assert len(PruningSearch(1, repeats=1).run(START, Objective((Term(LOWER),), (), limits)).finalists) > 1


def test_a_limited_indicator_is_weighed_at_each_factor_even_without_a_term_of_its_own() -> None:
    found = PruningSearch(1, repeats=1).run(START, Objective((Term(LOWER),), (), (Limit(Weight(), 28.0),)))
    assert {one.hardware_factor for one in found.finalists} <= set(HARDWARE_FACTORS)
    assert len(found.finalists) > 1


@pytest.mark.parametrize(("at_most", "rounds"), [(3.0, 3), (2.9, 4), (1.0, 4)])
def test_none_stays_only_where_the_limit_needs_it(at_most: float, rounds: int) -> None:
    """On this board every edge that is there costs 1, a skip too: below 3 one of the three must go."""

    class Edges(Weight):
        def of_all(self, start: Candidate) -> Scores:
            edges = [3 - one.choices.alive.count((NONE,)) for one in start.completions()]
            return np.where(np.isfinite(super().of_all(start)), np.array(edges, float), math.inf)

    found = PruningSearch(repeats=1).run(START, Objective((Term(LOWER),), (), (Limit(Edges(), at_most),)))
    assert len(found.steps) == rounds
    assert 3 - found.candidate.choices.alive.count((NONE,)) <= at_most


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5])
def test_real_latency_limits_are_kept(share: float) -> None:
    """From the fastest network there is (share 0) to half way to the slowest."""
    latency = Latency(load_target("nucleo-f746zg"))
    every = latency.of_all(CELLS)
    lowest, highest = every.min(), every[np.isfinite(every)].max()
    limit = Limit(latency, float(lowest + share * (highest - lowest)))
    with_none = [NONE in one.text for one in CELLS.completions()]
    found = PruningSearch(repeats=1).run(CELLS, Objective((Term(LOWER), Term(HIGHER)), (), (limit,)))
    assert all(latency.measure(one.candidate.graph) <= limit.at_most for one in found.finalists)
    assert len(found.steps) == (4 if every[~np.array(with_none)].min() > limit.at_most else 3)


def test_a_limit_out_of_reach_says_so_before_anything_is_measured() -> None:
    indicator, latency = Drawn(), Latency(load_target("nucleo-f746zg"))
    with pytest.raises(
        Unreachable, match=r"the cheapest, \|none~0\|\+\|none~0\|none~1\|\+\|skip_connect~0.* needs"
    ) as caught:
        PruningSearch().run(CELLS, Objective((Term(indicator),), (), (Limit(latency, 0.001),)))
    assert caught.value.exit_code == 3
    assert indicator.asked == []


def test_eight_runs_under_a_limit_share_their_measurements() -> None:
    indicator = Drawn()
    found = PruningSearch(repeats=1).run(START, Objective((Term(indicator),), (), (Limit(Weight(), 12),)))
    assert len(indicator.asked) == len(set(indicator.asked)) == found.measured


def test_progress_is_told_in_rounds_of_all_runs() -> None:
    told: list[tuple[int, int, str]] = []
    search = PruningSearch(repeats=1, watch=lambda done, total, what: told.append((done, total, what)))
    search.run(START, Objective((Term(LOWER),), (), (Limit(Weight(), 12),)))
    assert all(0 <= done <= total for done, total, _ in told)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == told[-1][1] == 3 * len(HARDWARE_FACTORS)
    assert [what for _, _, what in told[:2]] == [LOOKING_AHEAD, "run 1 of 8, round 1: 12 candidates"]


def test_weights_of_hardware_double_from_an_eighth_and_none_is_among_them() -> None:
    assert (0.0, *(2.0**power for power in range(-3, 4))) == HARDWARE_FACTORS


def test_the_rounds_are_those_that_led_to_the_answer() -> None:
    """Of all that were pruned with different weights of hardware."""
    objective = Objective((Term(LOWER), Term(HIGHER)), (), (Limit(Weight(), 9.0),))
    answers = {}
    for seed in range(4):
        found = PruningSearch(seed).run(START, objective)
        struck = [removal for step in found.steps for removal in step.struck]
        choices = Choices(
            tuple(
                tuple(option for option in options if Removal(decision, option) not in struck)
                for decision, options in enumerate(START.choices.alive)
            )
        )
        left = [one for one in START.of(choices).completions() if one.canonical == found.candidate]
        assert left
        answers[found.candidate] = len(found.finalists)
    assert max(answers.values()) > 1  # or there was nothing to choose
