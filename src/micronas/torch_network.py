"""A graph as a torch module: what is measured on paper, trained and exported."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from micronas.network.graph import Graph, Layer
from micronas.network.signature import LEARNED, Kind, Signature
from micronas.weights import Array, draw_bias, draw_weight


class TorchNetwork(nn.Module):
    """A plain graph, open decisions included, layer by layer in the order it runs.

    In train mode batch norm uses the statistics of the batch; `frozen`, these are constants to autograd, and it
    has no parameters. Weights are those of `weights.py`, drawn by (seed, layer name). Parameters are named after
    their layer, with `/` for `.`, which torch keeps for itself.
    """

    def __init__(
        self, graph: Graph, seed: int = 0, dtype: torch.dtype = torch.float32, *, frozen: bool = False
    ) -> None:
        super().__init__()
        self.graph = graph
        made = ((layer.name.replace(".", "/"), _module(layer, seed, frozen)) for layer in graph)
        self.layers = nn.ModuleDict({name: module.to(dtype) for name, module in made if module is not None})

    def forward(self, images: Tensor) -> Tensor:  # (samples, channels, height, width)
        """The logits, shape (samples, classes)."""
        return self.values(images)[self.graph.output.name].flatten(1)

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """The output of every layer by name, each (samples, channels, height, width)."""
        values: dict[str, Tensor] = {}
        for layer in self.graph:
            inputs = [values[name] for name in layer.inputs]
            key = layer.name.replace(".", "/")
            if key in self.layers:
                values[layer.name] = self.layers[key](*inputs)
            else:
                values[layer.name] = _compute(layer.signature, inputs, images)
        return values


class FrozenBatchNorm(nn.Module):
    """Untrained batch norm whose batch statistics are taken as constants: gradients of samples stay apart."""

    def forward(self, images: Tensor) -> Tensor:
        """The normalised images, same shape."""
        with torch.no_grad():
            variance, mean = torch.var_mean(images, dim=(0, 2, 3), correction=0, keepdim=True)
        return (images - mean) / torch.sqrt(variance + 1e-5)


def _module(layer: Layer, seed: int, frozen: bool) -> nn.Module | None:
    """The module of a layer that has weights, with those weights."""
    signature = layer.signature
    if not signature.weight_shape:
        return None
    channels, out = signature.in_shape[2], signature.out_shape[2]
    module: nn.Module
    match signature.kind:
        case Kind.BATCH_NORM:
            return FrozenBatchNorm() if frozen else nn.BatchNorm2d(channels)  # weight 1, bias 0: nothing to draw
        case Kind.LINEAR:
            module = nn.Sequential(nn.Flatten(), nn.Linear(channels, out), nn.Unflatten(1, (out, 1, 1)))
            _fill(module[1], layer, seed)
        case _:
            groups = channels if signature.kind is Kind.DEPTHWISE else 1
            conv = nn.Conv2d(channels, out, signature.kernel, signature.stride, groups=groups, bias=False)
            _fill(conv, layer, seed)
            module = nn.Sequential(nn.ZeroPad2d(sides(signature)), conv)
    return module


@torch.no_grad()
def _fill(module: nn.Module, layer: Layer, seed: int) -> None:
    bias = draw_bias(seed, layer)
    module.weight = nn.Parameter(torch.from_numpy(draw_weight(seed, layer)))
    if bias is not None:
        module.bias = nn.Parameter(torch.from_numpy(bias))


def tensor_of(images: Array) -> Tensor:
    """Images as modules read them, in float32."""
    return torch.from_numpy(images).float()


def values_of(graph: Graph, images: Tensor, weight_of: Callable[[Layer], Array]) -> dict[str, Tensor]:
    """The output of every layer by name with given weights, no bias and no batch norm: nothing is made a module."""
    values: dict[str, Tensor] = {}
    for layer in graph:
        inputs = [values[name] for name in layer.inputs]
        if layer.signature.kind in LEARNED:
            values[layer.name] = _convolved(
                layer.signature, inputs[0], torch.from_numpy(weight_of(layer)).to(images.dtype)
            )
        elif layer.signature.kind is Kind.BATCH_NORM:
            values[layer.name] = inputs[0]
        else:
            values[layer.name] = _compute(layer.signature, inputs, images)
    return values


def _convolved(signature: Signature, images: Tensor, weight: Tensor) -> Tensor:
    """The output of a convolution, a depthwise convolution or a linear layer of that weight, without bias."""
    if signature.kind is Kind.LINEAR:
        return F.linear(images.flatten(1), weight)[:, :, None, None]
    groups = signature.in_shape[2] if signature.kind is Kind.DEPTHWISE else 1
    return F.conv2d(F.pad(images, sides(signature)), weight, None, signature.stride, groups=groups)


def _compute(signature: Signature, inputs: list[Tensor], images: Tensor) -> Tensor:
    """The output of a layer without weights."""
    match signature.kind:
        case Kind.INPUT:
            return images
        case Kind.RELU:
            return F.relu(inputs[0])
        case Kind.ADD | Kind.MEAN:
            height, width, channels = signature.out_shape
            zero = images.new_zeros((images.shape[0], channels, height, width))
            return sum(inputs, zero) / (signature.operands if signature.kind is Kind.MEAN else 1)
        case Kind.GLOBAL_POOL:
            return inputs[0].mean((2, 3), keepdim=True)
        case Kind.PAD:
            return F.pad(inputs[0], sides(signature))
        case Kind.AVG_POOL:
            return average_pool(inputs[0], signature)
        case Kind.MAX_POOL:
            padded = F.pad(inputs[0], sides(signature), value=float("-inf"))
            return F.max_pool2d(padded, signature.kernel, signature.stride)
        case Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR | Kind.BATCH_NORM:
            raise AssertionError(f"{signature} has weights")


def sides(signature: Signature) -> tuple[int, int, int, int]:
    """Pixels of padding in the order of `torch.nn.functional.pad`: left, right, above, below."""
    rows, columns = signature.padding
    return *columns, *rows


def average_pool(images: Tensor, signature: Signature) -> Tensor:
    """An average pool that does not count its padding, which may differ on every side."""
    if all(axis.before == axis.after <= axis.kernel // 2 for axis in signature.axes):  # all that torch knows
        (above, _), (left, _) = signature.padding
        return F.avg_pool2d(images, signature.kernel, signature.stride, (above, left), count_include_pad=False)
    total, count = (
        F.avg_pool2d(F.pad(values, sides(signature)), signature.kernel, signature.stride)
        for values in (images, torch.ones_like(images))
    )
    return total / count
