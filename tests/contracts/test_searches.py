"""The laws of every search in the catalog: it decides, on what is connected, repeats itself, and keeps its limits."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.search.doubles import START, Drawn, Weight

from micronas.catalog import SEARCHES
from micronas.errors import UserError
from micronas.indicator import Better
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.search.search import Search

PERFORMANCE = (Term(Drawn("lower")), Term(Drawn("higher", Better.HIGHER)))


@pytest.fixture(params=list(SEARCHES))
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    return request.param


def make(name: str, seed: int = 0) -> Search:
    return SEARCHES[name](**({"seeds": (seed,)} if name == "exact" else {"seed": seed}), repeats=2)


def weight(search: Search, *limits: Limit) -> float:
    found = search.run(START, Objective(PERFORMANCE, (), limits))
    assert found.candidate.choices.is_decided
    assert found.finalists[0].candidate == found.candidate
    scores = [one.score for one in found.finalists]
    assert scores == sorted(scores, reverse=True)
    return Weight().measure(found.candidate.graph)


def test_it_goes_by_the_name_it_is_listed_under(name: str) -> None:
    assert make(name).name == name


@pytest.mark.parametrize("seed", range(5))
def test_it_decides_on_a_connected_cell(name: str, seed: int) -> None:
    assert weight(make(name, seed)) < math.inf


def test_it_answers_with_the_cheapest_form_of_a_function(name: str) -> None:
    found = make(name).run(START, Objective(PERFORMANCE)).candidate
    assert found.cheapest_form == found


def test_the_same_seed_gives_the_same_answer(name: str) -> None:
    objective = Objective(PERFORMANCE, (), (Limit(Weight(), 12.0),))
    assert make(name, 7).run(START, objective) == make(name, 7).run(START, objective)


@pytest.mark.parametrize("at_most", [1.0, 2.0, 3.0, 9.0, 12.0, 20.0])
def test_it_keeps_its_limits(name: str, at_most: float) -> None:
    assert weight(make(name), Limit(Weight(), at_most)) <= at_most


def test_it_refuses_a_part_of_a_space_and_the_whole_is_none_the_wiser(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forms that stand for a network of the part may lie outside of it."""
    objective = Objective(PERFORMANCE, (), (Limit(Weight(), 12.0),))
    expected = make(name).run(START, objective)
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UserError) as caught:
        make(name).run(START.of(START.choices.fixed(1, "nor_conv_3x3")), objective)
    assert str(caught.value) == f"{name} search begins with all of triangle, not with a part: everything(space, task)"
    assert make(name).run(START, objective) == expected


def test_it_keeps_two_limits_at_once(name: str) -> None:
    pools = Weight(heavy=0.0, name="pools")  # 1 + 1x1 convolutions + 2 · pools
    for seed in range(3):
        found = make(name, seed).run(START, Objective(PERFORMANCE, (), (Limit(Weight(), 11.0), Limit(pools, 2.0))))
        graph = found.candidate.graph
        assert Weight().measure(graph) <= 11.0
        assert pools.measure(graph) <= 2.0


def test_it_says_what_cannot_be_reached(name: str) -> None:
    with pytest.raises(Unreachable, match="needs weight 1 kg") as caught:
        weight(make(name), Limit(Weight(), 0.5))
    assert caught.value.exit_code == 3
