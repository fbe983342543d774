"""Zen-score: how far an untrained network carries a small change of its input (Lin et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.errors import UserError
from micronas.indicators import Better, Scores
from micronas.network.graph import Graph
from micronas.proxies.engine.backend import Backend, Images
from micronas.proxies.proxy import Proxy, Raw
from micronas.weights import draw_normal, generator


@dataclass(frozen=True, kw_only=True)
class ZenScore(Proxy):
    """ln E‖f(x) - f(x + αε)‖ + Σ over batch norms of ln √(mean variance of their channels) (Zen-NAS, §3.3).

    f is the last feature map before the global pool, ε ~ N(0, 1), and the weights of convolutions are N(0, 1), drawn
    by (seed, layer name); the second sum puts back the scale that batch norm took away. More is more expressive.
    Zen-NAS scores its networks with residual links removed; here the network is scored as it is. Two batch norms of
    one tensor count once: they are one tensor. A network that is disconnected, constant up to rounding, or whose
    numbers are beyond the precision's range is `better.worst`.

    Attributes:
        batch: images.
        step: α.
        precision: at the default step float32 is within 6e-6 of float64, for all of NAS-Bench-201, whose scores are
            3 to 40; the difference grows as the step shrinks, to 5e-4 at a step of 1e-4.
    """

    batch: int = 16
    step: float = 0.01

    name = "zen-score"
    better = Better.HIGHER
    worst_means = "disconnected, constant or out of range"
    settings = "batch {batch}, step {step:g}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.step > 0:
            raise UserError(f"the Zen-score needs a step above 0, not {self.step:g}")

    def shown(self, engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Raw:
        """‖f(x) - f(x + αε)‖ and Σ ln of the mean variances of each network, (draws, graphs, 2)."""
        noise = np.stack([generator(seed, "zen noise").standard_normal(images.shape[1:]) for seed in seeds])
        return engine.responses(graphs, images, images + self.step * noise, seeds, draw_normal)

    def scored(self, raw: Raw) -> Scores:
        """Ln of the one plus half of the other."""
        distances, log_variances = np.moveaxis(raw, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.log(distances) + 0.5 * log_variances
        return np.where(np.isfinite(scores), scores, self.better.worst)
