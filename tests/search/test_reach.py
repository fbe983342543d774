"""What limits leave open, against brute force over every completion."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from tests.search.doubles import OPTIONS, TINY, Triangle, Weight

from micronas.choices import Choices
from micronas.hardware.counted import count_space
from micronas.hardware.latency import Latency
from micronas.hardware.target import load_target
from micronas.objective import Limit, Unreachable
from micronas.search.reach import Reach
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import SearchSpace, Skeleton

SPACE, EVERYTHING = Triangle(), Triangle().everything()
WEIGHT, HEAVY = Weight(), Weight(heavy=0.5, name="other")
DEAD = SPACE.parse("none|none|skip_connect")


def reach(*limits: Limit) -> Reach:
    return Reach(SPACE, TINY, limits)


def weight(choices: Choices, indicator: Weight = WEIGHT) -> float:
    return indicator.measure(SPACE.lower(choices, TINY))


def some_choices(number: int, chance: random.Random) -> list[Choices]:
    def alive() -> tuple[str, ...]:
        kept = chance.sample(OPTIONS, chance.randint(1, 5))
        return tuple(option for option in OPTIONS if option in kept)

    return [Choices((alive(), alive(), alive())) for _ in range(number)]


@pytest.mark.parametrize("at_most", [0.5, 1, 3, 4, 11, 28])
def test_one_limit_against_brute_force(at_most: float) -> None:
    limit = Limit(WEIGHT, at_most)
    its = reach(limit)
    for choices in some_choices(40, random.Random(1)):
        cheapest = min(map(weight, choices.completions()))
        assert its.allows(choices) == (cheapest <= at_most)
        found = its.lowest(choices, limit)
        assert found in set(choices.completions())
        assert weight(found) == cheapest


def test_two_limits_must_be_met_by_one_completion() -> None:
    limits = Limit(WEIGHT, 4.0), Limit(HEAVY, 1.5)
    for choices in some_choices(60, random.Random(2)):
        met = [weight(one) <= 4.0 and weight(one, HEAVY) <= 1.5 for one in choices.completions()]
        assert reach(*limits).allows(choices) == any(met)


def test_admitted_is_the_answer_for_every_architecture_in_order() -> None:
    found = reach(Limit(WEIGHT, 4.0)).admitted
    assert found.tolist() == [weight(choices) <= 4.0 for choices in EVERYTHING.completions()]


def test_without_limits_everything_is_allowed() -> None:
    assert reach().allows(DEAD)
    assert reach().admitted.tolist() == [True] * 125
    reach().check(DEAD)


def test_a_disconnected_cell_meets_no_limit() -> None:
    assert math.isinf(weight(DEAD))
    assert not reach(Limit(WEIGHT, 1e9)).allows(DEAD)
    with pytest.raises(Unreachable, match="none of these architectures has a path"):
        reach(Limit(WEIGHT, 1e9)).check(DEAD)


def test_unreachable_names_the_limit_the_cheapest_cell_and_its_value() -> None:
    open_ = Choices((("nor_conv_3x3", "nor_conv_1x1"), ("nor_conv_3x3",), ("none", "avg_pool_3x3")))
    with pytest.raises(Unreachable) as caught:
        reach(Limit(WEIGHT, 9.5)).check(open_)
    assert str(caught.value) == (
        "no architecture reaches weight ≤ 9.5 kg; the cheapest, nor_conv_3x3|nor_conv_3x3|none, needs weight 10 kg"
    )
    assert caught.value.exit_code == 3


def test_of_several_limits_those_that_bind_are_named() -> None:
    heavy = Choices((("nor_conv_3x3",), ("none", "nor_conv_1x1"), ("nor_conv_3x3", "avg_pool_3x3")))
    with pytest.raises(Unreachable) as caught:
        reach(Limit(WEIGHT, 11), Limit(HEAVY, 100)).check(heavy)
    assert str(caught.value) == (
        "no architecture reaches weight ≤ 11 kg and other ≤ 100 kg; "
        "the nearest, nor_conv_3x3|none|avg_pool_3x3, needs weight 12 kg"
    )


def test_an_answer_is_the_representative_unless_only_the_cell_itself_is_allowed() -> None:
    """A board may time an average pool below the skips that stand for it; then the promise is kept all the same."""

    class Odd(Weight):
        def of_space(self, space: SearchSpace, skeleton: Skeleton) -> np.ndarray:
            assert skeleton == TINY
            return np.where([one == twin for one in space.everything().completions()], 1.0, 9.0)

    twin = next(one for one in EVERYTHING.completions() if SPACE.canonical(one) not in (one, SPACE.canonical(DEAD)))
    assert reach(Limit(Odd(), 2)).representative(twin) == twin
    assert reach(Limit(WEIGHT, 1000)).representative(twin) == SPACE.canonical(twin) != twin


def test_on_the_real_space_the_bare_skeleton_is_the_cheapest_and_half_of_it_out_of_reach() -> None:
    space, latency = NasBench201(), Latency(load_target("nucleo-f746zg"))
    limit = Limit(latency, 1.0)
    its = Reach(space, Skeleton(), (limit,))
    bare = its.lowest(space.everything(), limit)
    assert space.format(bare) == "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    milliseconds = latency.measure(space.lower(bare, Skeleton()))
    counted = count_space(space, Skeleton())
    assert milliseconds == pytest.approx(np.min(counted.latency_ms(latency.target.latency)), rel=1e-12)
    with pytest.raises(
        Unreachable, match=rf"latency ≤ 1 ms; the cheapest, \|none.* needs latency {milliseconds:.6g} ms"
    ):
        its.check(space.everything())


def test_a_limit_equal_to_a_reported_latency_is_met_by_that_network() -> None:
    """However the sum was taken: layer by layer for one network, or as a product for the whole space."""
    space, latency = NasBench201(), Latency(load_target("nucleo-f746zg"))
    chance = random.Random(0)
    for choices in chance.sample(list(space.everything().completions()), 60):
        milliseconds = latency.measure(space.lower(choices, Skeleton()))
        if math.isfinite(milliseconds):
            assert Reach(space, Skeleton(), (Limit(latency, milliseconds),)).allows(choices)
            assert not Reach(space, Skeleton(), (Limit(latency, milliseconds - 1e-8),)).allows(choices)
