"""How fast one NTK is against the loops it replaces: same weights, same images, one thread, batch 32.

    python benchmarks/ntk.py

Baselines, all in torch and float32, as the literature's code has them:
- frozen:  one forward with batch statistics frozen, then 32 retained backwards, one of each sample's summed logits;
- batch-1: 32 forwards and backwards of one sample, with the statistics of the batch given;
- coupled: 32 retained backwards through batch statistics (TE-NAS), which is another kernel, shown for its time.

Checksums are κ; frozen, batch-1 and ours must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from micronas.graph import Graph, Kind
from micronas.networks import Network
from micronas.proxies.coupled import coupled_kernel
from micronas.proxies.engine.numba_backend import NumbaBackend
from micronas.proxies.engine.torch_backend import TorchBackend
from micronas.proxies.ntk import REDUCED, Ntk, condition_numbers
from micronas.spaces.nasbench201 import NasBench201

SAMPLES, SEED = 32, 0
ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def frozen_loop(graph: Graph, images: np.ndarray) -> np.ndarray:
    network = Network(graph, SEED, frozen=True)
    return product(network(torch.from_numpy(images).float()).sum(1), weights_of(network))


def weights_of(network: Network) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def product(outputs: Tensor, weights: list[Tensor]) -> np.ndarray:
    rows = [
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(output, weights, retain_graph=True)])
        for output in outputs
    ]
    jacobian = torch.stack(rows).double()
    return (jacobian @ jacobian.T).numpy()


class Given(nn.Module):
    """Batch norm with the statistics that the whole batch had here."""

    def __init__(self, batch: Tensor) -> None:
        super().__init__()
        variance, self.mean = torch.var_mean(batch, dim=(0, 2, 3), correction=0, keepdim=True)
        self.deviation = torch.sqrt(variance + 1e-5)

    def forward(self, images: Tensor) -> Tensor:
        """The normalised images."""
        return (images - self.mean) / self.deviation


def batch_1_loop(graph: Graph, images: np.ndarray) -> np.ndarray:
    network, batch = Network(graph, SEED, frozen=True), torch.from_numpy(images).float()
    with torch.no_grad():
        values = network.values(batch)
    for layer in graph:
        if layer.signature.kind is Kind.BATCH_NORM:
            network.layers[layer.name.replace(".", "/")] = Given(values[layer.inputs[0]])
    weights = weights_of(network)
    rows = []
    for image in batch:
        gradients = torch.autograd.grad(network(image[None]).sum(), weights)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    jacobian = torch.stack(rows).double()
    return (jacobian @ jacobian.T).numpy()


def seconds(measure: Callable[[], np.ndarray], repeats: int) -> tuple[float, float]:
    """(the fastest of some runs, κ); the first run, which compiles or warms up, is not timed."""
    kernel = measure()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        kernel = measure()
        times.append(time.perf_counter() - start)
    return min(times), float(condition_numbers(kernel[None], 0.0)[0])


def main() -> None:
    torch.set_num_threads(1)
    space = NasBench201()
    images = Ntk().inputs.batch(REDUCED.input_shape, SAMPLES, SEED)
    for name, choices in (("supernet", space.everything()), ("all-3x3 cell", space.parse(ALL_3X3))):
        graph = space.lower(choices, REDUCED)
        numba, folded = NumbaBackend("float32", threads=1), TorchBackend("cpu", "float32")
        runs: dict[str, tuple[Callable[[], np.ndarray], int]] = {
            "ours, compiled": (lambda n=numba, g=graph: n.tangent_kernels([g], images, SEED)[0], 20),
            "ours, torch": (lambda t=folded, g=graph: t.tangent_kernels([g], images, SEED)[0], 5),
            "frozen: 32 retained backwards": (lambda g=graph: frozen_loop(g, images), 3),
            "batch-1: 32 forwards, 32 backwards": (lambda g=graph: batch_1_loop(g, images), 3),
            "coupled: 32 retained backwards": (
                lambda g=graph: coupled_kernel(g, images, SEED, "float32", "cpu"),
                2,
            ),
        }
        print(f"{name}, batch {SAMPLES}, one thread, float32")
        ours = None
        for label, (measure, repeats) in runs.items():
            took, condition = seconds(measure, repeats)
            ours = took if ours is None else ours
            print(f"  {label:36s} {1e3 * took:9.2f} ms  {took / ours:7.1f}x  kappa {condition:.4f}")


if __name__ == "__main__":
    main()
