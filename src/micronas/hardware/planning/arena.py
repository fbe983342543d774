"""Where every buffer lies in one block of memory, so that buffers alive together never overlap.

The planner of the emitted C's static arena. TFLite-Micro's greedy one (`tflm.py`) is a first fit as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from types import MappingProxyType

from micronas.hardware.planning.order import KernelNeeds, aligned, overwritten, sizes_of
from micronas.network.graph import Layer, Layers
from micronas.network.segments import OUTSIDE, Part

_ATTEMPTS = 200
"""Times the planner moves one buffer to the front before it settles for what it has."""

_COMPARED = 1_000_000
"""Pairs of buffers it compares meanwhile, at most: hundreds of layers that all live long leave it fewer attempts."""


@dataclass(frozen=True)
class Buffer:
    """Bytes needed from step `first` to step `last`, both included."""

    size_bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Arena:
    """Every buffer's offset from the start of a block of `size_bytes`."""

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]

    @cached_property
    def size_bytes(self) -> int:
        """Where the highest buffer ends."""
        return max((at + buffer.size_bytes for at, buffer in zip(self.offsets, self.buffers, strict=True)), default=0)

    @cached_property
    def lower_bound_bytes(self) -> int:
        """The most that is alive at one step: no arena is smaller."""
        return lower_bound(self.buffers)


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
    needs = needs_of(Part.of(graph.layers), kernels)
    return _placement(graph, needs, plan(needs.buffers))


def place_by_parts(
    parts: Sequence[Sequence[Layer]], graph: Layers, kernels: KernelNeeds, size_bytes: int
) -> Placement | None:
    """An arena of so many bytes, placed part by part; None where that does not fit some part.

    `parts` are the layers of the graph in its order, cut where one tensor is live. That tensor lies at one end of the
    block, whatever else a part needs between, and the tensor that it hands on at either end.
    """
    tensors: dict[str, int] = {}
    scratch: dict[str, int] = {}
    at_top = False
    for layers in parts:
        part = Part.of(layers)
        needs, offsets = needs_of(part, kernels), fit_between(part, kernels, size_bytes)
        if offsets is None:
            return None
        if at_top:
            ends = (at + buffer.size_bytes for at, buffer in zip(offsets, needs.buffers, strict=True))
            offsets = tuple(size_bytes - end for end in ends)
        tensors |= {layer.name: offsets[at] for layer, at in zip(layers, needs.tensors[1:], strict=True)}
        scratch |= {layer.name: offsets[at] for layer, at in zip(layers, needs.scratch, strict=True) if at is not None}
        at_top = tensors[layers[-1].name] > 0
    needs = needs_of(Part.of(graph.layers), kernels)
    offset = dict(zip(needs.tensors[1:], (tensors[layer.name] for layer in graph), strict=True))
    offset |= {at: scratch[layer.name] for layer, at in zip(graph, needs.scratch, strict=True) if at is not None}
    return Placement(Arena(needs.buffers, tuple(offset[at] for at in range(len(needs.buffers)))), tensors, scratch)


@lru_cache(maxsize=30_000)
def fit_between(part: Part, kernels: KernelNeeds, size_bytes: int) -> tuple[int, ...] | None:
    """Offsets of a part's buffers in so many bytes, what it reads at the bottom and what it hands on at either end.

    None where none were found. What fits some size fits every larger one.
    """
    needs = needs_of(part, kernels)
    for attempts in (1, _ATTEMPTS):
        for pinned in _ends(needs, size_bytes):
            arena = plan(needs.buffers, pinned, size_bytes, attempts)
            if arena.size_bytes <= size_bytes:
                return arena.offsets
    return None


def _ends(needs: Needs, size_bytes: int) -> Iterator[dict[int, int]]:
    """Where the tensors at a part's ends may lie, by their buffers."""
    read, made = needs.tensors[OUTSIDE], needs.tensors[-1]
    if read in (None, made):
        yield {made: 0}
        return
    reads, makes = needs.buffers[read], needs.buffers[made]
    together = reads.meets(makes)
    top = size_bytes - makes.size_bytes
    if top >= (reads.size_bytes if together else 0):
        yield {read: 0, made: top}
    if not together:
        yield {read: 0, made: 0}


@dataclass(frozen=True)
class Needs:
    """What the layers of a part need room for.

    Attributes:
        buffers: tensors in the order they are made, then scratch.
        tensors: of every tensor, that from outside first (-1 where there is none), the place of its buffer. A result
            written in place shares its operand's.
        scratch: of every layer, the place of its scratch; None if it needs none.
    """

    buffers: tuple[Buffer, ...]
    tensors: tuple[int, ...]
    scratch: tuple[int | None, ...]


def needs_of(part: Part, kernels: KernelNeeds) -> Needs:
    """The buffers of deployed layers in the order given.

    The tensor from outside lives from before the first step, the last one to the last step.
    """
    sizes, end = sizes_of(part), len(part.steps)
    last = list(range(end + 1))
    for at, (_, reads) in enumerate(part.steps, 1):
        for tensor in reads:
            last[tensor] = at
    shared = overwritten(part, kernels)
    holder = list(range(end + 1))
    for at in range(1, end + 1):
        holder[at] = holder[shared.get(at, at)]
        last[holder[at]] = max(last[holder[at]], last[at])
    held = [at for at in range(end + 1) if holder[at] == at and sizes[at]]
    buffers = [Buffer(sizes[at], at, last[at]) for at in held]
    scratch: list[int | None] = []
    for at, signature in enumerate(part.signatures, 1):
        size = aligned(kernels.scratch_bytes(signature))
        scratch.append(len(buffers) if size else None)
        buffers += [Buffer(size, at, at)] if size else []
    place = {tensor: at for at, tensor in enumerate(held)}
    return Needs(tuple(buffers), tuple(place.get(its, -1) for its in holder), tuple(scratch))


def _placement(graph: Layers, needs: Needs, arena: Arena) -> Placement:
    tensors = {layer.name: arena.offsets[at] for layer, at in zip(graph, needs.tensors[1:], strict=True)}
    scratch = {layer.name: arena.offsets[at] for layer, at in zip(graph, needs.scratch, strict=True) if at is not None}
    return Placement(arena, tensors, scratch)


def plan(
    buffers: Sequence[Buffer],
    pinned: Mapping[int, int] = MappingProxyType({}),
    enough: int = 0,
    attempts: int = _ATTEMPTS,
) -> Arena:
    """First fit under several priorities; the smallest arena wins, the search ends at `enough` or the lower bound.

    After the usual priorities (large first, long-lived first, early first), the buffer that sticks
    out farthest is moved to the front again and again. `pinned` have their offsets already.
    """
    enough = max(enough, lower_bound(buffers))
    meeting = _meeting(buffers)
    attempts = min(attempts, max(3, _COMPARED // (1 + sum(map(len, meeting)))))
    best: Arena | None = None
    for priority in (_large_first, _long_first, _early_first):
        order = sorted((at for at in range(len(buffers)) if at not in pinned), key=lambda at: priority(buffers[at]))
        for _ in range(attempts):
            arena = first_fit(buffers, order, pinned, meeting)
            if best is None or arena.size_bytes < best.size_bytes:
                best = arena
            if best.size_bytes <= enough:
                return best
            top = max(order, key=lambda at: arena.offsets[at] + buffers[at].size_bytes, default=None)
            if top is None or order[0] == top:
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
    changes = [0] * (2 + max([buffer.last for buffer in buffers], default=0))
    for buffer in buffers:
        changes[buffer.first] += buffer.size_bytes
        changes[buffer.last + 1] -= buffer.size_bytes
    return max(accumulate(changes))


def first_fit(
    buffers: Sequence[Buffer],
    order: Sequence[int],
    pinned: Mapping[int, int] = MappingProxyType({}),
    meeting: Sequence[Sequence[int]] | None = None,
) -> Arena:
    """Place the buffers in that order, each into the lowest gap that the placed ones it meets leave."""
    meeting = _meeting(buffers) if meeting is None else meeting
    placed = dict(pinned)
    for at in order:
        taken = sorted([(placed[other], buffers[other].size_bytes) for other in meeting[at] if other in placed])
        offset = 0
        for start, size in taken:
            if start - offset >= buffers[at].size_bytes:
                break
            offset = max(offset, start + size)
        placed[at] = offset
    return Arena(tuple(buffers), tuple([placed[at] for at in range(len(buffers))]))


def _meeting(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Of every buffer those that are alive at some step of its life."""
    meeting: list[list[int]] = [[] for _ in buffers]
    alive: list[int] = []
    for at in sorted(range(len(buffers)), key=lambda at: buffers[at].first):
        alive = [other for other in alive if buffers[other].last >= buffers[at].first]
        for other in alive:
            meeting[at].append(other)
            meeting[other].append(at)
        alive.append(at)
    return meeting
