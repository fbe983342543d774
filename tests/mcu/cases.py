"""Random and extreme operators: signatures, constants and operands for the kernel tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from micronas.mcu.reference import (
    BinaryAdd,
    Constants,
    Folded,
    Int8,
    Output,
    Padded,
    Pooled,
    Rescale,
    Rescaled,
    Weighted,
    quantize_multiplier,
)
from micronas.mcu.samples import sample
from micronas.network.signature import Kind, Signature

KINDS = (
    Kind.CONV,
    Kind.DEPTHWISE,
    Kind.AVG_POOL,
    Kind.MAX_POOL,
    Kind.ADD,
    Kind.GLOBAL_POOL,
    Kind.LINEAR,
    Kind.RELU,
    Kind.PAD,
)


@dataclass(frozen=True)
class Case:
    """One operator with everything it needs to run."""

    signature: Signature
    constants: Constants
    operands: tuple[Int8, ...]


def cases(kind: Kind, count: int, seed: int = 0) -> Iterator[Case]:
    """Operators of that kind: every second one realistic, the others with extreme values."""
    chance = np.random.default_rng([seed, KINDS.index(kind)])
    for index in range(count):
        signature = _signature(kind, chance)
        drawn = sample(signature, int(chance.integers(2**31)))
        yield (
            _extreme(Case(signature, drawn.constants, drawn.operands), chance)
            if index % 2
            else _varied(Case(signature, drawn.constants, drawn.operands), chance)
        )


def _pick(chance: np.random.Generator, *values: Any) -> Any:
    return values[int(chance.integers(len(values)))]


def _signature(kind: Kind, chance: np.random.Generator) -> Signature:
    height, width, channels = (
        int(chance.integers(1, 9)),
        int(chance.integers(1, 9)),
        _pick(chance, 1, 2, 3, 4, 5, 8, 12, 13, 16),
    )
    shape = (height, width, channels)
    relu_in = bool(chance.integers(2))
    match kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.AVG_POOL | Kind.MAX_POOL:
            kernel, stride = _pick(chance, 1, 2, 3, 5), _pick(chance, 1, 1, 2, 3)
            padding = _pick(chance, (0, 0), ((kernel - 1) // 2,) * 2, ((kernel - 1) // 2, kernel // 2))
            kernel = kernel if min(height, width) + sum(padding) >= kernel else 1
            padding = padding if kernel > 1 else (0, 0)
            out = tuple((size + sum(padding) - kernel) // stride + 1 for size in (height, width))
            out_channels = int(chance.integers(1, 10)) if kind is Kind.CONV else channels
            relu_in = relu_in and kind in (Kind.CONV, Kind.DEPTHWISE)
            return Signature.square(
                kind, shape, (out[0], out[1], out_channels), kernel, stride, padding, relu_in=relu_in
            )
        case Kind.GLOBAL_POOL:
            big = (15, 16, channels) if chance.integers(4) == 0 else shape
            return Signature(kind, big, (1, 1, channels))
        case Kind.LINEAR:
            inputs = int(chance.integers(1, 80))
            return Signature(kind, (1, 1, inputs), (1, 1, int(chance.integers(1, 12))))
        case Kind.ADD:
            return Signature(kind, shape, shape, operands=int(chance.integers(2, 5)))
        case Kind.PAD:
            before, after = int(chance.integers(0, 3)), int(chance.integers(0, 3))
            out = (height + before + after, width + before + after, channels)
            return Signature.square(kind, shape, out, padding=(before, after))
        case _:
            return Signature(kind, shape, shape)


def _output(chance: np.random.Generator) -> Output:
    low, high = sorted(int(value) for value in chance.integers(-128, 128, 2))
    zero = int(chance.choice([-128, 127, 0, low]))
    return Output(zero, low, high) if chance.integers(2) else Output(zero)


def _varied(case: Case, chance: np.random.Generator) -> Case:
    """Another output clamp; for adds also equal scales, so that both operands are the larger one."""
    constants = case.constants
    match constants:
        case Weighted() | Pooled() | Rescaled():
            constants = replace(constants, output=_output(chance))
        case Folded():
            last = replace(constants.stages[-1], output=_output(chance))
            first = constants.stages[0]
            if chance.integers(2):
                first = replace(first, left=quantize_multiplier(0.5), right=quantize_multiplier(0.5))
            stages = (
                (first, *constants.stages[1:-1], last)
                if len(constants.stages) > 1
                else (replace(first, output=last.output),)
            )
            constants = Folded(stages)
        case Padded():
            pass
    return replace(case, constants=constants)


def _saturated(x: Int8, chance: np.random.Generator) -> Int8:
    return chance.choice(np.array([-128, -127, 0, 127], np.int8), x.shape)


def _shifts(chance: np.random.Generator, count: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(value) for value in chance.integers(low, high + 1, count))


def _multipliers(chance: np.random.Generator, count: int) -> tuple[int, ...]:
    values = np.where(
        chance.integers(0, 2, count), chance.integers(2**30, 2**31, count), chance.choice([0, 2**30, 2**31 - 1], count)
    )
    return tuple(int(value) for value in values)


def _extreme(case: Case, chance: np.random.Generator) -> Case:
    """Saturated operands, weights and biases, zero points at the ends, any multiplier and shift."""
    operands = tuple(_saturated(x, chance) for x in case.operands)
    zero = int(chance.choice([-128, 127]))
    match case.constants:
        case Weighted(weights, bias, rescale):
            count = len(rescale.shift)
            # A shift to the left must leave the accumulator in int32; other accumulators may fill it.
            low, high, limit = (-31, 0, 2**31 - 2**24) if chance.integers(2) else (-24, 4, 2**20)
            constants: Constants = Weighted(
                _saturated(weights, chance),
                chance.choice([-limit, limit, 0, limit // 2 + 1, -(limit // 2) - 1], bias.shape).astype(np.int32),
                Rescale(_multipliers(chance, count), _shifts(chance, count, low, high)),
                zero,
                _output(chance),
            )
        case Folded(stages):
            constants = Folded(tuple(_extreme_stage(chance) for _ in stages))
        case Pooled():
            constants = Pooled(_output(chance))
        case Padded():
            constants = Padded(zero)
        case Rescaled():
            constants = Rescaled(Rescale(_multipliers(chance, 1), _shifts(chance, 1, -31, 20)), zero, _output(chance))
    return Case(case.signature, constants, operands)


def _extreme_stage(chance: np.random.Generator) -> BinaryAdd:
    zeros = chance.choice([-128, 127, 0], 2)
    rescales = [Rescale(_multipliers(chance, 1), _shifts(chance, 1, -31, 0)) for _ in range(3)]
    if chance.integers(2):
        rescales[int(chance.integers(2))] = quantize_multiplier(0.5)
    return BinaryAdd(int(zeros[0]), int(zeros[1]), rescales[0], rescales[1], rescales[2], _output(chance))
