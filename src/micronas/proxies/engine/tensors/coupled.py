"""The NTK as TE-NAS has it: per-sample backwards through batch statistics, which couple the samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import LEARNED
from micronas.proxies.engine.backend import Device, Grams, Images, Precision
from micronas.torch_network import TorchNetwork


def coupled_kernels(
    graphs: Sequence[Graph], images: Images, seeds: Sequence[int], precision: Precision, device: Device
) -> Grams:
    """Θ with batch norm in train mode, (draws, graphs, samples, samples); NaN throughout for a disconnected network.

    Row a of the Jacobian is the gradient of sample a's summed logits, batch statistics included
    (TE-NAS, `lib/procedures/ntk.py`); TE-NAS also counts batch norm's affine weights, we do not.
    """
    samples = images.shape[1]
    kernels = np.full((len(seeds), len(graphs), samples, samples), np.nan)
    for draw, (batch, seed) in enumerate(zip(images, seeds, strict=True)):
        for at, graph in enumerate(graphs):
            try:
                kernels[draw, at] = _kernel(live(graph), batch, seed, precision, device)
            except Disconnected:
                continue
    return kernels


def _kernel(graph: Graph, images: np.ndarray, seed: int, precision: Precision, device: Device) -> np.ndarray:
    dtype = getattr(torch, precision)
    network = TorchNetwork(graph, seed, dtype).to(device)
    weights = [
        next(network.layers[layer.name.replace(".", "/")].parameters())
        for layer in graph
        if layer.signature.kind in LEARNED
    ]
    outputs = network(torch.from_numpy(images).to(device, dtype)).sum(1)
    rows = [
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(output, weights, retain_graph=True)])
        for output in outputs
    ]
    jacobian = torch.stack(rows)  # (samples, weights)
    return (jacobian @ jacobian.T).double().cpu().numpy()
