"""A search answers with the graph that costs least of all that compute the best one's function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from micronas.candidate import Candidate, everything
from micronas.catalog import SEARCHES
from micronas.indicators import Better, Scores
from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph
from micronas.network.identity import function_key, weights_key
from micronas.objective import Limit, Objective, Term
from micronas.origin import COMPUTED
from micronas.search.answer import in_cheapest_form
from micronas.search.exact import ExactSearch
from micronas.search.random import RandomSearch
from micronas.search.search import Finalist, Search
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.testing.doubles import Drawn

START = everything(NasBench201(channels=(2,), cells=(1,), stages=(1,)), Task((4, 4, 3), 2))


@cache
def dear_form() -> Candidate:
    """The representative of a graph whose function has a cheaper one: pool(x) + pool(conv(x)), as pool(x + conv(x))."""
    pools = START.of(START.space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|avg_pool_3x3~1|none~2|"))
    return pools.canonical


class Favours(Drawn):
    """Finds one network better than all others."""

    def measure(self, graph: Graph) -> float:
        value = super().measure(graph)
        return -1.0 if weights_key(graph) == weights_key(dear_form().probe(self.probe)) else value


def test_the_form_is_another_graph_of_the_same_function_and_costs_less() -> None:
    dear, cheap = dear_form(), dear_form().cheapest_form
    assert dear.canonical == dear != cheap == cheap.canonical
    assert function_key(dear.graph) == function_key(cheap.graph)
    assert cost(deploy(cheap.graph)) < cost(deploy(dear.graph))


def settings(name: str) -> dict[str, int]:
    return {"samples": 20} if name == "random" else {}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SEARCHES))
def test_every_search_answers_with_the_cheapest_form(name: str) -> None:
    for seed in range(3):
        seeds = {"seeds": (seed,)} if name == "exact" else {"seed": seed}
        search: Search = SEARCHES[name](**seeds, repeats=1, **settings(name))
        found = search.run(START, Objective((Term(Drawn()), Term(Drawn("higher", Better.HIGHER)))))
        assert found.candidate.cheapest_form == found.candidate
        assert found.finalists[0].candidate == found.candidate


@pytest.mark.slow
@pytest.mark.parametrize(
    "search", [ExactSearch(repeats=2), RandomSearch(repeats=2, samples=10**5)], ids=lambda s: s.name
)
def test_the_best_graph_gives_way_to_the_cheapest_of_its_function_with_its_own_numbers(search: Search) -> None:
    found = search.run(START, Objective((Term(Favours()),)))
    cheap = dear_form().cheapest_form
    assert found.candidate == found.finalists[0].candidate == cheap
    assert found.finalists[0].values["drawn"] == tuple(
        Drawn(seed=seed).measure(cheap.probe(Drawn().probe)) for seed in (0, 1)
    )
    assert [one.candidate for one in found.finalists].count(cheap) == 1
    assert dear_form() not in [one.candidate for one in found.finalists]


class Given:
    """In the place of limits and measurements: which form is the cheapest, and what it is found to be."""

    def __init__(self, form: Candidate) -> None:
        self.form = form

    def cheapest_form(self, _: Candidate) -> Candidate:
        return self.form

    def of(self, _: object, candidates: Sequence[Candidate], draws: Sequence[int]) -> Scores:
        assert candidates == [self.form]
        return np.array([[10.0 + draw] for draw in draws])


def test_the_form_takes_the_place_of_the_best_and_stands_there_once() -> None:
    """What a whole search shows, without one."""
    dear, cheap, other = dear_form(), dear_form().cheapest_form, everything(START.space, START.task)
    best, second, third = (Finalist(one, score) for one, score in ((dear, 1.0), (other, 2.0), (cheap, 3.0)))
    given: Any = Given(cheap)
    objective = Objective((Term(Drawn()),))
    assert in_cheapest_form([best, second, third], objective, given, given, [0, 1]) == (
        Finalist(cheap, 1.0, {"drawn": (10.0, 11.0)}),
        second,
    )
    given = Given(dear)
    assert in_cheapest_form([best, second, third], objective, given, given, [0, 1]) == (best, second, third)


class Odd:
    """A limit that the cheapest form does not keep, though its function's dearer graph does."""

    name, unit, better, origin = "odd", "", Better.LOWER, COMPUTED

    def measure(self, graph: Graph) -> float:
        return 1.0 if graph == dear_form().graph else 9.0

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)


def test_a_form_that_a_limit_does_not_admit_is_no_answer() -> None:
    found = ExactSearch(repeats=1).run(START, Objective((Term(Favours()),), (), (Limit(Odd(), 2.0),)))
    assert found.candidate == dear_form()
    assert math.isfinite(found.finalists[0].score)
