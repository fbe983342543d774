"""The pruning search against a plain re-implementation of the published algorithm, and its promises under limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from tests.search.doubles import TINY, Drawn, Triangle, Weight
from tests.test_objective import slowly_ranked

from micronas.choices import NONE, Choices, Removal
from micronas.hardware.compute import LiveFlops
from micronas.hardware.latency import Latency
from micronas.hardware.target import load_target
from micronas.indicator import Better, PerformanceIndicator, Scores
from micronas.network.graph import Graph
from micronas.objective import Limit, Objective, Term, Unreachable, term
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.search.measurements import DRAWS, Measurements
from micronas.search.pruning import HARDWARE_FACTORS, PruningSearch
from micronas.search.reach import Reach
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import SearchSpace, Skeleton

SPACE, SMALL = NasBench201(), Triangle()
LOWER, HIGHER = Drawn("lower"), Drawn("higher", Better.HIGHER)
DRAWN = Objective((term(LOWER), term(HIGHER)))


def plainly_pruned(
    space: SearchSpace, indicators: Sequence[PerformanceIndicator], seed: int, repeats: int
) -> tuple[Choices, list[int]]:
    """TE-NAS, Algorithm 1, as one would write it on a blackboard: the cell, and the candidates of each round."""
    alive = [[option for option in options if option != NONE] for options in space.everything().alive]
    candidates: list[int] = []
    while any(len(options) > 1 for options in alive):
        asked = [(edge, option) for edge, options in enumerate(alive) for option in options if len(options) > 1]
        candidates.append(len(asked))
        totals = [0.0] * len(asked)
        for indicator in indicators:
            changes = [0.0] * len(asked)
            for repeat in range(repeats):
                fresh = indicator.with_seed(seed * repeats + repeat)
                before = fresh.measure(_lowered(space, alive, fresh))
                for at, (edge, option) in enumerate(asked):
                    rest = [[o for o in options if (e, o) != (edge, option)] for e, options in enumerate(alive)]
                    changes[at] += fresh.measure(_lowered(space, rest, fresh)) / before
            for at, rank in enumerate(slowly_ranked([change / repeats for change in changes], indicator.better)):
                totals[at] += rank
        for edge in range(len(alive)):
            struck = min((total, at) for at, total in enumerate(totals) if asked[at][0] == edge)[1]
            alive[edge].remove(asked[struck][1])
    return Choices(tuple((option,) for (option,) in alive)), candidates


def _lowered(space: SearchSpace, alive: Sequence[Sequence[str]], indicator: PerformanceIndicator) -> Graph:
    return space.lower(Choices(tuple(tuple(options) for options in alive)), indicator.skeleton)


# --- the published algorithm --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_without_hardware_weights_it_is_the_published_search(seed: int) -> None:
    expected, _ = plainly_pruned(SPACE, [LOWER, HIGHER], seed, repeats=2)
    found = PruningSearch(SPACE, TINY, seed, repeats=2).run(DRAWN)
    assert found.architecture == SPACE.canonical(expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_with_the_real_indicators_it_is_the_published_search(seed: int) -> None:
    indicators = Ntk(batch=6), LinearRegions(samples=200)
    expected, candidates = plainly_pruned(SPACE, indicators, seed, repeats=1)
    found = PruningSearch(SPACE, Skeleton(), seed, repeats=1).run(Objective(tuple(map(term, indicators))))
    assert found.architecture == SPACE.canonical(expected)
    assert candidates == [24, 18, 12] == [step.candidates for step in found.steps]


def test_54_candidates_in_three_rounds_one_struck_on_every_edge_none_before_all() -> None:
    found = PruningSearch(SPACE, TINY, repeats=1).run(DRAWN)
    assert [step.candidates for step in found.steps] == [24, 18, 12]
    for step in found.steps:
        assert sorted(removal.decision for removal in step.struck) == [0, 1, 2, 3, 4, 5]
        assert step.skipped == ()
    struck = [removal for step in found.steps for removal in step.struck]
    assert NONE not in {removal.option for removal in struck}
    left = SPACE.everything().without_option(NONE).without(*struck)
    assert found.architecture == SPACE.canonical(left)
    assert found.finalists[0].architecture == found.architecture


def test_same_seed_same_answer_and_other_seeds_measure_with_other_weights() -> None:
    first, second = (PruningSearch(SPACE, TINY, 3, repeats=2).run(DRAWN) for _ in range(2))
    assert first == second
    asked: list[set[int]] = []
    for seed in (0, 1):
        indicator = Drawn()
        PruningSearch(SMALL, TINY, seed, repeats=3).run(Objective((term(indicator),)))
        asked.append({its_seed for its_seed, _ in indicator.asked})
    assert asked == [{0, 1, 2}, {3, 4, 5}]


def test_each_network_is_measured_once_for_each_repeat() -> None:
    indicator = Drawn()
    found = PruningSearch(SPACE, TINY, repeats=2).run(Objective((term(indicator),)))
    assert len(indicator.asked) == len(set(indicator.asked)) == found.measured
    assert found.measured == 2 * (1 + 24 + 1 + 18 + 1 + 12 + 1)


def test_measurements_are_remembered_by_choices_and_draw() -> None:
    indicator, known = Drawn(), Measurements(SMALL)
    everything = SMALL.everything()
    many = [everything, everything.without(Removal(0, NONE)), everything]
    first = known.of(indicator, many, [0])
    assert known.of(indicator, many, [0]).tolist() == first.tolist()
    assert len(indicator.asked) == len(known) == 2
    known.of(indicator, [everything], [1])
    assert len(known) == 3
    several = known.of(indicator, many, [2, 1, 0])
    assert len(set(indicator.asked)) == len(indicator.asked) == len(known) == 6
    graphs = [SMALL.lower(one, TINY) for one in many]
    assert several.tolist() == [Drawn(seed=seed).measure_many(graphs).tolist() for seed in (2, 1, 0)]


def test_a_pass_takes_no_more_draws_than_fit_the_memory() -> None:
    passes: list[int] = []

    class Counted(Drawn):
        def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
            passes.append(len(seeds))
            return super().measure_draws(graphs, seeds)

    many, seeds = [*SMALL.everything().completions()][:5], range(2 * DRAWS + 1)
    found = Measurements(SMALL).of(Counted(), many, seeds)
    assert passes == [DRAWS, DRAWS, 1]
    graphs = [SMALL.lower(choices, TINY) for choices in many]
    assert found.tolist() == [Drawn(seed=seed).measure_many(graphs).tolist() for seed in seeds]


def test_a_removal_that_leaves_a_singular_kernel_is_the_last_to_be_made() -> None:
    class Singular(Drawn):
        def measure(self, graph: Graph) -> float:
            return 1.0 if any("edge01.nor_conv_3x3" in layer.name for layer in graph) else math.inf

    found = PruningSearch(SMALL, TINY, repeats=1).run(Objective((term(Singular()),)))
    assert found.steps[-1].struck
    struck = [removal for step in found.steps for removal in step.struck]
    assert Removal(0, "nor_conv_3x3") not in struck


def test_when_all_is_singular_the_search_still_decides() -> None:
    class Singular(Drawn):
        def measure_many(self, graphs: Sequence[Graph]) -> Scores:
            return np.full(len(graphs), math.inf)

    assert PruningSearch(SMALL, TINY, repeats=1).run(Objective((term(Singular()),))).architecture.is_decided


# --- hardware weights ---------------------------------------------------------------------------


def cost_of(indicator: Weight, weight: float, better: Better = Better.LOWER) -> float:
    objective = Objective((term(LOWER, 1.0),), (Term(indicator, weight, better),))
    found = PruningSearch(SMALL, TINY, 1, repeats=1).run(objective)
    return indicator.measure(SMALL.lower(found.architecture, TINY))


def test_a_heavy_hardware_weight_leaves_the_cheapest_options() -> None:
    assert cost_of(Weight(), 1e6) == 1.0  # skips only
    assert cost_of(Weight(), 1e6) <= cost_of(Weight(), 0.0)


def test_as_capacity_the_same_term_leaves_the_dearest() -> None:
    assert cost_of(Weight(), 1e6, Better.HIGHER) == 28.0  # three 3x3


def test_the_price_of_a_removal_is_that_of_the_option_struck() -> None:
    asked: list[Removal] = []

    class Noting(Weight):
        def price(self, space: SearchSpace, skeleton: Skeleton, removal: Removal) -> float:
            asked.append(removal)
            return super().price(space, skeleton, removal)

    found = PruningSearch(SMALL, TINY, repeats=1).run(Objective((term(LOWER, 0.0),), (Term(Noting()),)))
    assert asked[:12] == list(SMALL.everything().without_option(NONE).removals())
    dearest_first = ["nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1"]
    assert [{removal.option for removal in step.struck} for step in found.steps] == [{one} for one in dearest_first]


def test_latency_and_flops_weights_make_real_cells_cheaper() -> None:
    latency = Latency(load_target("nucleo-f746zg"))

    def milliseconds(*hardware: Term) -> float:
        found = PruningSearch(SPACE, Skeleton(), repeats=1).run(Objective((term(LOWER), term(HIGHER)), hardware))
        return latency.measure(SPACE.lower(found.architecture, Skeleton()))

    free = milliseconds()
    assert milliseconds(Term(latency, 100.0)) < free
    assert milliseconds(Term(LiveFlops(), 100.0, Better.LOWER)) < free


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_most", [1.0, 2.0, 3.5, 5.0, 10.0, 12.0, 28.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_finalist_is_within_the_limit_and_the_best_by_performance_wins(at_most: float, seed: int) -> None:
    weight = Weight()
    search = PruningSearch(SMALL, TINY, seed, repeats=1)
    found = search.run(Objective((term(LOWER), term(HIGHER)), (), (Limit(weight, at_most),)))
    for finalist in found.finalists:
        assert finalist.architecture.is_decided
        assert weight.measure(SMALL.lower(finalist.architecture, TINY)) <= at_most
    lower, higher = ([one.means[name] for one in found.finalists] for name in ("lower", "higher"))
    sums = np.array(slowly_ranked(lower, Better.LOWER)) + np.array(slowly_ranked(higher, Better.HIGHER))
    assert sums[0] == sums.min()
    assert [one.score for one in found.finalists] == (-sums).tolist()


def test_a_limited_indicator_is_weighed_at_each_factor_even_without_a_term_of_its_own() -> None:
    found = PruningSearch(SMALL, TINY, 1, repeats=1).run(Objective((term(LOWER),), (), (Limit(Weight(), 28.0),)))
    assert {one.hardware_factor for one in found.finalists} <= set(HARDWARE_FACTORS)
    assert len(found.finalists) > 1


@pytest.mark.parametrize(("at_most", "rounds"), [(3.0, 3), (2.9, 4), (1.0, 4)])
def test_none_stays_only_where_the_limit_needs_it(at_most: float, rounds: int) -> None:
    """On this board every edge that is there costs 1, a skip too: below 3 one of the three must go."""

    class Edges(Weight):
        def of_space(self, space: SearchSpace, skeleton: Skeleton) -> Scores:
            edges = [3 - each.alive.count((NONE,)) for each in space.everything().completions()]
            return np.where(np.isfinite(super().of_space(space, skeleton)), np.array(edges, float), math.inf)

    limit = Limit(Edges(), at_most)
    found = PruningSearch(SMALL, TINY, repeats=1).run(Objective((term(LOWER),), (), (limit,)))
    assert len(found.steps) == rounds
    assert Reach(SMALL, TINY, (limit,)).allows(found.architecture)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5])
def test_real_latency_limits_are_kept(share: float) -> None:
    """From the fastest network there is (share 0) to half way to the slowest."""
    latency = Latency(load_target("nucleo-f746zg"))
    every = latency.of_space(SPACE, Skeleton())
    lowest, highest = every.min(), every[np.isfinite(every)].max()
    limit = Limit(latency, float(lowest + share * (highest - lowest)))
    with_none = [NONE in text for text in map(SPACE.format, SPACE.everything().completions())]
    found = PruningSearch(SPACE, Skeleton(), repeats=1).run(Objective((term(LOWER), term(HIGHER)), (), (limit,)))
    assert all(latency.measure(SPACE.lower(one.architecture, Skeleton())) <= limit.at_most for one in found.finalists)
    assert len(found.steps) == (4 if every[~np.array(with_none)].min() > limit.at_most else 3)


def test_a_limit_out_of_reach_says_so_before_anything_is_measured() -> None:
    indicator, latency = Drawn(), Latency(load_target("nucleo-f746zg"))
    with pytest.raises(
        Unreachable, match=r"the cheapest, \|none~0\|\+\|none~0\|none~1\|\+\|skip_connect~0.* needs"
    ) as caught:
        PruningSearch(SPACE, Skeleton()).run(Objective((term(indicator),), (), (Limit(latency, 0.001),)))
    assert caught.value.exit_code == 3
    assert indicator.asked == []


def test_eight_runs_under_a_limit_share_their_measurements() -> None:
    indicator = Drawn()
    found = PruningSearch(SMALL, TINY, repeats=1).run(Objective((term(indicator),), (), (Limit(Weight(), 12),)))
    assert len(indicator.asked) == len(set(indicator.asked)) == found.measured


def test_progress_is_told_in_rounds_of_all_runs() -> None:
    told: list[tuple[int, int, str]] = []
    search = PruningSearch(SMALL, TINY, repeats=1, watch=lambda done, total, what: told.append((done, total, what)))
    search.run(Objective((term(LOWER),), (), (Limit(Weight(), 12),)))
    assert all(0 <= done <= total for done, total, _ in told)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == told[-1][1] == 3 * len(HARDWARE_FACTORS)
    assert told[0][2] == "run 1 of 8, round 1: 12 candidates"
