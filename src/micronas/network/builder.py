"""Draws a `Graph` layer by layer, working out shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from micronas.network.graph import Graph, Layer
from micronas.network.signature import GraphError, Kind, Pair, Shape, Signature

_signature = lru_cache(maxsize=10_000)(Signature)
"""The same signature is one object: a space has few, and its networks are drawn by the thousand.

Only of numbers that are `int`: those of other types are equal, and would be handed out in their place.
"""


class GraphBuilder:
    """Begins with a layer named `input`. Every method that draws a layer takes its name first and returns it.

    Windows, strides and paddings are a number for both axes, or a pair: (height, width). A padding lies on both sides.
    """

    def __init__(self, input_shape: Shape) -> None:
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {}
        shape = _shape("input", input_shape)
        self._put("input", _signature(Kind.INPUT, shape, shape), ())

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
        shape = _shape(name, shape)
        return self._put(name, _signature(Kind.ADD, shape, shape, operands=len(sources)), sources)

    def mean(self, name: str, sources: tuple[str, ...], shape: Shape, operands: int) -> str:
        """The sum of the sources divided by `operands`: the value of an open decision."""
        shape, divisor = _shape(name, shape), _whole(name, "operands", operands)
        return self._put(name, _signature(Kind.MEAN, shape, shape, operands=divisor), sources)

    def global_pool(self, name: str, source: str) -> str:
        """The average over all pixels: (h, w, c) to (1, 1, c)."""
        shape = self.shape(source)
        return self._put(name, _signature(Kind.GLOBAL_POOL, shape, (1, 1, shape[2])), (source,))

    def linear(self, name: str, source: str, classes: int) -> str:
        """A fully-connected layer with bias."""
        shape = self.shape(source)
        return self._put(name, _signature(Kind.LINEAR, shape, (1, 1, _whole(name, "classes", classes))), (source,))

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
        shape, window, step = self.shape(source), _pair(name, "kernel", kernel), _pair(name, "stride", stride)
        half = ((window[0] - 1) // 2, (window[1] - 1) // 2)
        y, x = half if padding is None else _pair(name, "padding", padding)
        if min(step) < 1:
            raise GraphError(f"the stride of layer {name!r} must be 1 or more, not {stride!r}")
        out = (
            (shape[0] + 2 * y - window[0]) // step[0] + 1,
            (shape[1] + 2 * x - window[1]) // step[1] + 1,
            shape[2] if channels is None else _whole(name, "channels", channels),
        )
        if min(out[:2]) < 1:
            raise GraphError(f"the kernel of layer {name!r} is larger than what it reads: {kernel!r} of {shape}")
        return self._put(name, _signature(kind, shape, out, window, step, ((y, y), (x, x))), (source,))

    def _same(self, kind: Kind, name: str, source: str) -> str:
        shape = self.shape(source)
        return self._put(name, _signature(kind, shape, shape), (source,))


def _whole(name: str, what: str, number: object) -> int:
    if type(number) is not int:
        raise GraphError(f"the {what} of layer {name!r} must be a whole number, not {number!r}")
    return number


def _pair(name: str, what: str, given: Any) -> Pair:
    if type(given) is int:
        return given, given
    pair = cast(tuple[Any, ...], given) if isinstance(given, tuple) else (given, given)
    if len(pair) != 2 or any(type(number) is not int for number in pair):
        raise GraphError(f"the {what} of layer {name!r} must be a whole number or a pair of them, not {given!r}")
    return pair[0], pair[1]


def _shape(name: str, given: Any) -> Shape:
    shape = cast(tuple[Any, ...], given) if isinstance(given, tuple) else ()
    if len(shape) != 3 or any(type(size) is not int for size in shape):
        raise GraphError(f"the shape of layer {name!r} must be (height, width, channels), not {given!r}")
    return shape[0], shape[1], shape[2]
