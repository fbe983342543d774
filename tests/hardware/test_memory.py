"""The memory model on NAS-Bench-201: its three numbers, and what a dead cell scores."""

from __future__ import annotations

import math
import random

import pytest
from tests.hardware.test_arena import overlaps
from tests.hardware.test_order import OURS, PLAIN

from micronas.choices import Choices
from micronas.hardware.memory import OUR_KERNELS, Sram, SramTflm, plan_memory
from micronas.hardware.order import live_bytes
from micronas.mcu.operators import operator
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.spaces.nasbench201 import OPERATIONS, NasBench201
from micronas.spaces.space import Skeleton

SPACE = NasBench201()


def cells(count: int) -> list[Graph]:
    """Random connected networks."""
    rng = random.Random(7)
    found: list[Graph] = []
    while len(found) < count:
        choices = Choices(tuple((rng.choice(OPERATIONS),) for _ in range(6)))
        try:
            deploy(graph := SPACE.lower(choices, Skeleton(cells=2)))
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
    assert SramTflm().measure(draw.graph()) == 8 * 8 * 3 + 8 * 8 * 5


def test_our_kernels_say_what_scratch_they_need_and_what_they_overwrite() -> None:
    for graph in cells(3):
        for layer in deploy(graph).layers[1:]:
            kernel = operator(layer.signature)
            assert OUR_KERNELS.scratch_bytes(layer.signature) == kernel.scratch_bytes
            assert (layer.signature.kind in OUR_KERNELS.in_place) == kernel.in_place


def test_tflm_pays_for_what_it_must_insert() -> None:
    for graph in cells(10):
        assert SramTflm().measure(graph) >= Sram(kernels=PLAIN).measure(graph)


@pytest.mark.parametrize("indicator", [Sram(kernels=OURS), SramTflm()], ids=["sram", "sram-tflm"])
def test_a_dead_cell_is_worst_and_many_are_as_one_by_one(indicator: Sram | SramTflm) -> None:
    dead = SPACE.lower(Choices((("none",),) * 6), Skeleton())
    assert indicator.measure(dead) == math.inf
    graphs = [*cells(3), dead]
    assert indicator.measure_many(graphs).tolist() == [indicator.measure(graph) for graph in graphs]
