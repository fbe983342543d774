"""Post-training quantisation: float weights of a deployed graph and a batch of images to an `Int8Network`.

Per-channel weight scales, per-tensor activation scales from the extremes a float run of the batch
shows. `random_parameters` stands in until there are trained ones.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from micronas.deploy.int8 import Floats, Int8Network, Quantization
from micronas.mcu.reference import (
    BinaryAdd,
    Constants,
    Folded,
    Output,
    Padded,
    Pooled,
    Rescaled,
    Weighted,
    binary_add,
    quantize_multiplier,
)
from micronas.network.graph import Layer, Layers
from micronas.network.signature import Kind, Signature

_KEEPS_SCALE = (Kind.AVG_POOL, Kind.MAX_POOL, Kind.GLOBAL_POOL, Kind.PAD, Kind.RELU)
"""Their results share the operand's scale and zero point: so a RELU of its own equals `relu_in`."""


@dataclass(frozen=True)
class FloatParameters:
    """Weights in the layout of `Signature.weight_shape`, and the bias (out_channels,); batch norm is folded in."""

    weights: Floats
    bias: Floats


def random_parameters(graph: Layers, seed: int) -> dict[str, FloatParameters]:
    """He-normal weights and small biases for a deployed graph, drawn by (seed, layer name)."""
    return {
        layer.name: _drawn(layer.signature, _chance(seed, layer.name))
        for layer in graph
        if layer.signature.weight_shape
    }


def random_images(graph: Layers, count: int, seed: int) -> Floats:
    """Gaussian images, shape (count, height, width, channels)."""
    return _chance(seed, "images").standard_normal((count, *graph.layers[0].signature.out_shape))


def random_network(graph: Layers, seed: int = 0, images: int = 4) -> Int8Network:
    """An `Int8Network` of random weights, its scales calibrated on Gaussian images."""
    return quantize(graph, random_parameters(graph, seed), random_images(graph, images, seed))


def quantize(graph: Layers, parameters: Mapping[str, FloatParameters], images: Floats) -> Int8Network:
    """The int8 form of a deployed graph with these weights.

    `images` (count, height, width, channels) calibrate the activations: a scale covers the extremes
    of its tensor over the batch, and zero.
    """
    tensors: dict[str, Quantization] = {}
    for name, layer, values in float_results(graph, parameters, images):
        keeps = layer.signature.kind in _KEEPS_SCALE
        tensors[name] = tensors[layer.inputs[0]] if keeps else _covering(float(values.min()), float(values.max()))
    constants = {
        layer.name: _constants(layer, tensors, parameters) for layer in graph if layer.signature.kind is not Kind.INPUT
    }
    return Int8Network(graph, constants, tensors)


# --- the float run ------------------------------------------------------------------------------


def float_results(
    graph: Layers, parameters: Mapping[str, FloatParameters], images: Floats
) -> Iterator[tuple[str, Layer, Floats]]:
    """Every result (count, height, width, channels) with its layer, adds' intermediate sums included."""
    results: dict[str, Floats] = {}
    for layer in graph:
        if layer.signature.kind is Kind.INPUT:
            value = images
        elif layer.signature.kind is Kind.ADD:
            value = results[layer.inputs[0]]
            for number, name in enumerate(layer.inputs[1:], 1):
                value = value + results[name]
                if number < len(layer.inputs) - 1:
                    yield f"{layer.name}.sum{number}", layer, value
        else:
            value = _apply(layer, parameters, results[layer.inputs[0]])
        results[layer.name] = np.maximum(value, 0) if layer.clamp else value
        yield layer.name, layer, results[layer.name]


def _apply(layer: Layer, parameters: Mapping[str, FloatParameters], x: Floats) -> Floats:
    signature = layer.signature
    x = np.maximum(x, 0) if signature.relu_in else x
    if signature.weight_shape:
        return _weigh(signature, parameters[layer.name], x)
    match signature.kind:
        case Kind.AVG_POOL:
            return _windows(x, signature).sum((4, 5)) / _windows(np.ones_like(x), signature).sum((4, 5))
        case Kind.MAX_POOL:
            return _windows(x, signature, -math.inf).max((4, 5))
        case Kind.GLOBAL_POOL:
            return x.mean((1, 2), keepdims=True)
        case Kind.RELU:
            return np.maximum(x, 0)
        case Kind.PAD:
            return _padded(x, signature, 0)
        case Kind.INPUT | Kind.ADD | Kind.MEAN | Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR | Kind.BATCH_NORM:
            raise ValueError(f"{layer.name}: {signature} is no layer of a deployed graph with one operand")


def _weigh(signature: Signature, parameters: FloatParameters, x: Floats) -> Floats:
    match signature.kind:
        case Kind.CONV:
            sums = np.tensordot(_windows(x, signature), parameters.weights, ((3, 4, 5), (1, 2, 3)))
        case Kind.DEPTHWISE:
            sums = np.einsum("nhwcij,cij->nhwc", _windows(x, signature), parameters.weights[:, 0])
        case _:
            sums = (x.reshape(len(x), -1) @ parameters.weights.T).reshape(len(x), 1, 1, -1)
    return sums + parameters.bias


def _padded(x: Floats, signature: Signature, value: float) -> Floats:
    return np.pad(x, ((0, 0), *signature.padding, (0, 0)), constant_values=value)


def _windows(x: Floats, signature: Signature, padding: float = 0) -> Floats:
    """(count, out_h, out_w, channels, height, width)."""
    (down, across), (height, width, _) = signature.stride, signature.out_shape
    windows = np.lib.stride_tricks.sliding_window_view(_padded(x, signature, padding), signature.kernel, (1, 2))
    return windows[:, ::down, ::across][:, :height, :width]


# --- float to integer ---------------------------------------------------------------------------


def _covering(low: float, high: float) -> Quantization:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0  # a tensor that is always zero
    return Quantization(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def _constants(
    layer: Layer, tensors: Mapping[str, Quantization], parameters: Mapping[str, FloatParameters]
) -> Constants:
    source, result = tensors[layer.inputs[0]], tensors[layer.name]
    output = Output(result.zero_point, result.zero_point if layer.clamp else -128)
    match layer.signature.kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR:
            return _weighted(layer.signature, parameters[layer.name], source, result.scale, output)
        case Kind.AVG_POOL | Kind.MAX_POOL | Kind.GLOBAL_POOL:
            return Pooled(output)
        case Kind.PAD:
            return Padded(source.zero_point)
        case Kind.RELU:
            factor = quantize_multiplier(source.scale / result.scale)
            return Rescaled(factor, source.zero_point, Output(result.zero_point, result.zero_point))
        case Kind.ADD:
            return Folded(tuple(_stages(layer, tensors, output)))
        case Kind.INPUT | Kind.BATCH_NORM | Kind.MEAN:
            raise ValueError(f"{layer.name}: {layer.signature} has no integer form")


def _stages(layer: Layer, tensors: Mapping[str, Quantization], output: Output) -> Iterator[BinaryAdd]:
    last = len(layer.inputs) - 1
    left = tensors[layer.inputs[0]]
    for number, name in enumerate(layer.inputs[1:], 1):
        right, total = tensors[name], tensors[layer.name if number == last else f"{layer.name}.sum{number}"]
        clamp = (output.minimum, output.maximum) if number == last else (-128, 127)
        yield binary_add(
            (left.scale, left.zero_point), (right.scale, right.zero_point), (total.scale, total.zero_point), clamp
        )
        left = total


def _weighted(
    signature: Signature, parameters: FloatParameters, source: Quantization, result_scale: float, output: Output
) -> Weighted:
    """Weights at most 127 in size: per output channel, or (LINEAR) over the whole tensor."""
    weights = parameters.weights
    axes = None if signature.kind is Kind.LINEAR else tuple(range(1, weights.ndim))
    extremes = np.abs(weights).max(axes, keepdims=True)
    scales = np.where(extremes > 0, extremes, 1.0) / 127
    integers = np.round(weights / scales).astype(np.int8)
    accumulator = source.scale * scales.reshape(-1)
    bias = np.clip(np.round(parameters.bias / accumulator), -(2**30), 2**30).astype(np.int32)
    factors = quantize_multiplier(*map(float, accumulator / result_scale))
    return Weighted(_in_memory_order(signature, integers), bias, factors, source.zero_point, output)


def _in_memory_order(signature: Signature, weights: np.ndarray) -> np.ndarray:
    match signature.kind:
        case Kind.CONV:
            return np.ascontiguousarray(weights.transpose(0, 2, 3, 1))
        case Kind.DEPTHWISE:
            return np.ascontiguousarray(weights[:, 0].transpose(1, 2, 0))
        case _:
            return weights


# --- chance -------------------------------------------------------------------------------------


def _chance(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _drawn(signature: Signature, chance: np.random.Generator) -> FloatParameters:
    shape, out = signature.weight_shape, signature.out_shape[2]
    fan_in = math.prod(shape[1:])
    return FloatParameters(chance.standard_normal(shape) * math.sqrt(2 / fan_in), chance.standard_normal(out) * 0.1)
