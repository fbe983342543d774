"""What the indicators ask of an engine, and which engine answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from micronas.errors import UserError
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


def choose(name: BackendName, device: Device, precision: Precision) -> Backend:
    """The compiled engine on a CPU, torch elsewhere and where numba is missing or broken.

    Raises:
        UserError: what was asked for by name is not there.
    """
    if name not in ("auto", "numba", "torch") or device not in ("cpu", "cuda"):
        raise UserError(f"no engine {name!r} on {device!r}; engines: auto, numba, torch; devices: cpu, cuda")
    if device == "cpu" and name != "torch":
        try:
            from micronas.proxies.engine.numba_backend import NumbaBackend

            return NumbaBackend(precision)
        except ImportError as error:
            if name == "numba":
                raise UserError(f"numba cannot be used here ({error}); take the engine torch") from error
    if name == "numba":
        raise UserError("the engine numba runs on the device cpu only; on cuda take torch")
    from micronas.proxies.engine.torch_backend import TorchBackend

    return TorchBackend(device, precision)
