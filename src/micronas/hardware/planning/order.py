"""In which order to run the layers, so that the most bytes ever live at once are as few as possible.

An exact best-first search over the sets of layers that have run: the tensors alive depend only on
the set, not on how it was reached. Points where one tensor is live (`segments`) part the search, for
no layer can cross them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from micronas.network.graph import Layer, Layers
from micronas.network.segments import segments
from micronas.network.signature import Kind, Shape, Signature

ALIGNMENT_BYTES = 16
"""Every tensor and every scratch buffer starts at a multiple of this and is rounded up to it."""

STATES = 20_000
"""Sets of layers one search looks at before it settles for the best order found so far."""


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
class Order:
    """The same network, its layers in the order found.

    `peak_bytes` is the most that is alive at any step; `lower_bound_bytes` is what no order can go
    below. They are equal unless the search met its cap.
    """

    graph: Layers
    peak_bytes: int
    lower_bound_bytes: int

    @property
    def is_optimal(self) -> bool:
        """Whether no order needs less."""
        return self.peak_bytes == self.lower_bound_bytes


def best_order(graph: Layers, kernels: KernelNeeds, states: int = STATES) -> Order:
    """An order with the lowest peak, or the best of those found within `states` sets of layers.

    The graph is a deployed one. Ties keep close to the order given.
    """
    layers: list[Layer] = []
    peak_bytes = lower_bound_bytes = 0
    outside: Layer | None = None
    for part in segments(graph):
        found = _search(_steps(part, outside, kernels), states)
        states = max(1, states - found.states)
        layers += [part[at] for at in found.order]
        peak_bytes = max(peak_bytes, found.peak_bytes)
        lower_bound_bytes = max(lower_bound_bytes, found.lower_bound_bytes)
        outside = part[-1]
    return Order(replace(graph, layers=tuple(layers)), peak_bytes, lower_bound_bytes)


def live_bytes(graph: Layers, kernels: KernelNeeds) -> tuple[int, ...]:
    """Bytes alive while each layer runs, in the order given.

    Counted: the graph's input until its last reader has run, every result until its last reader has
    run, the operands and the result of the layer itself (once, where it writes in place) and its
    scratch; each rounded up to 16 bytes.
    """
    steps = _steps(graph.layers, None, kernels)
    sizes: list[int] = []
    ran, live = 1, 0
    for at in range(len(graph)):
        needed, live = steps.run(at, ran, live)
        sizes.append(needed)
        ran |= 2 << at
    return tuple(sizes)


def overwritten(graph: Layers, kernels: KernelNeeds) -> dict[str, str]:
    """For each layer that writes in place, the operand it overwrites: the first that dies there."""
    last_reader = {name: layer.name for layer in graph for name in layer.inputs}
    found: dict[str, str] = {}
    for layer in graph:
        if layer.signature.kind in kernels.in_place:
            size = tensor_bytes(layer.signature.out_shape)
            for name in layer.inputs:
                if last_reader[name] == layer.name and tensor_bytes(graph[name].signature.out_shape) == size:
                    found[layer.name] = name
                    break
    return found


# --- one segment --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Steps:
    """Layers without names. Bit 0 of a set is the tensor read from outside, bit i + 1 layer i."""

    sizes: tuple[int, ...]
    """Bytes of every tensor, that from outside first (0 if there is none)."""
    scratch: tuple[int, ...]
    in_place: tuple[bool, ...]
    reads: tuple[int, ...]
    """The set every layer reads."""
    readers: tuple[int, ...]
    """The set that reads every tensor; the last one's includes a reader that never runs."""

    def run(self, at: int, ran: int, live: int) -> tuple[int, int]:
        """(bytes needed while layer `at` runs, bytes alive afterwards), from the set that has run."""
        size = self.sizes[at + 1]
        left = ~(ran | (2 << at))
        freed, saved = 0, 0
        for source in _members(self.reads[at]):
            if not self.readers[source] & left:
                freed += self.sizes[source]
                if self.in_place[at] and self.sizes[source] == size:
                    saved = size
        return live + size - saved + self.scratch[at], live + size - freed

    def least(self, at: int) -> int:
        """Bytes that layer `at` needs in any order: operands, result, scratch; in place if it can ever be."""
        size = self.sizes[at + 1]
        operands = [self.sizes[source] for source in _members(self.reads[at])]
        saved = size if self.in_place[at] and size in operands else 0
        return sum(operands) + size - saved + self.scratch[at]

    def ready(self, ran: int) -> Iterator[int]:
        """The layers that may run next."""
        for at, reads in enumerate(self.reads):
            if not ran & (2 << at) and not reads & ~ran:
                yield at


def _members(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _steps(part: Sequence[Layer], outside: Layer | None, kernels: KernelNeeds) -> _Steps:
    position = {} if outside is None else {outside.name: 0}
    position |= {layer.name: at + 1 for at, layer in enumerate(part)}
    reads = [sum({1 << position[name] for name in layer.inputs}) for layer in part]
    readers = [0] * (len(part) + 1)
    for at, sources in enumerate(reads):
        for source in _members(sources):
            readers[source] |= 2 << at
    readers[len(part)] |= 2 << len(part)  # whoever comes after
    return _Steps(
        tuple(0 if layer is None else tensor_bytes(layer.signature.out_shape) for layer in (outside, *part)),
        tuple(aligned(kernels.scratch_bytes(layer.signature)) for layer in part),
        tuple(layer.signature.kind in kernels.in_place for layer in part),
        tuple(reads),
        tuple(readers),
    )


@dataclass(frozen=True)
class _Found:
    order: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int
    states: int


@lru_cache(maxsize=10_000)
def _search(steps: _Steps, states: int) -> _Found:
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
            return _Found(_way_to(ran, came_from), peak, peak, looked_at)
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


def _settle(steps: _Steps, ran: int, live: int, bound: int, order: tuple[int, ...]) -> _Found:
    """The cap is met: go on from here greedily, unless the order given is better. `bound` is what none can beat."""
    rest, peak = _greedily(steps, ran, live)
    given, given_peak = tuple(range(len(steps.reads))), _peak_as_given(steps)
    if given_peak < max(peak, bound):
        return _Found(given, given_peak, bound, STATES)
    return _Found(order + rest, max(peak, bound), bound, STATES)


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
