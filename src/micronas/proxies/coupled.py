"""The NTK as TE-NAS has it: per-sample backwards through batch statistics, which couple the samples."""

from __future__ import annotations

import numpy as np
import torch

from micronas.network.graph import Graph
from micronas.proxies.engine.backend import Device, Precision
from micronas.proxies.engine.values import LEARNED
from micronas.torch_network import TorchNetwork


def coupled_kernel(graph: Graph, images: np.ndarray, seed: int, precision: Precision, device: Device) -> np.ndarray:
    """Θ of one live network with batch norm in train mode, (samples, samples).

    Row a of the Jacobian is the gradient of sample a's summed logits, batch statistics included
    (TE-NAS, `lib/procedures/ntk.py`); TE-NAS also counts batch norm's affine weights, we do not.
    """
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
