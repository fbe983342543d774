"""What untrained networks score, each measured once for each draw: remembered on disk, and measured in chunks."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, TypeVar, cast

import numpy as np

from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.indicators import Indicator, PerformanceIndicator, Scores, untrained_of
from micronas.network.graph import Graph
from micronas.network.identity import weights_key
from micronas.search.search import Watch, unwatched
from micronas.sources import version_of_class
from micronas.store import ScoreStore, Series, default_store

DRAWS = 16
"""Draws measured in one pass: enough to share, few enough that kernels and images (5 MB each) fit anywhere."""

CHUNK = 512
"""Networks measured between two writes: what a killed run loses at most, for each draw of a pass."""

_FEW = 16
"""Networks measured first, before it is known how long one takes."""

_SAMPLED = 100
"""Networks, spread over those that are missing, whose time says how long all will take."""

_EACH_S = 5.0
"""How long a chunk may take: larger ones share more, and whoever watches is told after each."""

_MANY = 500
"""Networks from which on it is worth finding out how long they will take."""

_PATIENCE_S = 1.0
"""How long fewer may wait to be written."""

_Key = TypeVar("_Key")


class Measured:
    """The one memory of all searches: what the store knows is read, the rest measured chunk by chunk and kept.

    A score depends on the network's weights (`weights_key`), the indicator with its settings, seed and inputs, and the
    code that computes it; those are its key, and nothing of the space it came from. A store that cannot be used costs
    time, not the answer; `notes` says so. To be closed, or used in a `with`: then what waits is written.
    """

    def __init__(self, store: ScoreStore | None = None, watch: Watch = unwatched) -> None:
        self._store = default_store() if store is None else store
        self._watch = watch
        self._known: dict[Series, dict[str, float]] = {}
        self._needed: dict[Series, set[str]] = defaultdict(set)
        self._waiting: dict[Series, dict[str, float]] = defaultdict(dict)
        self._written_s = time.monotonic()
        self._trouble: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits to be written."""
        if self._waiting:
            with self._noting_trouble():
                self._store.write(self._waiting)
        self._waiting = defaultdict(dict)
        self._written_s = time.monotonic()

    @property
    def needed(self) -> int:
        """How many numbers were asked for, whether the store had them or not."""
        return sum(map(len, self._needed.values()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told about the store, a line each."""
        return (*self._store.said, *self._trouble)

    def of(self, indicator: PerformanceIndicator, many: Sequence[Candidate], seeds: Sequence[int]) -> Scores:
        """The indicator of each candidate, open or not, on its own probe for each draw, shape (seeds, candidates)."""
        graphs = [candidate.probe(indicator.probe) for candidate in many]
        return self.of_keys(indicator, [weights_key(graph) for graph in graphs], graphs.__getitem__, seeds)

    def values(self, indicator: Indicator, many: Sequence[Candidate], seeds: Sequence[int]) -> Scores:
        """The numbers of decided candidates by any indicator, shape (candidates,): of an untrained network the mean.

        Untrained, the class's representative is judged: isomorphic networks draw other weights.
        """
        if (untrained := untrained_of(indicator)) is None:
            values = indicator.measure_many([candidate.graph for candidate in many])
            _check_shape(indicator, values, (len(many),))
            return values
        return self.of(untrained, [candidate.canonical for candidate in many], seeds).mean(axis=0)

    def of_keys(
        self,
        indicator: PerformanceIndicator,
        keys: Sequence[str],
        graph: Callable[[int], Graph],
        seeds: Sequence[int],
    ) -> Scores:
        """The same of networks whose keys are known, shape (seeds, keys); `graph` draws one by its place if it must."""
        series = {seed: _series(indicator.with_seed(seed)) for seed in seeds}
        known = {seed: self._known_of(its) for seed, its in series.items()}
        for its in series.values():
            self._needed[its].update(keys)
        place = {key: at for at, key in reversed([*enumerate(keys)])}
        for chunk in self._chunks(indicator.name, by_missing_draws(known, keys)):
            values = indicator.measure_draws([graph(place[key]) for key in chunk.keys], chunk.draws)
            _check_shape(indicator, values, (len(chunk.draws), len(chunk.keys)))
            for seed, row in zip(chunk.draws, values.tolist(), strict=True):
                self._keep(series[seed], dict(zip(chunk.keys, row, strict=True)))
        return np.array([[known[seed][key] for key in keys] for seed in seeds])

    def seconds_ahead(
        self,
        indicator: PerformanceIndicator,
        keys: Sequence[str],
        graph: Callable[[int], Graph],
        seeds: Sequence[int],
    ) -> float:
        """About how long `of_keys` will take: by a few networks, once a few others had all compiled; 0 if not many."""
        known = [self._known_of(_series(indicator.with_seed(seed))) for seed in seeds]
        missing = [at for at, key in enumerate(keys) if any(key not in those for those in known)]
        if len(missing) < _MANY:
            return 0.0
        some = missing[:: max(1, len(missing) // _SAMPLED)]
        took_s = 0.0
        for few in (some[:_FEW], some[_FEW:]):
            start = time.monotonic()
            self.of_keys(indicator, [keys[at] for at in few], lambda at, few=few: graph(few[at]), seeds)
            took_s = time.monotonic() - start
        return took_s * len(missing) / len(some[_FEW:])

    def _known_of(self, series: Series) -> dict[str, float]:
        if series not in self._known:
            self._known[series] = {}
            with self._noting_trouble():
                self._known[series] |= self._store.read(series)
        return self._known[series]

    def _keep(self, series: Series, fresh: Mapping[str, float]) -> None:
        self._known[series] |= fresh
        self._waiting[series] |= fresh
        many = max(map(len, self._waiting.values())) >= CHUNK
        if many or time.monotonic() - self._written_s > _PATIENCE_S:
            self.close()

    @contextmanager
    def _noting_trouble(self) -> Generator[None]:
        try:
            yield
        except UserError as error:
            if str(error) not in self._trouble:
                self._trouble.append(str(error))

    def _chunks(self, indicator: str, missing: Mapping[tuple[int, ...], list[str]]) -> Iterator[_Chunk]:
        """What is missing, chunk after chunk, each as large as its time allows, with word of what is behind."""
        networks = {key for keys in missing.values() for key in keys}
        draws = {draw for draws in missing for draw in draws}
        what = f"{indicator} of {len(networks)} networks" + (f", {len(draws)} draws" if len(draws) > 1 else "")
        done, total = 0, sum(len(draws) * len(keys) for draws, keys in missing.items())
        size = min(_FEW, CHUNK)
        for its_draws, keys in missing.items():
            at = 0
            while at < len(keys):
                chunk = _Chunk(its_draws, keys[at : at + size])
                if len(networks) > len(chunk.keys):
                    self._watch(done, total, what)
                start = time.monotonic()
                yield chunk
                at += len(chunk.keys)
                done += len(chunk.keys) * len(its_draws)
                fitting = len(chunk.keys) * _EACH_S / max(time.monotonic() - start, 1e-6)
                size = int(min(max(1, fitting), 2 * size, CHUNK))


class _Chunk(NamedTuple):
    """What one pass measures: some networks for some draws, by their seeds."""

    draws: tuple[int, ...]
    keys: list[str]


def by_missing_draws(known: Mapping[int, Container[_Key]], keys: Iterable[_Key]) -> dict[tuple[int, ...], list[_Key]]:
    """Keys by the seeds for which they are not known, `DRAWS` at most: a pass each measures them, and nothing twice."""
    found: dict[tuple[int, ...], list[_Key]] = defaultdict(list)
    for key in dict.fromkeys(keys):
        missing = [seed for seed, those in known.items() if key not in those]
        for start in range(0, len(missing), DRAWS):
            found[tuple(missing[start : start + DRAWS])].append(key)
    return found


def _check_shape(indicator: Indicator, values: object, shape: tuple[int, ...]) -> None:
    """Refuse what an indicator of somebody else's answers, where it is no array of numbers of that shape."""
    if np.shape(cast(Any, values)) != shape or np.isnan(np.asarray(values, dtype=np.float64)).any():
        raise UserError(f"{indicator.name} must answer with numbers of shape {shape}, none NaN, not {values!r:.80}")


def _series(indicator: PerformanceIndicator) -> Series:
    return Series(indicator.name, indicator.fingerprint, version_of_class(type(indicator)))
