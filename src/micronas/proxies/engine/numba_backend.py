"""The engine compiled for the CPU: programs written in Python, executed by two or more threads without its lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from micronas.graph import Graph
from micronas.proxies.engine.backend import Images, Kernels, Precision
from micronas.proxies.engine.kernels import execute, prepare
from micronas.proxies.engine.program import LANES, Goal, Program, Store, border, write
from micronas.proxies.engine.values import Merged

_CHUNK = 32
"""Networks merged into one program: enough to share, few enough that what is shared stays in the cache."""


@dataclass(frozen=True)
class NumbaBackend:
    """See `Backend`. Uses every core, or as many threads as are asked for."""

    precision: Precision
    threads: int | None = None

    def compiled(self) -> Self:
        """Itself, its kernels compiled or loaded: seconds the first time on a machine."""
        prepare(self.precision)
        return self

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seed: int) -> Kernels:
        """See `Backend`."""
        return self._run(graphs, images, seed, "tangent kernels")[0]

    def region_counts(self, graphs: Sequence[Graph], images: Images, seed: int) -> npt.NDArray[np.int64]:
        """See `Backend`."""
        return self._run(graphs, images, seed, "region counts")[1]

    def agreements(self, graphs: Sequence[Graph], images: Images, seed: int) -> Kernels:
        """See `Backend`."""
        return self._run(graphs, images, seed, "agreements")[0]

    def _run(
        self, graphs: Sequence[Graph], images: Images, seed: int, goal: Goal
    ) -> tuple[Kernels, npt.NDArray[np.int64]]:
        """(kernels, counts), whichever the goal fills."""
        prepare(self.precision)
        threads = self.threads or _cores()
        chunk = max(1, min(_CHUNK, -(-len(graphs) // (2 * threads)))) if threads > 1 else _CHUNK
        kernels: list[Kernels] = []
        counts: list[npt.NDArray[np.int64]] = []
        with _workers(threads) as pool:
            running: list[Future[tuple[Kernels, npt.NDArray[np.int64]]]] = []
            local = threading.local()
            for program, store, size in self._programs(graphs, images, seed, goal, chunk):
                running.append(pool.submit(_execute, program, store, size, images, goal, local))
                if len(running) > 2 * threads:  # keeps few programs waiting
                    running[-2 * threads].result()
            for future in running:
                found = future.result()
                kernels.append(found[0])
                counts.append(found[1])
        if not graphs:
            return np.empty((0, len(images), len(images))), np.empty(0, np.int64)
        return np.concatenate(kernels), np.concatenate(counts)

    def _programs(
        self, graphs: Sequence[Graph], images: Images, seed: int, goal: Goal, chunk: int
    ) -> Iterator[tuple[Program | None, Store, list[bool]]]:
        """Programs of consecutive graphs, with which of the graphs are connected."""
        store = Store(len(images), seed, self.precision, border=0)
        for start in range(0, len(graphs), chunk):
            merged = Merged.of(graphs[start : start + chunk])
            reach = max(map(border, merged.signatures), default=0)
            if reach > store.border:
                store = Store(len(images), seed, self.precision, reach)
            connected = [network is not None for network in merged.networks]
            yield write(merged, store, goal) if any(connected) else None, store, connected


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _execute(
    program: Program | None, store: Store, connected: list[bool], images: Images, goal: Goal, local: threading.local
) -> tuple[Kernels, npt.NDArray[np.int64]]:
    """Run one program in this thread, whose arena is kept for the next."""
    samples, lanes = len(images), store.blocks * LANES
    tangent = goal == "tangent kernels"
    grams = np.zeros((0, 0, 0) if goal == "region counts" else (len(connected), lanes, lanes))
    counts = np.zeros(len(connected), np.int64)
    if program is not None:
        if getattr(local, "store", None) is not store or len(local.arena) < program.arena_size:
            local.store, local.arena = store, _aligned(program.arena_size, store)
            local.scratch = np.empty(0, store.dtype)
        if len(local.scratch) < program.scratch_size:
            local.scratch = _aligned(program.scratch_size, store)
        _place(local.arena[program.input_place :], images, store)
        statistics = np.empty(program.statistics, store.dtype)
        bits = np.zeros((-(-program.bits // 64), lanes), np.uint64)
        execute(
            *program[:4], store.border, store.blocks, samples,
            local.arena, local.scratch, statistics, bits, grams, counts,
        )  # fmt: skip
    kernels = grams[:, :samples, :samples]
    if tangent:
        kernels[~np.array(connected)] = np.nan
    return kernels, counts


def _aligned(size: int, store: Store) -> npt.NDArray[np.floating]:
    """Zeros that begin with a line of the cache, as then do all vectors of LANES numbers in them."""
    room = np.zeros(size + LANES, store.dtype)
    line = LANES * room.itemsize
    skipped = -room.ctypes.data % line // room.itemsize
    return room[skipped : skipped + size]


def _place(arena: npt.NDArray[np.floating], images: Images, store: Store) -> None:
    """Lay images, (samples, channels, height, width), at the start of an arena."""
    _, channels, height, width = images.shape
    edge = store.border
    padded = np.zeros((store.blocks * LANES, channels, height + 2 * edge, width + 2 * edge), store.dtype)
    padded[: len(images), :, edge : edge + height, edge : edge + width] = images
    blocks = padded.reshape(store.blocks, LANES, *padded.shape[1:])
    arena[: padded.size] = np.moveaxis(blocks, 1, -1).ravel()


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
