"""The laws of a search: it decides, on what is connected, repeats itself, and keeps its limits. Inherit them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import pytest

from micronas.errors import UserError
from micronas.indicators import Better
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.search.search import Search
from micronas.testing.doubles import START, Drawn, Weight

PERFORMANCE = (Term(Drawn("lower")), Term(Drawn("higher", Better.HIGHER)))


class SearchContract:
    """Laws of the search that `make` makes, tried on a space of 125 architectures.

    class TestMine(SearchContract):
        name = "mine"

        def make(self, seed: int = 0) -> Mine:
            return Mine(seed)
    """

    name: ClassVar[str]

    def make(self, seed: int = 0) -> Search:
        """A search with that seed; the same seed must give the same answer."""
        raise NotImplementedError("make must return the search")

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))

    def test_it_goes_by_the_name_it_is_listed_under(self) -> None:
        assert self.make().name == self.name

    @pytest.mark.parametrize("seed", range(5))
    def test_it_decides_on_a_connected_cell(self, seed: int) -> None:
        assert _weight(self.make(seed)) < math.inf

    def test_it_answers_with_the_cheapest_form_of_a_function(self) -> None:
        found = self.make().run(START, Objective(PERFORMANCE)).candidate
        assert found.cheapest_form == found

    def test_the_same_seed_gives_the_same_answer(self) -> None:
        objective = Objective(PERFORMANCE, (), (Limit(Weight(), 12.0),))
        assert self.make(7).run(START, objective) == self.make(7).run(START, objective)

    @pytest.mark.parametrize("at_most", [1.0, 2.0, 3.0, 9.0, 12.0, 20.0])
    def test_it_keeps_its_limits(self, at_most: float) -> None:
        assert _weight(self.make(), Limit(Weight(), at_most)) <= at_most

    def test_it_refuses_a_part_of_a_space_and_the_whole_is_none_the_wiser(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Forms that stand for a network of the part may lie outside of it."""
        objective = Objective(PERFORMANCE, (), (Limit(Weight(), 12.0),))
        expected = self.make().run(START, objective)
        monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "empty"))
        with pytest.raises(UserError) as caught:
            self.make().run(START.of(START.choices.fixed(1, "nor_conv_3x3")), objective)
        assert (
            str(caught.value)
            == f"{self.name} search begins with all of triangle, not with a part: everything(space, task)"
        )
        assert self.make().run(START, objective) == expected

    def test_it_keeps_two_limits_at_once(self) -> None:
        pools = Weight(heavy=0.0, name="pools")  # 1 + 1x1 convolutions + 2 · pools
        for seed in range(3):
            found = self.make(seed).run(START, Objective(PERFORMANCE, (), (Limit(Weight(), 11.0), Limit(pools, 2.0))))
            graph = found.candidate.graph
            assert Weight().measure(graph) <= 11.0
            assert pools.measure(graph) <= 2.0

    def test_it_says_what_cannot_be_reached(self) -> None:
        with pytest.raises(Unreachable, match="needs weight 1 kg") as caught:
            _weight(self.make(), Limit(Weight(), 0.5))
        assert caught.value.exit_code == 3


def _weight(search: Search, *limits: Limit) -> float:
    """What the answer weighs, and that it is decided and the best of those it was chosen from."""
    found = search.run(START, Objective(PERFORMANCE, (), limits))
    assert found.candidate.choices.is_decided
    assert found.finalists[0].candidate == found.candidate
    scores = [one.score for one in found.finalists]
    assert scores == sorted(scores, reverse=True)
    return Weight().measure(found.candidate.graph)
