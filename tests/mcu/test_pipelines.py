"""The pipelines, rule by rule: cycles of short sequences as microbenchmarks and manuals state them.

Sources by name are those of docs/timing-model.md. The cycles are those until the last instruction has issued and the
pipeline can take another, from an empty pipeline.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import Machine
from micronas.mcu.instructions import FLAGS, Group, Instruction, decode
from micronas.mcu.pipelines import PIPELINES, Cause, State
from micronas.mcu.timing import time_call
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
M0PLUS = {  # Arm-M0+, table 3.1; as docs/timing-model.md says, we read it as far as the loads
    "short_adds": 2,
    "short_multiply": 1,  # the fast one
    "short_load": 2,
    "short_load_byte": 2,
    "short_load_add": 3,  # no wait for what was loaded (µM0 too)
    "short_loads": 6,  # none is pipelined
    "short_store": 2,
    "short_load_store": 4,
    "short_load_many": 1 + 3,
    "short_push": 1 + 3,
}
EXPECTED = [("cortex-m7", M7), ("cortex-m4", M4), ("cortex-m33", M33), ("cortex-m0plus", M0PLUS)]
CASES = [(core, name, cycles) for core, rules in EXPECTED for name, cycles in rules.items()]

P = 2  # refilling the pipeline of an M4: of the 1 to 3 in its manual, table 3-1, the two that Arm-M3 adds
JUMPS = {
    "cortex-m7": {"jump": 1, "compare_jump_if": 1, "jump_to_register": 1},  # predicted right, and issued in a pair
    "cortex-m4": {
        "jump": 1 + P,
        "jump_if": 1 + P,
        "compare_jump_if": 1 + 1 + P,
        "call": 1 + P,
        "jump_to_register": 1 + P,
        "call_to_register": 1 + P,
        "load_into_pc": 2 + 3,  # Arm-M4: "at least five cycles"
    },
    "cortex-m33": {
        "jump": 1 + 1,
        "compare_jump_if": 1 + 1 + 1,  # in the cycle of what sets its flags
    },
    "cortex-m0plus": {
        "jump": 2,  # as a move into pc
        "jump_if": 2,  # 1 if it is not taken
        "compare_jump_if": 1 + 2,
        "call": 3,
        "jump_to_register": 2,
        "call_to_register": 2,
        "pop_return": 3 + 2,
    },
}
JUMP_CASES = [(core, name, cycles) for core, rules in JUMPS.items() for name, cycles in rules.items()]

ROUNDS = {  # cycles of one round of a loop, by the same sources
    ("cortex-m7", "countdown"): 1,
    ("cortex-m4", "countdown"): 1 + (1 + P),
    ("cortex-m4", "load_countdown"): 2 + 1 + (1 + P),
    ("cortex-m33", "countdown"): 1 + 1 + 1,
    ("cortex-m33", "load_countdown"): 1 + 1 + 1 + 1,
    ("cortex-m0plus", "countdown"): 1 + 2,
    ("cortex-m0plus", "load_countdown"): 2 + 1 + 2,
}


@pytest.fixture(scope="module")
def elf(toolchain: Toolchain) -> ElfImage:
    return ElfImage.read(toolchain.build([SOURCE], CORES["cortex-m7"], keep=NAMES))


def body(elf: ElfImage, name: str) -> tuple[Instruction, ...]:
    """The instructions of a sequence, without its return."""
    symbol = elf.symbol(name)
    segment = next(s for s in elf.segments if s.address <= symbol.address < s.address + s.size_bytes)
    start = symbol.address - segment.address
    found = decode(segment.data[start : start + symbol.size_bytes], symbol.address)
    assert found[-1].text == "bx lr"
    return found[:-1]


@pytest.mark.parametrize(("core", "name", "cycles"), CASES)
def test_a_sequence_takes_its_published_cycles(elf: ElfImage, core: str, name: str, cycles: int) -> None:
    state = State()
    for instruction in body(elf, name):
        PIPELINES[core].issue(state, instruction)
    assert sum(state.costs.values()) == cycles == state.cycle + 1


@pytest.mark.parametrize(("core", "name", "cycles"), JUMP_CASES)
def test_a_jump_takes_its_published_cycles(elf: ElfImage, core: str, name: str, cycles: int) -> None:
    """Taken: not taken, it is one more instruction, which lets nothing refill."""
    state = State()
    for instruction in body(elf, name):
        PIPELINES[core].issue(state, instruction)
    stayed = sum(state.costs.values())
    PIPELINES[core].jump(state)
    assert sum(state.costs.values()) == cycles
    assert state.costs.get(Cause.BRANCH, 0) == cycles - stayed


@pytest.mark.parametrize(("core", "name"), ROUNDS)
def test_a_round_of_a_loop_takes_the_cycles_of_its_instructions(elf: ElfImage, core: str, name: str) -> None:
    """From end to end: emulated, counted, priced."""
    once, more = (time_call(Machine(elf, CORES[core]), name, [rounds, bytes(4)]).cycles for rounds in (10, 110))
    assert more - once == 100 * ROUNDS[core, name]


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
    assert strange.group is Group.SYSTEM


def cycles(core: str, *instructions: Instruction) -> float:
    """From an empty pipeline until the last has issued."""
    state = State()
    for instruction in instructions:
        PIPELINES[core].issue(state, instruction)
    return sum(state.costs.values())


def made(group: Group, *, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), conditional: bool = False):
    return Instruction("", 0, 4, group, reads=reads, writes=writes, conditional=conditional)


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m33"])
def test_a_base_that_an_access_moves_is_there_for_the_next_access(core: str) -> None:
    """Long before what was loaded: the adder of addresses writes it back in the cycle of its issue."""
    moving = [
        Instruction("", 0, 4, Group.LOAD, address=("r1",), writes=(to, "r1"), bases=("r1",), offset=0)
        for to in ("r2", "r3", "r4")
    ]
    assert cycles(core, *moving) == 3
    assert cycles(core, moving[0], made(Group.SIMPLE, reads=("r1",), writes=("r5",))) == (
        1 if core == "cortex-m7" else 2
    )


def test_flags_are_there_in_the_next_cycle_whatever_the_result_waits_for() -> None:
    slow = made(Group.SATURATE, reads=("r1",), writes=("r0", FLAGS))
    assert cycles("cortex-m7", slow, made(Group.SIMPLE, reads=("r2", FLAGS), writes=("r3",), conditional=True)) == 2
    assert cycles("cortex-m7", slow, made(Group.MULTIPLY, reads=("r2", FLAGS), writes=("r3",), conditional=True)) == 2
    assert cycles("cortex-m7", slow, made(Group.SIMPLE, reads=("r0",), writes=("r3",))) == 3


@pytest.mark.parametrize(
    ("core", "group", "latency"),
    [
        ("cortex-m7", Group.FLOAT, 3),
        ("cortex-m7", Group.FLOAT_MOVE, 3),
        ("cortex-m7", Group.FLOAT_ACCUMULATE, 5),
        ("cortex-m33", Group.FLOAT_ACCUMULATE, 3),
    ],
)
def test_a_result_is_there_after_its_latency(core: str, group: Group, latency: int) -> None:
    assert cycles(core, made(group, writes=("s0",)), made(Group.FLOAT, reads=("s0",), writes=("s1",))) == 1 + latency
