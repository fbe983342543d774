"""Weights come from (seed, layer name), are PyTorch's in distribution, and never change."""

from __future__ import annotations

import numpy as np
import pytest

from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.weights import draw_bias, draw_normal, draw_weight, generator, uniform


def graph(channels: int = 4) -> Graph:
    draw = GraphBuilder((8, 8, 3))
    at = draw.relu("relu", draw.batch_norm("bn", draw.conv("conv", "input", channels, kernel=3)))
    draw.linear("linear", draw.global_pool("pool", at), 10)
    return draw.graph()


def test_the_numbers_are_these_on_every_machine():
    assert uniform(0, "golden", (3,)).tolist() == pytest.approx(GOLDEN, abs=0)


GOLDEN = [-0.3087144972158642, 0.6989252220338011, 0.08188677004031697]


def test_name_seed_and_shape_matter_and_nothing_else():
    conv = graph()["conv"]
    assert (draw_weight(1, conv) == draw_weight(1, graph()["conv"])).all()
    assert (draw_weight(1, conv) != draw_weight(2, conv)).any()
    assert (uniform(1, "a", (3,)) != uniform(1, "b", (3,))).any()
    assert draw_weight(1, graph(5)["conv"]).shape == (5, 3, 3, 3)


def test_bounds_and_spread_are_those_of_pytorch():
    conv, linear = graph(64)["conv"], graph(64)["linear"]
    for weight, fan_in in ((draw_weight(0, conv), 27), (draw_weight(0, linear), 64)):
        assert np.abs(weight).max() <= fan_in**-0.5
        assert weight.std() == pytest.approx((1 / 3 / fan_in) ** 0.5, rel=0.05)
    bias = draw_bias(0, linear)
    assert bias is not None
    assert np.abs(bias).max() <= 64**-0.5


def test_batch_norm_starts_as_identity():
    bn = graph()["bn"]
    assert (draw_weight(3, bn) == 1).all()
    assert not np.any(draw_bias(3, bn))


def test_normal_weights_are_those_of_convolutions_alone():
    layers = graph(64)
    drawn = draw_normal(2, layers["conv"])
    assert (drawn == generator(2, "conv normal").standard_normal((64, 3, 3, 3))).all()
    assert drawn.std() == pytest.approx(1, rel=0.05)
    for name in ("bn", "linear"):
        assert (draw_normal(2, layers[name]) == draw_weight(2, layers[name])).all()


def test_a_layer_without_weights_says_so():
    with pytest.raises(ValueError, match=r"relu .* has no weights"):
        draw_weight(0, graph()["relu"])
    assert draw_bias(0, graph()["conv"]) is None


def test_generators_by_name_are_independent():
    first, second = (generator(0, name).standard_normal(1000) for name in ("a", "b"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
