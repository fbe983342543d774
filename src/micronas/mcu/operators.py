"""Which C function runs a signature: its name, sources, arguments and scratch size.

The one place that knows. The profiler times `operator(signature)` alone, the C emitter calls it in a
network, the tests compare it with the integer reference. All kernels share one calling convention:

    void symbol(const params *, const int8_t *input, int8_t *output, void *scratch);

where an operator of several operands takes an array of pointers for `input`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micronas.errors import UserError
from micronas.mcu.memory import Stream
from micronas.mcu.reference import BinaryAdd, Constants, Folded, Output, Padded, Pooled, Rescale, Rescaled, Weighted
from micronas.network.signature import Kind, Signature

KERNELS = Path(__file__).parent / "kernels"
"""The folder of the C sources; also the include path of `HEADER`."""

HEADER = "micronas_kernels.h"
"""The header that declares every symbol and parameter struct."""

MAX_OPERANDS = 4
"""Operands of the widest fused add (MICRONAS_MAX_OPERANDS in the header)."""

_POOLS = ("micronas_average_pool", "micronas_max_pool")

Array = NDArray[np.int8] | NDArray[np.int32]
Value = int | Array
"""What a field of a parameter struct holds: a number, or the array a pointer points to."""


class NoKernelError(UserError):
    """No kernel computes this signature; the message says which and why."""


@dataclass(frozen=True)
class Operator:
    """How a board runs one signature.

    Attributes:
        symbol: the C function.
        params: the C type of its first argument; every field is an int32_t or a pointer, in order.
        source: the C file in `KERNELS` that holds the function; it needs no other.
        operands: how many tensors it reads; from two on, the second argument is an array of pointers.
        geometry: the fields that the signature alone decides, by name.
        scratch_bytes: what the last argument must point to (4-byte aligned), the same on every core.
        streams: what it reads and how often, for the timing model's memory terms.
    """

    symbol: str
    source: str
    geometry: Mapping[str, int]
    scratch_bytes: int = 0
    operands: int = 1
    streams: tuple[Stream, ...] = ()

    @property
    def params(self) -> str:
        """The C type of the first argument; both pools share one."""
        return "micronas_pool_params" if self.symbol in _POOLS else f"{self.symbol}_params"

    def fields(self, constants: Constants) -> dict[str, Value]:
        """Every field of `params` in C order: geometry, then constants. Arrays stand for pointers.

        Names are designators (`stages[0].left_shift`), so a C initialiser is `.name = value`.
        """
        return {**self.geometry, **_constant_fields(constants)}


def operator(signature: Signature) -> Operator:
    """The kernel of a signature of a deployed graph.

    Raises:
        NoKernelError: the kind does not run on a board (INPUT, BATCH_NORM, MEAN), or no kernel does it this way.
    """
    _refuse_unfused_relu(signature)
    _refuse_windows_outside(signature)
    _refuse_windows_by_axis(signature)
    scratch_bytes, size, channels = 0, prod(signature.in_shape), signature.in_shape[2]
    match signature.kind:
        case Kind.CONV:
            name, geometry, scratch_bytes = "convolution", _conv_geometry(signature), _conv_scratch(signature)
        case Kind.DEPTHWISE:
            name, geometry = "depthwise", {**_window_geometry(signature), "relu_in": int(signature.relu_in)}
        case Kind.LINEAR:
            name, geometry, scratch_bytes = "linear", _linear_geometry(signature), 8 * _groups(size)
        case Kind.AVG_POOL:
            name, geometry = "average_pool", _window_geometry(signature)
        case Kind.MAX_POOL:
            name, geometry = "max_pool", _window_geometry(signature)
        case Kind.GLOBAL_POOL:
            name, geometry = "global_pool", {"pixels": size // channels, "channels": channels}
        case Kind.ADD:
            name, geometry = "add", _add_geometry(signature)
        case Kind.RELU:
            name, geometry, scratch_bytes = "relu", {"size": size}, 256
        case Kind.PAD:
            name, geometry = "pad", _pad_geometry(signature)
        case Kind.INPUT | Kind.BATCH_NORM | Kind.MEAN:
            raise NoKernelError(f"no kernel runs {signature}: deploy the graph first, which leaves no {signature.kind}")
    return Operator(
        f"micronas_{name}",
        f"{name}.c",
        geometry,
        scratch_bytes,
        operands=signature.operands,
        streams=_streams(signature),
    )


@cache
def kernel_version() -> str:
    """Twelve hexadecimal digits that change with any byte of the C sources: part of a latency table's key."""
    digest = sha256()
    for path in sorted(KERNELS.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def pack(fields: Mapping[str, Value], addresses: Mapping[str, int]) -> bytes:
    """A parameter struct as a 32-bit little-endian core reads it; `addresses` locates the arrays by field name."""
    words = [value if isinstance(value, int) else addresses[name] for name, value in fields.items()]
    return struct.pack(f"<{len(words)}I", *(word & 0xFFFFFFFF for word in words))


def _refuse_unfused_relu(signature: Signature) -> None:
    if signature.relu_in and signature.kind not in (Kind.CONV, Kind.DEPTHWISE):
        raise NoKernelError(f"no kernel runs {signature}: only convolutions clamp their operand while they read it")


def _refuse_windows_outside(signature: Signature) -> None:
    """Kernels count on windows that touch the image, and on an output of as many windows as fit."""
    if signature.kind not in (Kind.CONV, Kind.DEPTHWISE, Kind.AVG_POOL, Kind.MAX_POOL):
        return
    if any(max(axis.before, axis.after) >= axis.kernel or axis.windows != axis.out for axis in signature.axes):
        raise NoKernelError(
            f"no kernel runs {signature}: its padding must be smaller than its window"
            f" and lead to {signature.out_shape[0]}x{signature.out_shape[1]}"
        )


def _refuse_windows_by_axis(signature: Signature) -> None:
    """Kernels have one number for both axes. What lies below and on the right of the image they work out for each."""
    rows, columns = signature.axes
    if signature.kind is Kind.PAD and signature.padding[0] != signature.padding[1]:
        raise NoKernelError(f"no kernel runs {signature}: it pads rows and columns alike")
    if (rows.kernel, rows.stride, rows.before) != (columns.kernel, columns.stride, columns.before):
        raise NoKernelError(
            f"no kernel runs {signature}: our windows are square, with one stride and as much padding above as left"
        )


def _streams(signature: Signature) -> tuple[Stream, ...]:
    """Operands come once from SRAM; a convolution reads its weights again for every output row."""
    size = prod(signature.in_shape)
    operands = (Stream(size, 1, "sram"),) * signature.operands
    match signature.kind:
        case Kind.CONV:
            return (*operands, Stream(prod(signature.weight_shape), signature.out_shape[0]))
        case Kind.DEPTHWISE:
            return (*operands, Stream(prod(signature.weight_shape), signature.out_shape[0]))
        case Kind.LINEAR:
            return (*operands, Stream(prod(signature.weight_shape)))
        case Kind.GLOBAL_POOL:
            # Four channels at a time over all pixels: a cache line of 32 channels passes up to eight times.
            return (Stream(size, min(8, _groups(signature.in_shape[2])), "sram"),)
        case _:
            return operands


def _groups(values: int) -> int:
    return -(-values // 4)


def _conv_scratch(signature: Signature) -> int:
    """Bytes; convolution.c says what they hold, and micronas_convolution_scratch_bytes the same number."""
    (kernel, _), channels = signature.kernel, signature.in_shape[2]
    if channels % 4 == 0:
        return 4 * kernel + 2 * kernel * ((signature.out_shape[1] - 1) * signature.stride[1] + kernel) * channels
    size = kernel * kernel * channels
    _, out_width, out_channels = signature.out_shape
    copied = out_channels if size < 3 else 2 - out_channels % 2
    return 2 * out_width * 4 * _groups(size) + copied * size + 3


def _conv_geometry(signature: Signature) -> dict[str, int]:
    (height, width, channels), (out_height, out_width, out_channels) = signature.in_shape, signature.out_shape
    return {
        "in_height": height,
        "in_width": width,
        "in_channels": channels,
        "out_height": out_height,
        "out_width": out_width,
        "out_channels": out_channels,
        "kernel": signature.kernel[0],
        "stride": signature.stride[0],
        "pad": signature.padding[0][0],
        "relu_in": int(signature.relu_in),
    }


def _window_geometry(signature: Signature) -> dict[str, int]:
    geometry = _conv_geometry(signature)
    order = ("in_height", "in_width", "out_height", "out_width", "in_channels", "kernel", "stride", "pad")
    return {"channels" if name == "in_channels" else name: geometry[name] for name in order}


def _linear_geometry(signature: Signature) -> dict[str, int]:
    return {"inputs": prod(signature.in_shape), "outputs": signature.out_shape[2]}


def _pad_geometry(signature: Signature) -> dict[str, int]:
    (height, width, channels), (before, after) = signature.in_shape, signature.padding[0]
    return {"in_height": height, "in_width": width, "channels": channels, "before": before, "after": after}


def _add_geometry(signature: Signature) -> dict[str, int]:
    if not 2 <= signature.operands <= MAX_OPERANDS:
        raise NoKernelError(f"no kernel runs {signature}: an add has 2 to {MAX_OPERANDS} operands on a board")
    return {"size": prod(signature.in_shape), "operands": signature.operands}


def _constant_fields(constants: Constants) -> dict[str, Value]:
    match constants:
        case Weighted():
            return _weighted_fields(constants)
        case Pooled():
            return _clamp_fields(constants.output)
        case Padded():
            return {"value": constants.zero_point}
        case Rescaled():
            return {
                **_zero_point_fields(constants.input_zero_point, constants.output),
                "multiplier": constants.rescale.multiplier[0],
                "shift": constants.rescale.shift[0],
            }
        case Folded():
            return {name: value for index in range(MAX_OPERANDS - 1) for name, value in _stage_fields(constants, index)}


def _clamp_fields(output: Output) -> dict[str, Value]:
    return {"output_min": output.minimum, "output_max": output.maximum}


def _zero_point_fields(input_zero_point: int, output: Output) -> dict[str, Value]:
    zeros: dict[str, Value] = {"input_zero_point": input_zero_point, "output_zero_point": output.zero_point}
    return {**zeros, **_clamp_fields(output)}


def _weighted_fields(constants: Weighted) -> dict[str, Value]:
    return {
        **_zero_point_fields(constants.input_zero_point, constants.output),
        "weights": constants.weights,
        "bias": constants.bias,
        "multiplier": np.array(constants.rescale.multiplier, np.int32),
        "shift": np.array(constants.rescale.shift, np.int32),
    }


def _stage_fields(constants: Folded, index: int) -> Iterator[tuple[str, int]]:
    """The fields of one binary add; of a stage that is not used, zeros."""
    stage = constants.stages[index] if index < len(constants.stages) else _UNUSED_STAGE
    values = {
        "left_zero_point": stage.left_zero_point,
        "right_zero_point": stage.right_zero_point,
        "left_multiplier": stage.left.multiplier[0],
        "left_shift": stage.left.shift[0],
        "right_multiplier": stage.right.multiplier[0],
        "right_shift": stage.right.shift[0],
        "sum_multiplier": stage.sum.multiplier[0],
        "sum_shift": stage.sum.shift[0],
        "output_zero_point": stage.output.zero_point,
        "output_min": stage.output.minimum,
        "output_max": stage.output.maximum,
    }
    return ((f"stages[{index}].{name}", value) for name, value in values.items())


_ZERO = Rescale((0,), (0,))
_UNUSED_STAGE = BinaryAdd(0, 0, _ZERO, _ZERO, _ZERO, Output(0, 0, 0))
