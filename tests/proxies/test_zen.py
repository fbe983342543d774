"""The Zen-score against its formula on a network small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tests.proxies.test_ntk import DEAD, DISCONNECTED, lower

from micronas.errors import UserError
from micronas.graph import GraphBuilder
from micronas.inputs import Gaussian
from micronas.proxies.zen import ZenScore
from micronas.weights import generator


def test_by_hand():
    draw = GraphBuilder((4, 4, 2))
    draw.linear("linear", draw.global_pool("pool", draw.batch_norm("bn", draw.conv("conv", "input", 3))), 3)
    weight = generator(2, "conv normal").standard_normal((3, 2, 1, 1))[:, :, 0, 0]
    images = Gaussian().batch((4, 4, 2), 5, 2)
    noise = generator(2, "zen noise").standard_normal(images.shape)

    def forward(batch: np.ndarray) -> tuple[np.ndarray, float]:
        out = np.einsum("oi,nihw->nohw", weight, batch)
        mean, variance = out.mean((0, 2, 3), keepdims=True), out.var((0, 2, 3), keepdims=True)
        return (out - mean) / np.sqrt(variance + 1e-5), float(variance.mean())

    (before, variance), (after, _) = forward(images), forward(images + 0.01 * noise)
    distance = np.sqrt(((before - after) ** 2).sum((1, 2, 3))).mean()
    expected = np.log(distance) + np.log(np.sqrt(variance))
    assert ZenScore(batch=5, seed=2).measure(draw.graph()) == pytest.approx(expected)


def test_a_convolution_more_carries_more():
    more = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    assert ZenScore(batch=4).measure(lower(more)) > ZenScore(batch=4).measure(lower(DEAD))


def test_disconnected_is_worst_and_nonsense_is_refused():
    assert ZenScore(batch=4).measure(lower(DISCONNECTED)) == -np.inf
    with pytest.raises(UserError, match="2 images"):
        ZenScore(batch=1)
    with pytest.raises(UserError, match="above 0"):
        ZenScore(step=0)
