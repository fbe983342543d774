"""The baseline draws connected, distinct, admitted cells by its seed, and answers with the best of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from micronas.candidate import Candidate, everything
from micronas.indicators import Better
from micronas.objective import Column, Limit, Objective, Term, Unreachable, rank_score
from micronas.search.random import RandomSearch
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.testing.doubles import START, Drawn, Weight

LOWER, HIGHER = Drawn("lower"), Drawn("higher", Better.HIGHER)
DRAWN = Objective((Term(LOWER), Term(HIGHER, 0.5)))


def test_the_best_by_shares_among_those_drawn() -> None:
    found = RandomSearch(seed=2, repeats=2, samples=20).run(START, DRAWN)
    drawn = [one.candidate for one in found.finalists]
    assert len(drawn) == len(set(drawn)) == 20
    graphs = [one.graph for one in drawn]
    lower, higher = (np.array([one.with_seed(at).measure_many(graphs) for at in (4, 5)]) for one in (LOWER, HIGHER))
    score = rank_score([Column(lower, Better.LOWER, 1.0), Column(higher, Better.HIGHER, 0.5)])
    assert [one.score for one in found.finalists] == score.tolist() == sorted(score.tolist(), reverse=True)
    assert found.candidate == drawn[0]
    assert found.finalists[0].values == {"lower": tuple(lower[:, 0]), "higher": tuple(higher[:, 0])}
    assert found.finalists[0].means == {"lower": lower[:, 0].mean(), "higher": higher[:, 0].mean()}
    assert found.measured == 80


def test_the_seed_decides_what_is_drawn() -> None:
    one, same, other = (RandomSearch(seed, samples=10).run(START, DRAWN) for seed in (0, 0, 1))
    assert one == same
    assert {f.candidate for f in one.finalists} != {f.candidate for f in other.finalists}


def test_by_default_as_many_as_the_pruning_search_looks_at() -> None:
    found = RandomSearch().run(everything(NasBench201(), Task()), Objective((Term(LOWER),)))
    assert len(found.finalists) == 54


def test_every_network_of_a_small_space_is_drawn_once_and_none_that_is_disconnected() -> None:
    found = RandomSearch(samples=1000).run(START, DRAWN)
    connected = {one.canonical for one in START.completions() if _weight(one) < np.inf}
    assert {one.candidate for one in found.finalists} == connected
    assert found.measured == 2 * 3 * len(connected)


@pytest.mark.parametrize("at_most", [1.0, 4.0, 12.0])
def test_limits_are_kept(at_most: float) -> None:
    found = RandomSearch(samples=30).run(START, Objective((Term(LOWER),), (), (Limit(Weight(), at_most),)))
    assert all(_weight(one.candidate) <= at_most for one in found.finalists)


def test_a_limit_out_of_reach_says_so() -> None:
    with pytest.raises(Unreachable, match=re.escape("the cheapest, none|skip_connect|none, needs weight 1 kg")):
        RandomSearch().run(START, Objective((Term(LOWER),), (), (Limit(Weight(), 0.5),)))


def test_hardware_terms_weigh_in_their_own_direction() -> None:
    search = RandomSearch(samples=1000)
    light, heavy = (
        _weight(search.run(START, Objective((Term(LOWER, 1e-3),), (Term(Weight(better=better)),))).candidate)
        for better in (Better.LOWER, Better.HIGHER)
    )
    assert (light, heavy) == (1.0, 28.0)


def _weight(candidate: Candidate) -> float:
    return Weight().measure(candidate.graph)


def test_by_default_two_things_weigh_alike() -> None:
    assert RandomSearch().default_terms == dict.fromkeys(("ntk", "linear-regions"), 1.0)


def test_a_small_space_that_has_fewer_than_asked_for_needs_no_word() -> None:
    assert RandomSearch(samples=1000).run(START, DRAWN).notes == ()
