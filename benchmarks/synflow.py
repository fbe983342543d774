"""SynFlow of one network after the other: ours, layer by layer, against its authors' way, weight by weight.

The baseline is a torch module of positive weights and the gradient of each of them (Tanaka et al., 2020), with the
module built for each network, as a search must, and with all modules built beforehand.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch

from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.proxies.synflow import SynFlow
from micronas.spaces.nasbench201.space import NasBench201
from micronas.torch_network import TorchNetwork

NETWORKS, ROUNDS = 60, 5


def positive(graph: Graph) -> TorchNetwork:
    """The module, its weights replaced by their magnitudes, batch norm by nothing."""
    network = TorchNetwork(graph, 0, torch.float64)
    for name, module in network.layers.items():
        if isinstance(module, torch.nn.BatchNorm2d):
            network.layers[name] = torch.nn.Identity()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() if parameter.ndim > 1 else torch.zeros_like(parameter))
    return network


def by_weights(network: TorchNetwork) -> float:
    """Σ |w · ∂R/∂w|, the gradient taken by every weight."""
    height, width, channels = network.graph.input_shape
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    flow = network(torch.ones((1, channels, height, width), dtype=torch.float64)).sum()
    slopes = torch.autograd.grad(flow, weights)
    return float(sum((weight.detach() * slope).sum() for weight, slope in zip(weights, slopes, strict=True)))


def timed(score: Callable[[], Sequence[float]]) -> tuple[float, Sequence[float]]:
    """(median milliseconds a network, scores)."""
    took: list[float] = []
    scores = score()
    for _ in range(ROUNDS):
        started = time.process_time()
        scores = score()
        took.append(1e3 * (time.process_time() - started) / NETWORKS)
    return median(took), scores


def main() -> None:
    torch.set_num_threads(1)
    space, chance, graphs = NasBench201(), random.Random(0), list[Graph]()
    while len(graphs) < NETWORKS:
        try:
            graphs.append(live(space.probe(space.sample(chance.randrange(space.size)), SynFlow().probe)))
        except Disconnected:
            continue
    built = [positive(graph) for graph in graphs]
    ways: dict[str, Callable[[], Sequence[float]]] = {
        "ours": lambda: SynFlow().measure_many(graphs).tolist(),
        "authors' way": lambda: [by_weights(positive(graph)) for graph in graphs],
        "authors' way, modules built before": lambda: [by_weights(network) for network in built],
    }
    found = {name: timed(way) for name, way in ways.items()}
    ours = found["ours"]
    for name, (milliseconds, scores) in found.items():
        apart = max(abs(one / other - 1) for one, other in zip(scores, ours[1], strict=True))
        ratio = milliseconds / ours[0]
        print(f"{name:36} {milliseconds:6.2f} ms a network, {ratio:4.2f} x ours; scores apart by {apart:.0e} at most")


if __name__ == "__main__":
    main()
