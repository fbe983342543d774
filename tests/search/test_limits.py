"""What limits leave open: by a table against brute force over every completion, and by witnesses without one."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from micronas.candidate import Candidate, everything
from micronas.errors import UserError
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import Flops
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Better, Indicator, Scores
from micronas.network.graph import Graph
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.origin import COMPUTED
from micronas.search import reach as reach_module
from micronas.search.exact import ExactSearch
from micronas.search.limits import Limits
from micronas.search.measured import Measured
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.spaces.decisions import NONE, Choices
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.testing.doubles import OPTIONS, START, TASK, Drawn, Triangle, Weight

WEIGHT, HEAVY = Weight(), Weight(heavy=0.5, name="other")
DEAD = START.of(START.space.parse("none|none|skip_connect"))


@dataclass(frozen=True)
class Vast(Triangle):
    """Triangles of which nobody could enumerate all: the sizes are made up, so that brute force can look on."""

    @property
    def size(self) -> int:
        return 10**12


VAST = everything(Vast(), TASK)


@pytest.fixture
def without_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Candidate, "is_small", property(lambda _: False))


def values_of(indicator: Indicator, many: Sequence[Candidate]) -> Scores:
    return indicator.measure_many([one.graph for one in many])


def limits(*some: Limit, start: Candidate = START) -> Limits:
    return Limits(start, some, values_of)


def weight(candidate: Candidate, indicator: Weight = WEIGHT) -> float:
    return indicator.measure(candidate.graph)


def some_candidates(number: int, chance: random.Random, start: Candidate = START) -> list[Candidate]:
    def alive() -> tuple[str, ...]:
        kept = chance.sample(OPTIONS, chance.randint(1, 5))
        return tuple(option for option in OPTIONS if option in kept)

    return [start.of(Choices((alive(), alive(), alive()))) for _ in range(number)]


# --- a table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_most", [0.5, 1, 3, 4, 11, 28])
def test_one_limit_against_brute_force(at_most: float) -> None:
    limit = Limit(WEIGHT, at_most)
    its = limits(limit)
    for candidate in some_candidates(40, random.Random(1)):
        cheapest = min(map(weight, candidate.completions()))
        assert its.allows(candidate) == (cheapest <= at_most)
        found = its.cheapest(candidate, limit)
        assert found.candidate in set(candidate.completions())
        assert weight(found.candidate) == found.value == cheapest
        assert found.is_proven


def test_two_limits_must_be_met_by_one_completion() -> None:
    its = limits(Limit(WEIGHT, 4.0), Limit(HEAVY, 1.5))
    for candidate in some_candidates(60, random.Random(2)):
        met = [weight(one) <= 4.0 and weight(one, HEAVY) <= 1.5 for one in candidate.completions()]
        assert its.allows(candidate) == any(met)


def test_the_cheapest_by_one_of_several_limits_looks_at_that_one_alone() -> None:
    heavy = Limit(HEAVY, 1.5)
    its = limits(Limit(WEIGHT, 4.0), heavy)
    for candidate in some_candidates(20, random.Random(3)):
        assert its.cheapest(candidate, heavy).value == min(weight(one, HEAVY) for one in candidate.completions())


def test_what_every_architecture_needs_stands_in_order() -> None:
    needs = limits(Limit(WEIGHT, 4.0), Limit(HEAVY, 1.5)).needs
    assert [*needs] == [WEIGHT.name, HEAVY.name]
    for budget in (WEIGHT, HEAVY):
        assert needs[budget.name].tolist() == [weight(each, budget) for each in START.completions()]


def test_without_limits_everything_is_allowed() -> None:
    assert limits().allows(DEAD)
    assert limits().needs == {}
    limits().check(DEAD)


def test_a_disconnected_cell_meets_no_limit() -> None:
    assert math.isinf(weight(DEAD))
    its = limits(Limit(WEIGHT, 1e9))
    assert not its.allows(DEAD)
    assert not its.admits(DEAD)
    with pytest.raises(Unreachable, match="none of these architectures has a path"):
        its.check(DEAD)


def test_decided_networks_are_admitted_if_they_are_connected_and_within_every_limit() -> None:
    every = list(START.completions())
    found = limits(Limit(WEIGHT, 11.0), Limit(HEAVY, 3.0)).admitted(every)
    assert found.tolist() == [weight(one) <= 11.0 and weight(one, HEAVY) <= 3.0 for one in every]
    assert limits().admitted(every).tolist() == [one.is_connected for one in every]


def test_unreachable_names_the_limit_the_cheapest_cell_and_its_value() -> None:
    open_ = START.of(Choices((("nor_conv_3x3", "nor_conv_1x1"), ("nor_conv_3x3",), ("none", "avg_pool_3x3"))))
    with pytest.raises(Unreachable) as caught:
        limits(Limit(WEIGHT, 9.5)).check(open_)
    assert str(caught.value) == (
        "no architecture reaches weight ≤ 9.5 kg; the cheapest, nor_conv_3x3|nor_conv_3x3|none, needs weight 10 kg"
    )
    assert caught.value.exit_code == 3


def test_of_several_limits_those_that_bind_are_named() -> None:
    heavy = START.of(Choices((("nor_conv_3x3",), ("none", "nor_conv_1x1"), ("nor_conv_3x3", "avg_pool_3x3"))))
    with pytest.raises(Unreachable) as caught:
        limits(Limit(WEIGHT, 11), Limit(HEAVY, 100)).check(heavy)
    assert str(caught.value) == (
        "no architecture reaches weight ≤ 11 kg; the cheapest, nor_conv_3x3|none|avg_pool_3x3, needs weight 12 kg"
    )


def test_limits_that_only_together_are_out_of_reach_are_named_together() -> None:
    """Each alone is met by some architecture, both by none; a third one is no part of it."""
    both = (Limit(WEIGHT, 5), Limit(_Lightness(), 7))
    for one in both:
        limits(one).check(START)
    with pytest.raises(Unreachable) as caught:
        limits(Limit(HEAVY, 1000), *both).check(START)
    assert str(caught.value).startswith("no architecture reaches weight ≤ 5 kg and lightness ≤ 7 kg; the nearest, ")
    assert caught.value.nearest is not None
    assert caught.value.nearest.text in str(caught.value)


@dataclass(frozen=True)
class _Lightness(Weight):
    """What is left of 20 kg."""

    name: str = "lightness"

    def of_all(self, start: Candidate) -> Scores:
        weights = super().of_all(start)
        return np.where(np.isfinite(weights), 20 - weights, np.inf)


def test_an_answer_is_the_cheapest_form_unless_only_the_cell_itself_is_allowed() -> None:
    """A board may time an average pool below the skips that stand for it; then the promise is kept all the same."""

    class Odd(Weight):
        def of_all(self, start: Candidate) -> Scores:
            assert start == START
            return np.where([one == twin for one in start.completions()], 1.0, 9.0)

    twin = next(one for one in START.completions() if one.canonical not in (one, DEAD.canonical))
    for form in (Limits.representative, Limits.cheapest_form):
        assert form(limits(Limit(Odd(), 2)), twin) == twin
        assert form(limits(Limit(WEIGHT, 1000)), twin) == twin.canonical != twin


def test_the_cheapest_form_is_of_the_function_and_the_representative_of_the_graph() -> None:
    """pool(x + conv(x)) has two pools as a sum of pools, which is the same function."""
    start = everything(NasBench201(channels=(4,), cells=(1,), stages=(1,)), Task((4, 4, 3), 2))
    pools = start.of(start.space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|avg_pool_3x3~1|none~2|"))
    its = limits(start=start)
    assert its.representative(pools) == pools.canonical
    assert its.cheapest_form(pools) == pools.cheapest_form != pools.canonical


def test_on_the_real_space_the_bare_skeleton_is_the_cheapest_and_half_of_it_out_of_reach() -> None:
    latency, start = Latency(load_target("nucleo-f746zg")), everything(NasBench201(), Task())
    limit = Limit(latency, 1.0)
    its = limits(limit, start=start)
    bare = its.cheapest(start, limit)
    assert bare.candidate.text == "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    milliseconds = latency.measure(bare.candidate.graph)
    assert milliseconds == bare.value == pytest.approx(np.min(latency.of_all(start)), rel=1e-12)
    with pytest.raises(
        Unreachable, match=rf"latency ≤ 1 ms; the cheapest, \|none.* needs latency {milliseconds:.6g} ms"
    ):
        its.check(start)


def test_a_limit_equal_to_a_reported_latency_is_met_by_that_network() -> None:
    """However the sum was taken: layer by layer for one network, or as a product for the whole space."""
    latency, start = Latency(load_target("nucleo-f746zg")), everything(NasBench201(), Task())
    for candidate in random.Random(0).sample(list(start.completions()), 60):
        milliseconds = latency.measure(candidate.graph)
        if math.isfinite(milliseconds):
            assert limits(Limit(latency, milliseconds), start=start).allows(candidate)
            assert not limits(Limit(latency, milliseconds - 1e-8), start=start).allows(candidate)


# --- a witness ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_table")
@pytest.mark.parametrize("at_most", [0.5, 1, 3, 4, 11, 28])
def test_without_a_table_a_witness_meets_what_is_said_to_be_within_reach(at_most: float) -> None:
    limit = Limit(WEIGHT, at_most)
    its = limits(limit, start=VAST)
    for candidate in some_candidates(40, random.Random(1), VAST):
        cheapest = min(map(weight, candidate.completions()))
        found = its.cheapest(candidate, limit)
        assert found.candidate in set(candidate.completions())
        assert weight(found.candidate) == pytest.approx(found.value)
        assert not found.is_proven
        assert found.value >= cheapest
        assert its.allows(candidate) == (found.value <= at_most)
        assert its.allows(candidate) == (cheapest <= at_most)  # in so small a space descents find what there is


@pytest.mark.usefixtures("without_table")
def test_without_a_table_one_witness_meets_several_limits() -> None:
    its = limits(Limit(WEIGHT, 4.0), Limit(HEAVY, 1.5), start=VAST)
    allowed = 0
    for candidate in some_candidates(60, random.Random(2), VAST):
        met = [weight(one) <= 4.0 and weight(one, HEAVY) <= 1.5 for one in candidate.completions()]
        assert any(met) or not its.allows(candidate)
        allowed += its.allows(candidate)
    assert allowed > 5
    (witness,) = its.witnesses()
    assert weight(witness) <= 4.0
    assert weight(witness, HEAVY) <= 1.5


@pytest.mark.usefixtures("without_table")
def test_without_a_table_what_is_out_of_reach_is_said_not_to_be_proven() -> None:
    with pytest.raises(Unreachable) as caught:
        limits(Limit(WEIGHT, 0.5), start=VAST).check(VAST)
    assert str(caught.value) == (
        "no architecture was found that reaches weight ≤ 0.5 kg; the cheapest found, "
        "none|skip_connect|none, needs weight 1 kg; triangle has 1,000,000,000,000 networks, "
        "too many to prove that there is none"
    )
    assert limits(Limit(WEIGHT, 0.5), start=VAST).witnesses() == ()


@pytest.mark.usefixtures("without_table")
def test_descents_begin_elsewhere_where_the_first_beginning_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first completion of all triangles is none everywhere, from which no single step leads to a path."""
    limit = Limit(WEIGHT, 11)
    assert math.isinf(weight(VAST.of(VAST.choices.completion(0))))
    assert limits(limit, start=VAST).allows(VAST)
    monkeypatch.setattr(reach_module, "_BEGINNINGS", 2)
    assert limits(limit, start=VAST).cheapest(VAST, limit).value < math.inf


@pytest.mark.usefixtures("without_table")
def test_without_a_table_the_cheapest_is_connected_though_dead_edges_cost_less() -> None:
    limit = Limit(Flops(), 1.0)
    some = VAST.of(Choices((("nor_conv_3x3", NONE), ("nor_conv_1x1", NONE), ("skip_connect",))))
    found = limits(limit, start=VAST).cheapest(some, limit)
    assert found.candidate.text == "none|nor_conv_1x1|skip_connect"
    assert found.value == Flops().measure(found.candidate.graph)
    assert found.value > min(Flops().measure(one.graph) for one in some.completions())


def test_descents_from_drawn_beginnings_find_what_those_from_the_ends_do_not() -> None:
    """Both ends of these choices lie in a hollow of their own; everywhere else it goes down to the same network."""
    choices = VAST.choices.without_option(NONE)
    ends = (choices.completion(0), choices.completion(choices.size - 1))
    goal = Choices((("nor_conv_1x1",),) * 3)

    def apart(one: Choices, other: Choices) -> int:
        return sum(mine != its for mine, its in zip(one.alive, other.alive, strict=True))

    def height(one: Choices) -> float:
        nearest = min(apart(one, end) for end in ends)
        return 1 + apart(one, goal) if nearest > 1 else 5 + 5 * nearest

    def values_of(_: Indicator, many: Sequence[Candidate]) -> Scores:
        return np.array([height(one.choices) for one in many])

    descents = reach_module.Descents(VAST, (reach_module.Bounded(WEIGHT, 1.0),), values_of)
    assert [height(end) for end in ends] == [5, 5]
    assert descents.nearest(choices) == reach_module.Nearest(goal, (1.0,), 1.0)


@pytest.mark.usefixtures("without_table")
def test_random_search_of_a_vast_space_falls_back_on_a_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micronas.search.random.MOST_DRAWN", 0)
    found = RandomSearch(repeats=1).run(VAST, Objective((Term(Drawn()),), (), (Limit(WEIGHT, 1.0),)))
    assert weight(found.candidate) == 1.0


# --- limits that only whole networks show -------------------------------------------------------


class Whole:
    """As `Weight`, but it neither knows the price of an option nor a whole space at once."""

    name, unit, better, origin = "whole", "kg", Better.LOWER, COMPUTED

    def measure(self, graph: Graph) -> float:
        return WEIGHT.measure(graph)

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        return WEIGHT.measure_many(graphs)


PERFORMANCE = (Term(Drawn("lower")), Term(Drawn("higher", Better.HIGHER)))


def test_what_cannot_be_foreseen_is_left_to_whole_networks() -> None:
    its = limits(Limit(WEIGHT, 4.0), Limit(Whole(), 2.0))
    assert its.afterwards == its.limits[1:]
    assert [*its.needs] == [WEIGHT.name]
    every = list(START.completions())
    assert its.admitted(every).tolist() == [weight(one) <= 2.0 for one in every]
    with pytest.raises(UserError, match="whole is known of whole networks only"):
        its.cheapest(START, its.limits[1])


@pytest.mark.parametrize("indicator", [Whole(), Drawn("third")], ids=["whole", "untrained"])
def test_pruning_refuses_what_it_cannot_foresee_in_one_line_before_it_measures(indicator: Indicator) -> None:
    asked = Drawn()
    with pytest.raises(UserError) as caught:
        PruningSearch().run(START, Objective((Term(asked),), (), (Limit(indicator, 2.0),)))
    assert str(caught.value) == (
        f"pruning cannot keep a limit on {indicator.name}, which is known of whole networks only; "
        "search by exact or random"
    )
    assert asked.asked == []


@pytest.mark.parametrize("at_most", [1.0, 3.0, 12.0])
@pytest.mark.parametrize("search", [ExactSearch(repeats=1), RandomSearch(samples=10, repeats=1)], ids=lambda s: s.name)
def test_exact_and_random_keep_a_limit_known_of_whole_networks_only(
    search: ExactSearch | RandomSearch, at_most: float
) -> None:
    """And they answer as under the same limit foreseen, where all that is within it is looked at."""
    found = search.run(START, Objective(PERFORMANCE, (), (Limit(Whole(), at_most),)))
    assert all(weight(one.candidate) <= at_most for one in found.finalists)
    assert len({one.candidate for one in found.finalists}) == len(found.finalists)
    if search.name == "exact":
        foreseen = search.run(START, Objective(PERFORMANCE, (), (Limit(WEIGHT, at_most),)))
        assert replace(found, standing=None) == replace(foreseen, standing=None)


@pytest.mark.parametrize("search", [ExactSearch(repeats=2), RandomSearch(samples=10, repeats=2)], ids=lambda s: s.name)
def test_exact_and_random_keep_a_limit_on_an_untrained_indicator(search: ExactSearch | RandomSearch) -> None:
    third = Drawn("third")
    connected = {one.canonical for one in START.completions() if one.is_connected}
    with Measured() as known:
        values = sorted(known.values(third, list(connected), (0, 1)).tolist())
    at_most = values[len(values) // 3]
    found = search.run(START, Objective(PERFORMANCE, (), (Limit(third, at_most),)))
    for one in found.finalists:
        drawn = [third.with_seed(seed).measure(one.candidate.graph) for seed in (0, 1)]
        assert np.mean(drawn) <= at_most
    with pytest.raises(Unreachable, match=r"no network that was looked at reaches third ≤ 0\.001"):
        search.run(START, Objective(PERFORMANCE, (), (Limit(third, 0.001),)))
