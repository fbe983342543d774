"""Zen-score: how far an untrained network carries a small change of its input (Lin et al., 2021)."""

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
from micronas.task import REDUCED, Probe
from micronas.weights import draw_normal, generator


@dataclass(frozen=True)
class ZenScore:
    """ln E‖f(x) - f(x + αε)‖ + Σ over batch norms of ln √(mean variance of their channels) (Zen-NAS, §3.3).

    f is the last feature map before the global pool, ε ~ N(0, 1), and the weights of convolutions are N(0, 1), drawn
    by (seed, layer name); the second sum puts back the scale that batch norm took away. More is more expressive.
    Zen-NAS scores its networks with residual links removed; here the network is scored as it is. Two batch norms of
    one tensor count once: they are one tensor. A network that is disconnected, constant up to rounding, or whose
    numbers are beyond the precision's range is `better.worst`.

    Attributes:
        batch: images.
        seed: of weights, images and ε.
        inputs: where images come from.
        step: α.
        precision: at the default step float32 is within 6e-6 of float64, for all of NAS-Bench-201, whose scores are
            3 to 40; the difference grows as the step shrinks, to 5e-4 at a step of 1e-4.
        device: "cpu" or "cuda".
        backend: "auto", "numba" or "torch".
    """

    batch: int = 16
    seed: int = 0
    inputs: Inputs = field(default_factory=Gaussian)
    step: float = 0.01
    precision: Precision = "float32"
    device: Device = "cpu"
    backend: BackendName = "auto"
    name: str = "zen-score"
    unit: str = ""
    better: Better = Better.HIGHER
    origin: Origin = COMPUTED
    probe: Probe = REDUCED

    def __post_init__(self) -> None:
        if self.batch < 2 or not self.step > 0:
            raise UserError(f"the Zen-score needs 2 images or more and a step above 0, not {self.batch}, {self.step:g}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        settings = f"batch {self.batch}, step {self.step:g}, {self.precision}"
        return f"{settings}, seed {self.seed}, {self.inputs.digest}"

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "disconnected, constant or out of range" if value == self.better.worst else ""

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """The score of one network."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The score of each network, shape (graphs,)."""
        return self.measure_draws(graphs, [self.seed])[0]

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The score of each network for each draw, shape (seeds, graphs)."""
        distances, log_variances = np.zeros((2, len(seeds), len(graphs)))
        for shape, alike in by_input_shape(graphs):
            images = np.stack([self.inputs.batch(shape, self.batch, seed) for seed in seeds])
            noise = np.stack([generator(seed, "zen noise").standard_normal(images.shape[1:]) for seed in seeds])
            moved = images + self.step * noise
            backend = choose(self.backend, self.device, self.precision)
            responses = backend.responses([graphs[at] for at in alike], images, moved, seeds, draw_normal)
            distances[:, alike], log_variances[:, alike] = np.moveaxis(responses, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = np.log(distances) + 0.5 * log_variances
        return np.where(np.isfinite(scores), scores, self.better.worst)
