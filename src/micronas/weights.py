"""Weights of an untrained network, drawn by (seed, layer name): the same numbers for everybody who asks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Layer
from micronas.network.signature import Kind

Array = npt.NDArray[np.float64]
Draw = Callable[[int, Layer], Array]
"""(seed, layer) -> its weight tensor, shape `layer.signature.weight_shape`."""


def draw_weight(seed: int, layer: Layer) -> Array:
    """The weight tensor of a layer, shape `layer.signature.weight_shape`, in float64.

    PyTorch's default initialisation: U(-1/√fan_in, 1/√fan_in) for convolutions, depthwise convolutions and
    linear layers (`kaiming_uniform_` with a = √5); ones for batch norm.

    Raises:
        ValueError: the layer has no weights.
    """
    shape = layer.signature.weight_shape
    if not shape:
        raise ValueError(f"{layer.name} ({layer.signature}) has no weights")
    if layer.signature.kind is Kind.BATCH_NORM:
        return np.ones(shape)
    return uniform(seed, f"{layer.name}.weight", shape) / math.sqrt(math.prod(shape[1:]))


def draw_normal(seed: int, layer: Layer) -> Array:
    """As `draw_weight`, but N(0, 1) for convolutions and depthwise convolutions."""
    if layer.signature.kind not in (Kind.CONV, Kind.DEPTHWISE):
        return draw_weight(seed, layer)
    return generator(seed, f"{layer.name} normal").standard_normal(layer.signature.weight_shape)


def draw_bias(seed: int, layer: Layer) -> Array | None:
    """The bias, shape (out channels,), of a linear layer or a batch norm (zeros); None where there is none."""
    shape = layer.signature.weight_shape
    match layer.signature.kind:
        case Kind.LINEAR:
            return uniform(seed, f"{layer.name}.bias", shape[:1]) / math.sqrt(shape[1])
        case Kind.BATCH_NORM:
            return np.zeros(shape)
        case _:
            return None


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> Array:
    """Numbers in [-1, 1) that depend on nothing but (seed, name, shape).

    Made from the raw words of PCG64, which numpy promises to keep, unlike its distributions (NEP 19).
    """
    words = _bits(seed, f"{name} {shape}").random_raw(math.prod(shape))
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)


def generator(seed: int, name: str) -> np.random.Generator:
    """A generator for what `name` says; global seeds are never touched."""
    return np.random.Generator(_bits(seed, name))


def _bits(seed: int, name: str) -> np.random.PCG64:
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
    return np.random.PCG64(int.from_bytes(digest, "little"))
