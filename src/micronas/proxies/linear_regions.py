"""How many linear regions of an untrained network a cloud of samples falls into: its expressivity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from micronas.indicators import Better, Scores
from micronas.inputs import Array
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import Shape
from micronas.proxies.engine.backend import Backend, Images
from micronas.proxies.proxy import Proxy, Raw
from micronas.task import ONE_CELL, Probe

_ELEMENTS = 2**28
"""Numbers that the tensors of a network may hold for the samples that it sees at once."""


@dataclass(frozen=True, kw_only=True)
class LinearRegions(Proxy):
    """Distinct sign patterns of all live ReLU tensors over many samples (TE-NAS, §3.2): more is more expressive.

    Two ReLUs of one tensor count once: they are one tensor. A disconnected network has one region, that of a
    constant, and is given `better.worst`. A count equal to `samples` is saturated: a lower bound, which ranks first
    and level with all others of its kind; `caveat` says so wherever it is shown. With the default setting 11 of the
    5,260 graphs of NAS-Bench-201 are on seed 0, none on seed 1; on a large skeleton all are, and the indicator then
    tells networks apart no more.

    A network whose tensors would hold more than 2^28 numbers for all samples (1 GB) sees them in equal blocks, each
    with batch statistics of its own; regions are still told apart among all. The default probes are far below.

    Attributes:
        samples: patches.
        precision: a sign near zero may differ between precisions; counts agree within 0.1 %.
    """

    samples: int = 3000
    probe: Probe = ONE_CELL

    name = "linear-regions"
    better = Better.HIGHER
    size = "samples"
    settings = "samples {samples}"

    @property
    def images_digest(self) -> str:
        """Of the images that patches are cut from."""
        return self.inputs.patches_digest(self.probe.input_shape, self.samples, self.seed)

    def batch_of(self, shape: Shape, seed: int) -> Array:
        """Patches of images at their own resolution."""
        return self.inputs.patches(shape, self.samples, seed)

    def shown(self, engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Raw:
        """Regions of each network, saturated ones included, (draws, graphs); 0 for a disconnected one."""
        found = np.zeros((len(seeds), len(graphs)))
        parts = [-(-self.samples * _elements(graph) // _ELEMENTS) for graph in graphs]
        whole = [at for at, count in enumerate(parts) if count <= 1]
        if whole:
            found[:, whole] = engine.region_counts([graphs[at] for at in whole], images, seeds)
        for at in set(range(len(graphs))) - set(whole):
            found[:, at] = _in_blocks(engine, graphs[at], np.array_split(images, parts[at], axis=1), seeds)
        return found

    def scored(self, raw: Raw) -> Scores:
        """The count itself."""
        return np.where(raw > 0, raw, self.better.worst)

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "saturated: every sample its own region, so a lower bound" if value == self.samples else ""


def _elements(graph: Graph) -> int:
    """Numbers that the tensors of a network hold for one sample; none if nothing leads to its output."""
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
