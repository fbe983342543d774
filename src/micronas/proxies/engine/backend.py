"""What the indicators ask of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Graph
from micronas.weights import Draw

Precision = Literal["float32", "float64"]
Device = Literal["cpu", "cuda"]
BackendName = Literal["auto", "numba", "torch"]
Images = npt.NDArray[np.float64]  # (draws, samples, channels, height, width): a batch for each draw
Grams = npt.NDArray[np.float64]  # (draws, graphs, samples, samples)
Patterns = npt.NDArray[np.uint8]  # (draws, samples, bytes)
Responses = npt.NDArray[np.float64]  # (draws, graphs, 2): a distance, and the logarithm of a product of variances


class Backend(Protocol):
    """One pass over many graphs for one or more draws, each of which is a batch of images and the seed of weights.

    Weights are drawn by (seed, layer name); batch norm has batch statistics. What does not depend on the draw is done
    once for all of them. All backends compute in `precision` and answer alike: to 1e-10 (relative) in float64.
    """

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """Σ over weights of the products of per-sample gradients of the summed logits, batch statistics frozen.

        Weights are those of convolutions, depthwise convolutions and linear layers. Shape (draws, graphs, samples,
        samples); NaN throughout for a disconnected graph.
        """
        ...

    def region_counts(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> npt.NDArray[np.int64]:
        """How many different sign patterns of the live ReLU tensors the samples show, (draws, graphs).

        Zero for a disconnected graph.
        """
        ...

    def patterns(self, graph: Graph, images: Images, seeds: Sequence[int]) -> Patterns:
        """The signs of the live ReLU tensors of a connected graph, packed, (draws, samples, bytes).

        In an order of this engine's own: they can be told apart, and only by one another.
        """
        ...

    def agreements(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """In how many signs of the live ReLU tensors each two samples agree, (draws, graphs, samples, samples).

        Zero for a disconnected graph.
        """
        ...

    def responses(
        self, graphs: Sequence[Graph], images: Images, moved: Images, seeds: Sequence[int], draw: Draw
    ) -> Responses:
        """How far features move with the images, and how much batch norms take away, (draws, graphs, 2).

        First ‖f(image) - f(moved)‖, the mean over samples, f being the last feature map before the global pool (else
        the output); each batch has its own statistics. Second Σ over batch norms of ln of their input's variance, the
        mean over channels, for `images`; two batch norms of one tensor are one. Weights are those of `draw`. Zeros
        for a disconnected graph.
        """
        ...
