"""Zen-score: how far an untrained network carries a small change of its input (Lin et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from micronas.deployed import Disconnected, live
from micronas.errors import UserError
from micronas.graph import Graph, Kind
from micronas.indicator import Better, Scores, draw_by_draw
from micronas.inputs import Gaussian, Inputs
from micronas.proxies.ntk import REDUCED
from micronas.spaces.space import Skeleton
from micronas.weights import generator


@dataclass(frozen=True)
class ZenScore:
    """ln E‖f(x) - f(x + αε)‖ + Σ over batch norms of ln √(mean variance of their channels) (Zen-NAS, §3.3).

    f is the last feature map before the global pool, ε ~ N(0, 1), and the weights of convolutions are N(0, 1), drawn
    by (seed, layer name); the second sum puts back the scale that batch norm took away. More is more expressive.
    Zen-NAS scores its networks with residual links removed; here the network is scored as it is. Runs in torch,
    network by network. A network that is disconnected, or constant up to rounding, is `better.worst`.

    Attributes:
        batch: images.
        seed: of weights, images and ε.
        inputs: where images come from.
        step: α.
    """

    batch: int = 16
    seed: int = 0
    inputs: Inputs = field(default_factory=Gaussian)
    step: float = 0.01
    name: str = "zen-score"
    unit: str = ""
    better: Better = Better.HIGHER
    source: str = "computed"
    skeleton: Skeleton = REDUCED

    def __post_init__(self) -> None:
        if self.batch < 2 or not self.step > 0:
            raise UserError(f"the Zen-score needs 2 images or more and a step above 0, not {self.batch}, {self.step:g}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        return f"batch {self.batch}, step {self.step:g}, {self.skeleton}, seed {self.seed}, {self.inputs.digest}"

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "disconnected or constant" if value == self.better.worst else ""

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def measure(self, graph: Graph) -> float:
        """The score of one network."""
        import torch

        from micronas.networks import Network

        try:
            graph = live(graph)
        except Disconnected:
            return self.better.worst
        network = Network(graph, self.seed, torch.float64, frozen=True)
        with torch.no_grad():
            for layer in graph:
                if layer.signature.kind in (Kind.CONV, Kind.DEPTHWISE):
                    drawn = generator(self.seed, f"{layer.name} normal").standard_normal(layer.signature.weight_shape)
                    network.get_parameter(f"layers.{layer.name.replace('.', '/')}.1.weight").copy_(
                        torch.from_numpy(drawn)
                    )
            images = self.inputs.batch(graph.layers[0].signature.out_shape, self.batch, self.seed)
            noise = generator(self.seed, "zen noise").standard_normal(images.shape)
            values = network.values(torch.from_numpy(images))
            moved = network.values(torch.from_numpy(images + self.step * noise))
        pools = [layer.inputs[0] for layer in graph if layer.signature.kind is Kind.GLOBAL_POOL]
        last = pools[-1] if pools else graph.output.name
        distance = (values[last] - moved[last]).flatten(1).norm(dim=1).mean()
        norms = [values[layer.inputs[0]] for layer in graph if layer.signature.kind is Kind.BATCH_NORM]
        variances = [float(value.var(dim=(0, 2, 3), correction=0).mean()) for value in norms]
        if not distance > 0 or not all(variance > 0 for variance in variances):
            return self.better.worst
        return float(distance.log()) + 0.5 * float(np.log(variances).sum())

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The score of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The score of each network for each draw, shape (seeds, graphs)."""
        return draw_by_draw(self, graphs, seeds)
