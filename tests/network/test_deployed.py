"""What is dead goes, what runs is folded, and equal networks have equal keys."""

from itertools import pairwise

import pytest
from tests.networks import tiny

from micronas.network.builder import GraphBuilder
from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph, Layers
from micronas.network.identity import function_key, live_key
from micronas.network.legalised import legalise
from micronas.network.live import Disconnected, live
from micronas.network.segments import segments
from micronas.network.signature import GraphError, Kind

CONV = "nor_conv_3x3"


def cell(*options: str) -> Graph:
    """One cell with the operations of its six edges, in the order of the notation."""
    short = {"0": "none", "s": "skip_connect", "1": "nor_conv_1x1", "3": CONV, "p": "avg_pool_3x3"}
    a, b, c, d, e, f = (short[option] for option in options)
    return tiny(f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|")


def kinds(graph: Layers) -> list[Kind]:
    return [layer.signature.kind for layer in graph]


def test_dead_edges_go_and_sums_lose_their_zero_operands() -> None:
    graph = live(cell(*"330300"))  # node 1 and 2 are made but never read
    assert [layer.name for layer in graph if ".conv" in layer.name] == [
        "stem.conv",
        "stage1.cell1.edge03.nor_conv_3x3.conv",
    ]
    assert graph["stage1.cell1.node3"].signature.operands == 1


def test_a_layer_fed_by_zero_is_dead() -> None:
    names = {layer.name for layer in live(cell(*"03030s"))}
    assert not any("edge12" in name or "edge13" in name for name in names)


@pytest.mark.parametrize("step", [live, deploy])
def test_no_path_is_an_error(step: object) -> None:
    assert callable(step)
    with pytest.raises(Disconnected):
        step(cell(*"333000"))
    assert live_key(cell(*"333000")) == live_key(cell(*"000000")) == "disconnected"


def test_an_open_decision_has_no_deployed_form() -> None:
    with pytest.raises(ValueError, match="open decisions"):
        deploy(tiny())


def test_a_relu_every_reader_wants_is_clamped_at_the_producer() -> None:
    graph = deploy(cell(*"000300"))
    assert graph["stem.conv"].clamp
    conv = graph["stage1.cell1.edge03.nor_conv_3x3.conv"]
    assert not conv.signature.relu_in
    assert conv.clamp  # head.relu, through head.bn folded into it
    assert kinds(graph) == [Kind.INPUT, Kind.CONV, Kind.CONV, Kind.GLOBAL_POOL, Kind.LINEAR]


def test_a_relu_some_readers_want_moves_into_them() -> None:
    graph = deploy(cell(*"000s03"))  # x reads the skip as it is; edge 2->3 is dead
    assert not any(layer.signature.relu_in for layer in graph)
    graph = deploy(cell(*"300s30"))  # x is read by the skip and by a convolution
    assert not graph["stem.conv"].clamp
    assert graph["stage1.cell1.edge01.nor_conv_3x3.conv"].signature.relu_in
    assert graph["stage1.cell1.edge01.nor_conv_3x3.conv"].clamp
    assert not graph["stage1.cell1.edge13.nor_conv_3x3.conv"].signature.relu_in


def test_batch_norm_after_a_sum_becomes_a_depthwise_layer_under_its_name() -> None:
    graph = deploy(cell(*"300s30"))
    assert graph["head.bn"].signature.kind is Kind.DEPTHWISE
    assert graph["head.bn"].clamp
    assert graph["head.bn"].inputs == ("stage1.cell1.node3",)


def test_a_relu_that_nobody_can_take_over_stays_a_layer() -> None:
    draw = GraphBuilder((8, 8, 3))
    draw.avg_pool("pool", draw.relu("relu", "input"), kernel=3, stride=1, padding=1)
    assert kinds(deploy(draw.graph())) == [Kind.INPUT, Kind.RELU, Kind.AVG_POOL]


def test_segments_end_where_one_tensor_is_live() -> None:
    graph = live(cell(*"300s30"))
    parts = segments(graph)
    assert [layer for part in parts for layer in part] == list(graph)
    for before, part in pairwise(parts):
        inside = {layer.name for layer in part}
        outside = {name for layer in part for name in layer.inputs if name not in inside}
        assert outside == {before[-1].name}
    assert max(len(part) for part in parts) > 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("330300", "000300"),  # dead edges
        ("s03p0s", "030p0s"),  # a skip contracted
        ("300010", "030001"),  # another node on the way
        ("p0s01s", "pp001s"),  # two pools of one tensor are one
        ("s0s0ss", "0s0s0s"),  # x + x, however it is summed
    ],
)
def test_equal_networks_share_a_key(one: str, other: str) -> None:
    assert live_key(cell(*one)) == live_key(cell(*other))


def test_one_convolution_read_twice_is_not_two_independent_ones() -> None:
    assert live_key(cell(*"30s0ss")) != live_key(cell(*"3300ss"))


def test_what_is_deployed_is_not_deployed_again() -> None:
    network = deploy(cell(*"330301"))
    for form in (network, legalise(network)):
        with pytest.raises(GraphError, match=f"only a plain graph will do, not a {type(form).__name__}"):
            deploy(form)  # pyright: ignore[reportArgumentType]


def test_a_pool_of_a_sum_is_the_sum_of_pools_as_a_function_only() -> None:
    one, other = cell(*"3ss00p"), cell(*"300pp0")  # pool(x + conv(x)) and pool(x) + pool(conv(x))
    assert live_key(one) != live_key(other)
    assert function_key(one) == function_key(other)
    assert function_key(cell(*"333000")) == "disconnected"


def test_the_price_of_a_graph_counts_multiplications_then_what_is_read_and_written() -> None:
    draw = GraphBuilder((4, 4, 2))
    three, one = draw.conv("three", "input", 3, kernel=3), draw.conv("one", "input", 3)
    both = draw.add("sum", (three, one), draw.shape(one))
    draw.linear("head", draw.global_pool("pool", both), 5)
    image, maps = 4 * 4 * 2, 4 * 4 * 3
    layers = [(image, image), (image, maps), (image, maps), (2 * maps, maps), (maps, 3), (3, 5)]
    signature_of_input = deploy(draw.graph()).layers[0].signature
    read = sum(its for its, _ in layers[1:]) + signature_of_input.operands * image
    written = sum(its for _, its in layers)
    assert cost(deploy(draw.graph())) == (4 * 4 * (3 * 3 * 2 * 3 + 2 * 3) + 3 * 5, read + written)
