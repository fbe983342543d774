"""Ranks, scores made of ranks, and what an objective refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micronas.errors import UserError
from micronas.hardware.indicators.compute import Flops, LiveFlops
from micronas.indicators import Better
from micronas.objective import Column, Limit, Objective, Term, best_first, rank_score, ranks
from micronas.testing.doubles import Drawn, Weight

INFINITY = math.inf

values = st.lists(
    st.one_of(st.sampled_from([INFINITY, -INFINITY, 0.0, -0.0, 1.0]), st.floats(allow_nan=False, width=32)), min_size=1
)


def slowly_ranked(numbers: list[float], better: Better) -> list[float]:
    """1 + how many are better + half of the others that are equal: the definition, word by word."""

    def is_better(one: float, other: float) -> bool:
        return one < other if better is Better.LOWER else one > other

    return [
        1 + sum(is_better(other, number) for other in numbers) + (sum(other == number for other in numbers) - 1) / 2
        for number in numbers
    ]


@given(values, st.sampled_from(Better))
def test_ranks_are_those_of_the_definition(numbers: list[float], better: Better) -> None:
    assert ranks(np.array(numbers), better).tolist() == slowly_ranked(numbers, better)


def test_ties_share_the_mean_rank_and_the_worst_value_is_last() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, INFINITY]), Better.LOWER).tolist() == [2.5, 1, 2.5, 4]
    assert ranks(np.array([3.0, 1.0, 3.0, -INFINITY]), Better.HIGHER).tolist() == [1.5, 3, 1.5, 4]


def test_nan_is_no_score() -> None:
    with pytest.raises(ValueError, match="NaN"):
        ranks(np.array([1.0, math.nan]), Better.LOWER)


def test_the_score_is_the_weighed_sum_of_the_logs_of_shares() -> None:
    ntk, regions = np.array([10.0, 20.0, 30.0]), np.array([5.0, 7.0, 7.0])
    score = rank_score([Column(ntk, Better.LOWER, 1.0), Column(regions, Better.HIGHER, 0.5)])
    expected = [
        math.log(3 / 3) + 0.5 * math.log(1 / 3),
        math.log(2 / 3) + 0.5 * math.log(2.5 / 3),
        math.log(1 / 3) + 0.5 * math.log(2.5 / 3),
    ]
    assert score.tolist() == pytest.approx(expected, abs=1e-14)
    assert best_first(score) == [1, 0, 2]


def test_several_draws_average_their_ranks_before_the_logarithm() -> None:
    draws = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])  # ranks 1 2 3 and 3 1 2
    score = rank_score([Column(draws, Better.LOWER, 1.0)])
    assert score.tolist() == pytest.approx([math.log(2 / 3), math.log(2.5 / 3), math.log(1.5 / 3)], abs=1e-14)


@given(values, st.sampled_from(Better))
def test_a_score_is_at_most_zero_and_finite(numbers: list[float], better: Better) -> None:
    score = rank_score([Column(np.array(numbers), better, 1.0)])
    assert np.isfinite(score).all()
    assert (score <= 0).all()


def test_one_poor_term_costs_more_than_one_excellent_term_gains() -> None:
    """What the logarithm of a share is for: good in everything beats first in one thing and last in another."""
    first, second = np.arange(9.0), np.array([8.0, 1, 2, 3, 4, 5, 6, 7, 0])
    score = rank_score([Column(first, Better.LOWER, 1.0), Column(second, Better.LOWER, 1.0)])
    assert best_first(score)[0] == 1
    assert score[0] < score[4]


def test_a_term_without_weight_does_not_count() -> None:
    kept, dropped = Column(np.array([1.0, 2.0]), Better.LOWER, 1.0), Column(np.array([2.0, 1.0]), Better.LOWER, 0.0)
    assert rank_score([dropped, kept]).tolist() == rank_score([kept]).tolist()


def test_among_equals_the_first_comes_first() -> None:
    assert best_first(np.array([0.0, 1.0, 1.0, 0.0])) == [1, 2, 0, 3]


@pytest.mark.parametrize("weight", [-1.0, -1e-9, math.nan, INFINITY, -INFINITY])
def test_a_weight_is_a_number_of_at_least_zero(weight: float) -> None:
    with pytest.raises(UserError, match="the weight of drawn must be 0 or more"):
        Term(Drawn(), weight)


@pytest.mark.parametrize("at_most", [0.0, -1.0, math.nan, INFINITY])
def test_a_limit_is_above_zero(at_most: float) -> None:
    with pytest.raises(UserError, match="the limit on weight must be above 0 kg"):
        Limit(Weight(), at_most)


def test_direction_is_that_of_the_indicator() -> None:
    """The same count is capacity where it is of live layers, and else a cost."""
    assert Term(LiveFlops()).better is Better.HIGHER
    assert Term(Flops()).better is Better.LOWER


def test_hardware_weights_scale_and_performance_weights_stay() -> None:
    scaled = Objective((Term(Drawn(), 3.0),), (Term(Weight(), 2.0),)).with_hardware_scaled(0.25)
    assert [one.weight for one in (*scaled.performance, *scaled.hardware)] == [3.0, 0.5]
