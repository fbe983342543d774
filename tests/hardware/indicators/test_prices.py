"""The price of one option: its own layers as deployed, the add that joins it, at every place of the cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from tests.networks import lowered
from tests.spaces.chain import Chain

from micronas.budget import Priced
from micronas.candidate import everything
from micronas.hardware.boards.table import LatencyTable
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import Flops, LiveFlops, Parameters, SumOverLayers, WeightedLayers
from micronas.hardware.indicators.compute import macs as macs_of
from micronas.hardware.indicators.flash import Flash, code_bytes, constant_bytes
from micronas.hardware.indicators.latency import Latency
from micronas.hardware.indicators.memory import Sram, SramTflm
from micronas.hardware.indicators.prices import own_layers, own_operations
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.network.signature import Kind, Signature
from micronas.origin import Word
from micronas.spaces.decisions import Choices, Removal
from micronas.spaces.nasbench201.cell import OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import SearchSpace
from micronas.task import Task

START = everything(NasBench201(), Task())
TABLE = load_target("nucleo-f746zg").latency
STAGES = ((32, 32, 16), (16, 16, 32), (8, 8, 64))


def macs(decision: int, option: str) -> float:
    return Flops().prices(START, [Removal(decision, option)]).item()


def price_ms(decision: int, option: str) -> float:
    return Latency(load_target("nucleo-f746zg")).prices(START, [Removal(decision, option)]).item()


@pytest.mark.parametrize("decision", range(6))
def test_a_convolution_is_its_own_layers_in_every_cell_and_a_skip_has_none(decision: int) -> None:
    layers = own_layers(START, decision, "nor_conv_3x3")
    assert [layer.signature.kind for layer in layers] == [Kind.RELU, Kind.CONV, Kind.BATCH_NORM] * 15
    assert own_layers(START, decision, "skip_connect") == ()
    assert own_layers(START, decision, "none") == ()


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
        option: latency.measure(lowered(text.format(option)))
        for option in ("none", "skip_connect", "avg_pool_3x3", "nor_conv_3x3")
    }
    for option, cost in costs.items():
        assert cost - costs["none"] == pytest.approx(price_ms(4, option), rel=0.05)


def test_the_signatures_follow_the_skeleton() -> None:
    small = everything(NasBench201(channels=(4,), cells=(1,), stages=(1,)), Task())
    shape = (32, 32, 4)
    assert own_operations(small, 5, "avg_pool_3x3") == (
        Signature.square(Kind.AVG_POOL, shape, shape, 3, 1, (1, 1)),
        Signature(Kind.ADD, shape, shape, operands=2),
    )


# --- as before, and in other spaces -------------------------------------------------------------

GOLDEN = {
    "nucleo-f746zg": [0.0, 7.789236, 31.729836, 128.913681, 23.7116205],
    "raspberry-pi-pico": [0.0, 160.559235, 494.139085, 1767.018735, 351.11577],
}
"""Milliseconds of each operation on edge 2, as commit f4047b7 has them."""


@pytest.mark.parametrize("board", GOLDEN)
def test_prices_of_the_benchmarks_operations_are_what_they_were(board: str) -> None:
    removals = [Removal(2, option) for option in OPERATIONS]
    assert Latency(load_target(board)).prices(START, removals) == pytest.approx(GOLDEN[board], rel=1e-9)
    assert Flops().prices(START, removals).tolist() == [0, 0, 3_932_160, 35_389_440, 0]


CHAIN = everything(Chain(widths=(8, 16, 32), depths=(1, 2, 4), expansions=(2, 3)), Task((32, 32, 3)))
DECISIONS = [*Chain(depths=(1, 2, 4)).decisions]


class Everywhere:
    """A board on which an operation takes as long as it has multiply-accumulates, and one more."""

    def table_of(self, signatures: Iterable[Signature]) -> LatencyTable:
        costs = {signature: macs_of(signature) + 1.0 for signature in signatures}
        return LatencyTable("everywhere", "test", "int8", "1", Word.SIMULATED, 0.0, costs)


PRICED = (Flops(), LiveFlops(), Parameters(), WeightedLayers(), Latency(Everywhere()), Flash(), Sram(), SramTflm())


def prices_of(indicator: Priced, name: str) -> list[float]:
    decision = DECISIONS.index(name)
    removals = [Removal(decision, option) for option in CHAIN.choices.alive[decision]]
    return indicator.prices(CHAIN, removals).tolist()


def in_order(numbers: list[float]) -> bool:
    return all(one < other for one, other in pairwise(numbers))


@pytest.mark.parametrize("indicator", PRICED, ids=lambda one: one.name)
def test_a_wider_stage_has_a_higher_price_and_no_width_is_free(indicator: Priced) -> None:
    prices = prices_of(indicator, "stage2.width")
    assert prices[0] > 0
    if indicator.name == "layers":
        assert len(set(prices)) == 1  # as many layers, of whatever width
    else:
        assert in_order(prices)


@pytest.mark.parametrize("indicator", PRICED, ids=lambda one: one.name)
def test_a_deeper_stage_has_a_higher_price_and_the_shallowest_adds_nothing(indicator: Priced) -> None:
    prices = prices_of(indicator, "stage2.depth")
    assert prices[0] == 0 < prices[1]
    if indicator.name.startswith("sram"):
        assert prices[1] == prices[2]  # the operation that needs the most is no larger
    else:
        assert in_order(prices)


@pytest.mark.parametrize("name", ["stage1.width", "stage3.width", "stage2.depth", "stage1.block1.kernel"])
@pytest.mark.parametrize("indicator", [Flops(), Parameters(), LiveFlops()], ids=lambda one: one.name)
def test_prices_differ_by_what_the_networks_differ(indicator: SumOverLayers, name: str) -> None:
    """With the first option on every other decision."""
    first = CHAIN.of(CHAIN.choices.completion(0))
    decision = DECISIONS.index(name)
    sums = [
        indicator.measure(CHAIN.of(first.choices.fixed(decision, option)).graph)
        for option in CHAIN.choices.alive[decision]
    ]
    prices = prices_of(indicator, name)
    assert [price - prices[0] for price in prices] == [each - sums[0] for each in sums]


def test_of_an_expansion_beyond_the_depth_nothing_is_there() -> None:
    assert prices_of(Flops(), "stage1.block2.expansion") == [0, 0]
    assert prices_of(Latency(Everywhere()), "stage1.block2.kernel") == [0, 0]


def test_an_option_costs_flash_for_its_constants_and_for_every_call_of_a_kernel() -> None:
    """A skip is one add in each of 15 cells; an option that draws nothing is free."""
    flash = Flash("cortex-m7")
    none, skip = flash.prices(START, [Removal(2, "none"), Removal(2, "skip_connect")]).tolist()
    adds = [Signature(Kind.ADD, shape, shape, operands=2) for shape in STAGES for _ in range(5)]
    code = code_bytes("cortex-m7")
    assert none == 0
    assert skip == sum(constant_bytes(add) for add in adds) + 15 * code["call"]
    assert code["call"] > 0


def test_our_kernels_need_scratch_memory_and_those_of_tflite_micro_are_not_charged_for_it() -> None:
    """Where convolutions need the most; in NAS-Bench-201 it is the add that joins them."""
    chain = everything(Chain(), Task((16, 16, 3), classes=4))
    removals = chain.choices.removals()
    ours, tflm = Sram().prices(chain, removals), SramTflm().prices(chain, removals)
    assert (ours >= tflm).all()
    assert (ours > tflm).any()
    joined = [Removal(2, "nor_conv_3x3")]
    assert Sram().prices(START, joined).tolist() == SramTflm().prices(START, joined).tolist() == [3 * 16 * 1024]


@dataclass(frozen=True)
class Joined(SearchSpace):
    """One decision: what stands between the stem and the head, of which two options of three end in a sum."""

    @property
    def name(self) -> str:
        return "joined"

    def everything(self) -> Choices:
        return Choices((("deep", "plain", "wide"),))

    def lower(self, choices: Choices, task: Task) -> Graph:
        ((option,),) = choices.alive
        draw = GraphBuilder(task.input_shape)
        at = draw.conv("stem", "input", 8)
        if option != "plain":
            branches = [draw.conv(f"{option}{n}", at, 8) for n in range(1 if option == "deep" else 2)]
            at = draw.add("sum", (at, *branches), draw.shape(at))
        draw.linear("head", draw.global_pool("pool", at), task.classes)
        return draw.graph()

    def canonical(self, choices: Choices) -> Choices:
        return choices


@pytest.mark.parametrize(("option", "convolutions", "sums"), [("deep", 1, 1), ("plain", 0, 0), ("wide", 2, 1)])
def test_a_sum_that_is_not_there_with_every_option_is_the_options_own(
    option: str, convolutions: int, sums: int
) -> None:
    start = everything(Joined(), Task((8, 8, 3)))
    own = [layer.signature.kind for layer in own_layers(start, 0, option)]
    assert (own.count(Kind.CONV), own.count(Kind.ADD)) == (convolutions, sums)
    ran = [signature.kind for signature in own_operations(start, 0, option)]
    assert (ran.count(Kind.CONV), ran.count(Kind.ADD)) == (convolutions, sums)
