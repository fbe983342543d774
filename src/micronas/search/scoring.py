"""Scores of every network of a space, from the store as far as they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from micronas.indicator import Budget, Indicator, PerformanceIndicator, Scores
from micronas.network.graph import Graph
from micronas.search.census import Census
from micronas.search.measurements import by_missing_draws
from micronas.search.search import Watch
from micronas.spaces.space import Skeleton
from micronas.store import ScoreStore, Series, code_version

CHUNK = 512
"""Networks scored between two writes: what a killed run loses at most, for each draw of a pass."""


@dataclass(frozen=True)
class SpaceScores:
    """Scores the networks of a census, each once for each draw, and remembers them on disk.

    Attributes:
        census: the networks.
        store: where scores are kept.
        watch: told about progress.
    """

    census: Census
    store: ScoreStore
    watch: Watch

    def performance(self, indicator: PerformanceIndicator, seeds: Sequence[int]) -> Scores:
        """A performance indicator of every network on its reduced skeleton for each draw, shape (seeds, networks).

        What the store knows is read; the rest is measured chunk by chunk, and each chunk kept as it comes.
        """
        series = {seed: self._series(indicator.with_seed(seed)) for seed in seeds}
        known = {seed: self._kept(its) for seed, its in series.items()}
        chunks = _chunks(by_missing_draws(known, range(len(self.census))))
        for draws, networks in self._watched(indicator.name, chunks):
            values = indicator.measure_draws(self._graphs(indicator.skeleton, networks), draws)
            for seed, row in zip(draws, values.tolist(), strict=True):
                fresh = dict(zip(networks, row, strict=True))
                self.store.write(series[seed], {self.census.keys[at]: value for at, value in fresh.items()})
                known[seed] |= fresh
        return np.array([[known[seed][at] for at in range(len(self.census))] for seed in seeds])

    def hardware(self, indicator: Indicator, skeleton: Skeleton) -> Scores:
        """A hardware indicator of every network in the skeleton that is deployed, shape (networks,).

        Nothing of it is kept here: it depends on boards and their tables, and those that matter are
        quick to sum up from the operations of the whole space.
        """
        if isinstance(indicator, Budget):
            return indicator.of_space(self.census.space, skeleton)[self.census.first]
        return indicator.measure_many(self._graphs(skeleton, range(len(self.census))))

    def _graphs(self, skeleton: Skeleton, networks: Iterable[int]) -> list[Graph]:
        space = self.census.space
        return [space.lower(self.census.representative(at), skeleton) for at in networks]

    def _series(self, indicator: PerformanceIndicator) -> Series:
        return Series(indicator.name, f"{self.census.space.name}, {indicator.fingerprint}", code_version())

    def _kept(self, series: Series) -> dict[int, float]:
        """What the store knows of a series, by network."""
        kept = self.store.read(series)
        return {at: kept[key] for at, key in enumerate(self.census.keys) if key in kept}

    def _watched(self, indicator: str, chunks: Sequence[_Chunk]) -> Iterator[_Chunk]:
        """The chunks one after the other, with word of how many of their numbers are behind."""
        networks = {network for chunk in chunks for network in chunk.networks}
        draws = {draw for chunk in chunks for draw in chunk.draws}
        what = f"{indicator} of {len(networks)} networks" + (f", {len(draws)} draws" if len(draws) > 1 else "")
        sizes = [len(chunk.draws) * len(chunk.networks) for chunk in chunks]
        for at, chunk in enumerate(chunks):
            self.watch(sum(sizes[:at]), sum(sizes), what)
            yield chunk


class _Chunk(NamedTuple):
    """What one pass measures: some networks for some draws, by their seeds."""

    draws: tuple[int, ...]
    networks: list[int]


def _chunks(missing: Mapping[tuple[int, ...], list[int]]) -> list[_Chunk]:
    return [
        _Chunk(draws, networks[start : start + CHUNK])
        for draws, networks in missing.items()
        for start in range(0, len(networks), CHUNK)
    ]
