"""Every search of the catalog keeps the public laws."""

from __future__ import annotations

from micronas.catalog import SEARCHES
from micronas.search.search import Search
from micronas.testing import SearchContract


class TestPruning(SearchContract):
    name = "pruning"

    def make(self, seed: int = 0) -> Search:
        return SEARCHES["pruning"](seed=seed, repeats=2)


class TestExact(SearchContract):
    name = "exact"

    def make(self, seed: int = 0) -> Search:
        return SEARCHES["exact"](seeds=(seed,), repeats=2)


class TestRandom(SearchContract):
    name = "random"

    def make(self, seed: int = 0) -> Search:
        return SEARCHES["random"](seed=seed, repeats=2)


def test_every_search_of_the_catalog_is_held_to_them() -> None:
    assert {*SEARCHES} == {TestPruning.name, TestExact.name, TestRandom.name}
