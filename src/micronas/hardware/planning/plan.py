"""The memory plan of a network for our own kernels: the order its layers run in, and where their tensors lie.

Three numbers, each with its name. (A) *live bytes*: the most int8 tensors and scratch alive at one step. (B) *arena*:
(A) after a real allocator has placed them. (C) *total*: (B) plus statics and stack, known only of a built and run
image (`deploy/emulate.py`). Limits apply to (B).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from micronas.hardware.planning.arena import Placement, fit_between, place, place_by_parts
from micronas.hardware.planning.order import KernelNeeds, best_order, live_bytes, order_part, room_of
from micronas.mcu.operators import operator
from micronas.network.graph import Layers
from micronas.network.segments import Part
from micronas.network.signature import Kind, Signature


@lru_cache(maxsize=10_000)
def _scratch_bytes(signature: Signature) -> int:
    return 0 if signature.kind is Kind.INPUT else operator(signature).scratch_bytes


def _none(_: Signature) -> int:
    return 0


OUR_KERNELS = KernelNeeds(_scratch_bytes, in_place=frozenset({Kind.ADD}), name="ours")
"""What the kernels of `mcu/kernels` ask of memory; of them only add may write over an operand."""

SCRATCH_APART = replace(OUR_KERNELS, scratch_bytes=_none, name="ours, scratch apart")
"""The same where scratch has a buffer of its own."""


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
    bound = order.lower_bound_bytes

    def planned(layers: Layers, placement: Placement) -> MemoryPlan:
        return MemoryPlan(layers, placement, live_bytes(layers, kernels), bound)

    best = planned(order.graph, place(order.graph, kernels))
    if best.arena_bytes > bound and (found := place_by_parts(order.parts, order.graph, kernels, order.peak_bytes)):
        best = planned(order.graph, found)
    if best.arena_bytes > bound:
        return min(best, planned(graph, place(graph, kernels)), key=lambda plan: plan.arena_bytes)
    return best


def arena_of_parts(parts: Iterable[Part], kernels: KernelNeeds = OUR_KERNELS) -> int | None:
    """`plan_memory(…).arena_bytes` of a network made of these parts, without planning it; None where that is needed.

    Which parts there are decides, in what order and how often they run does not: two meet at one tensor, and each has
    the whole block while it runs.
    """
    size_bytes, looked_at = 0, list[_PartNeeds]()
    rooms = [(room_of(part, kernels), part) for part in parts]
    for room, part in sorted(rooms, key=lambda pair: pair[0], reverse=True):
        if room <= size_bytes:
            break  # it and all that follow fit however they are placed
        looked_at.append(needs := _part_needs(part, kernels))
        size_bytes = max(size_bytes, needs.peak_bytes)
    known = all(needs.is_optimal and fit_between(needs.ordered, kernels, size_bytes) is not None for needs in looked_at)
    return size_bytes if known else None


@dataclass(frozen=True)
class _PartNeeds:
    """A part in the order of its lowest peak."""

    ordered: Part
    peak_bytes: int
    is_optimal: bool


@lru_cache(maxsize=30_000)
def _part_needs(part: Part, kernels: KernelNeeds) -> _PartNeeds:
    order = order_part(part, kernels)
    return _PartNeeds(part.reordered(order.order), order.peak_bytes, order.is_optimal)
