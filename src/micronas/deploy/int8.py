"""An int8 network: a deployed graph, the constants of its kernels, and what its integers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micronas.mcu.reference import Constants, Int8, run
from micronas.network.graph import Layers
from micronas.network.signature import Kind

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantization:
    """An int8 tensor's meaning: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int

    def quantize(self, real: Floats) -> Int8:
        """The nearest integers, saturated."""
        return np.clip(np.round(real / self.scale) + self.zero_point, -128, 127).astype(np.int8)

    def dequantize(self, integers: Int8) -> Floats:
        """The real values."""
        return self.scale * (integers.astype(np.float64) - self.zero_point)


@dataclass(frozen=True)
class Int8Network:
    """What an exporter writes and a board runs.

    Attributes:
        graph: deployed, or legalised for some runtime.
        constants: of every layer but the input, by name.
        tensors: of every layer's result, by name; an add's intermediate sums are `<name>.sum1`, ….
    """

    graph: Layers
    constants: Mapping[str, Constants]
    tensors: Mapping[str, Quantization]

    @property
    def input(self) -> Quantization:
        """What the integers of the image stand for."""
        return self.tensors[self.graph.layers[0].name]

    @property
    def output(self) -> Quantization:
        """What the integers of the logits stand for."""
        return self.tensors[self.graph.output.name]


def integer_reference(network: Int8Network, image: Int8) -> dict[str, Int8]:
    """Every layer's result by name, (height, width, channels) each, as `mcu/reference.py` computes it.

    `image` is (height, width, channels) of the graph's input.
    """
    results: dict[str, Int8] = {}
    for layer in network.graph:
        if layer.signature.kind is Kind.INPUT:
            results[layer.name] = image.reshape(layer.signature.out_shape)
        else:
            operands = [results[name] for name in layer.inputs]
            results[layer.name] = run(layer.signature, network.constants[layer.name], *operands)
    return results


def logits(network: Int8Network, image: Int8) -> Int8:
    """The network's output for one image, shape (outputs,)."""
    return integer_reference(network, image)[network.graph.output.name].reshape(-1)
