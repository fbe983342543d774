"""Draws a `Graph` layer by layer, working out shapes."""

from __future__ import annotations

from functools import lru_cache

from micronas.network.graph import Graph, Layer
from micronas.network.signature import GraphError, Kind, Pair, Shape, Signature

_signature = lru_cache(maxsize=10_000)(Signature)
"""The same signature is one object: a space has few, and its networks are drawn by the thousand."""


class GraphBuilder:
    """Begins with a layer named `input`. Every method that draws a layer takes its name first and returns it.

    Windows, strides and paddings are a number for both axes, or a pair: (height, width). A padding lies on both sides.
    """

    def __init__(self, input_shape: Shape) -> None:
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {}
        self._put("input", _signature(Kind.INPUT, input_shape, input_shape), ())

    def _put(self, name: str, signature: Signature, inputs: tuple[str, ...]) -> str:
        self._layers.append(Layer(name, signature, inputs))
        self._shapes[name] = signature.out_shape
        return name

    def shape(self, name: str) -> Shape:
        """The shape of a layer's output.

        Raises:
            GraphError: no layer of that name is drawn yet.
        """
        if name not in self._shapes:
            raise GraphError(f"there is no layer {name!r} to be read; drawn are {', '.join(self._shapes)}")
        return self._shapes[name]

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int | Pair = 1,
        stride: int | Pair = 1,
        padding: int | Pair | None = None,
    ) -> str:
        """A convolution without bias; `padding` is by default (kernel - 1) // 2 of each axis."""
        return self._window(Kind.CONV, name, source, kernel, stride, padding, channels)

    def depthwise(
        self,
        name: str,
        source: str,
        kernel: int | Pair = 3,
        stride: int | Pair = 1,
        padding: int | Pair | None = None,
    ) -> str:
        """A convolution of each channel alone, without bias; `padding` as of `conv`."""
        return self._window(Kind.DEPTHWISE, name, source, kernel, stride, padding)

    def avg_pool(self, name: str, source: str, kernel: int | Pair, stride: int | Pair, padding: int | Pair = 0) -> str:
        """An average pool that does not count its padding."""
        return self._window(Kind.AVG_POOL, name, source, kernel, stride, padding)

    def max_pool(self, name: str, source: str, kernel: int | Pair, stride: int | Pair, padding: int | Pair = 0) -> str:
        """A max pool; padding never wins."""
        return self._window(Kind.MAX_POOL, name, source, kernel, stride, padding)

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
        shape = self.shape(source)
        return self._put(name, _signature(Kind.GLOBAL_POOL, shape, (1, 1, shape[2])), (source,))

    def linear(self, name: str, source: str, classes: int) -> str:
        """A fully-connected layer with bias."""
        shape = self.shape(source)
        return self._put(name, _signature(Kind.LINEAR, shape, (1, 1, classes)), (source,))

    def graph(self) -> Graph:
        """What was drawn."""
        return Graph(tuple(self._layers))

    def _window(
        self,
        kind: Kind,
        name: str,
        source: str,
        kernel: int | Pair,
        stride: int | Pair,
        padding: int | Pair | None,
        channels: int | None = None,
    ) -> str:
        """A layer that moves a window; its output has as many channels as its operand, unless told."""
        shape, window, step = self.shape(source), _pair(kernel), _pair(stride)
        y, x = ((window[0] - 1) // 2, (window[1] - 1) // 2) if padding is None else _pair(padding)
        out = (
            _strided(shape[0], window[0], step[0], y),
            _strided(shape[1], window[1], step[1], x),
            shape[2] if channels is None else channels,
        )
        return self._put(name, _signature(kind, shape, out, window, step, ((y, y), (x, x))), (source,))

    def _same(self, kind: Kind, name: str, source: str) -> str:
        shape = self.shape(source)
        return self._put(name, _signature(kind, shape, shape), (source,))


def _pair(number: int | Pair) -> Pair:
    return (number, number) if isinstance(number, int) else number


def _strided(size: int, kernel: int, stride: int, padding: int) -> int:
    if stride < 1:
        raise GraphError(f"a stride is 1 or more, not {stride}")
    return (size + 2 * padding - kernel) // stride + 1
