"""The integer reference against slow obvious arithmetic, against real numbers, and at its rounding ties."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.mcu.cases import KINDS, cases

from micronas.mcu.reference import (
    ADD_LEFT_SHIFT,
    Constants,
    Folded,
    Int8,
    Output,
    Padded,
    Pooled,
    Rescale,
    Rescaled,
    Weighted,
    binary_add,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    run,
    saturating_rounding_doubling_high_mul,
    weight_shape,
)
from micronas.mcu.samples import sample
from micronas.network.signature import Kind, Signature

EDGES = [-(2**31), -(2**31) + 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, 2**31 - 1]


def real(rescale: Rescale) -> np.ndarray:
    """The factors that a rescale stands for."""
    return np.array([m * 2.0 ** (s - 31) for m, s in zip(rescale.multiplier, rescale.shift, strict=True)])


def image(*values: int) -> Int8:
    return np.array(values, np.int8).reshape(-1, 1, 1)


def test_the_high_product_rounds_halves_up_and_saturates_once() -> None:
    """2ab / 2**32 to nearest; gemmlowp's nudge and truncation make ties go up on both sides of zero."""
    chance = np.random.default_rng(0)
    pairs = [(a, b) for a in EDGES for b in EDGES]
    pairs += [tuple(int(v) for v in pair) for pair in chance.integers(-(2**31), 2**31, (2000, 2))]
    for a, b in pairs:
        want = min(math.floor(Fraction(2 * a * b, 2**32) + Fraction(1, 2)), 2**31 - 1)
        assert saturating_rounding_doubling_high_mul(np.array([a]), np.array([b]))[0] == want, (a, b)


def test_the_shift_rounds_halves_away_from_zero() -> None:
    chance = np.random.default_rng(0)
    for x in [*EDGES, *map(int, chance.integers(-(2**31), 2**31, 500)), *range(-20, 20)]:
        for exponent in (0, 1, 2, 5, 20, 31):
            exact = Fraction(x, 2**exponent)
            want = math.copysign(math.floor(abs(exact) + Fraction(1, 2)), x)
            assert rounding_divide_by_pot(np.array([x]), np.array(exponent))[0] == want, (x, exponent)


def test_rounding_twice_is_not_rounding_once() -> None:
    """The case that separates TFLite-Micro's double rounding from single rounding: 0.4999 becomes 0.5, then 1."""
    factor = Rescale((2**30 + 1,), (-1,))  # a bit more than a quarter
    assert multiply_by_quantized_multiplier(np.array([[1]]), factor)[0, 0] == 1
    assert round(1 * float(real(factor)[0])) == 0


def test_multipliers_are_as_tflite_quantizes_them() -> None:
    """Goldens computed by hand from QuantizeMultiplier's definition: frexp, 31 bits, round."""
    assert quantize_multiplier(0.5) == Rescale((2**30,), (0,))
    assert quantize_multiplier(1.0) == Rescale((2**30,), (1,))
    assert quantize_multiplier(0.75) == Rescale((3 * 2**29,), (0,))
    assert quantize_multiplier(0.0) == Rescale((0,), (0,))
    assert quantize_multiplier(2.0**-40) == Rescale((0,), (0,))
    assert quantize_multiplier(1 - 2.0**-40) == Rescale((2**30,), (1,))
    scales = np.random.default_rng(0).uniform(1e-6, 4, 100)
    np.testing.assert_allclose(real(quantize_multiplier(*scales)), scales, rtol=2.0**-31)


def test_accumulators_beyond_int32_are_refused() -> None:
    with pytest.raises(OverflowError, match="int32"):
        multiply_by_quantized_multiplier(np.array([[2**31]]), quantize_multiplier(0.5))
    with pytest.raises(OverflowError, match="int32"):
        multiply_by_quantized_multiplier(np.array([[2**30]]), quantize_multiplier(4.0))


def accumulate(signature: Signature, constants: Weighted, x: Int8, position: tuple[int, int, int]) -> int:
    """One output's accumulator, by loops over Python integers: the definition of a padded convolution."""
    height, width, channels = signature.in_shape
    (down, across), ((above, _), (left, _)) = signature.stride, signature.padding
    row, column, out = position
    total = int(constants.bias[out])
    depthwise = signature.kind is Kind.DEPTHWISE
    for i in range(signature.kernel[0]):
        for j in range(signature.kernel[1]):
            y, z = row * down - above + i, column * across - left + j
            if not (0 <= y < height and 0 <= z < width):
                continue
            for c in [out] if depthwise else range(channels):
                value = int(x[y, z, c]) - constants.input_zero_point
                weight = constants.weights[i, j, c] if depthwise else constants.weights[out, i, j, c]
                total += (max(0, value) if signature.relu_in else value) * int(weight)
    return total


def assert_definition(signature: Signature, constants: Constants, x: Int8) -> None:
    assert isinstance(constants, Weighted)
    got, output = run(signature, constants, x), constants.output
    for position in np.ndindex(*signature.out_shape):
        total = accumulate(signature, constants, x, position)
        factor = Rescale(*((part[position[2]],) for part in (constants.rescale.multiplier, constants.rescale.shift)))
        scaled = int(multiply_by_quantized_multiplier(np.array([total]), factor)[0]) + output.zero_point
        assert got[position] == min(max(scaled, output.minimum), output.maximum)


@pytest.mark.parametrize("kind", [Kind.CONV, Kind.DEPTHWISE])
def test_convolutions_are_their_definition(kind: Kind) -> None:
    for case in cases(kind, 12, seed=7):
        assert_definition(case.signature, case.constants, case.operands[0])


BY_AXIS = {
    Kind.CONV: (
        Signature(Kind.CONV, (23, 9, 2), (12, 4, 3), (10, 4), (2, 2), ((4, 5), (1, 1))),
        Signature(Kind.CONV, (9, 5, 3), (9, 3, 4), (3, 1), (1, 2), ((1, 1), (0, 0)), relu_in=True),
    ),
    Kind.DEPTHWISE: (Signature(Kind.DEPTHWISE, (9, 6, 5), (3, 6, 5), (1, 3), (3, 1), ((0, 0), (2, 0)), relu_in=True),),
    Kind.AVG_POOL: (Signature(Kind.AVG_POOL, (9, 6, 3), (5, 7, 3), (2, 3), (2, 1), ((0, 1), (2, 1))),),
    Kind.MAX_POOL: (Signature(Kind.MAX_POOL, (9, 6, 3), (9, 4, 3), (1, 3), (1, 2), ((0, 0), (2, 1))),),
}


@pytest.mark.parametrize("kind", [Kind.CONV, Kind.DEPTHWISE])
def test_convolutions_by_axis_are_their_definition(kind: Kind) -> None:
    for signature in BY_AXIS[kind]:
        assert not signature.fault
        drawn = sample(signature, 3)
        assert_definition(signature, drawn.constants, drawn.operands[0])


@pytest.mark.parametrize("kind", [Kind.AVG_POOL, Kind.MAX_POOL])
def test_pools_by_axis_are_their_definition(kind: Kind) -> None:
    for signature in BY_AXIS[kind]:
        assert not signature.fault
        x = sample(signature, 5).operands[0]
        got = run(signature, Pooled(Output()), x)
        rows, columns = signature.axes
        for row, column, channel in np.ndindex(*signature.out_shape):
            top, left = row * rows.stride - rows.before, column * columns.stride - columns.before
            window = x[max(top, 0) : top + rows.kernel, max(left, 0) : left + columns.kernel, channel].astype(int)
            mean = Fraction(int(window.sum()), window.size)
            rounded = int(math.copysign(math.floor(abs(mean) + Fraction(1, 2)), mean))
            assert got[row, column, channel] == (rounded if kind is Kind.AVG_POOL else window.max())


@pytest.mark.parametrize("kind", [Kind.CONV, Kind.DEPTHWISE, Kind.LINEAR])
def test_weighted_layers_approximate_real_arithmetic(kind: Kind) -> None:
    """Within one step of real arithmetic rounded once: what quantisation is for."""
    for index, case in enumerate(cases(kind, 20)):
        constants = sample(case.signature, index).constants
        assert isinstance(constants, Weighted)
        operand = sample(case.signature, index).operands[0]
        got = run(case.signature, constants, operand).reshape(-1, case.signature.out_shape[2])
        for position in range(0, got.shape[0], 3):
            row, column = divmod(position, case.signature.out_shape[1])
            for out in range(got.shape[1]):
                total = _total(case.signature, constants, operand, (row, column, out))
                factor = real(constants.rescale)[0 if kind is Kind.LINEAR else out]
                want = min(max(total * factor + constants.output.zero_point, -128), 127)
                assert abs(got[position, out] - want) <= 1


def _total(signature: Signature, constants: Weighted, x: Int8, position: tuple[int, int, int]) -> int:
    if signature.kind is not Kind.LINEAR:
        return accumulate(signature, constants, x, position)
    centred = x.reshape(-1).astype(int) - constants.input_zero_point
    return int(centred @ constants.weights[position[2]].astype(int)) + int(constants.bias[position[2]])


def test_averages_do_not_count_padding_and_round_halves_away() -> None:
    signature = Signature.square(Kind.AVG_POOL, (2, 2, 1), (2, 2, 1), 3, 1, (1, 1))
    x = np.array([[1, 2], [3, 4]], np.int8).reshape(2, 2, 1)
    np.testing.assert_array_equal(run(signature, Pooled(Output()), x).ravel(), [3, 3, 3, 3])  # 2.5 up
    np.testing.assert_array_equal(run(signature, Pooled(Output()), -x).ravel(), [-3, -3, -3, -3])  # -2.5 down
    pool = Signature(Kind.GLOBAL_POOL, (2, 1, 1), (1, 1, 1))
    assert run(pool, Pooled(Output()), image(-1, -2)) == -2
    assert run(pool, Pooled(Output()), image(-128, -128)) == -128
    assert run(pool, Pooled(Output(maximum=5)), image(127, 126)) == 5


def test_maxima_do_not_look_at_padding() -> None:
    signature = Signature.square(Kind.MAX_POOL, (2, 2, 1), (2, 2, 1), 3, 1, (1, 1))
    x = np.array([[-9, -8], [-7, -128]], np.int8).reshape(2, 2, 1)
    np.testing.assert_array_equal(run(signature, Pooled(Output(zero_point=3)), x).ravel(), [-7] * 4)


def test_padding_is_the_zero_point() -> None:
    signature = Signature.square(Kind.PAD, (1, 1, 1), (3, 3, 1), padding=(0, 2))
    np.testing.assert_array_equal(run(signature, Padded(-5), image(7)).ravel(), [7] + [-5] * 8)
    signature = Signature(Kind.PAD, (1, 1, 1), (2, 3, 1), padding=((1, 0), (0, 2)))
    np.testing.assert_array_equal(run(signature, Padded(-5), image(7)).ravel(), [-5, -5, -5, 7, -5, -5])


def test_adds_approximate_real_arithmetic() -> None:
    chance = np.random.default_rng(0)
    signature = Signature(Kind.ADD, (4, 4, 8), (4, 4, 8), operands=2)
    for _ in range(30):
        (a, b, y), zeros = chance.uniform(0.01, 1, 3), chance.integers(-128, 128, 3)
        stage = binary_add((a, int(zeros[0])), (b, int(zeros[1])), (y * 2, int(zeros[2])))
        left, right = (chance.integers(-128, 128, signature.in_shape).astype(np.int8) for _ in range(2))
        want = (a * (left.astype(float) - zeros[0]) + b * (right.astype(float) - zeros[1])) / (2 * y) + zeros[2]
        got = run(signature, Folded((stage,)), left, right)
        assert np.all(np.abs(got - np.clip(want, -128, 127)) <= 0.5 + 255 * 2.0 ** (1 - ADD_LEFT_SHIFT) / y)


def test_an_add_of_many_is_the_left_fold() -> None:
    """((a + b) + c) + d, each sum stored as int8 with its own scale: the definition of a fused add."""
    signature = Signature(Kind.ADD, (5, 5, 3), (5, 5, 3), operands=4)
    drawn = sample(signature, 4)
    assert isinstance(drawn.constants, Folded)
    two = replace(signature, operands=2)
    total = drawn.operands[0]
    for stage, operand in zip(drawn.constants.stages, drawn.operands[1:], strict=True):
        total = run(two, Folded((stage,)), total, operand)
    np.testing.assert_array_equal(run(signature, drawn.constants, *drawn.operands), total)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_repeat_and_spread(kind: Kind) -> None:
    for case in cases(kind, 5, seed=3):
        first, second = sample(case.signature, 9), sample(case.signature, 9)
        one, two = (run(case.signature, drawn.constants, *drawn.operands) for drawn in (first, second))
        np.testing.assert_array_equal(one, two)
        assert one.size < 100 or len(np.unique(one)) > 10


def test_constants_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="no integer form"):
        run(Signature(Kind.ADD, (1, 1, 1), (1, 1, 1), operands=2), Pooled(Output()), image(1), image(2))


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tflite_operators.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN["cases"], ids=lambda golden: f"{golden['kind']}-{golden['seed']}")
def test_operators_equal_tflites_reference_kernels(golden: dict[str, Any]) -> None:
    """Bit by bit, on outputs that TFLite's own reference kernels computed; the file names its source."""
    shape = {name: tuple(golden[name]) for name in ("in_shape", "out_shape", "padding") if name in golden}
    numbers = {name: golden[name] for name in ("kernel", "stride", "operands") if name in golden}
    signature = Signature.square(Kind(golden["kind"]), **shape, **numbers)
    chance = np.random.default_rng(golden["seed"])
    operands = [chance.integers(-128, 128, signature.in_shape).astype(np.int8) for _ in range(signature.operands)]
    got = run(signature, _golden_constants(golden, signature, chance), *operands)
    assert got.ravel()[:8].tolist() == golden["first"]
    assert sha256(got.tobytes()).hexdigest() == golden["sha256"]


def _golden_constants(golden: dict[str, Any], signature: Signature, chance: np.random.Generator) -> Constants:
    match signature.kind:
        case Kind.CONV | Kind.DEPTHWISE:
            weights = chance.integers(-127, 128, weight_shape(signature)).astype(np.int8)
            bias = chance.integers(-2000, 2001, signature.out_shape[2]).astype(np.int32)
            rescale = quantize_multiplier(*golden["scales"])
            return Weighted(weights, bias, rescale, golden["input_zero_point"], Output(golden["output_zero_point"]))
        case Kind.ADD:
            left, right, output = zip(golden["scales"], golden["zero_points"], strict=True)
            return Folded((binary_add(left, right, output),))
        case Kind.RELU:
            rescale = quantize_multiplier(*golden["scales"])
            return Rescaled(rescale, golden["input_zero_point"], Output(golden["output_zero_point"]))
        case _:
            return Pooled(Output())
