"""How fast linear regions are counted: packed signs in a hash table against the comparison of all pairs.

    python benchmarks/regions.py

One thread, 3,000 patches, the same networks. The baseline compares every pair of samples by their signs, in one
matrix product as TE-NAS's code does; both include the forward pass. Checksums are the counts, which must agree.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import numpy as np
import torch

from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import Kind
from micronas.proxies.engine.compiled.numba_backend import NumbaBackend
from micronas.proxies.linear_regions import LinearRegions
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import ONE_CELL
from micronas.torch_network import TorchNetwork

SAMPLES, SEED, CELLS = 3000, 0, 20


def pairwise(graph: Graph, patches: np.ndarray) -> int:
    """Distinct rows by comparing all pairs: a sample counts 1 / (how many are like it)."""
    with torch.no_grad():
        values = TorchNetwork(graph, SEED).values(torch.from_numpy(patches).float())
        signs = [(values[layer.name].flatten(1) > 0) for layer in graph if layer.signature.kind is Kind.RELU]
        on = torch.cat(signs, 1).float()
        different = (1 - on) @ on.T
        different += different.T.clone()
        alike = (different == 0).sum(1)
    return round(float((1 / alike.double()).sum()))


def fastest(count: Callable[[], list[int]], repeats: int = 10) -> tuple[list[int], float]:
    """(counts, seconds of the fastest run)."""
    times: list[float] = []
    counts = count()
    for _ in range(repeats):
        start = time.perf_counter()
        counts = count()
        times.append(time.perf_counter() - start)
    return counts, min(times)


def main() -> None:
    torch.set_num_threads(1)
    chance, space, engine = random.Random(0), NasBench201(), NumbaBackend("float32", threads=1)
    graphs = [space.probe(space.everything(), ONE_CELL)]
    while len(graphs) < CELLS:
        cell = Choices(tuple((chance.choice(OPERATIONS),) for _ in range(6)))
        try:
            graphs.append(live(space.probe(cell, ONE_CELL)))
        except Disconnected:
            continue
    patches = LinearRegions(samples=SAMPLES).inputs.patches(ONE_CELL.input_shape, SAMPLES, SEED)
    together, many = fastest(lambda: list(engine.region_counts(graphs, patches[None], [SEED])[0]))
    alone, one_by_one = fastest(
        lambda: [engine.region_counts([graph], patches[None], [SEED])[0, 0] for graph in graphs]
    )
    slow, pairs = fastest(lambda: [pairwise(graph, patches) for graph in graphs], repeats=2)
    print(f"{len(graphs)} networks (the supernet, random cells), {SAMPLES} patches, one thread; a network takes")
    for label, took, counts in (
        ("ours, many at once", many, together),
        ("ours, one by one", one_by_one, alone),
        ("all pairs", pairs, slow),
    ):
        print(f"  {label:20s} {1e3 * took / len(graphs):9.3f} ms  {took / many:8.1f}x  counts sum to {np.sum(counts)}")


if __name__ == "__main__":
    main()
