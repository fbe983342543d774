"""In which order to run the layers, so that the most bytes ever live at once are as few as possible.

An exact best-first search over the sets of layers that have run: the tensors alive depend only on
the set, not on how it was reached. Points where one tensor is live (`segments`) part the search, for
no layer can cross them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from micronas.network.graph import Layer, Layers
from micronas.network.segments import OUTSIDE, Part, segments
from micronas.network.signature import Kind, Shape, Signature

ALIGNMENT_BYTES = 16
"""Every tensor and every scratch buffer starts at a multiple of this and is rounded up to it."""

STATES = 20_000
"""Sets of layers the search of one part looks at before it settles for the best order found so far."""


@dataclass(frozen=True)
class KernelNeeds:
    """What the kernels of a runtime ask of memory beside operands and result.

    `scratch_bytes` of a signature is needed while that layer runs. Kinds `in_place` may write their
    result over an operand of the same size that nobody reads afterwards. `name` tells what is kept on disk apart.
    """

    scratch_bytes: Callable[[Signature], int]
    in_place: frozenset[Kind] = frozenset()
    name: str = ""


def aligned(size_bytes: int) -> int:
    """The size rounded up to `ALIGNMENT_BYTES`."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def tensor_bytes(shape: Shape) -> int:
    """Room of one int8 feature map, aligned."""
    height, width, channels = shape
    return aligned(height * width * channels)


@dataclass(frozen=True)
class PartOrder:
    """In which order the layers of a part run, each named by its place in the order given.

    `peak_bytes` is the most that is alive at any step; `lower_bound_bytes` is what no order can go
    below. They are equal unless the search met its cap.
    """

    order: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        """Whether no order needs less."""
        return self.peak_bytes == self.lower_bound_bytes


@dataclass(frozen=True)
class Order:
    """The same network, its layers in the order found.

    `peak_bytes` and `lower_bound_bytes` as of `PartOrder`; `parts` are the layers, cut where one tensor is live
    whatever the order.
    """

    graph: Layers
    parts: tuple[tuple[Layer, ...], ...]
    peak_bytes: int
    lower_bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        """Whether no order needs less."""
        return self.peak_bytes == self.lower_bound_bytes


def best_order(graph: Layers, kernels: KernelNeeds, states: int = STATES) -> Order:
    """An order with the lowest peak, or the best of those found within `states` sets of layers of each part.

    The graph is a deployed one. Ties keep close to the order given.
    """
    parts = segments(graph)
    found = [order_part(Part.of(part), kernels, states) for part in parts]
    ordered = tuple(tuple(part[at] for at in its.order) for part, its in zip(parts, found, strict=True))
    layers = tuple(layer for part in ordered for layer in part)
    peak_bytes = max(its.peak_bytes for its in found)
    return Order(replace(graph, layers=layers), ordered, peak_bytes, max(its.lower_bound_bytes for its in found))


def order_part(part: Part, kernels: KernelNeeds, states: int = STATES) -> PartOrder:
    """As `best_order`, of one part."""
    return _search(_steps(part, kernels), states)


def live_bytes(graph: Layers, kernels: KernelNeeds) -> tuple[int, ...]:
    """Bytes alive while each layer runs, in the order given.

    Counted: the graph's input until its last reader has run, every result until its last reader has
    run, the operands and the result of the layer itself (once, where it writes in place) and its
    scratch; each rounded up to 16 bytes.
    """
    steps = _steps(Part.of(graph.layers), kernels)
    sizes: list[int] = []
    ran, live = 1, 0
    for at in range(len(graph)):
        needed, live = steps.run(at, ran, live)
        sizes.append(needed)
        ran |= 2 << at
    return tuple(sizes)


def overwritten(part: Part, kernels: KernelNeeds) -> dict[int, int]:
    """For each tensor that is written in place, the operand it overwrites: the first that dies there."""
    sizes = sizes_of(part)
    last_reader = {tensor: at for at, (_, reads) in enumerate(part.steps, 1) for tensor in reads}
    found: dict[int, int] = {}
    for at, (signature, reads) in enumerate(part.steps, 1):
        if signature.kind in kernels.in_place:
            dying = (each for each in reads if last_reader[each] == at and sizes[each] == sizes[at])
            if (operand := next(dying, None)) is not None:
                found[at] = operand
    return found


def sizes_of(part: Part) -> tuple[int, ...]:
    """Bytes of every tensor of a part, that from outside first (0 if it reads none)."""
    outside = next((tensor_bytes(signature.in_shape) for signature, reads in part.steps if OUTSIDE in reads), 0)
    return (outside, *[tensor_bytes(signature.out_shape) for signature, _ in part.steps])


@lru_cache(maxsize=30_000)
def room_of(part: Part, kernels: KernelNeeds) -> int:
    """Bytes of all tensors and scratch of a part side by side: what it never needs more than."""
    return sum(sizes_of(part)) + sum(aligned(kernels.scratch_bytes(signature)) for signature in part.signatures)


# --- one part -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """Layers without names. Bit 0 of a set is the tensor read from outside, bit i + 1 layer i."""

    sizes: tuple[int, ...]
    """Bytes of every tensor, that from outside first (0 if there is none)."""
    scratch: tuple[int, ...]
    in_place: tuple[bool, ...]
    reads: tuple[int, ...]
    """The set every layer reads."""
    sources: tuple[tuple[int, ...], ...]
    """The same, tensor by tensor."""
    readers: tuple[int, ...]
    """The set that reads every tensor; the last one's includes a reader that never runs."""

    def run(self, at: int, ran: int, live: int) -> tuple[int, int]:
        """(bytes needed while layer `at` runs, bytes alive afterwards), from the set that has run."""
        size = self.sizes[at + 1]
        left = ~(ran | (2 << at))
        freed, saved = 0, 0
        for source in self.sources[at]:
            if not self.readers[source] & left:
                freed += self.sizes[source]
                if self.in_place[at] and self.sizes[source] == size:
                    saved = size
        return live + size - saved + self.scratch[at], live + size - freed

    def least(self, at: int) -> int:
        """Bytes that layer `at` needs in any order: operands, result, scratch; in place if it can ever be."""
        size = self.sizes[at + 1]
        operands = [self.sizes[source] for source in self.sources[at]]
        saved = size if self.in_place[at] and size in operands else 0
        return sum(operands) + size - saved + self.scratch[at]

    def ready(self, ran: int) -> Iterator[int]:
        """The layers that may run next."""
        for at, reads in enumerate(self.reads):
            if not ran & (2 << at) and not reads & ~ran:
                yield at


def _steps(part: Part, kernels: KernelNeeds) -> _Steps:
    sources = tuple([tuple(sorted({*its})) for _, its in part.steps])
    readers = [0] * (len(sources) + 1)
    for at, its in enumerate(sources):
        for source in its:
            readers[source] |= 2 << at
    readers[len(sources)] |= 2 << len(sources)  # whoever comes after
    return _Steps(
        sizes_of(part),
        tuple(aligned(kernels.scratch_bytes(signature)) for signature in part.signatures),
        tuple(signature.kind in kernels.in_place for signature in part.signatures),
        tuple([sum([1 << source for source in its]) for its in sources]),
        sources,
        tuple(readers),
    )


@lru_cache(maxsize=10_000)
def _search(steps: _Steps, states: int) -> PartOrder:
    """Best-first: the set with the lowest peak on its way is looked at first, among equals the fullest."""
    everything = (2 << len(steps.reads)) - 1
    floor = max(map(steps.least, range(len(steps.reads))))
    frontier = [(floor, 0, 1, steps.sizes[0])]
    came_from: dict[int, tuple[int, int]] = {}
    best = {1: floor}
    looked_at = 0
    while frontier:
        peak, _, ran, live = heapq.heappop(frontier)
        if peak > best[ran]:
            continue
        if ran == everything:
            return PartOrder(_way_to(ran, came_from), peak, peak)
        looked_at += 1
        if looked_at > states:
            return _settle(steps, ran, live, peak, _way_to(ran, came_from))
        for at, needed, after in _moves(steps, ran, live, peak):
            grown, higher = ran | (2 << at), max(peak, needed)
            if higher < best.get(grown, higher + 1):
                best[grown] = higher
                came_from[grown] = (ran, at)
                heapq.heappush(frontier, (higher, -grown.bit_count(), grown, after))
    raise AssertionError("a graph's layers can always run in the order given")


def _moves(steps: _Steps, ran: int, live: int, peak: int) -> list[tuple[int, int, int]]:
    """(layer, bytes needed, bytes alive afterwards) of all layers worth running next.

    A layer that raises neither the peak nor what stays alive can only help by running now: all
    that could run before it finds no more alive than without it.
    """
    moves: list[tuple[int, int, int]] = []
    for at in steps.ready(ran):
        needed, after = steps.run(at, ran, live)
        if needed <= peak and after <= live:
            return [(at, needed, after)]
        moves.append((at, needed, after))
    return moves


def _way_to(ran: int, came_from: dict[int, tuple[int, int]]) -> tuple[int, ...]:
    order: list[int] = []
    while ran in came_from:
        ran, at = came_from[ran]
        order.append(at)
    return tuple(reversed(order))


def _settle(steps: _Steps, ran: int, live: int, bound: int, order: tuple[int, ...]) -> PartOrder:
    """The cap is met: go on from here greedily, unless the order given is better. `bound` is what none can beat."""
    rest, peak = _greedily(steps, ran, live)
    given, given_peak = tuple(range(len(steps.reads))), _peak_as_given(steps)
    if given_peak < max(peak, bound):
        return PartOrder(given, given_peak, bound)
    return PartOrder(order + rest, max(peak, bound), bound)


def _greedily(steps: _Steps, ran: int, live: int) -> tuple[tuple[int, ...], int]:
    order: list[int] = []
    peak = 0
    while moves := _moves(steps, ran, live, peak):
        at, needed, live = min(moves, key=lambda move: (max(peak, move[1]), move[2]))
        peak = max(peak, needed)
        order.append(at)
        ran |= 2 << at
    return tuple(order), peak


def _peak_as_given(steps: _Steps) -> int:
    ran, live, peak = 1, steps.sizes[0], 0
    for at in range(len(steps.reads)):
        needed, live = steps.run(at, ran, live)
        peak = max(peak, needed)
        ran |= 2 << at
    return peak
