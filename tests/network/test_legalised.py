"""What a deployed graph becomes for a runtime."""

from __future__ import annotations

import pytest
from tests.networks import lowered

from micronas.errors import UserError
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import Deployed, deploy
from micronas.network.graph import Layer
from micronas.network.legalised import legalise
from micronas.network.signature import GraphError, Kind, Padding, Signature


def deployed_cell(text: str) -> Deployed:
    return deploy(lowered(text, cells=1))


FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|avg_pool_3x3~1|skip_connect~2|"


def test_tflite_reads_no_relu_adds_two_and_pads_itself() -> None:
    graph = deployed_cell(FULL)
    legal = legalise(graph)
    assert any(layer.signature.relu_in for layer in graph)
    assert not any(layer.signature.relu_in for layer in legal)
    adds = [layer for layer in legal if layer.signature.kind is Kind.ADD]
    assert all(layer.signature.operands == len(layer.inputs) == 2 for layer in adds)
    wanted = sum(layer.signature.operands - 1 for layer in graph if layer.signature.kind is Kind.ADD)
    assert len(adds) == wanted
    assert sum(layer.signature.kind is Kind.PAD for layer in legal) == 2  # the stride-2 convolutions of two reductions
    assert all(layer.name in {other.name for other in legal} for layer in graph)
    assert legal.output.name == graph.output.name


def test_one_relu_serves_all_who_read_a_tensor_so() -> None:
    graph = deployed_cell("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|")
    legal = legalise(graph)
    rectified = [layer.inputs for layer in legal if layer.signature.kind is Kind.RELU]
    assert len(rectified) == len(set(rectified))


def test_a_clamp_stays_with_the_last_add() -> None:
    shape = (2, 2, 4)
    names = ("a", "b", "c")
    layers = [Layer("input", Signature(Kind.INPUT, shape, shape))]
    layers += [Layer(name, Signature(Kind.CONV, shape, shape), ("input",)) for name in names]
    layers.append(Layer("sum", Signature(Kind.ADD, shape, shape, operands=3), names, clamp=True))
    first, last = legalise(Deployed(tuple(layers))).layers[-2:]
    assert (first.inputs, first.clamp) == (("a", "b"), False)
    assert (last.name, last.inputs, last.clamp) == ("sum", (first.name, "c"), True)


@pytest.mark.parametrize(("size", "stride", "pads"), [(8, 1, False), (8, 2, True), (7, 2, False)])
def test_a_pad_is_put_only_where_same_pads_otherwise(size: int, stride: int, pads: bool) -> None:
    draw = GraphBuilder((size, size, 2))
    draw.conv("conv", "input", 4, kernel=3, stride=stride)
    legal = legalise(deploy(draw.graph()))
    assert (legal.layers[1].signature.kind is Kind.PAD) == pads
    if pads:
        assert legal.layers[1].signature.out_shape == (size + 2, size + 2, 2)
        assert legal.output.signature.padding == ((0, 0), (0, 0))


def test_tf_same_padding_chosen_at_training_needs_no_pad() -> None:
    """A stride-2 convolution padded (0, 1), as SAME does on even inputs."""
    image, half = (8, 8, 2), (4, 4, 2)
    conv = Layer("conv", Signature.square(Kind.CONV, image, half, 3, 2, (0, 1)), ("input",))
    layers = (Layer("input", Signature(Kind.INPUT, image, image)), conv)
    assert legalise(Deployed(layers)).layers == layers


def test_an_uncounted_padding_tflite_does_not_know_is_refused() -> None:
    draw = GraphBuilder((8, 8, 2))
    draw.avg_pool("pool", "input", kernel=3, stride=2, padding=1)
    with pytest.raises(UserError, match="avg_pool3x3/2 8x8x2"):
        legalise(deploy(draw.graph()))


@pytest.mark.parametrize(
    ("padding", "rows", "pads"),
    [(((4, 5), (1, 1)), 25, False), (((4, 4), (1, 1)), 24, True), (((5, 4), (1, 1)), 25, True)],
)
def test_same_is_asked_of_each_axis(padding: Padding, rows: int, pads: bool) -> None:
    """SAME pads the 49 rows under 10x4/2 with (4, 5) and the 10 columns with (1, 1)."""
    image, made = (49, 10, 1), (rows, 5, 8)
    conv = Layer("conv", Signature(Kind.CONV, image, made, (10, 4), (2, 2), padding), ("input",))
    legal = legalise(Deployed((Layer("input", Signature(Kind.INPUT, image, image)), conv)))
    assert (legal.layers[1].signature.kind is Kind.PAD) == pads
    if pads:
        grown = (49 + sum(padding[0]), 12, 1)
        assert legal.layers[1].signature == Signature(Kind.PAD, image, grown, padding=padding)
        assert legal.output.signature == Signature(Kind.CONV, grown, made, (10, 4), (2, 2))


def test_only_a_deployed_network_is_legalised() -> None:
    plain, deployed = lowered(FULL, cells=1), deployed_cell(FULL)
    for network in (plain, legalise(deployed)):
        with pytest.raises(
            GraphError, match=f"only a deployed network can be legalised, not a {type(network).__name__}"
        ):
            legalise(network)  # pyright: ignore[reportArgumentType]


def test_a_pad_stays_a_pad() -> None:
    padding = ((1, 2), (3, 4))
    pad = Layer("pad", Signature(Kind.PAD, (8, 8, 3), (11, 15, 3), padding=padding), ("input",))
    image = Layer("input", Signature(Kind.INPUT, (8, 8, 3), (8, 8, 3)))
    assert legalise(Deployed((image, pad))).layers == (image, pad)
