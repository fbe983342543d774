"""What an image needs of flash: start-up, every kernel once, every layer's constants and call."""

from __future__ import annotations

import numpy as np
from tests.networks import lowered

from micronas.hardware.indicators.flash import Flash, code_bytes, constant_bytes, image_bytes
from micronas.mcu.operators import operator
from micronas.network.deployed import deploy
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
