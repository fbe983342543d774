"""NASWOT: how differently an untrained network's ReLUs see different images (Mellor et al., 2021)."""

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
from micronas.proxies.engine.backend import BackendName, Device, Grams, Precision
from micronas.proxies.engine.choose import choose
from micronas.task import REDUCED, Probe


@dataclass(frozen=True)
class Naswot:
    """ln det K_H, with K_H[a, b] how many ReLUs are in the same state for images a and b (Mellor et al., eq. 2).

    More is more expressive. ReLUs are those of all distinct live tensors; batch norm uses batch statistics. Images
    that no ReLU tells apart make K_H singular: that, and a disconnected network, is `better.worst`.

    Attributes:
        batch: images; the paper takes 128 on full-size networks.
        seed, inputs, precision, device, backend: as of `Ntk`.
    """

    batch: int = 32
    seed: int = 0
    inputs: Inputs = field(default_factory=Gaussian)
    precision: Precision = "float32"
    device: Device = "cpu"
    backend: BackendName = "auto"
    name: str = "naswot"
    unit: str = ""
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED
    probe: Probe = REDUCED

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise UserError(f"NASWOT needs a batch of at least 2 images, not {self.batch}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        return f"batch {self.batch}, {self.precision}, seed {self.seed}, {self.inputs.digest}"

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "disconnected, or images that no ReLU tells apart" if value == self.better.worst else ""

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """Ln det K_H of one network."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Ln det K_H of each network, shape (graphs,)."""
        return self.measure_draws(graphs, [self.seed])[0]

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """Ln det K_H of each network for each draw, shape (seeds, graphs)."""
        eigenvalues = np.linalg.eigvalsh(self.kernels_of_draws(graphs, seeds))  # ascending
        bound = self.batch * np.finfo(np.float64).eps * eigenvalues[..., -1]
        regular = eigenvalues[..., 0] > bound
        scores = np.full(regular.shape, self.better.worst)
        scores[regular] = np.log(eigenvalues[regular]).sum(axis=1)
        return scores

    def kernels(self, graphs: Sequence[Graph]) -> Grams:
        """K_H of each network, whole numbers, (graphs, batch, batch); 0 for a disconnected one."""
        return self.kernels_of_draws(graphs, [self.seed])[0]

    def kernels_of_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Grams:
        """K_H of each network for each draw, whole numbers, (seeds, graphs, batch, batch); 0 for a disconnected one."""
        kernels = np.zeros((len(seeds), len(graphs), self.batch, self.batch))
        for shape, alike in by_input_shape(graphs):
            images = np.stack([self.inputs.batch(shape, self.batch, seed) for seed in seeds])
            backend = choose(self.backend, self.device, self.precision)
            kernels[:, alike] = backend.agreements([graphs[at] for at in alike], images, seeds)
        return kernels
