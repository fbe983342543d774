"""The empirical neural tangent kernel of an untrained network, and its condition number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np

from micronas.errors import UserError
from micronas.indicator import Better, Scores
from micronas.inputs import Gaussian, Inputs
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.origin import COMPUTED, Origin
from micronas.proxies.alike import by_input_shape
from micronas.proxies.engine.backend import BackendName, Device, Grams, Precision
from micronas.proxies.engine.choose import choose
from micronas.task import REDUCED, Probe

_EPSILON = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}


@dataclass(frozen=True)
class Ntk:
    """Condition number κ = λmax / λmin of the empirical NTK (TE-NAS, Chen et al. 2021, §3.1): lower trains better.

    The kernel is Θ[a, b] = Σ over weights of ∂f(a)/∂w · ∂f(b)/∂w, with f the sum of the logits and w every
    weight of convolutions, depthwise convolutions and linear layers; the affine pair of batch norm and biases
    are left out. Eigenvalues are taken in float64: float32 loses λmin at batch 32.

    A disconnected network, or a kernel that is singular to the precision it was computed in
    (λmin <= samples · ε · λmax, the usual bound of a numerical rank), is infinite: `better.worst`.

    Attributes:
        batch: samples; more rank better and cost more.
        seed: of weights and inputs.
        inputs: where images come from.
        mode: "frozen": batch norm's statistics are those of the batch, then held constant, so that gradients
            are truly per sample. "coupled": gradients pass through the statistics as TE-NAS has it; a different
            quantity that ranks equally well and costs 10 to 20 times more.
        precision: of everything but the eigenvalues. κ of float32 is within 1 % where κ < 1e4.
        device: "cpu" or "cuda".
        backend: "auto", "numba" or "torch"; all agree. The coupled mode is torch's.
    """

    batch: int = 32
    seed: int = 0
    inputs: Inputs = field(default_factory=Gaussian)
    mode: Literal["frozen", "coupled"] = "frozen"
    precision: Precision = "float32"
    device: Device = "cpu"
    backend: BackendName = "auto"
    name: str = "ntk"
    unit: str = ""
    better: Better = Better.LOWER
    origin: Origin = COMPUTED
    probe: Probe = REDUCED
    """What the networks are meant to be; any graph can be measured."""

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise UserError(f"the NTK needs a batch of at least 2 samples, not {self.batch}")
        if self.mode not in ("frozen", "coupled"):
            raise UserError(f"no NTK mode {self.mode!r}; there are frozen and coupled")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        settings = f"batch {self.batch}, {self.mode}, {self.precision}"
        return f"{settings}, seed {self.seed}, {self.inputs.digest}"

    def with_seed(self, seed: int) -> Self:
        """The same with fresh weights, and fresh inputs where these are random."""
        return replace(self, seed=seed)

    def caveat(self, value: float) -> str:
        """What must be said beside a number, "" if nothing."""
        return "disconnected or singular" if value == self.better.worst else ""

    def measure(self, graph: Graph) -> float:
        """κ of one network."""
        return float(self.measure_many([graph])[0])

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """κ of each network, shape (graphs,)."""
        return self.measure_draws(graphs, [self.seed])[0]

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """κ of each network for each draw, shape (seeds, graphs)."""
        epsilon = _EPSILON[self.precision]
        return np.stack([condition_numbers(draw, epsilon) for draw in self.kernels_of_draws(graphs, seeds)])

    def kernels(self, graphs: Sequence[Graph]) -> Grams:
        """Θ of each network, (graphs, batch, batch); NaN throughout for a disconnected one."""
        return self.kernels_of_draws(graphs, [self.seed])[0]

    def kernels_of_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Grams:
        """Θ of each network for each draw, (seeds, graphs, batch, batch); NaN throughout for a disconnected one.

        Graphs of different input shapes are measured apart.
        """
        kernels = np.full((len(seeds), len(graphs), self.batch, self.batch), np.nan)
        for shape, alike in by_input_shape(graphs):
            images = np.stack([self.inputs.batch(shape, self.batch, seed) for seed in seeds])
            chosen = [graphs[at] for at in alike]
            if self.mode == "frozen":
                backend = choose(self.backend, self.device, self.precision)
                kernels[:, alike] = backend.tangent_kernels(chosen, images, seeds)
            else:
                draws = zip(images, seeds, strict=True)
                kernels[:, alike] = [[self._coupled(graph, *draw) for graph in chosen] for draw in draws]
        return kernels

    def _coupled(self, graph: Graph, images: np.ndarray, seed: int) -> np.ndarray:
        from micronas.proxies.coupled import coupled_kernel

        try:
            return coupled_kernel(live(graph), images, seed, self.precision, self.device)
        except Disconnected:
            return np.full((self.batch, self.batch), np.nan)


def condition_numbers(kernels: np.ndarray, epsilon: float) -> Scores:
    """λmax / λmin of (kernels, batch, batch), shape (kernels,); infinite for one of NaN, or singular by `epsilon`."""
    scores = np.full(len(kernels), Better.LOWER.worst)
    finite = np.isfinite(kernels).all(axis=(1, 2))
    eigenvalues = np.linalg.eigvalsh(kernels[finite])  # ascending
    lowest, highest = eigenvalues[:, 0], eigenvalues[:, -1]
    regular = lowest > kernels.shape[1] * epsilon * highest
    scores[np.flatnonzero(finite)[regular]] = highest[regular] / lowest[regular]
    return scores
