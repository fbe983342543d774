"""How fast one NTK is against the loops it replaces: same weights, same images, one thread, batch 32.

    python benchmarks/ntk.py

Baselines, all in torch and float32, as the literature's code has them:
- frozen:  one forward with batch statistics frozen, then 32 retained backwards, one of each sample's summed logits;
- batch-1: 32 forwards and backwards of one sample, with the statistics of the batch given;
- coupled: 32 retained backwards through batch statistics (TE-NAS), which is another kernel, shown for its time.

Checksums are κ (geometric mean); frozen, batch-1 and ours must agree.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from micronas.network.graph import Graph
from micronas.network.live import live
from micronas.network.signature import Kind
from micronas.proxies.engine.compiled.numba_backend import NumbaBackend
from micronas.proxies.engine.tensors.coupled import coupled_kernels
from micronas.proxies.engine.tensors.torch_backend import TorchBackend
from micronas.proxies.ntk import Ntk, condition_numbers
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import REDUCED
from micronas.torch_network import TorchNetwork

SAMPLES, SEED, AVERAGE = 32, 0, 12
Loop = Callable[[], np.ndarray]
ALL_3X3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def frozen_loop(graph: Graph, images: np.ndarray) -> np.ndarray:
    network = TorchNetwork(graph, SEED, frozen=True)
    return product(network(torch.from_numpy(images).float()).sum(1), weights_of(network))


def weights_of(network: TorchNetwork) -> list[Tensor]:
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
    network, batch = TorchNetwork(graph, SEED, frozen=True), torch.from_numpy(images).float()
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


def seconds(loop: Loop, repeats: int) -> tuple[float, np.ndarray]:
    """(the fastest of some runs, kernels); the first run, which compiles or warms up, is not timed."""
    kernels, times = loop(), list[float]()
    for _ in range(repeats):
        start = time.perf_counter()
        kernels = loop()
        times.append(time.perf_counter() - start)
    return min(times), kernels


def loops(engine: NumbaBackend, folded: TorchBackend, graphs: list[Graph], images: np.ndarray) -> dict[str, Loop]:
    """What is compared: label -> the kernels of all graphs."""
    return {
        "ours, compiled": lambda: engine.tangent_kernels(graphs, images[None], [SEED])[0],
        "ours, torch": lambda: folded.tangent_kernels(graphs, images[None], [SEED])[0],
        "frozen: 32 retained backwards": lambda: np.stack([frozen_loop(graph, images) for graph in graphs]),
        "batch-1: 32 forwards, 32 backwards": lambda: np.stack([batch_1_loop(graph, images) for graph in graphs]),
        "coupled: 32 retained backwards": lambda: coupled_kernels(graphs, images[None], [SEED], "float32", "cpu")[0],
    }


def main() -> None:
    torch.set_num_threads(1)
    space, chance = NasBench201(), random.Random(0)
    images = Ntk().inputs.batch(REDUCED.input_shape, SAMPLES, SEED)
    cells = sorted({space.canonical(cell) for cell in space.everything().completions()}, key=space.format)
    averages = [live(space.probe(cell, REDUCED)) for cell in chance.sample(cells[1:], AVERAGE)]
    cases = {
        "supernet": [space.probe(space.everything(), REDUCED)],
        "all-3x3 cell": [space.probe(space.parse(ALL_3X3), REDUCED)],
        f"average of {AVERAGE} random networks of the space": averages,
    }
    for name, graphs in cases.items():
        print(f"{name}, batch {SAMPLES}, one thread, float32")
        ours = None
        engine, folded = NumbaBackend("float32", threads=1), TorchBackend("cpu", "float32")
        for label, loop in loops(engine, folded, graphs, images).items():
            took, kernels = seconds(loop, 10 if label.startswith("ours") else 2)
            ours = took if ours is None else ours
            kappas = condition_numbers(kernels, 0.0)
            took, kappa = 1e3 * took / len(graphs), np.exp(np.log(kappas).mean())
            print(f"  {label:36s} {took:9.2f} ms  {took * len(graphs) / ours / 1e3:7.1f}x  kappa {kappa:.4f}")


if __name__ == "__main__":
    main()
