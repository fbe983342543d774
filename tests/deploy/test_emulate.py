"""The image from reset to halt: it computes what the integer reference does, in the memory that was planned."""

from __future__ import annotations

import dataclasses
import math

import pytest
from tests.networks import lowered

from micronas.deploy.c import emit
from micronas.deploy.code_bytes import measure_code
from micronas.deploy.emulate import default_toolchain, emulate
from micronas.deploy.emulation import Emulation
from micronas.deploy.firmware import MPS2_AN500, Chip, build_once, build_serial
from micronas.deploy.quantize import random_images, random_network
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.profiled import profile
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.counted import network_signatures
from micronas.hardware.indicators.flash import Flash, code_bytes
from micronas.hardware.indicators.latency import Latency
from micronas.hardware.planning.plan import plan_memory
from micronas.mcu.cores import CORES
from micronas.mcu.layout import Region
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.spaces.decisions import Choices

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|nor_conv_1x1~0|avg_pool_3x3~1|skip_connect~2|"


def small(cell: str | Choices, stages: int = 2, size: int = 16) -> Graph:
    return lowered(cell, channels=4, cells=1, stages=stages, input_shape=(size, size, 3))


GRAPH = small(CELL)
BOARDS = ("nucleo-f746zg", "nucleo-f446re", "nrf5340dk", "raspberry-pi-pico")


@pytest.fixture(scope="module", params=BOARDS)
def emulation(request: pytest.FixtureRequest) -> Emulation:
    return emulate(GRAPH, load_target(request.param), seed=2)


def test_logits_equal_the_integer_reference(emulation: Emulation) -> None:
    assert emulation.matches_reference
    assert len(set(emulation.logits)) > 5


def test_memory_is_as_planned(emulation: Emulation) -> None:
    assert emulation.arena_bytes == plan_memory(deploy(GRAPH)).arena_bytes
    assert emulation.statics == {"micronas_class": 4}
    assert 100 < emulation.stack_bytes < 2048
    assert emulation.sram_bytes == emulation.arena_bytes + 4 + emulation.stack_bytes


def test_flash_is_within_two_percent(emulation: Emulation) -> None:
    core = load_target(emulation.target).core.name
    assert Flash(core).measure(GRAPH) == pytest.approx(emulation.flash_bytes, rel=0.02)


def test_the_parts_add_up_to_the_whole(emulation: Emulation) -> None:
    """Operations timed alone against the image; both simulated. benchmarks/emulation.py shows many more."""
    target = load_target(emulation.target)
    assert estimated_ms(GRAPH, target) == pytest.approx(emulation.latency_ms, rel=0.01)
    assert sum(emulation.by_layer.values()) == pytest.approx(emulation.cycles)
    assert sum(emulation.by_cause.values()) == pytest.approx(emulation.cycles)
    assert emulation.latency_ms == pytest.approx(1000 * emulation.cycles / target.clock_hz)


@pytest.mark.parametrize("board", ["nucleo-f746zg", "raspberry-pi-pico"])
@pytest.mark.parametrize("size", [8, 64])
def test_the_parts_add_up_whatever_the_size_of_the_image(size: int, board: str) -> None:
    graph = small(CELL, stages=1, size=size)
    target = load_target(board)
    assert estimated_ms(graph, target) == pytest.approx(emulate(graph, target).latency_ms, rel=0.01)


def estimated_ms(graph: Graph, target: Target) -> float:
    """As the product estimates it: the board's own table of the overhead, and operations profiled on demand."""
    profiled = profile(target, network_signatures(graph))
    assert profiled.agrees_with(target.latency)
    return Latency(target.with_latency(target.latency.with_more(profiled.milliseconds))).measure(graph)


def test_bundled_code_sizes_are_those_of_images_built_now() -> None:
    core = CORES["cortex-m4"]
    now, bundled = measure_code(core, default_toolchain(), kernels=3), code_bytes(core.name)
    assert now.keys() <= bundled.keys()
    for part, size in now.items():
        assert bundled[part] == pytest.approx(size, rel=0.05, abs=64), (
            f"{part}: run python -m micronas.deploy.code_bytes"
        )


def test_a_dead_cell_has_the_worst_flash_and_an_unknown_core_is_said() -> None:
    assert Flash().measure(small(Choices((("none",),) * 6))) == math.inf
    with pytest.raises(UserError, match="no code sizes for cortex-m3"):
        Flash("cortex-m3").measure(GRAPH)


def test_an_arena_that_fits_no_single_memory_is_refused() -> None:
    """Two memories that only together would hold it."""
    halves = (Region("LOW", 0x2000_0000, 8 << 10), Region("HIGH", 0x3000_0000, 8 << 10))
    board = dataclasses.replace(MPS2_AN500, sram=halves)
    with pytest.raises(UserError, match=r"12\.0 KB does not fit mps2-an500: its largest memory \(LOW\) has 8 KB"):
        board.layout(12 << 10, stack_bytes=1024)


def test_arena_statics_and_stack_lie_in_named_regions() -> None:
    target = load_target("nucleo-f746zg")
    network = random_network(deploy(GRAPH))
    firmware = build_once(
        emit(network), network.input.quantize(random_images(GRAPH, 1, 0)[0]), Chip.of(target), default_toolchain()
    )
    regions = {region.name: region for region in target.sram}

    def region_of(symbol: str) -> str:
        address = firmware.image.symbol(symbol).address
        return next(name for name, region in regions.items() if region.origin <= address < region.end)

    assert [region_of(symbol) for symbol in ("model_arena", "micronas_class", "__stack_start")] == [
        "SRAM",
        "DTCM",
        "DTCM",
    ]
    assert firmware.image.symbol("model_arena").address % 16 == 0
    assert firmware.binary()[:4] == firmware.image.symbol("__stack_end").address.to_bytes(4, "little")


def test_no_serial_image_for_a_board_without_start_up_code() -> None:
    board = Chip.of(load_target("nrf5340dk"))
    with pytest.raises(UserError, match="no start-up code for nrf5340dk; a serial port can be used on mps2-an500"):
        build_serial(emit(random_network(deploy(GRAPH))), board, default_toolchain())
