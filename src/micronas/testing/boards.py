"""The laws of a board: facts with sources, a table for the default skeleton, costs that make sense. Inherit them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

from micronas.hardware.boards.board import MEMORY
from micronas.hardware.boards.table import OUR_RUNTIME
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import macs
from micronas.hardware.indicators.counted import count_space
from micronas.mcu.cores import CORES
from micronas.network.signature import Kind, Signature
from micronas.origin import Word
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

NEEDED = count_space(NasBench201(), Task()).operations


class BoardContract:
    """Laws of the board of that name, or of the path of its .toml.

    class TestMine(BoardContract):
        board = "my-board"
    """

    board: ClassVar[str]

    def test_every_fact_says_where_it_is_from(self) -> None:
        target = load_target(self.board)
        facts = ("core", "clock_hz", "sram", "flash_bytes", "flash_origin", *(f"memory.{key}" for key in MEMORY))
        assert all(target.sources[fact].strip() for fact in facts)
        assert target.core is CORES[target.core.name]

    def test_memories_do_not_overlap_and_the_arena_region_is_one_of_them(self) -> None:
        target = load_target(self.board)
        regions = sorted(target.sram, key=lambda region: region.origin)
        assert all(one.end <= other.origin for one, other in pairwise(regions))
        assert target.arena_region in target.sram
        assert target.arena_region.size_bytes == max(region.size_bytes for region in target.sram)
        assert all(not region.origin <= target.flash_origin < region.end for region in target.sram)

    def test_memories_lie_where_an_arm_core_has_them(self) -> None:
        """Source: the memory map in the Armv6-M, Armv7-M and Armv8-M manuals: code, from 0x2000_0000 on SRAM."""
        target = load_target(self.board)
        assert target.flash_origin + target.flash_bytes <= 0x2000_0000
        assert all(region.end <= 0x4000_0000 for region in target.sram)
        assert target.arena_region.origin >= 0x2000_0000  # what lies lower is slow, small or reserved
        assert all(size % 1024 == 0 for size in (target.flash_bytes, *(region.size_bytes for region in target.sram)))

    def test_the_table_is_a_simulated_profile_of_our_kernels_at_the_boards_clock(self) -> None:
        target = load_target(self.board)
        table = target.latency
        assert (table.board, table.runtime, table.dtype) == (target.name, OUR_RUNTIME, "int8")
        assert (table.word, table.provisional, table.is_calibrated) == (Word.SIMULATED, False, False)
        assert table.provenance["core"] == target.core.name
        assert table.provenance["clock_hz"] == str(target.clock_hz)
        assert table.provenance["memory"] == " ".join(f"{key}={target.memory[key]}" for key in MEMORY)
        assert {"compiler", "timing_model", "overhead"} <= set(table.provenance)
        assert str(table.origin).startswith("simulated: ")
        assert "measured" not in table.dump()

    def test_every_operation_of_the_default_skeleton_is_timed_and_costs_something(self) -> None:
        target = load_target(self.board)
        assert target.latency.missing(NEEDED) == ()
        assert all(0 < target.latency[signature] < math.inf for signature in NEEDED)
        assert target.latency.overhead_ms > 0

    def test_cycles_per_mac_are_those_of_a_microcontroller(self) -> None:
        """Between a core that does four at a time and one that multiplies, loads and counts for each."""
        target = load_target(self.board)
        for signature in NEEDED:
            if signature.kind is Kind.CONV:
                cycles = target.latency[signature] * 1e-3 * target.clock_hz / macs(signature)
                assert 0.25 < cycles < 25

    def test_more_work_of_a_kind_costs_more(self) -> None:
        target = load_target(self.board)
        table, shape = target.latency, (32, 32, 16)
        convs = [
            table[Signature.square(Kind.CONV, shape, shape, kernel, padding=((kernel - 1) // 2,) * 2)]  # type: ignore[arg-type]
            for kernel in (1, 3)
        ]
        adds = [table[Signature(Kind.ADD, shape, shape, operands=operands)] for operands in (2, 3)]
        assert convs[0] < convs[1] < 9 * convs[0]
        assert adds[0] < adds[1] <= 2.5 * adds[0]

    def test_clamping_while_reading_is_all_but_free(self) -> None:
        target = load_target(self.board)
        plain = [signature for signature in NEEDED if not signature.relu_in]
        for signature in NEEDED:
            twin = next((one for one in plain if str(signature) == f"{one} relu_in"), None)
            if twin is not None:
                assert target.latency[twin] <= target.latency[signature] < 1.1 * target.latency[twin]
