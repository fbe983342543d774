"""How many linear regions of an untrained network a cloud of samples falls into: its expressivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.indicators import Better, Scores
from micronas.inputs import Array
from micronas.network.graph import Graph
from micronas.network.signature import Shape
from micronas.proxies.engine.backend import Backend, Images
from micronas.proxies.engine.room import region_counts
from micronas.proxies.proxy import Proxy, Raw
from micronas.task import ONE_CELL, Probe


@dataclass(frozen=True, kw_only=True)
class LinearRegions(Proxy):
    """Distinct sign patterns of all live ReLU tensors over many samples (TE-NAS, §3.2): more is more expressive.

    Two ReLUs of one tensor count once: they are one tensor. A disconnected network has one region, that of a
    constant, and is given `better.worst`. A count equal to `samples` is saturated: a lower bound, which ranks first
    and level with all others of its kind; `caveat` says so wherever it is shown. With the default setting 11 of the
    5,260 graphs of NAS-Bench-201 are on seed 0, none on seed 1; on a large skeleton all are, and the indicator then
    tells networks apart no more. Large networks see their samples in blocks (`engine/room.py`).

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
        return region_counts(engine, graphs, images, seeds).astype(np.float64)

    def scored(self, raw: Raw) -> Scores:
        """The count itself."""
        return np.where(raw > 0, raw, self.better.worst)

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "saturated: every sample its own region, so a lower bound" if value == self.samples else ""
