"""Draws a `Graph` layer by layer, working out shapes."""

from __future__ import annotations

from functools import lru_cache

from micronas.network.graph import Graph, GraphError, Kind, Layer, Shape, Signature

_signature = lru_cache(maxsize=10_000)(Signature)
"""The same signature is one object: a space has few, and its networks are drawn by the thousand."""


class GraphBuilder:
    """Begins with a layer named `input`. Every method that draws a layer takes its name first and returns it."""

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
        self, name: str, source: str, channels: int, kernel: int = 1, stride: int = 1, padding: int | None = None
    ) -> str:
        """A convolution without bias; `padding` on every side, by default (kernel - 1) // 2."""
        shape, pad = self.shape(source), (kernel - 1) // 2 if padding is None else padding
        out = (_strided(shape[0], kernel, stride, pad), _strided(shape[1], kernel, stride, pad), channels)
        return self._put(name, _signature(Kind.CONV, shape, out, kernel, stride, (pad, pad)), (source,))

    def depthwise(self, name: str, source: str, kernel: int = 3, stride: int = 1, padding: int | None = None) -> str:
        """A convolution of each channel alone, without bias; `padding` as of `conv`."""
        pad = (kernel - 1) // 2 if padding is None else padding
        return self._window(Kind.DEPTHWISE, name, source, kernel, stride, pad)

    def avg_pool(self, name: str, source: str, kernel: int, stride: int, padding: int = 0) -> str:
        """An average pool that does not count its padding."""
        return self._window(Kind.AVG_POOL, name, source, kernel, stride, padding)

    def max_pool(self, name: str, source: str, kernel: int, stride: int, padding: int = 0) -> str:
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

    def _window(self, kind: Kind, name: str, source: str, kernel: int, stride: int, padding: int) -> str:
        """A layer that moves a window over each channel alone."""
        shape = self.shape(source)
        out = (_strided(shape[0], kernel, stride, padding), _strided(shape[1], kernel, stride, padding), shape[2])
        return self._put(name, _signature(kind, shape, out, kernel, stride, (padding, padding)), (source,))

    def _same(self, kind: Kind, name: str, source: str) -> str:
        shape = self.shape(source)
        return self._put(name, _signature(kind, shape, shape), (source,))


def _strided(size: int, kernel: int, stride: int, padding: int) -> int:
    if stride < 1:
        raise GraphError(f"a stride is 1 or more, not {stride}")
    return (size + 2 * padding - kernel) // stride + 1
