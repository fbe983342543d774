"""The price of one option: its own layers as deployed, the add that joins it, at every place of the cell."""

from __future__ import annotations

import pytest

from micronas.choices import Removal
from micronas.hardware.compute import Flops
from micronas.hardware.latency import Latency
from micronas.hardware.options import option_layers, option_signatures
from micronas.hardware.target import load_target
from micronas.network.graph import Kind, Signature
from micronas.spaces.nasbench201 import OPERATIONS, NasBench201
from micronas.spaces.space import Skeleton

SPACE, SKELETON = NasBench201(), Skeleton()
TABLE = load_target("nucleo-f746zg").latency
STAGES = ((32, 32, 16), (16, 16, 32), (8, 8, 64))


def macs(decision: int, option: str) -> float:
    return Flops().price(SPACE, SKELETON, Removal(decision, option))


def price_ms(decision: int, option: str) -> float:
    return Latency(load_target("nucleo-f746zg")).price(SPACE, SKELETON, Removal(decision, option))


@pytest.mark.parametrize("decision", range(6))
def test_a_convolution_is_its_own_layers_in_every_cell_and_a_skip_has_none(decision: int) -> None:
    layers = option_layers(SPACE, SKELETON, decision, "nor_conv_3x3")
    assert [layer.signature.kind for layer in layers] == [Kind.RELU, Kind.CONV, Kind.BATCH_NORM] * 15
    assert option_layers(SPACE, SKELETON, decision, "skip_connect") == ()
    assert option_layers(SPACE, SKELETON, decision, "none") == ()


def test_macs_of_an_option_are_those_of_its_convolutions() -> None:
    # 5 cells in each stage; a stage's pixels fall as its channels squared grow, so each stage costs the same
    assert macs(0, "nor_conv_1x1") == 3 * 5 * 32 * 32 * 16 * 16
    assert macs(0, "nor_conv_3x3") == 9 * macs(0, "nor_conv_1x1")
    assert macs(3, "avg_pool_3x3") == 0


def test_the_price_by_hand() -> None:
    adds = 5 * sum(TABLE[Signature(Kind.ADD, shape, shape, operands=2)] for shape in STAGES)
    pools = 5 * sum(TABLE[Signature.square(Kind.AVG_POOL, shape, shape, 3, 1, (1, 1))] for shape in STAGES)
    convs = 5 * sum(TABLE[Signature.square(Kind.CONV, shape, shape, 3, 1, (1, 1), relu_in=True)] for shape in STAGES)
    prices = {option: price_ms(2, option) for option in OPERATIONS}
    assert prices["none"] == 0
    assert prices["skip_connect"] == pytest.approx(adds)
    assert prices["avg_pool_3x3"] == pytest.approx(pools + adds)
    assert prices["nor_conv_3x3"] == pytest.approx(convs + adds)
    assert prices["nor_conv_3x3"] > prices["nor_conv_1x1"] > prices["skip_connect"]


def test_the_price_is_what_the_option_adds_to_a_cell_where_others_read_the_same_tensor() -> None:
    """Node 1 is read by two others; node 3 already sums two edges: all that the price assumes.

    But for the sums: a fused add of several operands costs a little less than binary adds.
    """
    latency = Latency(load_target("nucleo-f746zg"))
    text = "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|{}~1|nor_conv_1x1~2|"
    costs = {
        option: latency.measure(SPACE.lower(SPACE.parse(text.format(option)), SKELETON))
        for option in ("none", "skip_connect", "avg_pool_3x3", "nor_conv_3x3")
    }
    for option, cost in costs.items():
        assert cost - costs["none"] == pytest.approx(price_ms(4, option), rel=0.05)


def test_the_signatures_follow_the_skeleton() -> None:
    small = Skeleton(channels=4, cells=1, stages=1)
    shape = (32, 32, 4)
    assert option_signatures(SPACE, small, 5, "avg_pool_3x3") == (
        Signature.square(Kind.AVG_POOL, shape, shape, 3, 1, (1, 1)),
        Signature(Kind.ADD, shape, shape, operands=2),
    )
