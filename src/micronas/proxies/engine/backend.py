"""What the indicators ask of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from micronas.graph import Graph

Precision = Literal["float32", "float64"]
Device = Literal["cpu", "cuda"]
BackendName = Literal["auto", "numba", "torch"]
Images = npt.NDArray[np.float64]  # (samples, channels, height, width)
Kernels = npt.NDArray[np.float64]  # (graphs, samples, samples)


class Backend(Protocol):
    """One pass over many graphs; weights by (seed, layer name), batch norm with batch statistics.

    Both members compute in `precision` and answer alike: to 1e-10 (relative) in float64.
    """

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seed: int) -> Kernels:
        """Σ over weights of the products of per-sample gradients of the summed logits, batch statistics frozen.

        Weights are those of convolutions, depthwise convolutions and linear layers. Shape (graphs, samples,
        samples); NaN throughout for a disconnected graph.
        """
        ...

    def region_counts(self, graphs: Sequence[Graph], images: Images, seed: int) -> npt.NDArray[np.int64]:
        """How many different sign patterns of the live ReLU tensors the samples show, (graphs,); 0 if disconnected."""
        ...

    def agreements(self, graphs: Sequence[Graph], images: Images, seed: int) -> Kernels:
        """In how many signs of the live ReLU tensors each two samples agree, (graphs, samples, samples).

        Zero for a disconnected graph.
        """
        ...
