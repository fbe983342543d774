"""The pipelines, rule by rule: cycles of short sequences as microbenchmarks and manuals state them.

Sources by name are those of docs/timing-model.md. The cycles are those until the last instruction has issued and the
pipeline can take another, from an empty pipeline.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.instructions import Instruction, Kind, decode
from micronas.mcu.pipelines import PIPELINES, Cause, State
from micronas.mcu.toolchain import Toolchain

SOURCE = Path(__file__).parent / "sequences.c"
NAMES = tuple(line[9:].split(",")[0] for line in SOURCE.read_text().splitlines() if line.startswith("SEQUENCE("))

M7 = {
    "adds": 1,  # two ALUs
    "chain": 1,  # the early ALU forwards to the late one in 0 cycles
    "even_odd_loads": 1,
    "even_even_loads": 2,  # one bank
    "stores": 2,
    "load_store": 1,  # any result can be stored in the same cycle
    "load_add": 2,  # a word is there in the next cycle
    "load_byte_add": 3,  # a byte one cycle later
    "load_address": 3,  # addresses are read early
    "add_address": 2,  # from the early ALU to an address: the next cycle
    "shifted_pair": 2,  # one early shifter
    "shifted_chain": 3,  # a shifted operand is read early
    "multiplies": 2,  # one multiplier
    "product_use": 3,
    "accumulate": 2,  # every cycle
    "divide": 7,
    "pop_four": 2,  # two registers a cycle
    "pair_load": 1,
    "constant": 1,  # movw and movt pair though they depend
    "extends": 2,
    "extend_younger": 2,  # only as the older of a pair
}
M4 = {
    "adds": 2,
    "load_add": 3,  # LDR is two cycles
    "even_odd_loads": 3,  # the second is pipelined
    "load_store": 3,  # "LDR R0,[R1,R2]; STR R0,[R3,#20]: normally three cycles total"
    "load_address": 4,  # not pipelined: the address is what was loaded
    "add_address": 1 + 1 + 2,  # the register bank is updated first
    "accumulate": 2,
    "product_use": 2,
    "divide": 7,
    "pop_four": 1 + 4,
    "pair_load": 1 + 2,
    "stores": 2,
    "store_offset": 2,
}
M33 = {
    "adds": 2,
    "load_add": 1 + 2,  # load to use: two cycles
    "load_store": 2,
    "even_odd_loads": 2,
    "accumulate": 2,
    "product_use": 3,
    "shifted_chain": 3,
    "pop_four": 4,
    "pair_load": 2,
}
EXPECTED = [("cortex-m7", M7), ("cortex-m4", M4), ("cortex-m33", M33)]
CASES = [(core, name, cycles) for core, rules in EXPECTED for name, cycles in rules.items()]


@pytest.fixture(scope="module")
def elf(toolchain: Toolchain) -> ElfImage:
    return ElfImage.read(toolchain.build([SOURCE], CORES["cortex-m7"], keep=NAMES))


def body(elf: ElfImage, name: str) -> tuple[Instruction, ...]:
    """The instructions of a sequence, without its return."""
    symbol = elf.symbol(name)
    segment = next(s for s in elf.segments if s.address <= symbol.address < s.address + s.size_bytes)
    start = symbol.address - segment.address
    found = decode(segment.data[start : start + symbol.size_bytes], symbol.address)
    return tuple(item for item in found if item.kind is not Kind.INDIRECT)


@pytest.mark.parametrize(("core", "name", "cycles"), CASES)
def test_a_sequence_takes_its_published_cycles(elf: ElfImage, core: str, name: str, cycles: int) -> None:
    state = State()
    for instruction in body(elf, name):
        PIPELINES[core].issue(state, instruction)
    assert sum(state.costs.values()) == cycles == state.cycle + 1


def test_a_wait_is_charged_to_what_is_waited_for(elf: ElfImage) -> None:
    for name, cause in (("load_byte_add", Cause.LOAD_USE), ("product_use", Cause.MAC)):
        state = State()
        for instruction in body(elf, name):
            PIPELINES["cortex-m7"].issue(state, instruction)
        assert state.costs[cause] == 1


def test_every_core_times_every_sequence(elf: ElfImage) -> None:
    for core in CORES:
        for name in NAMES:
            instructions = body(elf, name)
            assert all(item.known for item in instructions), name
            state = State()
            for instruction in instructions:
                PIPELINES[core].issue(state, instruction)
            assert state.costs[Cause.ISSUE] >= len(instructions) / 2


def test_what_the_decoder_does_not_know_is_said_and_slow() -> None:
    (strange,) = decode(bytes.fromhex("00ee00ee")[:2] + bytes.fromhex("00ff"), 0)[:1]
    assert not strange.known
    assert strange.kind is Kind.SYSTEM
