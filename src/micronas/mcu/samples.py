"""Seeded operands and constants for one operator, as a trained and calibrated network might have them.

For timing an operator alone, for firmware whose weights are yet to come, and for tests. The scales are
chosen so that results spread over int8 instead of sticking to its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from micronas.mcu.reference import (
    BinaryAdd,
    Constants,
    Folded,
    Int8,
    Output,
    Padded,
    Pooled,
    Rescaled,
    Weighted,
    binary_add,
    quantize_multiplier,
    weight_shape,
)
from micronas.network.signature import Kind, Signature


@dataclass(frozen=True)
class Sample:
    """One operator's constants and int8 operands, each of `in_shape`."""

    constants: Constants
    operands: tuple[Int8, ...]


def sample(signature: Signature, seed: int = 0) -> Sample:
    """Constants and operands of an operator of a deployed graph; the same seed gives the same bytes.

    Raises:
        ValueError: the kind has no integer form (INPUT, BATCH_NORM, MEAN).
    """
    chance = np.random.default_rng(seed)
    operands = tuple(chance.integers(-128, 128, signature.in_shape).astype(np.int8) for _ in range(signature.operands))
    return Sample(_constants(signature, chance), operands)


def _constants(signature: Signature, chance: np.random.Generator) -> Constants:
    zero = int(chance.integers(-20, 21))
    match signature.kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR:
            return _weighted(signature, chance, zero)
        case Kind.AVG_POOL | Kind.MAX_POOL | Kind.GLOBAL_POOL:
            return Pooled(Output(zero))
        case Kind.PAD:
            return Padded(zero)
        case Kind.RELU:
            return Rescaled(quantize_multiplier(float(chance.uniform(0.5, 2))), zero, Output(-128))
        case Kind.ADD:
            return Folded(tuple(_stages(signature.operands, chance)))
        case Kind.INPUT | Kind.BATCH_NORM | Kind.MEAN:
            raise ValueError(f"{signature} has no integer form")


def _weighted(signature: Signature, chance: np.random.Generator, zero: int) -> Weighted:
    shape, out = weight_shape(signature), signature.out_shape[2]
    terms = math.prod(shape) // out
    weights = chance.integers(-127, 128, shape).astype(np.int8)
    bias = chance.integers(-1000, 1001, out).astype(np.int32)
    # An int8 product has a standard deviation of about 74 * 74; a result should have one of about 40.
    typical = 40 / (74 * 74 * math.sqrt(terms))
    scales = typical * chance.uniform(0.5, 1.5, 1 if signature.kind is Kind.LINEAR else out)
    return Weighted(
        weights, bias, quantize_multiplier(*map(float, scales)), zero, Output(int(chance.integers(-20, 21)))
    )


def _stages(operands: int, chance: np.random.Generator) -> list[BinaryAdd]:
    """Operands of different scale and zero point; each sum has room for both."""
    left = _scale(chance)
    stages: list[BinaryAdd] = []
    for _ in range(operands - 1):
        right = _scale(chance)
        total = (math.hypot(left[0], right[0]), int(chance.integers(-20, 21)))
        stages.append(binary_add(left, right, total))
        left = total
    return stages


def _scale(chance: np.random.Generator) -> tuple[float, int]:
    return float(chance.uniform(0.01, 0.1)), int(chance.integers(-20, 21))
