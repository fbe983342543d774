"""What an image needs of flash: start-up, every kernel once, every layer's constants and call."""

from __future__ import annotations

import math

import numpy as np
from tests.networks import lowered

from micronas.hardware.indicators.flash import Flash, code_bytes, constant_bytes, image_bytes
from micronas.mcu.operators import operator
from micronas.mcu.samples import sample
from micronas.network.deployed import deploy
from micronas.network.signature import Kind, Signature
from micronas.testing.doubles import START


def test_an_image_by_hand() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    graph = lowered(cell, cells=1)
    signatures = [layer.signature for layer in deploy(graph).operations]
    sources = sorted({operator(signature).source for signature in signatures})
    code = {source: 10_000 * 2**at for at, source in enumerate(sources)} | {"start": 700, "call": 9}
    constants = sum(constant_bytes(signature) for signature in signatures)
    kernels = 10_000 * (2 ** len(sources) - 1)
    assert image_bytes(signatures, code) == 700 + kernels + 9 * len(signatures) + constants
    assert Flash("cortex-m4").measure(graph) == image_bytes(signatures, code_bytes("cortex-m4"))


def test_the_images_of_a_space_are_those_of_its_networks() -> None:
    flash = Flash()
    slow = flash.measure_many([one.graph for one in START.completions()])
    assert flash.of_all(START).tolist() == np.where(np.isfinite(slow), slow, np.inf).tolist()


def test_constants_are_whole_words() -> None:
    """27 weights, and of each of three channels a bias, a multiplier and a shift; every array fills its last word."""
    conv = Signature.square(Kind.CONV, (4, 4, 1), (4, 4, 3), 3, 1, (1, 1))
    fields = operator(conv).fields(sample(conv).constants).values()
    arrays = [value for value in fields if not isinstance(value, int)]
    assert 27 in [array.nbytes for array in arrays]
    words = sum(math.ceil(array.nbytes / 4) for array in arrays)
    assert constant_bytes(conv) == 4 * (len(fields) + words)
