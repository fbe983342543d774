"""Quantisation: scales cover what a float run shows, and the integer network follows the float one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from tests.networks import lowered

from micronas.deploy.int8 import Int8Network, integer_reference, logits
from micronas.deploy.quantize import (
    FloatParameters,
    float_results,
    quantize,
    random_images,
    random_network,
    random_parameters,
)
from micronas.mcu.reference import Weighted
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import Deployed, deploy
from micronas.network.graph import Layer
from micronas.network.legalised import legalise
from micronas.network.signature import Kind, Signature
from micronas.torch_network import sides

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|avg_pool_3x3~1|skip_connect~2|"


def network_of(text: str = CELL, channels: int = 4, size: int = 8) -> Deployed:
    return deploy(lowered(text, channels, cells=1, input_shape=(size, size, 3)))


def test_the_integer_network_follows_the_float_one() -> None:
    graph = network_of(channels=8, size=16)
    network, parameters = random_network(graph, seed=3), random_parameters(graph, 3)
    images = random_images(graph, 5, seed=99)  # none of them calibrated the scales
    *_, (_, _, expected) = float_results(graph, parameters, images)
    found = np.array([network.output.dequantize(logits(network, network.input.quantize(image))) for image in images])
    expected = expected.reshape(found.shape)
    assert np.abs(found - expected).max() < 0.06 * np.ptp(expected)
    assert np.corrcoef(found.reshape(-1), expected.reshape(-1))[0, 1] > 0.99


def by_axis() -> Deployed:
    """A keyword spotter's stem, thin windows and pools by axis, and paddings of every side."""
    image, tall = (23, 8, 2), (12, 4, 6)
    stem = Signature(Kind.CONV, image, tall, (10, 4), (2, 2), ((4, 5), (1, 1)))
    return Deployed(
        (
            Layer("input", Signature(Kind.INPUT, image, image)),
            Layer("stem", stem, ("input",), clamp=True),
            Layer("thin", Signature(Kind.DEPTHWISE, tall, tall, (3, 1), (1, 1), ((2, 0), (0, 0))), ("stem",)),
            Layer("avg", Signature(Kind.AVG_POOL, tall, (6, 4, 6), (2, 3), (2, 1), ((0, 0), (1, 1))), ("thin",)),
            Layer("max", Signature(Kind.MAX_POOL, (6, 4, 6), (6, 2, 6), (1, 3), (1, 2), ((0, 0), (1, 1))), ("avg",)),
            Layer("last", Signature(Kind.CONV, (6, 2, 6), (6, 1, 4), (1, 2)), ("max",)),
        )
    )


def test_windows_by_axis_follow_torch_in_floats_and_the_floats_in_integers() -> None:
    graph = by_axis()
    parameters, images = random_parameters(graph, 1), random_images(graph, 3, 7)
    results = {name: values for name, _, values in float_results(graph, parameters, images)}
    network = quantize(graph, parameters, images)
    for layer in graph.layers[1:]:
        signature = layer.signature
        x = torch.from_numpy(results[layer.inputs[0]].transpose(0, 3, 1, 2).copy())
        if signature.weight_shape:
            weight, bias = (
                torch.from_numpy(each) for each in (parameters[layer.name].weights, parameters[layer.name].bias)
            )
            channels = signature.in_shape[2] if signature.kind is Kind.DEPTHWISE else 1
            value = F.conv2d(F.pad(x, sides(signature)), weight, bias, signature.stride, groups=channels)
        elif signature.kind is Kind.AVG_POOL:
            value = F.avg_pool2d(x, (2, 3), (2, 1), (0, 1), count_include_pad=False)
        else:
            value = F.max_pool2d(x, (1, 3), (1, 2), (0, 1))
        value = F.relu(value) if layer.clamp else value
        np.testing.assert_allclose(results[layer.name], value.numpy().transpose(0, 2, 3, 1), atol=1e-12)
        for image, wanted in zip(images, results[layer.name], strict=True):
            found = network.tensors[layer.name].dequantize(
                integer_reference(network, network.input.quantize(image))[layer.name]
            )
            assert np.abs(found - wanted).max() < 0.06 * np.ptp(results[layer.name]), layer.name


def test_calibrated_activations_use_the_range_and_do_not_saturate() -> None:
    graph = network_of()
    network = random_network(graph)
    image = network.input.quantize(random_images(graph, 1, seed=0)[0])  # of the calibration batch itself
    clamped = {layer.name for layer in graph if layer.clamp}
    for name, values in integer_reference(network, image).items():
        low, high = int(values.min()), int(values.max())
        assert high - low > 40, name
        stuck = max(4, 0.05 * values.size)
        assert (values == 127).sum() <= stuck, name
        assert name in clamped or (values == -128).sum() <= stuck, name


def test_legalised_for_tflite_the_logits_are_the_same() -> None:
    """Inserted RELUs, PADs and binary adds compute what our fused kernels do."""
    graph = network_of()
    legal = legalise(graph)
    parameters, images = random_parameters(graph, 1), random_images(graph, 4, 1)
    ours, theirs = quantize(graph, parameters, images), quantize(legal, parameters, images)
    assert len(legal) > len(graph)
    assert all(theirs.tensors[name] == tensor for name, tensor in ours.tensors.items())
    for image in random_images(graph, 3, 2):
        integers = ours.input.quantize(image)
        assert logits(ours, integers).tolist() == logits(theirs, integers).tolist()


def test_weights_are_scaled_channel_by_channel() -> None:
    draw = GraphBuilder((4, 4, 2))
    draw.conv("conv", "input", 3, kernel=1)
    weights = np.array([[1.0, -0.5], [1e-3, 2e-3], [0.0, 0.0]]).reshape(3, 2, 1, 1)
    graph = draw.graph()
    network = quantize(graph, {"conv": FloatParameters(weights, np.zeros(3))}, random_images(graph, 2, 0))
    constants = network.constants["conv"]
    assert isinstance(constants, Weighted)
    assert constants.weights.reshape(3, 2).tolist() == [[127, -64], [64, 127], [0, 0]]


def test_a_layer_draws_the_same_weights_in_every_network() -> None:
    one, other = network_of(), network_of(CELL.replace("avg_pool_3x3", "none"))
    drawn, again = random_parameters(one, 5), random_parameters(other, 5)
    assert all(np.array_equal(drawn[name].weights, again[name].weights) for name in drawn.keys() & again.keys())
    assert not np.array_equal(drawn["stem.conv"].weights, random_parameters(one, 6)["stem.conv"].weights)


@pytest.mark.parametrize("seed", range(2))
def test_the_same_seed_gives_the_same_network(seed: int) -> None:
    def numbers(network: Int8Network) -> str:
        return repr([(name, network.constants[name]) for name in sorted(network.constants)])

    graph = network_of()
    assert numbers(random_network(graph, seed)) == numbers(random_network(graph, seed))
    assert numbers(random_network(graph, seed)) != numbers(random_network(graph, seed + 1))
