"""A network as the hardware sees it: layers in the order they run.

The waist of the hourglass. Search spaces *lower* to a `Graph`; everything that judges (indicators)
and everything that builds (torch, int8, C) reads only a `Graph`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from types import MappingProxyType

Shape = tuple[int, int, int]
"""(height, width, channels) of one feature map, in elements."""


class Kind(StrEnum):
    """What a layer computes. Adding one makes the type checker name every `match` left out."""

    INPUT = "input"
    CONV = "conv"
    DEPTHWISE = "depthwise"
    BATCH_NORM = "batch_norm"
    RELU = "relu"
    AVG_POOL = "avg_pool"
    MAX_POOL = "max_pool"
    ADD = "add"
    MEAN = "mean"
    GLOBAL_POOL = "global_pool"
    LINEAR = "linear"
    PAD = "pad"


@dataclass(frozen=True)
class Signature:
    """What a board is asked to time: everything about a layer but its name and its weights.

    `padding` is (before, after) in pixels, the same on both axes; an average pool never counts it.
    `operands` is the number of summands of an ADD (2 to 4 on a board) and the divisor of a MEAN,
    which may exceed its inputs: an option `none` still alive is a zero operand that nobody emits.
    `relu_in` clamps the operand at zero while it is read. Clamping the output, the bias and the
    rescale are no fields: they always run.
    """

    kind: Kind
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    operands: int = 1
    relu_in: bool = False

    @cached_property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the layer's weight tensor, () if it has none (torch layout, bias aside).

        CONV (out, in, k, k) · DEPTHWISE (channels, 1, k, k) · LINEAR (out, in) ·
        BATCH_NORM (channels,).
        """
        channels, out = self.in_shape[2], self.out_shape[2]
        match self.kind:
            case Kind.CONV:
                return (out, channels, self.kernel, self.kernel)
            case Kind.DEPTHWISE:
                return (channels, 1, self.kernel, self.kernel)
            case Kind.LINEAR:
                return (out, channels)
            case Kind.BATCH_NORM:
                return (channels,)
            case (
                Kind.INPUT
                | Kind.RELU
                | Kind.AVG_POOL
                | Kind.MAX_POOL
                | Kind.ADD
                | Kind.MEAN
                | Kind.GLOBAL_POOL
                | Kind.PAD
            ):
                return ()

    def __str__(self) -> str:
        """`conv3x3/1 32x32x16->16`, `add2 8x8x64`, `conv1x1/1 8x8x64->64 relu_in`."""
        height, width, channels = self.in_shape
        size = f"{height}x{width}x{channels}"
        match self.kind:
            case Kind.CONV | Kind.DEPTHWISE | Kind.AVG_POOL | Kind.MAX_POOL:
                head = f"{self.kind}{self.kernel}x{self.kernel}/{self.stride}"
            case Kind.ADD | Kind.MEAN:
                head = f"{self.kind}{self.operands}"
            case Kind.INPUT | Kind.BATCH_NORM | Kind.RELU | Kind.GLOBAL_POOL | Kind.LINEAR | Kind.PAD:
                head = str(self.kind)
        text = f"{head} {size}"
        if self.out_shape[2] != channels:
            text += f"->{self.out_shape[2]}"
        same = (self.kernel - 1) // 2
        if self.kind is Kind.PAD or self.padding not in ((0, 0), (same, same)):
            text += f" pad{self.padding[0]},{self.padding[1]}"
        return text + (" relu_in" if self.relu_in else "")


@dataclass(frozen=True)
class Layer:
    """One step of a network; its name and signature together identify its weights.

    `inputs` are the names of the layers it reads. `clamp` (deployed graphs only): the output is
    clamped at zero, a folded ReLU that costs nothing.
    """

    name: str
    signature: Signature
    inputs: tuple[str, ...] = ()
    clamp: bool = False


@dataclass(frozen=True)
class Graph:
    """Layers in the order they run; the last one is the output.

    Raises:
        ValueError: two layers share a name, or a layer reads one that does not run before it.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for layer in self.layers:
            for name in layer.inputs:
                if name not in seen:
                    raise ValueError(f"layer {layer.name!r} reads {name!r}, which does not run before it")
            if layer.name in seen:
                raise ValueError(f"two layers are named {layer.name!r}")
            seen.add(layer.name)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> Layer:
        return self._by_name[name]

    @property
    def input_shape(self) -> Shape:
        """(height, width, channels) of the image."""
        return next(layer.signature.out_shape for layer in self.layers if layer.signature.kind is Kind.INPUT)

    @property
    def output(self) -> Layer:
        """The layer whose value the network returns."""
        return self.layers[-1]

    @cached_property
    def _by_name(self) -> Mapping[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def readers(self) -> Mapping[str, tuple[Layer, ...]]:
        """For every layer's name, the layers that read it (twice if twice among its inputs)."""
        readers: dict[str, list[Layer]] = {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for name in layer.inputs:
                readers[name].append(layer)
        return MappingProxyType({name: tuple(found) for name, found in readers.items()})


_signature = lru_cache(maxsize=10_000)(Signature)
"""The same signature is one object: a space has few, and its networks are drawn by the thousand."""


class GraphBuilder:
    """Draws a `Graph` layer by layer, working out shapes. Every method returns the layer's name."""

    def __init__(self, input_shape: Shape) -> None:
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {}
        self._put("input", _signature(Kind.INPUT, input_shape, input_shape), ())

    def _put(self, name: str, signature: Signature, inputs: tuple[str, ...]) -> str:
        self._layers.append(Layer(name, signature, inputs))
        self._shapes[name] = signature.out_shape
        return name

    def shape(self, name: str) -> Shape:
        """The shape of a layer's output."""
        return self._shapes[name]

    def conv(
        self, name: str, source: str, channels: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ) -> str:
        """A convolution without bias; `padding` on every side, by default (kernel - 1) // 2."""
        shape, pad = self._shapes[source], (kernel - 1) // 2 if padding is None else padding
        out = (_strided(shape[0], kernel, stride, pad), _strided(shape[1], kernel, stride, pad), channels)
        return self._put(name, _signature(Kind.CONV, shape, out, kernel, stride, (pad, pad)), (source,))

    def avg_pool(self, name: str, source: str, kernel: int, stride: int, padding: int = 0) -> str:
        """An average pool that does not count its padding."""
        shape = self._shapes[source]
        out = (_strided(shape[0], kernel, stride, padding), _strided(shape[1], kernel, stride, padding), shape[2])
        signature = _signature(Kind.AVG_POOL, shape, out, kernel, stride, (padding, padding))
        return self._put(name, signature, (source,))

    def batch_norm(self, name: str, source: str) -> str:
        """Batch normalisation, affine."""
        return self._same(Kind.BATCH_NORM, name, source)

    def relu(self, name: str, source: str) -> str:
        """max(0, x)."""
        return self._same(Kind.RELU, name, source)

    def add(self, name: str, sources: tuple[str, ...], shape: Shape) -> str:
        """The sum of 0..n operands of one shape; of none, it is zero."""
        return self._put(name, _signature(Kind.ADD, shape, shape, operands=len(sources)), sources)

    def mean(self, name: str, sources: tuple[str, ...], shape: Shape, operands: int) -> str:
        """The sum of the sources divided by `operands`: the value of an open decision."""
        return self._put(name, _signature(Kind.MEAN, shape, shape, operands=operands), sources)

    def global_pool(self, name: str, source: str) -> str:
        """The average over all pixels: (h, w, c) to (1, 1, c)."""
        shape = self._shapes[source]
        return self._put(name, _signature(Kind.GLOBAL_POOL, shape, (1, 1, shape[2]), shape[0]), (source,))

    def linear(self, name: str, source: str, classes: int) -> str:
        """A fully-connected layer with bias."""
        shape = self._shapes[source]
        return self._put(name, _signature(Kind.LINEAR, shape, (1, 1, classes)), (source,))

    def graph(self) -> Graph:
        """What was drawn."""
        return Graph(tuple(self._layers))

    def _same(self, kind: Kind, name: str, source: str) -> str:
        shape = self._shapes[source]
        return self._put(name, _signature(kind, shape, shape), (source,))


def _strided(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1
