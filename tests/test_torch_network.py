"""The torch module of a graph computes what the graph says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from tests.networks import lowered

from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph, Layer
from micronas.network.signature import Kind, Padding, Pair, Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS
from micronas.torch_network import TorchNetwork
from micronas.weights import draw_weight

CELL = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


def small(cell: str | Choices = CELLS) -> Graph:
    return lowered(cell, channels=4, cells=1, stages=2, input_shape=(8, 8, 3))


def images(count: int = 5) -> torch.Tensor:
    return torch.randn((count, 3, 8, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_one_cell_written_by_hand():
    graph = small(CELL)
    values = TorchNetwork(graph, 7, torch.float64).values(images())

    def edge(source: torch.Tensor, name: str) -> torch.Tensor:
        layer = graph[f"stage1.cell1.{name}.conv"]
        weight = torch.from_numpy(draw_weight(7, layer))
        convolved = F.conv2d(F.relu(source), weight, padding=layer.signature.padding[0][0])
        return F.batch_norm(convolved, None, None, training=True)

    node0 = values["stem.bn"]
    node1 = edge(node0, "edge01.nor_conv_3x3")
    torch.testing.assert_close(values["stage1.cell1.node1"], node1)
    expected = node0 + edge(node1, "edge13.nor_conv_1x1")
    torch.testing.assert_close(values["stage1.cell1.node3"], expected)


def test_an_open_decision_is_the_mean_of_its_options_none_counting_as_zero():
    graph = small()
    values = TorchNetwork(graph, 0, torch.float64).values(images())
    names = ("nor_conv_1x1.bn", "nor_conv_3x3.bn", "avg_pool_3x3")
    options = [values[f"stage1.cell1.edge01.{name}"] for name in names]
    torch.testing.assert_close(values["stage1.cell1.edge01.mean"], (sum(options) + values["stem.bn"]) / 5)


def test_shapes_are_those_of_the_graph():
    graph = small()
    network = TorchNetwork(graph)
    values = network.values(images().float())
    for layer in graph:
        height, width, channels = layer.signature.out_shape
        assert values[layer.name].shape == (5, channels, height, width)
    assert network(images().float()).shape == (5, 10)


def test_an_empty_sum_is_zero():
    disconnected = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    values = TorchNetwork(small(disconnected)).values(images().float())
    assert not values["stage1.cell1.node3"].any()


def test_parameters_are_those_of_the_graph():
    graph = small()
    named = dict(TorchNetwork(graph).named_parameters())
    for layer in graph:
        if layer.signature.kind is Kind.CONV:
            key = f"layers.{layer.name.replace('.', '/')}.1.weight"
            assert tuple(named[key].shape) == layer.signature.weight_shape


WINDOWS = (
    (3, 1, 1),
    (5, 2, 0),
    ((10, 4), 2, (5, 1)),
    ((10, 4), (2, 1), (4, 2)),
    ((3, 1), (1, 3), (1, 0)),
    ((1, 4), (3, 2), (0, 2)),
)


@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_the_builder_knows_what_torch_makes(kernel: int | Pair, stride: int | Pair, padding: int | Pair):
    draw = GraphBuilder((49, 10, 2))
    draw.conv("conv", "input", 3, kernel, stride, padding)
    draw.depthwise("depthwise", "input", kernel, stride, padding)
    draw.avg_pool("avg", "input", kernel, stride, padding)
    draw.max_pool("max", "input", kernel, stride, padding)
    image = torch.randn((1, 2, 49, 10), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = TorchNetwork(draw.graph(), 0, torch.float64).values(image)
    weights = [torch.from_numpy(draw_weight(0, draw.graph()[name])) for name in ("conv", "depthwise")]
    wanted = {
        "conv": F.conv2d(image, weights[0], None, stride, padding),
        "depthwise": F.conv2d(image, weights[1], None, stride, padding, groups=2),
        "avg": F.avg_pool2d(image, kernel, stride, padding, count_include_pad=False),
        "max": F.max_pool2d(image, kernel, stride, padding),
    }
    for name, value in wanted.items():
        height, width, channels = draw.shape(name)
        assert value.shape == (1, channels, height, width)
        torch.testing.assert_close(values[name], value)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (10, 4), (3, 1), (1, 2)])
def test_convolutions_pad_half_of_each_axis_of_their_window(kernel: int | Pair):
    draw = GraphBuilder((49, 10, 2))
    draw.conv("conv", "input", 3, kernel)
    draw.depthwise("depthwise", "input", kernel)
    tall, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (tall - 1) // 2, (wide - 1) // 2
    for name, channels in (("conv", 3), ("depthwise", 2)):
        made = F.conv2d(torch.zeros((1, 1, 49, 10)), torch.zeros((1, 1, tall, wide)), padding=padding)
        assert draw.shape(name) == (*made.shape[2:], channels)


@pytest.mark.parametrize("padding", [((0, 1), (2, 0)), ((2, 2), (0, 0)), ((2, 0), (2, 2)), ((1, 1), (1, 1))])
def test_an_average_pool_counts_no_padding_on_any_side(padding: Padding):
    """Against the mean over each window of what lies in it: padding is not a number, and ignored."""
    shape, kernel = (5, 6, 3), (3, 4)
    signature = Signature(Kind.AVG_POOL, shape, shape, kernel, (1, 2), padding)
    rows, columns = (axis.windows for axis in signature.axes)
    made = Signature(Kind.AVG_POOL, shape, (rows, columns, 3), kernel, (1, 2), padding)
    graph = Graph((Layer("input", Signature(Kind.INPUT, shape, shape)), Layer("pool", made, ("input",))))
    image = torch.randn((2, 3, 5, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    padded = F.pad(image, (*padding[1], *padding[0]), value=float("nan"))
    windows = padded.unfold(2, 3, 1).unfold(3, 4, 2)
    torch.testing.assert_close(TorchNetwork(graph).values(image)["pool"], windows.nanmean((4, 5)))
