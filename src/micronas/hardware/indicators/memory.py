"""How much RAM a network needs, with our own kernels and with TFLite-Micro: the arena that limits apply to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from micronas.candidate import Candidate
from micronas.hardware.indicators.counted import count_parts, part_of
from micronas.hardware.indicators.prices import own_operations
from micronas.hardware.planning.order import KernelNeeds, aligned, tensor_bytes
from micronas.hardware.planning.plan import OUR_KERNELS, arena_of_parts, plan_memory
from micronas.hardware.planning.tflm import SNAPSHOT, TflmArena, tflm_arena
from micronas.indicators import Better, Scores
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.legalised import legalise
from micronas.network.live import Disconnected
from micronas.network.signature import Signature
from micronas.origin import Origin, Word
from micronas.spaces.decisions import Removal
from micronas.spaces.kept import kept
from micronas.spaces.space import SearchSpace, check_small
from micronas.task import Task

_PLANNED = Origin(Word.COMPUTED, "arena of the emitted C")
_TFLM = Origin(Word.COMPUTED, SNAPSHOT)


@dataclass(frozen=True)
class Sram:
    """The planned arena of the emitted C: every tensor and scratch buffer, placed.

    Number (B). Counted: graph input, every live int8 tensor, each kernel's scratch, 16-byte aligned, placed by
    our first-fit planner in the order with the lowest peak, adds in place. Not counted: statics and
    stack (an `Emulation` has them).
    """

    name: str = "sram"
    unit: str = "bytes"
    better: Better = Better.LOWER
    origin: Origin = _PLANNED
    kernels: KernelNeeds = OUR_KERNELS

    def measure(self, graph: Graph) -> float:
        """Bytes of the arena of one decided network (a plain graph); infinite if it is disconnected."""
        try:
            return float(plan_memory(deploy(graph), self.kernels).arena_bytes)
        except Disconnected:
            return self.better.worst

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Bytes of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """Bytes of the operation of each option that needs the most at once: operands, result and scratch."""
        return largest_needs(start, removals, self.kernels.scratch_bytes)

    def of_all(self, start: Candidate) -> Scores:
        """Bytes of every network that `start` may become, shape (completions,); +infinity where disconnected.

        Of the parts that the networks of the whole space are made of; kept on disk.

        Raises:
            UserError: the space is too large to enumerate.
        """
        check_small(start.space)
        space, task = start.space, start.task
        found = kept(
            space, task, f"arenas {self.kernels.name}", __name__, lambda: {"bytes": self._of_each(space, task)}
        )
        return part_of(found["bytes"], start)

    def _of_each(self, space: SearchSpace, task: Task) -> Scores:
        counted = count_parts(space, task)
        found = np.full(len(counted.connected), self.better.worst)
        for row in np.flatnonzero(counted.connected).tolist():
            arena = arena_of_parts(counted.counts(row), self.kernels)
            found[row] = self.measure(space.lower(space.sample(row), task)) if arena is None else arena
        return found


@dataclass(frozen=True)
class SramTflm:
    """The arena of TFLite-Micro: what its planner makes of the legalised .tflite graph, and what it keeps behind it.

    Counted: the planned head (graph input, every int8 tensor, those of inserted RELU, PAD and binary adds included;
    nothing in place, no reordering) and the persistent tail (structures of the runtime), as a build's own
    `arena_used_bytes()` counts them. Not counted: the stack. `reverse_tensors`: for a file that numbers its tensors
    backwards.
    """

    reverse_tensors: bool = False
    name: str = "sram-tflm"
    unit: str = "bytes"
    better: Better = Better.LOWER
    origin: Origin = _TFLM

    def arena(self, graph: Graph) -> TflmArena:
        """Head and tail of one decided network (a plain graph).

        Raises:
            Disconnected: it runs nothing.
        """
        return tflm_arena(legalise(deploy(graph)), reverse_tensors=self.reverse_tensors)

    def measure(self, graph: Graph) -> float:
        """Bytes of the arena of one decided network (a plain graph); infinite if it is disconnected."""
        try:
            return float(self.arena(graph).size_bytes)
        except Disconnected:
            return self.better.worst

    def origin_of(self, graph: Graph) -> Origin:
        """Head and tail apart, and whether the tail is an estimate."""
        try:
            arena = self.arena(graph)
        except Disconnected:
            return self.origin
        tail = f"{arena.persistent_bytes:,} persistent{' (estimate)' if arena.is_estimate else ''}"
        return replace(self.origin, how=f"{arena.head.size_bytes:,} planned + {tail} bytes, {SNAPSHOT}")

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Bytes of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """Bytes of the operation of each option that needs the most at once: operands and result."""
        return largest_needs(start, removals, lambda _: 0)


def largest_needs(start: Candidate, removals: Sequence[Removal], scratch_bytes: Callable[[Signature], int]) -> Scores:
    """Bytes of the operation of each option that needs the most at once, 0 for one that runs nothing."""

    def need(signature: Signature) -> int:
        operands = signature.operands * tensor_bytes(signature.in_shape)
        return operands + tensor_bytes(signature.out_shape) + aligned(scratch_bytes(signature))

    own = (own_operations(start, removal.decision, removal.option) for removal in removals)
    return np.array([max(map(need, its), default=0) for its in own], dtype=np.float64)
