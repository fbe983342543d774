"""The torch module of a graph computes what the graph says."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from micronas.network.graph import Kind
from micronas.networks import Network
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import Skeleton
from micronas.weights import draw_weight

SPACE, SKELETON = NasBench201(), Skeleton((8, 8, 3), channels=4, cells=1, stages=2)
CELL = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"


def images(count: int = 5) -> torch.Tensor:
    return torch.randn((count, 3, 8, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_one_cell_written_by_hand():
    graph = SPACE.lower(SPACE.parse(CELL), SKELETON)
    values = Network(graph, 7, torch.float64).values(images())

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
    graph = SPACE.lower(SPACE.everything(), SKELETON)
    values = Network(graph, 0, torch.float64).values(images())
    names = ("nor_conv_1x1.bn", "nor_conv_3x3.bn", "avg_pool_3x3")
    options = [values[f"stage1.cell1.edge01.{name}"] for name in names]
    torch.testing.assert_close(values["stage1.cell1.edge01.mean"], (sum(options) + values["stem.bn"]) / 5)


def test_shapes_are_those_of_the_graph():
    graph = SPACE.lower(SPACE.everything(), SKELETON)
    network = Network(graph)
    values = network.values(images().float())
    for layer in graph:
        height, width, channels = layer.signature.out_shape
        assert values[layer.name].shape == (5, channels, height, width)
    assert network(images().float()).shape == (5, 10)


def test_an_empty_sum_is_zero():
    disconnected = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    values = Network(SPACE.lower(disconnected, SKELETON)).values(images().float())
    assert not values["stage1.cell1.node3"].any()


def test_parameters_are_those_of_the_graph():
    graph = SPACE.lower(SPACE.everything(), SKELETON)
    named = dict(Network(graph).named_parameters())
    for layer in graph:
        if layer.signature.kind is Kind.CONV:
            key = f"layers.{layer.name.replace('.', '/')}.1.weight"
            assert tuple(named[key].shape) == layer.signature.weight_shape
