"""What a layer computes, apart from its name and its weights: the question a board is asked to time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from micronas.errors import UserError

Shape = tuple[int, int, int]
"""(height, width, channels) of one feature map, in elements."""

Pair = tuple[int, int]
"""What rows and columns have each their own of: a window's (height, width), a stride (down, across)."""

Padding = tuple[Pair, Pair]
"""((above, below), (left, right)) in pixels."""

LARGEST_BYTES = 16 << 20
"""A feature map or a layer's weights in int8 beyond this fit no microcontroller, nor the memory it could address."""


class GraphError(UserError, ValueError):
    """Layers that make no network; the message names the layer and says what is wrong with it."""


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


WINDOWED = frozenset({Kind.CONV, Kind.DEPTHWISE, Kind.AVG_POOL, Kind.MAX_POOL})
"""Kinds that move a window of `kernel` by `stride` over their padded operand."""

LEARNED = (Kind.CONV, Kind.DEPTHWISE, Kind.LINEAR)
"""Kinds with weights to learn; batch norm's affine pair is not counted among them."""

SUMS = frozenset({Kind.ADD, Kind.MEAN})
"""Kinds that read any number of operands of one shape."""


class Axis(NamedTuple):
    """A window along one axis: what a signature says of its rows, or of its columns."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int
    after: int

    @property
    def windows(self) -> int:
        """How many fit on the padded axis."""
        return (self.size + self.before + self.after - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class Signature:
    """What a board is asked to time: everything about a layer but its name and its weights.

    `kernel` is (height, width), `stride` (down, across), `padding` ((above, below), (left, right)) in pixels, which
    an average pool never counts; `square` takes one number for both axes.
    `operands` is the number of summands of an ADD (2 to 4 on a board) and the divisor of a MEAN,
    which may exceed its inputs: an option `none` still alive is a zero operand that nobody emits.
    `relu_in` clamps the operand at zero while it is read. Clamping the output, the bias and the
    rescale are no fields: they always run. A signature alone is not checked; the graph it stands in is.
    """

    kind: Kind
    in_shape: Shape
    out_shape: Shape
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    operands: int = 1
    relu_in: bool = False

    def __hash__(self) -> int:
        """As of any frozen dataclass, but computed once: signatures are looked up by the million."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        sizes = self.in_shape, self.out_shape, self.kernel, self.stride, self.padding
        return hash((self.kind, *sizes, self.operands, self.relu_in))

    def __getstate__(self) -> dict[str, object]:
        """Without its hash, which another process would compute otherwise."""
        return {name: value for name, value in vars(self).items() if name != "_hash"}

    @staticmethod
    def square(
        kind: Kind,
        in_shape: Shape,
        out_shape: Shape,
        kernel: int = 1,
        stride: int = 1,
        padding: Pair = (0, 0),
        operands: int = 1,
        relu_in: bool = False,
    ) -> Signature:
        """The signature of a window that is the same on both axes; `padding` is (before, after) on each."""
        return Signature(
            kind, in_shape, out_shape, (kernel, kernel), (stride, stride), (padding, padding), operands, relu_in
        )

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Its window along the rows and along the columns."""
        (height, width, _), (out_height, out_width, _) = self.in_shape, self.out_shape
        return (
            Axis(height, out_height, self.kernel[0], self.stride[0], *self.padding[0]),
            Axis(width, out_width, self.kernel[1], self.stride[1], *self.padding[1]),
        )

    @cached_property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the layer's weight tensor, () if it has none (torch layout, bias aside).

        CONV (out, in, height, width) · DEPTHWISE (channels, 1, height, width) · LINEAR (out, in) ·
        BATCH_NORM (channels,).
        """
        channels, out = self.in_shape[2], self.out_shape[2]
        match self.kind:
            case Kind.CONV:
                return (out, channels, *self.kernel)
            case Kind.DEPTHWISE:
                return (channels, 1, *self.kernel)
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

    @cached_property
    def fault(self) -> str:
        """What no layer of this signature could compute, "" if there is nothing wrong with it."""
        return _fault(self)

    @property
    def operation(self) -> str:
        """Its class, whatever the shapes: `conv3x3`, `avg_pool2x2`, `add`, `linear`."""
        return f"{self.kind}{_by(self.kernel)}" if self.kind in WINDOWED else str(self.kind)

    def __str__(self) -> str:
        """`conv3x3/1 32x32x16->16`, `conv10x4/2x1 49x10x1->8`, `add2 8x8x64`, `conv1x1/1 8x8x64->64 relu_in`.

        A padding is shown where it is neither none nor half of the window.
        """
        height, width, channels = self.in_shape
        size = f"{height}x{width}x{channels}"
        match self.kind:
            case Kind.CONV | Kind.DEPTHWISE | Kind.AVG_POOL | Kind.MAX_POOL:
                head = f"{self.kind}{_by(self.kernel)}/{_brief(self.stride)}"
            case Kind.ADD | Kind.MEAN:
                head = f"{self.kind}{self.operands}"
            case Kind.INPUT | Kind.BATCH_NORM | Kind.RELU | Kind.GLOBAL_POOL | Kind.LINEAR | Kind.PAD:
                head = str(self.kind)
        text = f"{head} {size}"
        if self.out_shape[2] != channels:
            text += f"->{self.out_shape[2]}"
        half = tuple(((size - 1) // 2, (size - 1) // 2) for size in self.kernel)
        if self.kind is Kind.PAD or self.padding not in (((0, 0), (0, 0)), half):
            text += f" pad{_sides(self.padding)}"
        return text + (" relu_in" if self.relu_in else "")


# --- what no layer can be ------------------------------------------------------------------------


def _fault(signature: Signature) -> str:
    if wrong := unreadable(signature) or _too_large(signature):
        return wrong
    kind, (height, width, channels), made = signature.kind, signature.in_shape, signature.out_shape
    if kind not in SUMS and signature.operands != 1:
        return f"only sums have operands, not a {kind}"
    if kind is Kind.MEAN and signature.operands < 1:
        return "a mean is of one operand or more"
    if signature.relu_in and kind not in (Kind.CONV, Kind.DEPTHWISE):
        return "only convolutions clamp what they read"
    if kind not in WINDOWED and (*signature.kernel, *signature.stride) != (1, 1, 1, 1):
        return f"a {kind} has no window"
    if kind not in WINDOWED and kind is not Kind.PAD and signature.padding != ((0, 0), (0, 0)):
        return f"a {kind} pads nothing"
    match kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.AVG_POOL | Kind.MAX_POOL:
            return _window_fault(signature)
        case Kind.INPUT | Kind.BATCH_NORM | Kind.RELU | Kind.ADD | Kind.MEAN:
            wanted = signature.in_shape
        case Kind.GLOBAL_POOL:
            wanted = (1, 1, channels)
        case Kind.PAD:
            wanted = (height + sum(signature.padding[0]), width + sum(signature.padding[1]), channels)
        case Kind.LINEAR:
            if (height, width) != (1, 1):
                return "a linear layer reads one pixel; pool before it"
            wanted = (1, 1, made[2])
    return "" if made == wanted else f"it makes {size_text(wanted)}, not {size_text(made)}"


def unreadable(signature: Signature) -> str:
    """Whether the kind is none, or a number is none or below what it can be."""
    if type(signature.kind) is not Kind:
        return f"{signature.kind!r} is no kind of layer; there are {', '.join(Kind)}"
    shapes = (signature.in_shape, signature.out_shape)
    if any(type(shape) is not tuple or len(shape) != 3 for shape in shapes):  # pyright: ignore[reportUnnecessaryComparison]
        return "a shape is (height, width, channels)"
    kernel, stride, padding = signature.kernel, signature.stride, signature.padding
    if not (_is_pair(kernel) and _is_pair(stride)):
        return "a window is (height, width), a stride (down, across)"
    if not (_is_pair(padding) and _is_pair(padding[0]) and _is_pair(padding[1])):
        return "a padding is ((above, below), (left, right))"
    least = {"shape": 1, "window": 1, "padding": 0, "operands": 0}
    numbers = {
        "shape": (*signature.in_shape, *signature.out_shape),
        "window": (*kernel, *stride),
        "padding": (*padding[0], *padding[1]),
        "operands": (signature.operands,),
    }
    for what, its in numbers.items():
        if wrong := [number for number in its if type(number) is not int or number < least[what]]:
            return f"{wrong[0]!r} in its {what} is no whole number of at least {least[what]}"
    return ""


def _too_large(signature: Signature) -> str:
    most = max(map(math.prod, (signature.in_shape, signature.out_shape, signature.weight_shape)))
    return f"it takes {most / 2**20:,.0f} MiB; no microcontroller holds that" if most > LARGEST_BYTES else ""


def _is_pair(value: object) -> bool:
    return type(value) is tuple and len(value) == 2  # pyright: ignore[reportUnknownArgumentType]


def _window_fault(signature: Signature) -> str:
    window, axes = _by(signature.kernel), signature.axes
    if any(max(axis.before, axis.after) >= axis.kernel for axis in axes):
        return f"its padding of {_sides(signature.padding)} must be smaller than its window of {window}"
    channels = signature.out_shape[2] if signature.kind is Kind.CONV else signature.in_shape[2]
    height, width = (axis.windows for axis in axes)
    if min(height, width) < 1:
        return f"its window of {window} is larger than the padded {size_text(signature.in_shape)}"
    wanted = (height, width, channels)
    return (
        "" if signature.out_shape == wanted else f"it makes {size_text(wanted)}, not {size_text(signature.out_shape)}"
    )


# --- how it reads --------------------------------------------------------------------------------


def size_text(shape: Shape) -> str:
    """`32x32x3`."""
    return "x".join(map(str, shape))


def _by(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"


def _brief(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)


def _sides(padding: Padding) -> str:
    """Before and after where the axes agree, else above, below, left and right."""
    return ",".join(map(str, padding[0] if padding[0] == padding[1] else (*padding[0], *padding[1])))
