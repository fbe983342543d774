"""Programs executed: each for one draw at a time, in whichever thread is free, with room that the thread keeps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from micronas.proxies.engine.backend import Images
from micronas.proxies.engine.compiled.layout import LANES, Store
from micronas.proxies.engine.compiled.machine import execute
from micronas.proxies.engine.compiled.program.goals import Goal
from micronas.proxies.engine.compiled.program.instructions import Program


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
        batches: (draws, samples, channels, height, width); the two of which features are compared, else one.
        found: (draws, graphs, ...), filled with what a disconnected graph has.
    """

    goal: Goal
    batches: tuple[Images, ...]
    found: npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.uint64]
    _local: threading.local = field(default_factory=threading.local)

    def execute(self, work: Work, draw: int) -> None:
        """Run a program for one draw, in this thread: on each batch in turn, so that statistics are the last one's."""
        program, store, first, connected = work
        samples, lanes, networks = store.samples, store.blocks * LANES, connected[-1] + 1
        arena, scratch = self._room(program, store)
        statistics = np.empty((2, program.statistics), store.dtype)
        features = np.zeros(program.features, store.dtype)
        bits = np.zeros((-(-program.bits // 64), lanes), np.uint64)
        compared = networks if self.goal in ("tangent kernels", "agreements") else 0
        grams = np.zeros((compared, lanes, lanes))
        counts = np.zeros(networks, np.int64)
        for images in self.batches:
            _place(arena[program.input_place :], images[draw], store)
            execute(
                *program[:3], program.weights[draw], store.border, store.blocks, samples,
                arena, scratch, statistics, bits, grams, counts, features,
            )  # fmt: skip
        match self.goal:
            case "responses":
                each = _responses(program, store, features, statistics[1])
            case "region counts":
                each = counts[connected]
            case "patterns":
                each = np.zeros((1, *self.found.shape[2:]), np.uint64)  # signs of equal tensors are there once
                each[0, :, : len(bits)] = bits[:, :samples].T
            case "tangent kernels" | "agreements":
                each = grams[connected, :samples, :samples]
        self.found[draw, first + connected] = each

    def _room(self, program: Program, store: Store) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """An arena and scratch of this thread, kept for its next program."""
        local = self._local
        if getattr(local, "store", None) is not store or len(local.arena) < program.arena_size:
            local.store, local.arena = store, _aligned(program.arena_size, store)
            local.scratch = np.empty(0, store.dtype)
        if len(local.scratch) < program.scratch_size:
            local.scratch = _aligned(program.scratch_size, store)
        return local.arena, local.scratch


def _responses(
    program: Program, store: Store, changes: npt.NDArray[np.floating], variances: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """How far features have moved and Σ ln of the mean variance of each batch norm, (connected networks, 2)."""
    found = np.empty((len(program.responses), 2))
    channels = np.diff(program.norms, append=len(variances))
    with np.errstate(divide="ignore"):  # what is constant has no variance: -infinity
        logs = np.log(np.add.reduceat(variances, program.norms, dtype=np.float64) / channels)
    for row, (place, size, norms) in zip(found, program.responses, strict=True):
        change = changes[place : place + size].reshape(store.blocks, -1, LANES).astype(np.float64)
        row[0] = np.sqrt((change**2).sum(axis=1)).ravel()[: store.samples].mean()
        row[1] = logs[norms].sum()
    return found


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
