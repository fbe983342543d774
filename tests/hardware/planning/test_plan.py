"""What kernels ask of memory, and the arena of a network from its parts."""

from __future__ import annotations

from micronas.candidate import everything
from micronas.hardware.planning.plan import OUR_KERNELS, SCRATCH_APART, arena_of_parts, plan_memory
from micronas.network.deployed import deploy
from micronas.network.segments import parts_of
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

START = everything(NasBench201(channels=(4,), cells=(1,)), Task((8, 8, 3), 4))
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
)


def test_with_scratch_apart_no_layer_asks_for_any() -> None:
    for cell in CELLS:
        layers = deploy(START.of(START.space.parse(cell)).graph)
        signatures = [layer.signature for layer in layers]
        assert {SCRATCH_APART.scratch_bytes(each) for each in signatures} == {0}
        assert max(map(OUR_KERNELS.scratch_bytes, signatures)) > 0
        assert plan_memory(layers, SCRATCH_APART).arena_bytes < plan_memory(layers, OUR_KERNELS).arena_bytes


def test_parts_tell_the_arena_of_the_whole() -> None:
    for cell in CELLS:
        layers = deploy(START.of(START.space.parse(cell)).graph)
        for kernels in (OUR_KERNELS, SCRATCH_APART):
            assert arena_of_parts(parts_of(layers), kernels) == plan_memory(layers, kernels).arena_bytes
