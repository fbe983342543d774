"""The engine compiled for the CPU: programs written in Python, executed by two or more threads without its lock."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Graph
from micronas.network.live import live
from micronas.network.signature import Kind
from micronas.proxies.engine.backend import Grams, Images, Patterns, Precision, Responses
from micronas.proxies.engine.compiled.execution import Pass, Work
from micronas.proxies.engine.compiled.layout import Store, border
from micronas.proxies.engine.compiled.machine import prepare
from micronas.proxies.engine.compiled.program.goals import Goal, write
from micronas.proxies.engine.values import Merged
from micronas.weights import Draw, draw_weight

_CHUNK = 32
"""Networks merged into one program: enough to share, few enough that what is shared stays in the cache."""

_PARTS = 4
"""Programs that few networks are still divided into, for threads to share. Not as many as there are threads: what is
merged decides in which order float32 adds, and a machine with more cores shall find the same."""


@dataclass(frozen=True)
class NumbaBackend:
    """See `Backend`. Uses every core, or as many threads as are asked for."""

    precision: Precision
    threads: int | None = None

    def compiled(self) -> Self:
        """Itself, its kernels compiled or loaded: seconds the first time on a machine."""
        _prepare(self.precision)
        return self

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """See `Backend`."""
        kernels = np.full((len(seeds), len(graphs), *2 * images.shape[1:2]), np.nan)
        self._run(graphs, seeds, Pass("tangent kernels", (images,), kernels))
        return kernels

    def region_counts(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> npt.NDArray[np.int64]:
        """See `Backend`."""
        counts = np.zeros((len(seeds), len(graphs)), np.int64)
        self._run(graphs, seeds, Pass("region counts", (images,), counts))
        return counts

    def patterns(self, graph: Graph, images: Images, seeds: Sequence[int]) -> Patterns:
        """See `Backend`."""
        kinds = {layer.name: layer.signature for layer in live(graph) if layer.signature.kind is Kind.RELU}
        words = -(-sum(math.prod(its.out_shape) for its in kinds.values()) // 64)
        found = np.zeros((len(seeds), 1, images.shape[1], words), np.uint64)
        self._run([graph], seeds, Pass("patterns", (images,), found))
        return found[:, 0].view(np.uint8)

    def agreements(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """See `Backend`."""
        kernels = np.zeros((len(seeds), len(graphs), *2 * images.shape[1:2]))
        self._run(graphs, seeds, Pass("agreements", (images,), kernels))
        return kernels

    def responses(
        self, graphs: Sequence[Graph], images: Images, moved: Images, seeds: Sequence[int], draw: Draw
    ) -> Responses:
        """See `Backend`."""
        found = np.zeros((len(seeds), len(graphs), 2))
        self._run(graphs, seeds, Pass("responses", (moved, images), found), draw)
        return found

    def _run(self, graphs: Sequence[Graph], seeds: Sequence[int], its: Pass, draw: Draw = draw_weight) -> None:
        """Write each program once, and execute it for every draw."""
        _prepare(self.precision)
        threads = self.threads or _cores()
        chunk = max(1, min(_CHUNK, -(-len(graphs) // _PARTS)))
        store = Store(its.batches[0].shape[1], seeds, self.precision, border=0, draw=draw)
        running: list[Future[None]] = []
        with _workers(threads) as pool:
            for work in _written(graphs, chunk, store, its.goal):
                for number in range(len(seeds)):
                    running.append(pool.submit(its.execute, work, number))
                    if len(running) > 2 * threads:  # keeps few programs waiting
                        running[-2 * threads].result()
            for future in running:
                future.result()


def _written(graphs: Sequence[Graph], chunk: int, store: Store, goal: Goal) -> Iterator[Work]:
    """Programs for all graphs, a chunk each; none where no graph is connected."""
    for first in range(0, len(graphs), chunk):
        merged = Merged.of(graphs[first : first + chunk])
        connected = np.flatnonzero([member is not None for member in merged.members])
        reach = max(map(border, merged.signatures), default=0)
        if reach > store.border:
            store = Store(store.samples, store.seeds, store.dtype, reach, store.draw)
        if len(connected):
            yield Work(write(merged, store, goal), store, first, connected)


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare(precision: Precision) -> None:
    """Compile in a thread: in the main one, LLVM calls back into Python, and a Ctrl-C that falls there is lost."""
    with _workers(1) as pool:
        pool.submit(prepare, precision).result()


@contextmanager
def _workers(threads: int) -> Generator[ThreadPoolExecutor]:
    """Threads that are waited for, unless something fails: after Ctrl-C nobody waits for a compiler's ten seconds."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
