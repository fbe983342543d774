"""NASWOT: how differently an untrained network's ReLUs see different images (Mellor et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.indicators import Better, Scores
from micronas.network.graph import Graph
from micronas.proxies.engine.backend import Backend, Images
from micronas.proxies.proxy import Proxy, Raw


@dataclass(frozen=True, kw_only=True)
class Naswot(Proxy):
    """ln det K_H, with K_H[a, b] how many ReLUs are in the same state for images a and b (Mellor et al., eq. 2).

    More is more expressive. ReLUs are those of all distinct live tensors. Images that no ReLU tells apart make K_H
    singular: that, and a disconnected network, is `better.worst`.

    Attributes:
        batch: images; the paper takes 128 on full-size networks.
    """

    batch: int = 32

    name = "naswot"
    better = Better.HIGHER
    worst_means = "disconnected, or images that no ReLU tells apart"

    def shown(self, engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Raw:
        """K_H of each network, whole numbers, (draws, graphs, batch, batch); 0 for a disconnected one."""
        return engine.agreements(graphs, images, seeds)

    def scored(self, raw: Raw) -> Scores:
        """Ln det K_H."""
        eigenvalues = np.linalg.eigvalsh(raw)  # ascending
        regular = eigenvalues[..., 0] > self.batch * np.finfo(np.float64).eps * eigenvalues[..., -1]
        scores = np.full(regular.shape, self.better.worst)
        scores[regular] = np.log(eigenvalues[regular]).sum(axis=1)
        return scores
