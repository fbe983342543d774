"""Scores of every network of a space, from the store as far as they are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from micronas.indicator import Budget, Indicator, PerformanceIndicator, Scores
from micronas.search.census import Census
from micronas.search.search import Watch
from micronas.spaces.space import Skeleton
from micronas.store import ScoreStore, Series, code_version

CHUNK = 512
"""Networks scored between two writes: what a killed run loses at most."""


@dataclass(frozen=True)
class SpaceScores:
    """Scores the networks of a census, each once, and remembers them on disk.

    Attributes:
        census: the networks.
        store: where scores are kept.
        watch: told about progress.
    """

    census: Census
    store: ScoreStore
    watch: Watch

    def performance(self, indicator: PerformanceIndicator) -> Scores:
        """A performance indicator of every network on its reduced skeleton, shape (networks,)."""
        series = Series(indicator.name, f"{self.census.space.name}, {indicator.fingerprint}", code_version())
        return self._complete(series, lambda networks: self._measure(indicator, indicator.skeleton, networks))

    def _measure(self, indicator: Indicator, skeleton: Skeleton, networks: Sequence[int]) -> Scores:
        space = self.census.space
        return indicator.measure_many([space.lower(self.census.representative(at), skeleton) for at in networks])

    def hardware(self, indicator: Indicator, skeleton: Skeleton) -> Scores:
        """A hardware indicator of every network in the skeleton that is deployed, shape (networks,).

        Nothing of it is kept here: it depends on boards and their tables, and those that matter are
        quick to sum up from the operations of the whole space.
        """
        if isinstance(indicator, Budget):
            return indicator.of_space(self.census.space, skeleton)[self.census.first]
        return self._measure(indicator, skeleton, range(len(self.census)))

    def _complete(self, series: Series, measure: Callable[[Sequence[int]], Scores]) -> Scores:
        """Read what is known of a series, measure the rest chunk by chunk, keep each chunk as it comes."""
        known = self.store.read(series)
        missing = [at for at, key in enumerate(self.census.keys) if key not in known]
        for start in range(0, len(missing), CHUNK):
            self.watch(start, len(missing), f"{series.indicator} of {len(missing)} networks")
            chunk = missing[start : start + CHUNK]
            values = measure(chunk)
            fresh = {self.census.keys[at]: float(value) for at, value in zip(chunk, values, strict=True)}
            self.store.write(series, fresh)
            known |= fresh
        return np.array([known[key] for key in self.census.keys])
