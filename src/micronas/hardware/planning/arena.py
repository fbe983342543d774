"""Where every buffer lies in one block of memory, so that buffers alive together never overlap.

Two planners: ours, for the static arena of the emitted C, and TFLite-Micro's greedy one, reproduced
so that its arena is known without building it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from micronas.hardware.planning.order import KernelNeeds, aligned, overwritten, tensor_bytes
from micronas.network.graph import Layers

_ATTEMPTS = 200
"""Priorities tried before the planner settles for what it has."""


@dataclass(frozen=True)
class Buffer:
    """Bytes needed from step `first` to step `last`, both included."""

    name: str
    size_bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Arena:
    """Every buffer's offset from the start of a block of `size_bytes`.

    `lower_bound_bytes` is the most that is alive at one step: no arena is smaller.
    """

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    size_bytes: int
    lower_bound_bytes: int


@dataclass(frozen=True)
class Placement:
    """Where the tensors and the scratch of a network's layers lie in its arena, by layer name.

    A layer that writes in place has the offset of the operand it overwrites.
    """

    arena: Arena
    tensors: Mapping[str, int]
    scratch: Mapping[str, int]


def place(graph: Layers, kernels: KernelNeeds) -> Placement:
    """The smallest arena our first-fit planner finds for the layers in the order given."""
    buffers, holder = buffers_of(graph, kernels)
    arena = plan(buffers)
    offset = {buffer.name: at for buffer, at in zip(arena.buffers, arena.offsets, strict=True)}
    tensors = {layer.name: offset[holder[layer.name]] for layer in graph}
    scratch = {layer.name: offset[_scratch(layer.name)] for layer in graph if _scratch(layer.name) in offset}
    return Placement(arena, tensors, scratch)


def buffers_of(graph: Layers, kernels: KernelNeeds) -> tuple[tuple[Buffer, ...], dict[str, str]]:
    """The buffers of a deployed graph in the order given, and the buffer that holds each layer's tensor.

    A result written in place shares its operand's buffer. The input lives from step 0, the output
    to the last step.
    """
    step = {layer.name: at for at, layer in enumerate(graph)}
    last = dict(step) | {name: step[layer.name] for layer in graph for name in layer.inputs}
    last[graph.output.name] = len(graph) - 1
    holder: dict[str, str] = {}
    shared = overwritten(graph, kernels)
    for layer in graph:
        source = shared.get(layer.name)
        holder[layer.name] = layer.name if source is None else holder[source]
        last[holder[layer.name]] = max(last[holder[layer.name]], last[layer.name])
    buffers = [
        Buffer(layer.name, tensor_bytes(layer.signature.out_shape), step[layer.name], last[layer.name])
        for layer in graph
        if holder[layer.name] == layer.name
    ]
    buffers += [
        Buffer(_scratch(layer.name), size, step[layer.name], step[layer.name])
        for layer in graph
        if (size := aligned(kernels.scratch_bytes(layer.signature)))
    ]
    return tuple(buffers), holder


def plan(buffers: Sequence[Buffer]) -> Arena:
    """First fit under several priorities; the smallest arena wins, the search ends at the lower bound.

    After the usual priorities (large first, long-lived first, early first), the buffer that sticks
    out farthest is moved to the front again and again.
    """
    bound = lower_bound(buffers)
    best: Arena | None = None
    for priority in (_large_first, _long_first, _early_first):
        order = sorted(range(len(buffers)), key=lambda at: priority(buffers[at]))
        for _ in range(_ATTEMPTS):
            arena = first_fit(buffers, order)
            if best is None or arena.size_bytes < best.size_bytes:
                best = arena
            if best.size_bytes == bound:
                return best
            top = max(order, key=lambda at: arena.offsets[at] + buffers[at].size_bytes)
            if order[0] == top:
                break
            order = [top, *(at for at in order if at != top)]
    assert best is not None
    return best


def _large_first(buffer: Buffer) -> tuple[int, int]:
    return -buffer.size_bytes, -buffer.first


def _long_first(buffer: Buffer) -> tuple[int, int]:
    return buffer.first - buffer.last, -buffer.size_bytes


def _early_first(buffer: Buffer) -> tuple[int, int]:
    return buffer.first, -buffer.size_bytes


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The most bytes alive at one step."""
    changes: dict[int, int] = defaultdict(int)
    for buffer in buffers:
        changes[buffer.first] += buffer.size_bytes
        changes[buffer.last + 1] -= buffer.size_bytes
    return max(accumulate(changes[step] for step in sorted(changes)), default=0)


def first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> Arena:
    """Place the buffers in that order, each into the lowest gap that the placed ones it meets leave."""
    offsets = [0] * len(buffers)
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)  # at each step: (start, end) of what is placed
    for at in order:
        buffer = buffers[at]
        steps = range(buffer.first, buffer.last + 1)
        offset = 0
        for start, end in sorted({each for step in steps for each in taken[step]}):
            if start - offset >= buffer.size_bytes:
                break
            offset = max(offset, end)
        offsets[at] = offset
        for step in steps:
            taken[step].append((offset, offset + buffer.size_bytes))
    size = max((at + buffer.size_bytes for at, buffer in zip(offsets, buffers, strict=True)), default=0)
    return Arena(tuple(buffers), tuple(offsets), size, lower_bound(buffers))


def tflm_arena(graph: Layers, *, reverse_tensors: bool = False) -> Arena:
    """What TFLite-Micro's GreedyMemoryPlanner makes of a graph legalised for TFLite.

    Buffers by size, among equals the later tensor index first, each into the first gap; no
    reordering, nothing in place, no scratch (its reference kernels need none). Tensors are numbered
    as the layers run; `reverse_tensors` for a file that numbers them backwards.
    """
    buffers, _ = buffers_of(graph, KernelNeeds(lambda _: 0))
    index = {buffer.name: -at if reverse_tensors else at for at, buffer in enumerate(buffers)}
    order = sorted(range(len(buffers)), key=lambda at: (-buffers[at].size_bytes, -index[buffers[at].name]))
    return first_fit(buffers, order)


def _scratch(name: str) -> str:
    return f"{name} (scratch)"
