"""The arena that a TFLite-Micro build needs for a network: a planned head, and a persistent tail behind it.

A model loads only if both fit, for `AllocateTensors` takes them of one block; their sum is what `arena_used_bytes()`
says afterwards, or up to 112 bytes more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from micronas.hardware.planning.arena import Arena, first_fit, needs_of
from micronas.hardware.planning.order import KernelNeeds
from micronas.network.legalised import Legalised
from micronas.network.segments import Part
from micronas.network.signature import Kind

SNAPSHOT = "TFLite-Micro of 2026-08-20"
"""The version whose builds were measured: x86-32 with its reference kernels, Cortex-M7 with CMSIS-NN."""

_START = 916
"""Bytes of the tail of every measured build, its one depthwise layer, linear layer and two PADs included."""

_OF_EACH = {Kind.CONV: 160, Kind.ADD: 116, Kind.AVG_POOL: 116, Kind.MAX_POOL: 116, Kind.GLOBAL_POOL: 116, Kind.RELU: 76}
_OF_A_CHANNEL = 8  # of every convolution, depthwise or not: its own multiplier and shift

_MARGIN = 88  # CMSIS-NN's builds need 88 to 272 bytes more than those sums, 12 of them for every average pool;
_OF_A_POOL = 12  # the sums are within 8 bytes of the reference kernels' builds
_MOST_MARGIN = 480

_INCLUDED = {Kind.DEPTHWISE: 1, Kind.LINEAR: 1, Kind.PAD: 2}
_BEYOND = 256  # bytes of every further one of these, which no measured build has: more than any operator measured


@dataclass(frozen=True)
class TflmArena:
    """What TFLite-Micro needs of RAM, beside the stack.

    Attributes:
        head: every tensor, placed as its GreedyMemoryPlanner does.
        persistent_bytes: the tail: structures of the runtime, operator by operator; at least what was measured of a
            network with these operators, and at most 512 bytes more.
        is_estimate: whether it has operators in numbers that no measured build had.
    """

    head: Arena
    persistent_bytes: int
    is_estimate: bool

    @property
    def size_bytes(self) -> int:
        """Head and tail: the least `tensor_arena` with which the model loads."""
        return self.head.size_bytes + self.persistent_bytes


def tflm_arena(graph: Legalised, *, reverse_tensors: bool = False) -> TflmArena:
    """What a network needs; `reverse_tensors` for a file that numbers its tensors backwards."""
    return TflmArena(tflm_head(graph, reverse_tensors=reverse_tensors), _persistent_bytes(graph), _is_estimate(graph))


def tflm_head(graph: Legalised, *, reverse_tensors: bool = False) -> Arena:
    """What TFLite-Micro's GreedyMemoryPlanner makes of a graph legalised for TFLite.

    Buffers by size, among equals the later tensor index first, each into the first gap; no
    reordering, nothing in place, no scratch (its reference kernels need none). Tensors are numbered
    as the layers run.
    """
    buffers = needs_of(Part.of(graph.layers), _REFERENCE).buffers
    order = sorted(range(len(buffers)), key=lambda at: (-buffers[at].size_bytes, at if reverse_tensors else -at))
    return first_fit(buffers, order)


_REFERENCE = KernelNeeds(lambda _: 0, name="TFLite-Micro's reference kernels")


def _persistent_bytes(graph: Legalised) -> int:
    kinds = Counter(layer.signature.kind for layer in graph)
    convolutions = (layer.signature for layer in graph if layer.signature.kind in (Kind.CONV, Kind.DEPTHWISE))
    channels = sum(signature.out_shape[2] for signature in convolutions)
    operators = sum(size * kinds[kind] for kind, size in _OF_EACH.items())
    beyond = sum(max(0, kinds[kind] - number) for kind, number in _INCLUDED.items())
    margin = min(_MARGIN + _OF_A_POOL * kinds[Kind.AVG_POOL], _MOST_MARGIN)
    return _START + operators + _OF_A_CHANNEL * channels + _BEYOND * beyond + margin


def _is_estimate(graph: Legalised) -> bool:
    kinds = Counter(layer.signature.kind for layer in graph)
    pools_measured = (_MOST_MARGIN - _MARGIN) // _OF_A_POOL
    return (
        any(kinds[kind] > number for kind, number in _INCLUDED.items())
        or kinds[Kind.AVG_POOL] > pools_measured
        or bool(kinds[Kind.MAX_POOL])
    )
