"""The integer reference: what every int8 operator computes, in plain numpy integers.

The arithmetic is that of TFLite-Micro's reference kernels with gemmlowp's *double rounding* (the
high half of the product is rounded, then the shift is rounded again), which CMSIS-NN equals bit by
bit. "Integer reference" means this file everywhere in the project: kernels, emitted C and whole
networks are tested for equality with it. Plain and slow on purpose.

Source: tensorflow/lite/kernels/internal/common.h and reference/integer_ops/*.h (Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micronas.network.signature import Kind, Padding, Signature

Int8 = NDArray[np.int8]
Integers = NDArray[np.int64]

ADD_LEFT_SHIFT = 20
"""Bits both operands of an int8 add are shifted up before they are rescaled (TFLite's add)."""


@dataclass(frozen=True)
class Rescale:
    """Fixed-point factors multiplier * 2**(shift - 31); one entry per channel, or a single one.

    `multiplier` is 0 or in [2**30, 2**31); `shift` is in [-31, 30], positive to the left.
    """

    multiplier: tuple[int, ...]
    shift: tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """How a result is stored: its zero point and its clamp [minimum, maximum], all int8."""

    zero_point: int = 0
    minimum: int = -128
    maximum: int = 127


@dataclass(frozen=True)
class Weighted:
    """Constants of CONV, DEPTHWISE and LINEAR.

    Weights are int8, in memory order: CONV (out, height, width, in), DEPTHWISE (height, width, channels), LINEAR
    (out, in); the bias is int32 (out,). `rescale` holds one factor per output channel, LINEAR one.
    """

    weights: Int8
    bias: NDArray[np.int32]
    rescale: Rescale
    input_zero_point: int
    output: Output


@dataclass(frozen=True)
class Pooled:
    """Constants of pools, whose input and output share scale and zero point: only the clamp is used."""

    output: Output


@dataclass(frozen=True)
class Padded:
    """Constants of PAD: the zero point it writes around the image."""

    zero_point: int


@dataclass(frozen=True)
class Rescaled:
    """Constants of RELU: one factor from the input's scale to the output's."""

    rescale: Rescale
    input_zero_point: int
    output: Output


@dataclass(frozen=True)
class BinaryAdd:
    """Constants of one int8 add: factors of the left and right operand and of their sum."""

    left_zero_point: int
    right_zero_point: int
    left: Rescale
    right: Rescale
    sum: Rescale
    output: Output


@dataclass(frozen=True)
class Folded:
    """Constants of ADD with n operands: its n - 1 binary adds, left to right."""

    stages: tuple[BinaryAdd, ...]


Constants = Weighted | Pooled | Padded | Rescaled | Folded


def weight_shape(signature: Signature) -> tuple[int, ...]:
    """Shape of the int8 weights in memory order, as `Weighted` has them; () if there are none."""
    (height, width, channels), out = signature.in_shape, signature.out_shape[2]
    match signature.kind:
        case Kind.CONV:
            return (out, *signature.kernel, channels)
        case Kind.DEPTHWISE:
            return (*signature.kernel, channels)
        case Kind.LINEAR:
            return (out, height * width * channels)
        case _:
            return ()


def quantize_multiplier(*scales: float) -> Rescale:
    """Real factors >= 0 as fixed-point numbers, as TFLite's QuantizeMultiplier makes them."""
    pairs = [_quantize_one(scale) for scale in scales]
    return Rescale(tuple(m for m, _ in pairs), tuple(s for _, s in pairs))


def _quantize_one(scale: float) -> tuple[int, int]:
    fraction, shift = math.frexp(scale)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if shift < -31:
        return 0, 0
    return (2**31 - 1, 30) if shift > 30 else (multiplier, shift)


def binary_add(
    left: tuple[float, int], right: tuple[float, int], output: tuple[float, int], clamp: tuple[int, int] = (-128, 127)
) -> BinaryAdd:
    """The constants of an int8 add from (scale, zero point) of both operands and of the output.

    As TFLite prepares it: both operands are brought to twice the larger scale.
    """
    twice_max = 2 * max(left[0], right[0])
    return BinaryAdd(
        left[1],
        right[1],
        quantize_multiplier(left[0] / twice_max),
        quantize_multiplier(right[0] / twice_max),
        quantize_multiplier(twice_max / (2**ADD_LEFT_SHIFT * output[0])),
        Output(output[1], *clamp),
    )


def run(signature: Signature, constants: Constants, *operands: Int8) -> Int8:
    """What the operator computes: int8 operands of `in_shape` to an int8 array of `out_shape`.

    Raises:
        ValueError: the constants are not of the signature's kind.
        OverflowError: an accumulator leaves int32, which the arithmetic does not define.
    """
    match signature.kind, constants:
        case Kind.CONV, Weighted():
            result = _convolution(signature, constants, operands[0])
        case Kind.DEPTHWISE, Weighted():
            result = _depthwise(signature, constants, operands[0])
        case Kind.LINEAR, Weighted():
            result = _linear(constants, operands[0])
        case Kind.AVG_POOL | Kind.GLOBAL_POOL, Pooled():
            result = _average_pool(signature, constants, operands[0])
        case Kind.MAX_POOL, Pooled():
            result = _max_pool(signature, constants, operands[0])
        case Kind.PAD, Padded():
            result = _padded(operands[0], signature.padding, constants.zero_point).astype(np.int8)
        case Kind.RELU, Rescaled():
            result = _relu(constants, operands[0])
        case Kind.ADD, Folded():
            result = operands[0]
            for stage, operand in zip(constants.stages, operands[1:], strict=True):
                result = _add(stage, result, operand)
        case ((Kind.INPUT | Kind.BATCH_NORM | Kind.MEAN), _):
            raise ValueError(f"{signature} has no integer form")
        case ((Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR | Kind.RELU | Kind.ADD | Kind.PAD), _):
            raise _of_another_kind(signature, constants)
        case ((Kind.AVG_POOL | Kind.MAX_POOL | Kind.GLOBAL_POOL), _):
            raise _of_another_kind(signature, constants)
    return result.reshape(signature.out_shape)


def _of_another_kind(signature: Signature, constants: Constants) -> ValueError:
    return ValueError(f"{signature} has no integer form with {type(constants).__name__} constants")


def saturating_rounding_doubling_high_mul(a: Integers, b: Integers) -> Integers:
    """gemmlowp: the high half of 2ab, rounded; both int32. The one overflow saturates."""
    product = a * b
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    return np.minimum(np.sign(nudged) * (np.abs(nudged) >> 31), 2**31 - 1)


def rounding_divide_by_pot(x: Integers, exponent: Integers) -> Integers:
    """gemmlowp: x / 2**exponent rounded to nearest, halves away from zero; exponent >= 0."""
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def multiply_by_quantized_multiplier(x: Integers, rescale: Rescale) -> Integers:
    """X (..., channels) * multiplier * 2**(shift - 31), rounded twice.

    Raises:
        OverflowError: x, or x shifted left, does not fit int32.
    """
    multiplier, shift = np.asarray(rescale.multiplier, np.int64), np.asarray(rescale.shift, np.int64)
    shifted = x << np.maximum(shift, 0)
    if np.any(np.abs(x) >= 2**31) or np.any(np.abs(shifted) >= 2**31):
        raise OverflowError("an accumulator does not fit int32: the bias or the scales are out of range")
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), np.maximum(-shift, 0))


def _stored(value: Integers, output: Output) -> Int8:
    return _clamped(value + output.zero_point, output)


def _clamped(value: Integers, output: Output) -> Int8:
    return np.clip(value, output.minimum, output.maximum).astype(np.int8)


def _padded(x: Int8, padding: Padding, value: int) -> Integers:
    return np.pad(x.astype(np.int64), (*padding, (0, 0)), constant_values=value)


def _windows(x: Integers, signature: Signature) -> Integers:
    """Every window of a padded (height, width, channels): (out_h, out_w, channels, height, width)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, signature.kernel, (0, 1))
    (down, across), (height, width, _) = signature.stride, signature.out_shape
    return windows[::down, ::across][:height, :width]


def _read(signature: Signature, constants: Weighted, x: Int8) -> Integers:
    """The windows of the operand minus its zero point, so that padding is 0 and relu_in is max(0, x)."""
    centred = x.astype(np.int64) - constants.input_zero_point
    padded = np.pad(centred, (*signature.padding, (0, 0)))
    return _windows(np.maximum(padded, 0) if signature.relu_in else padded, signature)


def _weighted(accumulator: Integers, constants: Weighted) -> Int8:
    return _stored(multiply_by_quantized_multiplier(accumulator + constants.bias, constants.rescale), constants.output)


def _convolution(signature: Signature, constants: Weighted, x: Int8) -> Int8:
    weights = constants.weights.astype(np.int64)
    return _weighted(np.einsum("hwcij,oijc->hwo", _read(signature, constants, x), weights, optimize=True), constants)


def _depthwise(signature: Signature, constants: Weighted, x: Int8) -> Int8:
    weights = constants.weights.astype(np.int64)
    return _weighted(np.einsum("hwcij,ijc->hwc", _read(signature, constants, x), weights), constants)


def _linear(constants: Weighted, x: Int8) -> Int8:
    centred = x.astype(np.int64).reshape(-1) - constants.input_zero_point
    return _weighted(constants.weights.astype(np.int64) @ centred, constants)


def _average_pool(signature: Signature, constants: Pooled, x: Int8) -> Int8:
    """Sum over count, halves away from zero; padding is neither summed nor counted."""
    if signature.kind is Kind.GLOBAL_POOL:
        total, count = x.astype(np.int64).sum((0, 1)), np.int64(x.shape[0] * x.shape[1])
    else:
        total = _windows(_padded(x, signature.padding, 0), signature).sum((3, 4))
        count = _windows(_padded(np.ones_like(x), signature.padding, 0), signature).sum((3, 4))
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return _clamped(mean, constants.output)


def _max_pool(signature: Signature, constants: Pooled, x: Int8) -> Int8:
    highest = _windows(_padded(x, signature.padding, -128), signature).max((3, 4))
    return _clamped(highest, constants.output)


def _relu(constants: Rescaled, x: Int8) -> Int8:
    centred = np.maximum(x.astype(np.int64) - constants.input_zero_point, 0)
    return _stored(multiply_by_quantized_multiplier(centred, constants.rescale), constants.output)


def _add(stage: BinaryAdd, left: Int8, right: Int8) -> Int8:
    total = sum(_brought_to_common_scale(stage, left, right))
    return _stored(multiply_by_quantized_multiplier(np.asarray(total), stage.sum), stage.output)


def _brought_to_common_scale(stage: BinaryAdd, left: Int8, right: Int8) -> Iterator[Integers]:
    for operand, zero, rescale in (
        (left, stage.left_zero_point, stage.left),
        (right, stage.right_zero_point, stage.right),
    ):
        centred = operand.astype(np.int64) - zero
        yield multiply_by_quantized_multiplier(centred << ADD_LEFT_SHIFT, rescale)
