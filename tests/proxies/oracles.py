"""Slow and obvious versions of what the engine computes fast."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from micronas.inputs import Gaussian
from micronas.network.graph import Graph
from micronas.network.signature import Kind
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import ONE_CELL, REDUCED
from micronas.torch_network import TorchNetwork
from micronas.weights import generator

SPACE = NasBench201()


def reduced(cell: str | Choices = CELLS) -> Graph:
    """A cell in the small network that most indicators judge."""
    return SPACE.probe(_read(cell), REDUCED)


def alone(cell: str | Choices = CELLS) -> Graph:
    """A cell on its own, reading a patch of an image."""
    return SPACE.probe(_read(cell), ONE_CELL)


def _read(cell: str | Choices) -> Choices:
    return SPACE.parse(cell) if isinstance(cell, str) else cell


torch.set_num_threads(1)  # networks this small only wait for one another


def jacobian(network: TorchNetwork, images: np.ndarray) -> Tensor:
    """One forward, then a backward of each sample's summed logits, (samples, weights)."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]  # no biases
    outputs = network(torch.from_numpy(images).to(weights[0].dtype)).sum(1)
    rows: list[Tensor] = []
    for output in outputs:
        gradients = torch.autograd.grad(output, weights, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


def tangent_kernel(graph: Graph, images: np.ndarray, seed: int) -> np.ndarray:
    """J Jᵀ with batch statistics frozen, (samples, samples), in float64."""
    rows = jacobian(TorchNetwork(graph, seed, torch.float64, frozen=True), images)
    return (rows @ rows.T).numpy()


def signs(graph: Graph, images: np.ndarray, seed: int) -> np.ndarray:
    """Which neurons are on, (samples, neurons), every ReLU layer of a live graph counted."""
    with torch.no_grad():
        values = TorchNetwork(graph, seed, torch.float64).values(torch.from_numpy(images))
    found = [values[layer.name].flatten(1) > 0 for layer in graph if layer.signature.kind is Kind.RELU]
    return torch.cat(found, 1).numpy()


def agreeing(graph: Graph, images: np.ndarray, seed: int) -> np.ndarray:
    """In how many ReLUs each two samples are in the same state, (samples, samples); ReLUs of equal tensors count once.

    K_H of a live graph, from its definition (Mellor et al., eq. 2): the number of ReLUs less a Hamming distance.
    """
    with torch.no_grad():
        values = TorchNetwork(graph, seed, torch.float64).values(torch.from_numpy(images))
    tensors: list[Tensor] = []
    for layer in graph:
        if layer.signature.kind is Kind.RELU:
            read = values[layer.inputs[0]].flatten(1)
            if not any(read.shape == other.shape and torch.allclose(read, other, rtol=1e-9) for other in tensors):
                tensors.append(read)
    codes = (torch.cat(tensors, 1) > 0).numpy()
    return np.array([[codes.shape[1] - np.count_nonzero(a != b) for b in codes] for a in codes])


def pairwise_regions(pattern: np.ndarray) -> int:
    """Samples whose pattern differs from that of every earlier sample (TE-NAS compares all pairs)."""
    repeated = {b for a, b in combinations(range(len(pattern)), 2) if (pattern[a] == pattern[b]).all()}
    return len(pattern) - len(repeated)


def zen_score(graph: Graph, samples: int, seed: int, step: float = 0.01) -> float:
    """The Zen-score of a live graph on Gaussian images, from two forwards of one network in float64."""
    network = TorchNetwork(graph, seed, torch.float64, frozen=True)
    images = Gaussian().batch(graph.layers[0].signature.out_shape, samples, seed)
    noise = generator(seed, "zen noise").standard_normal(images.shape)
    with torch.no_grad():
        for layer in graph:
            if layer.signature.kind in (Kind.CONV, Kind.DEPTHWISE):
                drawn = generator(seed, f"{layer.name} normal").standard_normal(layer.signature.weight_shape)
                weight = network.get_parameter(f"layers.{layer.name.replace('.', '/')}.1.weight")
                weight.copy_(torch.from_numpy(drawn))
        values = network.values(torch.from_numpy(images))
        moved = network.values(torch.from_numpy(images + step * noise))
    pools = [layer.inputs[0] for layer in graph if layer.signature.kind is Kind.GLOBAL_POOL]
    last = pools[-1] if pools else graph.output.name
    distance = (values[last] - moved[last]).flatten(1).norm(dim=1).mean()
    norms = [values[layer.inputs[0]] for layer in graph if layer.signature.kind is Kind.BATCH_NORM]
    variances = [value.var(dim=(0, 2, 3), correction=0).mean() for value in norms]
    return float(distance.log() + 0.5 * sum(variance.log() for variance in variances))


def random_cell(chance: random.Random, open_decisions: bool = False) -> Choices:
    """A random cell, dead parts and all; or a random supernet."""
    if not open_decisions:
        return Choices(tuple((chance.choice(OPERATIONS),) for _ in range(6)))
    return Choices(
        tuple(tuple(sorted(chance.sample(OPERATIONS, chance.randint(1, 5)), key=OPERATIONS.index)) for _ in range(6))
    )
