"""A Pareto front against brute force: nobody on it is beaten, everybody off it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.budget import Budget
from micronas.indicators import Better
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.search.exact import ExactSearch
from micronas.store import ScoreStore
from micronas.testing.doubles import START, Drawn, Weight

PERFORMANCE = (Term(Drawn("lower")), Term(Drawn("higher", Better.HIGHER)))
WEIGHT, POOLS = Weight(), Weight(heavy=0.0, name="pools")


@pytest.mark.parametrize("costs", [(WEIGHT,), (POOLS,), (WEIGHT, POOLS)], ids=["one", "another", "both"])
@pytest.mark.parametrize("at_most", [None, 12.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_front_is_that_of_brute_force(
    costs: tuple[Budget, ...], at_most: float | None, seed: int, tmp_path: Path
) -> None:
    exact = ExactSearch((seed,), store=ScoreStore(tmp_path / "scores.sqlite3"))
    limits = () if at_most is None else (Limit(WEIGHT, at_most),)
    table, _ = exact.score(START, Objective(PERFORMANCE))
    every = [
        (float(score), *(cost.measure(table.candidate(at).graph) for cost in costs), table.candidate(at))
        for at, score in enumerate(table.score)
        if at_most is None or WEIGHT.measure(table.candidate(at).graph) <= at_most
    ]

    def beats(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
        (score, *needs), (its_score, *its_needs) = one[:-1], other[:-1]
        no_worse = score >= its_score and all(a <= b for a, b in zip(needs, its_needs, strict=True))  # type: ignore[operator]
        return no_worse and (score, *needs) != (its_score, *its_needs)

    best = {one[:-1] for one in every if not any(beats(other, one) for other in every)}
    front = exact.front(START, Objective(PERFORMANCE, (), limits), costs)
    assert {(one.score, *one.needs) for one in front} == best
    assert [one.score for one in front] == sorted((one.score for one in front), reverse=True)
    assert len(front) == len({one.candidate for one in front}) >= 2
    for one in front:
        assert one.needs == tuple(cost.measure(one.candidate.graph) for cost in costs)


def test_the_first_of_a_front_is_the_answer(tmp_path: Path) -> None:
    exact = ExactSearch(store=ScoreStore(tmp_path / "scores.sqlite3"))
    objective = Objective(PERFORMANCE, (), (Limit(WEIGHT, 12.0),))
    assert exact.front(START, objective, [WEIGHT])[0].score == exact.run(START, objective).finalists[0].score


def test_within_limits_that_nobody_keeps_there_is_no_front(tmp_path: Path) -> None:
    exact = ExactSearch(store=ScoreStore(tmp_path / "scores.sqlite3"))
    with pytest.raises(Unreachable):
        exact.front(START, Objective(PERFORMANCE, (), (Limit(WEIGHT, 0.5),)), [WEIGHT])
