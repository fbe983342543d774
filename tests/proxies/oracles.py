"""Slow and obvious versions of what the engine computes fast."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from micronas.choices import Choices
from micronas.graph import Graph, Kind
from micronas.networks import Network
from micronas.spaces.nasbench201 import OPERATIONS, NasBench201

SPACE = NasBench201()

torch.set_num_threads(1)  # networks this small only wait for one another


def jacobian(network: Network, images: np.ndarray) -> Tensor:
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
    rows = jacobian(Network(graph, seed, torch.float64, frozen=True), images)
    return (rows @ rows.T).numpy()


def signs(graph: Graph, images: np.ndarray, seed: int) -> np.ndarray:
    """Which neurons are on, (samples, neurons), every ReLU layer of a live graph counted."""
    with torch.no_grad():
        values = Network(graph, seed, torch.float64).values(torch.from_numpy(images))
    found = [values[layer.name].flatten(1) > 0 for layer in graph if layer.signature.kind is Kind.RELU]
    return torch.cat(found, 1).numpy()


def pairwise_regions(pattern: np.ndarray) -> int:
    """Samples whose pattern differs from that of every earlier sample (TE-NAS compares all pairs)."""
    repeated = {b for a, b in combinations(range(len(pattern)), 2) if (pattern[a] == pattern[b]).all()}
    return len(pattern) - len(repeated)


def random_cell(chance: random.Random, open_decisions: bool = False) -> Choices:
    """A random cell, dead parts and all; or a random supernet."""
    if not open_decisions:
        return Choices(tuple((chance.choice(OPERATIONS),) for _ in range(6)))
    return Choices(
        tuple(tuple(sorted(chance.sample(OPERATIONS, chance.randint(1, 5)), key=OPERATIONS.index)) for _ in range(6))
    )
