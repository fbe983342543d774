"""How much RAM a network needs: three numbers, each with its name.

(A) *live bytes*: the most int8 tensors and scratch alive at one step. (B) *arena*: (A) after a real
allocator has placed them. (C) *total*: (B) plus statics and stack, known only of a built and run
image (`deploy/emulate.py`). Limits apply to (B).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from micronas.candidate import Candidate, everything
from micronas.hardware.indicators.counted import part_of
from micronas.hardware.indicators.prices import own_operations
from micronas.hardware.planning.arena import Placement, place, tflm_arena
from micronas.hardware.planning.order import KernelNeeds, Order, aligned, best_order, live_bytes, tensor_bytes
from micronas.indicator import Better, Scores
from micronas.mcu.operators import operator
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Layer, Layers
from micronas.network.legalised import legalise
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.origin import Origin, Word
from micronas.spaces.decisions import Removal
from micronas.spaces.kept import kept
from micronas.spaces.space import check_small

_PLANNED = Origin(Word.COMPUTED, "arena of the emitted C")
_TFLM = Origin(Word.COMPUTED, "TFLite-Micro's greedy planner")


@lru_cache(maxsize=10_000)
def _scratch_bytes(signature: Signature) -> int:
    return 0 if signature.kind is Kind.INPUT else operator(signature).scratch_bytes


OUR_KERNELS = KernelNeeds(_scratch_bytes, in_place=frozenset({Kind.ADD}), name="ours")
"""What the kernels of `mcu/kernels` ask of memory; of them only add may write over an operand."""


@dataclass(frozen=True)
class MemoryPlan:
    """The layers of a deployed network in the order they run, and where their tensors lie.

    `live_bytes` (A) and `arena_bytes` (B) count the graph's input, every tensor and every scratch
    buffer, each rounded up to 16 bytes; `steps` is (A) layer by layer. No order needs less than
    `lower_bound_bytes`.
    """

    graph: Layers
    placement: Placement
    steps: tuple[int, ...]
    lower_bound_bytes: int

    @property
    def live_bytes(self) -> int:
        """(A): the most bytes alive at one step of this order."""
        return max(self.steps)

    @property
    def arena_bytes(self) -> int:
        """(B): the static arena of the emitted C."""
        return self.placement.arena.size_bytes


def plan_memory(graph: Layers, kernels: KernelNeeds = OUR_KERNELS) -> MemoryPlan:
    """The smallest arena found for a deployed graph: in the order of the lowest peak, or in the order given."""
    order = best_order(graph, kernels)
    plan = _planned(order, order.graph, kernels)
    if plan.arena_bytes > order.lower_bound_bytes:
        return min(plan, _planned(order, graph, kernels), key=lambda found: found.arena_bytes)
    return plan


def _planned(order: Order, graph: Layers, kernels: KernelNeeds) -> MemoryPlan:
    return MemoryPlan(graph, place(graph, kernels), live_bytes(graph, kernels), order.lower_bound_bytes)


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

        Planned once for each distinct network of the whole space, and kept on disk.

        Raises:
            UserError: the space is too large to enumerate.
        """
        check_small(start.space)
        what = f"arenas {self.kernels.name}"
        every = everything(start.space, start.task)
        found = kept(start.space, start.task, what, __name__, lambda: {"bytes": self._of_each(every)})
        return part_of(found["bytes"], start)

    def _of_each(self, start: Candidate) -> Scores:
        known: dict[tuple[Layer, ...], float] = {}
        found: list[float] = []
        for one in start.completions():
            if not one.is_connected:
                found.append(self.better.worst)
                continue
            network = deploy(one.graph)
            if network.layers not in known:
                known[network.layers] = float(plan_memory(network, self.kernels).arena_bytes)
            found.append(known[network.layers])
        return np.array(found, dtype=np.float64)


@dataclass(frozen=True)
class SramTflm:
    """The planned arena of TFLite-Micro (its head) for the operators of the legalised .tflite graph.

    Number (B). Counted: graph input, every int8 tensor, those of inserted RELU, PAD and binary adds included,
    16-byte aligned, placed as its GreedyMemoryPlanner does; nothing in place, no reordering. Not
    counted: the runtime's own structures (its tail) and the stack. `reverse_tensors`: for a file
    that numbers its tensors backwards.
    """

    reverse_tensors: bool = False
    name: str = "sram-tflm"
    unit: str = "bytes"
    better: Better = Better.LOWER
    origin: Origin = _TFLM

    def measure(self, graph: Graph) -> float:
        """Bytes of the arena's head of one decided network (a plain graph); infinite if it is disconnected."""
        try:
            legal = legalise(deploy(graph))
        except Disconnected:
            return self.better.worst
        return float(tflm_arena(legal, reverse_tensors=self.reverse_tensors).size_bytes)

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
