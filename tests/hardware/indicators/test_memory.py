"""The memory model on NAS-Bench-201: its three numbers, and what a dead cell scores."""

from __future__ import annotations

import math
import random

import pytest
from tests.hardware.planning.test_arena import overlaps
from tests.hardware.planning.test_order import OURS, PLAIN
from tests.networks import lowered
from tests.spaces.chain import Chain

from micronas.candidate import everything
from micronas.hardware.indicators.memory import Sram, SramTflm
from micronas.hardware.planning.arena import place
from micronas.hardware.planning.order import aligned, live_bytes
from micronas.hardware.planning.plan import plan_memory
from micronas.mcu.operators import operator
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.spaces.decisions import Choices, Removal
from micronas.spaces.nasbench201.cell import OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import SearchSpace
from micronas.task import Task
from micronas.testing.doubles import START

TASK = Task((16, 16, 3), 2)
_SMALL = Chain(depths=(1, 2), kernels=(3,), expansions=(2, 3), stages=2)
"""256 networks whose parts are all different."""


def cells(count: int) -> list[Graph]:
    """Random connected networks."""
    rng = random.Random(7)
    found: list[Graph] = []
    while len(found) < count:
        choices = Choices(tuple((rng.choice(OPERATIONS),) for _ in range(6)))
        try:
            deploy(graph := lowered(choices, cells=2))
        except Disconnected:
            continue
        found.append(graph)
    return found


def test_a_plan_is_never_worse_than_the_order_given_and_never_below_the_bound() -> None:
    for graph in cells(30):
        runs = deploy(graph)
        plan = plan_memory(runs, OURS)
        assert not overlaps(plan.placement.arena)
        assert plan.lower_bound_bytes <= plan.live_bytes <= max(live_bytes(runs, OURS))
        assert plan.live_bytes <= plan.arena_bytes <= plan.live_bytes * 1.05
        assert Sram(kernels=OURS).measure(graph) == plan.arena_bytes


def test_the_stem_of_one_convolution_needs_input_and_output() -> None:
    draw = GraphBuilder((8, 8, 3))
    draw.conv("only", "input", 5, kernel=3)
    assert Sram(kernels=PLAIN).measure(draw.graph()) == 8 * 8 * 3 + 8 * 8 * 5
    assert SramTflm().arena(draw.graph()).head.size_bytes == 8 * 8 * 3 + 8 * 8 * 5


def test_our_kernels_need_scratch_and_adds_overwrite_an_operand() -> None:
    """By hand, on tensors of 8 x 8 x 4 = 256 bytes; convolution.c says what its scratch holds."""
    draw = GraphBuilder((8, 8, 4))
    draw.conv("only", "input", 4, kernel=1)
    rows = 4 * 1 + 2 * 1 * 8 * 4  # a pointer and a row of 16-bit values
    assert Sram().measure(draw.graph()) == 256 + 256 + aligned(rows) == 592
    draw = GraphBuilder((8, 8, 4))
    draw.add("sum", ("input", draw.avg_pool("pool", "input", kernel=3, stride=1, padding=1)), (8, 8, 4))
    assert Sram(kernels=PLAIN).measure(draw.graph()) == 3 * 256
    assert Sram().measure(draw.graph()) == 2 * 256


def crossing() -> Graph:
    """Two wide tensors that are both made before either is read: 256 bytes grow to 2,048 and shrink to 256, twice."""
    draw = GraphBuilder((8, 8, 4))
    wide = [draw.conv(f"wide{at}", "input", 32, kernel=1) for at in (1, 2)]
    narrow = [draw.conv(f"narrow{at}", each, 4, kernel=1) for at, each in enumerate(wide, 1)]
    draw.add("sum", tuple(narrow), (8, 8, 4))
    return draw.graph()


def test_the_arena_is_that_of_the_best_order_not_of_the_given() -> None:
    """By hand: both wide tensors and one more as given; one wide tensor and two more at best."""
    graph = crossing()
    runs = deploy(graph)
    assert [layer.name for layer in runs] == [layer.name for layer in graph]
    given, best = 2 * 2048 + 256, 2048 + 2 * 256
    assert max(live_bytes(runs, PLAIN)) == given == place(runs, PLAIN).arena.size_bytes
    plan = plan_memory(runs, PLAIN)
    assert (plan.arena_bytes, plan.live_bytes, plan.lower_bound_bytes) == (best, best, best)
    assert Sram(kernels=PLAIN).measure(graph) == best
    scratch = aligned(operator(runs["narrow1"].signature).scratch_bytes)
    assert Sram().measure(graph) == plan_memory(runs).arena_bytes == best + scratch < given


def test_tflm_pays_for_what_it_must_insert() -> None:
    for graph in cells(10):
        assert SramTflm().measure(graph) >= Sram(kernels=PLAIN).measure(graph)


@pytest.mark.parametrize(
    ("space", "task"),
    [
        pytest.param(NasBench201(), Task(), id="benchmark", marks=pytest.mark.slow),
        pytest.param(
            NasBench201(channels=(4,), cells=(2,), stages=(2,)),
            Task((16, 8, 1), 3),
            id="small",
            marks=pytest.mark.slow,
        ),
        pytest.param(_SMALL, TASK, id="chain"),
    ],
)
def test_the_arenas_of_a_space_are_those_of_its_networks(space: SearchSpace, task: Task) -> None:
    arenas = Sram().of_all(everything(space, task))
    assert arenas.shape == (space.size,)
    for number in random.Random(space.size).sample(range(space.size), 25):
        try:
            slow = plan_memory(deploy(space.lower(space.sample(number), task))).arena_bytes
        except Disconnected:
            slow = math.inf
        assert arenas[number] == slow


@pytest.mark.parametrize("indicator", [Sram(kernels=OURS), SramTflm()], ids=["sram", "sram-tflm"])
def test_a_dead_cell_is_worst_and_many_are_as_one_by_one(indicator: Sram | SramTflm) -> None:
    dead = lowered(Choices((("none",),) * 6))
    assert indicator.measure(dead) == math.inf
    graphs = [*cells(3), dead]
    assert indicator.measure_many(graphs).tolist() == [indicator.measure(graph) for graph in graphs]


def test_a_network_that_runs_nothing_has_the_words_of_any() -> None:
    assert SramTflm().origin_of(lowered(Choices((("none",),) * 6))) == SramTflm().origin


@pytest.mark.parametrize("at", range(3))
def test_the_price_of_an_operation_is_what_it_reads_and_writes_at_once(at: int) -> None:
    """Two channels of 4x4 are 32 bytes; what joins an edge to another reads two tensors."""
    alone, joined = 32 + 32, 2 * 32 + 32
    removals = [Removal(at, option) for option in ("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3")]
    nothing, skip, conv, pool = SramTflm().prices(START, removals).tolist()
    assert nothing == 0
    assert skip in (0, joined)
    assert conv == pool == (joined if skip else alone)
    assert Sram().prices(START, removals[:1]).tolist() == [0]
