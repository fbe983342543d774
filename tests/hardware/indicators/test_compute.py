"""What a layer counts, by hand."""

from __future__ import annotations

import pytest

from micronas.hardware.indicators.compute import has_weights, macs, parameters
from micronas.network.signature import Kind, Signature

PADDED = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("signature", "multiplied", "learned"),
    [
        (Signature(Kind.CONV, (8, 6, 4), (4, 3, 5), (3, 3), (2, 2), PADDED), 4 * 3 * 5 * 3 * 3 * 4, 3 * 3 * 4 * 5),
        (Signature(Kind.DEPTHWISE, (8, 6, 4), (8, 6, 4), (3, 3), (1, 1), PADDED), 8 * 6 * 4 * 3 * 3, 3 * 3 * 4),
        (Signature(Kind.LINEAR, (1, 1, 7), (1, 1, 10)), 7 * 10 + 10, 7 * 10 + 10),
        (Signature(Kind.BATCH_NORM, (8, 6, 4), (8, 6, 4)), 0, 2 * 4),
        (Signature(Kind.RELU, (8, 6, 4), (8, 6, 4)), 0, 0),
        (Signature(Kind.AVG_POOL, (8, 6, 4), (8, 6, 4), (3, 3), (1, 1), PADDED), 0, 0),
        (Signature(Kind.ADD, (8, 6, 4), (8, 6, 4), operands=2), 0, 0),
    ],
    ids=lambda value: value.kind if isinstance(value, Signature) else None,
)
def test_macs_and_parameters_of_a_layer(signature: Signature, multiplied: int, learned: int) -> None:
    assert (macs(signature), parameters(signature), has_weights(signature)) == (multiplied, learned, multiplied > 0)
