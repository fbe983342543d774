"""How many linear regions of an untrained network a cloud of samples falls into: its expressivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from micronas.errors import UserError
from micronas.indicator import Better, Scores
from micronas.inputs import Gaussian, Inputs
from micronas.network.graph import Graph
from micronas.origin import COMPUTED, Origin
from micronas.proxies.alike import by_input_shape
from micronas.proxies.engine.backend import BackendName, Device, Precision
from micronas.proxies.engine.choose import choose
from micronas.task import ONE_CELL, Probe


@dataclass(frozen=True)
class LinearRegions:
    """Distinct sign patterns of all live ReLU tensors over many samples (TE-NAS, §3.2): more is more expressive.

    Batch norm uses the statistics of all samples. Two ReLUs of one tensor count once: they are one tensor.
    A disconnected network has one region, that of a constant, and is given `better.worst`. A count equal to
    `samples` is saturated: a lower bound, which ranks first and level with all others of its kind; `caveat` says
    so wherever it is shown. With the default setting 11 of the 5,260 graphs of NAS-Bench-201 are on seed 0,
    none on seed 1; on a large skeleton all are, and the indicator then tells networks apart no more.

    Attributes:
        samples: patches.
        seed: of weights and patches.
        inputs: where patches come from.
        precision: a sign near zero may differ between precisions; counts agree within 0.1 %.
        device: "cpu" or "cuda".
        backend: "auto", "numba" or "torch".
    """

    samples: int = 3000
    seed: int = 0
    inputs: Inputs = field(default_factory=Gaussian)
    precision: Precision = "float32"
    device: Device = "cpu"
    backend: BackendName = "auto"
    name: str = "linear-regions"
    unit: str = ""
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED
    probe: Probe = ONE_CELL
    """What the networks are meant to be; any graph can be measured."""

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise UserError(f"linear regions need at least 2 samples, not {self.samples}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        return f"samples {self.samples}, {self.precision}, seed {self.seed}, {self.inputs.digest}"

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """The number of regions one network shows."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The number of regions of each network, shape (graphs,)."""
        return self.measure_draws(graphs, [self.seed])[0]

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The number of regions of each network for each draw, shape (seeds, graphs)."""
        counts = self.counts_of_draws(graphs, seeds)
        return np.where(counts > 0, counts, self.better.worst)

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "saturated: every sample its own region, so a lower bound" if value == self.samples else ""

    def counts(self, graphs: Sequence[Graph]) -> Scores:
        """Regions of each network, saturated ones included, shape (graphs,); 0 for a disconnected one."""
        return self.counts_of_draws(graphs, [self.seed])[0]

    def counts_of_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """Regions of each network, saturated ones included, shape (seeds, graphs); 0 for a disconnected one."""
        counts = np.zeros((len(seeds), len(graphs)))
        for shape, alike in by_input_shape(graphs):
            patches = np.stack([self.inputs.patches(shape, self.samples, seed) for seed in seeds])
            backend = choose(self.backend, self.device, self.precision)
            counts[:, alike] = backend.region_counts([graphs[at] for at in alike], patches, seeds)
        return counts
