"""The empirical neural tangent kernel of an untrained network, and its condition number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from micronas.errors import UserError
from micronas.indicators import Better, Scores
from micronas.network.graph import Graph
from micronas.proxies.engine.backend import Backend, Images
from micronas.proxies.proxy import Proxy, Raw


@dataclass(frozen=True, kw_only=True)
class Ntk(Proxy):
    """Condition number κ = λmax / λmin of the empirical NTK (TE-NAS, Chen et al. 2021, §3.1): lower trains better.

    The kernel is Θ[a, b] = Σ over weights of ∂f(a)/∂w · ∂f(b)/∂w, with f the sum of the logits and w every
    weight of convolutions, depthwise convolutions and linear layers; the affine pair of batch norm and biases
    are left out. Eigenvalues are taken in float64: float32 loses λmin at batch 32.

    A disconnected network, or a kernel that is singular to the precision it was computed in
    (λmin <= samples · ε · λmax, the usual bound of a numerical rank), is infinite: `better.worst`.

    Attributes:
        batch: samples; more rank better and cost more.
        mode: "frozen" to rank: batch norm's statistics are those of the batch, then held constant, so that gradients
            are truly per sample. "coupled" to compare with TE-NAS: gradients pass through the statistics; a different
            quantity that ranks equally well and costs 10 to 20 times more. It is torch's.
        precision: κ of float32 is within 1 % where κ < 1e4.
    """

    batch: int = 32
    mode: Literal["frozen", "coupled"] = "frozen"

    name = "ntk"
    better = Better.LOWER
    worst_means = "disconnected or singular"
    settings = "batch {batch}, {mode}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in ("frozen", "coupled"):
            raise UserError(f"no NTK mode {self.mode!r}; there are frozen and coupled")

    def shown(self, engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Raw:
        """Θ of each network, (draws, graphs, batch, batch); NaN throughout for a disconnected one."""
        if self.mode == "frozen":
            return engine.tangent_kernels(graphs, images, seeds)
        from micronas.proxies.engine.tensors.coupled import coupled_kernels

        return coupled_kernels(graphs, images, seeds, self.precision, self.device)

    def scored(self, raw: Raw) -> Scores:
        """λmax / λmin."""
        return condition_numbers(raw, float(np.finfo(self.precision).eps))


def condition_numbers(kernels: np.ndarray, epsilon: float) -> Scores:
    """λmax / λmin of (…, batch, batch), shape (…); infinite for a kernel of NaN, or singular by `epsilon`."""
    finite = np.isfinite(kernels).all(axis=(-2, -1), keepdims=True)
    eigenvalues = np.linalg.eigvalsh(np.where(finite, kernels, 0.0))  # ascending
    lowest, highest = eigenvalues[..., 0], eigenvalues[..., -1]
    regular = lowest > kernels.shape[-1] * epsilon * highest
    return np.divide(highest, lowest, out=np.full(regular.shape, Better.LOWER.worst), where=regular)
