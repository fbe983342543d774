"""Programs executed: each for one draw at a time, in whichever thread is free, with room that the thread keeps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from micronas.proxies.engine.backend import Images
from micronas.proxies.engine.kernels import execute
from micronas.proxies.engine.layout import LANES, Store
from micronas.proxies.engine.program import Goal, Program


class Work(NamedTuple):
    """A program of consecutive graphs, `first` and following; `connected` are those that it computes, from 0."""

    program: Program
    store: Store
    first: int
    connected: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Pass:
    """What all programs of a call work on, and where they leave what they find.

    Attributes:
        goal: what they compute.
        images: (draws, samples, channels, height, width).
        found: (draws, graphs, ...), filled with what a disconnected graph has.
    """

    goal: Goal
    images: Images
    found: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    _local: threading.local = field(default_factory=threading.local)

    def execute(self, work: Work, draw: int) -> None:
        """Run a program for one draw, in this thread."""
        program, store, first, connected = work
        samples, lanes, networks = store.samples, store.blocks * LANES, connected[-1] + 1
        arena, scratch = self._room(program, store)
        _place(arena[program.input_place :], self.images[draw], store)
        statistics = np.empty(program.statistics, store.dtype)
        bits = np.zeros((-(-program.bits // 64), lanes), np.uint64)
        grams = np.zeros((0, 0, 0) if self.goal == "region counts" else (networks, lanes, lanes))
        counts = np.zeros(networks, np.int64)
        execute(
            *program[:3], program.weights[draw], store.border, store.blocks, samples,
            arena, scratch, statistics, bits, grams, counts,
        )  # fmt: skip
        each = counts if self.goal == "region counts" else grams[:, :samples, :samples]
        self.found[draw, first + connected] = each[connected]

    def _room(self, program: Program, store: Store) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """An arena and scratch of this thread, kept for its next program."""
        local = self._local
        if getattr(local, "store", None) is not store or len(local.arena) < program.arena_size:
            local.store, local.arena = store, _aligned(program.arena_size, store)
            local.scratch = np.empty(0, store.dtype)
        if len(local.scratch) < program.scratch_size:
            local.scratch = _aligned(program.scratch_size, store)
        return local.arena, local.scratch


def _aligned(size: int, store: Store) -> npt.NDArray[np.floating]:
    """Zeros that begin with a line of the cache, as then do all vectors of LANES numbers in them."""
    room = np.zeros(size + LANES, store.dtype)
    line = LANES * room.itemsize
    skipped = -room.ctypes.data % line // room.itemsize
    return room[skipped : skipped + size]


def _place(arena: npt.NDArray[np.floating], images: npt.NDArray[np.float64], store: Store) -> None:
    """Lay images, (samples, channels, height, width), at the start of an arena."""
    _, channels, height, width = images.shape
    edge = store.border
    padded = np.zeros((store.blocks * LANES, channels, height + 2 * edge, width + 2 * edge), store.dtype)
    padded[: len(images), :, edge : edge + height, edge : edge + width] = images
    blocks = padded.reshape(store.blocks, LANES, *padded.shape[1:])
    arena[: padded.size] = np.moveaxis(blocks, 1, -1).ravel()
