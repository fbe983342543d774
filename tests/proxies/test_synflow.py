"""SynFlow against finite differences and a network small enough to work out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from tests.proxies.test_ntk import DEAD, DISCONNECTED, lower

from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.network.live import live
from micronas.proxies.synflow import SynFlow
from micronas.torch_network import TorchNetwork
from micronas.weights import draw_weight


def test_by_hand():
    """Two layers in a row: all that flows, flows through each of them once."""
    draw = GraphBuilder((3, 3, 2))
    conv = draw.batch_norm("bn", draw.relu("relu", draw.conv("conv", "input", 4)))
    draw.linear("linear", draw.global_pool("pool", conv), 3)
    graph = draw.graph()
    first, last = (np.abs(draw_weight(5, graph[name])) for name in ("conv", "linear"))
    flow = (last @ first[:, :, 0, 0] @ np.ones(2)).sum()
    assert SynFlow(seed=5).measure(graph) == pytest.approx(2 * flow)


def test_gradients_are_those_of_small_changes():
    graph = lower(DEAD)
    network = TorchNetwork(graph, 0, torch.float64)
    for name, module in network.layers.items():
        if isinstance(module, torch.nn.BatchNorm2d):
            network.layers[name] = torch.nn.Identity()
    ones = torch.ones((1, 3, 8, 8), dtype=torch.float64)
    total = 0.0
    with torch.no_grad():
        parameters = list(network.parameters())
        for parameter in parameters:
            parameter.copy_(parameter.abs() if parameter.ndim > 1 else torch.zeros_like(parameter))
        for parameter in parameters:
            if parameter.ndim > 1:  # R is linear in the weights of one layer: scaling them gives Σ w ∂R/∂w
                before = network(ones).sum()
                parameter.mul_(2)
                total += float(network(ones).sum() - before)
                parameter.div_(2)
    assert SynFlow().measure(graph) == pytest.approx(total)


def test_disconnected_is_worst():
    assert SynFlow().measure(lower(DISCONNECTED)) == -np.inf


def by_modules_and_autograd(graph: Graph, seed: int) -> float:
    """As its authors compute it: a torch module of positive weights, and the gradient of every one of them."""
    network = TorchNetwork(graph, seed, torch.float64)
    for name, module in network.layers.items():
        if isinstance(module, torch.nn.BatchNorm2d):
            network.layers[name] = torch.nn.Identity()
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() if parameter.ndim > 1 else torch.zeros_like(parameter))
    height, width, channels = graph.input_shape
    flow = network(torch.ones((1, channels, height, width), dtype=torch.float64)).sum()
    slopes = torch.autograd.grad(flow, weights)
    return float(sum((weight.detach() * slope).sum() for weight, slope in zip(weights, slopes, strict=True)))


def test_layer_by_layer_is_weight_by_weight():
    graphs = [lower(cell) for cell in (DEAD, DEAD.replace("nor_conv_3x3", "avg_pool_3x3"))]
    for graph, seed in product(graphs, (0, 7)):
        assert SynFlow(seed=seed).measure(graph) == pytest.approx(by_modules_and_autograd(live(graph), seed), rel=1e-12)
