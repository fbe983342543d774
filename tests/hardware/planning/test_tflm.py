"""TFLite-Micro's arena: its planner is reproduced, and the tail is what measured builds need, or a little more."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from tests.hardware.planning.test_arena import overlaps
from tests.hardware.planning.test_order import PLAIN
from tests.networks import lowered

from micronas.hardware.indicators.memory import SramTflm
from micronas.hardware.planning.order import live_bytes
from micronas.hardware.planning.tflm import TflmArena, tflm_arena, tflm_head
from micronas.network.builder import GraphBuilder
from micronas.network.deployed import deploy
from micronas.network.graph import Layer
from micronas.network.legalised import Legalised, legalise
from micronas.network.signature import Kind, Signature


def chain(*sizes: int) -> Legalised:
    """Tensors of so many bytes, each read by the next."""
    layers = [Layer("t0", Signature(Kind.INPUT, (1, 1, sizes[0]), (1, 1, sizes[0])))]
    for number, (before, size) in enumerate(pairwise(sizes)):
        layers.append(Layer(f"t{number + 1}", Signature(Kind.CONV, (1, 1, before), (1, 1, size)), (f"t{number}",)))
    return Legalised(tuple(layers))


def test_tflm_places_large_first_and_among_equals_the_later_tensor_first() -> None:
    """By hand: of three equal tensors alive in turns the last is placed first, at 0."""
    assert tflm_head(chain(32, 32, 32)).offsets == (0, 32, 0)
    assert tflm_head(chain(32, 32, 32), reverse_tensors=True).offsets == (0, 32, 0)
    assert tflm_head(chain(32, 32, 32, 32)).offsets == (32, 0, 32, 0)
    assert tflm_head(chain(32, 32, 32, 32), reverse_tensors=True).offsets == (0, 32, 0, 32)
    assert tflm_head(chain(16, 48, 16)).offsets == (48, 0, 48)


def test_the_numbering_of_tensors_alone_changes_tflms_arena() -> None:
    """As published of real builds: the same network, its tensors numbered backwards, needs less (or more)."""
    cell = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|none~2|"
    graph = legalise(deploy(lowered(cell)))
    forward, backward = tflm_head(graph), tflm_head(graph, reverse_tensors=True)
    assert not overlaps(forward)
    assert not overlaps(backward)
    assert forward.lower_bound_bytes == backward.lower_bound_bytes == max(live_bytes(graph, PLAIN))
    assert forward.size_bytes != backward.size_bytes


def test_the_arena_of_a_real_build_is_reproduced() -> None:
    """Golden: a TFLite-Micro build's head was 84,032 bytes with 65,536 alive, and 65,536 with its tensors backwards.

    The cell is one of those that give this triple here; which one was built is not recorded.
    """
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|"
    graph = legalise(deploy(lowered(cell, cells=1)))
    forward, backward = tflm_head(graph), tflm_head(graph, reverse_tensors=True)
    assert (forward.lower_bound_bytes, forward.size_bytes, backward.size_bytes) == (65_536, 84_032, 65_536)


def test_head_and_tail_are_those_of_builds(shared: Path) -> None:
    """Golden: builds for x86-32 and for a Cortex-M7 under qemu, networks of NAS-Bench-201, 10 classes."""
    path = shared / "data" / "tflm_arena.csv"
    if not path.exists():
        pytest.skip("no measured arenas there")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["build"].split()[0] for row in rows} == {"x86-32", "cortex-m7"}
    for row in rows:
        height, width, depth = map(int, row["input"].split("x"))
        network = lowered(row["cell"], int(row["channels"]), int(row["cells"]), input_shape=(height, width, depth))
        arena = tflm_arena(legalise(deploy(network)))
        assert arena.head.size_bytes == int(row["head_bytes"])
        assert 0 <= arena.persistent_bytes - int(row["tail_bytes"]) <= 512
        assert not arena.is_estimate
        assert SramTflm().measure(network) == arena.size_bytes


def test_the_tail_by_hand() -> None:
    """Of one convolution, one pool and one RELU that stays, with the operators that every measured build had."""
    draw = GraphBuilder((8, 8, 4))
    relu = draw.relu("relu", "input")
    at = draw.conv("conv", draw.avg_pool("pool", relu, kernel=3, stride=1, padding=1), 6)
    draw.linear("linear", draw.global_pool("all", at), 10)
    legal = legalise(deploy(draw.graph()))
    assert Counter(layer.signature.kind for layer in legal)[Kind.RELU] == 1
    arena = tflm_arena(legal)
    assert arena.persistent_bytes == 916 + 160 + 2 * 116 + 76 + 8 * 6 + 88 + 12
    assert not arena.is_estimate
    words = str(SramTflm().origin_of(draw.graph()))
    assert f"{arena.head.size_bytes:,} planned + {arena.persistent_bytes:,} persistent bytes, TFLite-Micro" in words
    assert "estimate" not in words


def test_more_depthwise_layers_than_measured_are_an_estimate_upwards() -> None:
    def network(depthwise: int) -> GraphBuilder:
        draw = GraphBuilder((8, 8, 4))
        at = "input"
        for number in range(depthwise):
            at = draw.depthwise(f"depthwise{number}", at, kernel=3)
        draw.linear("linear", draw.global_pool("all", at), 10)
        return draw

    one, two = (tflm_arena(legalise(deploy(network(number).graph()))) for number in (1, 2))
    assert (one.is_estimate, two.is_estimate) == (False, True)
    assert two.persistent_bytes - one.persistent_bytes == 256 + 8 * 4
    assert "(estimate)" in str(SramTflm().origin_of(network(2).graph()))


def test_the_margin_grows_with_the_pools_up_to_those_measured() -> None:
    """12 bytes for each, which CMSIS-NN keeps for itself, up to 32 of them; more are an estimate."""

    def arena_of(pools: int) -> TflmArena:
        draw = GraphBuilder((8, 8, 4))
        at = "input"
        for number in range(pools):
            at = draw.avg_pool(f"pool{number}", at, kernel=3, stride=1, padding=1)
        draw.linear("linear", draw.global_pool("all", at), 10)
        return tflm_arena(legalise(deploy(draw.graph())))

    arenas = [arena_of(pools) for pools in (30, 31, 32, 33, 34)]
    tails = [arena.persistent_bytes for arena in arenas]
    assert [after - before for before, after in pairwise(tails)] == [116 + 12, 116 + 12, 116 + 8, 116]
    assert [arena.is_estimate for arena in arenas] == [False, False, False, True, True]
