"""How much an engine is shown at once, so that large networks and images fit the memory of a laptop.

Draws are shown one after the other where their images are large: that changes no number. Samples are shown in blocks
where a network's tensors are: only to count regions, and there each block has batch statistics of its own.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from micronas.errors import UserError
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import Shape
from micronas.proxies.engine.backend import Backend, Images

_IMAGES = 2**26
"""Numbers that the images of the draws shown together may hold (half a gigabyte); one draw may hold more."""

_TENSORS = 2**28
"""Numbers that the tensors of a network may hold for the samples of a block (a gigabyte); default probes: a hundredth.

An engine holds less at a time: it forgets what nobody reads any more.
"""


def together(seeds: Sequence[int], samples: int, shape: Shape) -> list[Sequence[int]]:
    """The seeds in order, those together whose images, so many of that shape each, may be shown together."""
    draws = max(1, _IMAGES // (samples * math.prod(shape)))
    return [seeds[at : at + draws] for at in range(0, len(seeds), draws)]


@contextmanager
def memory_for(what: str, samples: int, shape: Shape) -> Generator[None]:
    """Where memory ends.

    Raises:
        UserError: in place of a MemoryError.
    """
    try:
        yield
    except MemoryError as error:
        images = f"{samples} samples of {'x'.join(map(str, shape))}"
        raise UserError(
            f"{what} found no memory for {images}; a smaller input, fewer channels or fewer samples need less"
        ) from error


def region_counts(
    engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]
) -> npt.NDArray[np.int64]:
    """As an engine's own, (draws, graphs); of large networks in blocks of samples, told apart among all."""
    blocks = np.array([-(-images.shape[1] * _numbers(graph) // _TENSORS) for graph in graphs])
    found = np.zeros((len(seeds), len(graphs)), np.int64)
    whole = np.flatnonzero(blocks <= 1).tolist()
    found[:, whole] = engine.region_counts([graphs[at] for at in whole], images, seeds)
    for at in np.flatnonzero(blocks > 1).tolist():
        found[:, at] = _in_blocks(engine, graphs[at], np.array_split(images, blocks[at], axis=1), seeds)
    return found


def _numbers(graph: Graph) -> int:
    """That the tensors of a network hold for one sample; none if nothing leads to its output."""
    try:
        return sum(math.prod(layer.signature.out_shape) for layer in live(graph))
    except Disconnected:
        return 0


def _in_blocks(engine: Backend, graph: Graph, blocks: Sequence[Images], seeds: Sequence[int]) -> list[int]:
    """Of each draw, how many samples of all blocks differ in some sign: by digests, for patterns may be millions."""
    seen: list[set[bytes]] = [set() for _ in seeds]
    for block in blocks:
        for known, patterns in zip(seen, engine.patterns(graph, block, seeds), strict=True):
            known.update(blake2b(pattern.tobytes(), digest_size=16).digest() for pattern in patterns)
    return [len(known) for known in seen]
