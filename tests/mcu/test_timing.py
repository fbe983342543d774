"""Cycles of functions: the edge formula against the whole trace, memory terms by hand, other people's ELFs."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mcu.conftest import FUNCTIONS, HERE

from micronas.errors import UserError
from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import Machine
from micronas.mcu.instructions import Group, Instruction
from micronas.mcu.layout import Layout, Region
from micronas.mcu.memory import MemoryModel, Stream
from micronas.mcu.pipelines import CORTEX_M7, PIPELINES, Cause, State
from micronas.mcu.timing import Argument, Buffers, Timing, decode_cached, time_call, time_function
from micronas.mcu.toolchain import Toolchain

Program = Callable[[str], ElfImage]
NO_COST = MemoryModel(line_bytes=32, code_cache_bytes=4096, code_line_cycles=0)


def conv_arguments(size: int = 6, channels: int = 8) -> list[Argument]:
    chance = random.Random(2)
    out = (size - 2) ** 2 * channels
    return [chance.randbytes(size**2 * channels), chance.randbytes(9 * channels**2), bytes(out), size, channels]


def add_arguments(count: int = 1000) -> list[Argument]:
    chance = random.Random(3)
    return [chance.randbytes(count), chance.randbytes(count), bytes(count), count]


def whole_trace_cycles(machine: Machine, symbol: str, arguments: list[Argument]) -> float:
    """The slow way: every instruction in the order it ran, through one pipeline from start to end."""
    trace: list[tuple[int, int]] = []
    hook = machine._uc.hook_add(8, lambda _uc, address, size, _data: trace.append((address, size)))  # UC_HOOK_BLOCK
    machine.call(symbol, *(word if isinstance(word, int) else machine.place(bytes(word)) for word in arguments))
    machine._uc.hook_del(hook)
    pipeline, state, end = PIPELINES[machine.core.name], State(), trace[0][0]
    for address, size in trace:
        if address != end:
            pipeline.jump(state)
        for instruction in decode_cached(machine.read(address, size), address):
            pipeline.issue(state, instruction)
        end = address + size
    return sum(state.costs.values())


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("symbol", "arguments"), [("conv3x3", conv_arguments()), ("add", add_arguments())])
def test_edges_give_the_whole_traces_cycles(
    program: Program, core: str, symbol: str, arguments: list[Argument]
) -> None:
    timing = time_call(Machine(program(core), CORES[core]), symbol, arguments)
    slow = whole_trace_cycles(Machine(program(core), CORES[core]), symbol, arguments)
    assert timing.cycles - timing.breakdown.get(Cause.MISPREDICT, 0) == pytest.approx(slow, rel=0.01)


def test_breakdown_and_symbols_add_up(with_runtime: ElfImage) -> None:
    timing = time_call(Machine(with_runtime, CORES["cortex-m0plus"]), "divide", [0, 7, 1000, 0])
    assert sum(timing.breakdown.values()) == pytest.approx(timing.cycles)
    assert sum(timing.by_symbol.values()) == pytest.approx(timing.cycles)
    assert len(timing.by_symbol) > 1  # the compiler's division helper is a function of its own
    assert timing.untimed == ()
    assert timing.instructions < timing.cycles
    assert timing.core == "cortex-m0plus"


def test_data_dependent_branches_mispredict_on_m7_alone(program: Program) -> None:
    def cycles(core: str, bits: bytes) -> Timing:
        return time_call(Machine(program(core), CORES[core]), "zigzag", [bits, len(bits)])

    steady, noisy = bytes(4000), random.Random(1).randbytes(4000)
    odd = sum(bit & 1 for bit in noisy)
    assert cycles("cortex-m7", steady).breakdown[Cause.MISPREDICT] < 20
    assert cycles("cortex-m7", noisy).breakdown[Cause.MISPREDICT] == pytest.approx(min(odd, 4000 - odd) * 8, rel=0.01)
    free = replace(CORTEX_M7, mispredict=0, mispredict_early_flags=0)
    machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
    assert Cause.MISPREDICT not in time_call(machine, "zigzag", [noisy, len(noisy)], pipeline=free).breakdown
    assert Cause.MISPREDICT not in cycles("cortex-m4", noisy).breakdown
    assert cycles("cortex-m4", steady).breakdown[Cause.BRANCH] > 0


def test_memory_terms_are_off_by_default_and_computed_by_hand(program: Program) -> None:
    def cycles(memory: MemoryModel | None, *streams: Stream) -> Timing:
        machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
        return time_call(machine, "conv3x3", conv_arguments(), memory, streams=streams)

    plain, free = cycles(None), cycles(NO_COST, Stream(9 * 64, passes=16))
    assert plain.cycles == free.cycles
    flash = MemoryModel.of_flash(
        wait_states=7, fetch_bytes=32, line_bytes=32, code_cache_bytes=4096, data_cache_bytes=4096, bus_cycles=2
    )
    assert flash.code_line_cycles == flash.flash_line_cycles == 10
    fits, streams = cycles(flash, Stream(4096, 16)), cycles(flash, Stream(4097, 16))
    assert fits.breakdown[Cause.CACHE_STREAM] == 128 * 10
    assert streams.breakdown[Cause.CACHE_STREAM] == 129 * 10 * 16
    size = program("cortex-m7").symbol("conv3x3").size_bytes
    assert 0 < fits.breakdown[Cause.FLASH_WAIT] <= (size // 32 + 1) * 10
    assert fits.cycles == pytest.approx(
        plain.cycles + sum(fits.breakdown[c] for c in (Cause.FLASH_WAIT, Cause.CACHE_STREAM))
    )
    assert cycles(flash, Stream(4097, 16, "sram")).cycles == fits.cycles - 1280  # SRAM answers at once
    assert cycles(flash.without("code_line_cycles", "flash_line_cycles"), Stream(4097, 16)).cycles == plain.cycles


def test_code_beyond_the_cache_is_fetched_each_time() -> None:
    memory = MemoryModel(line_bytes=16, code_cache_bytes=32, code_line_cycles=5)
    blocks, sizes = {0: 100, 16: 100, 32: 3}, {0: 16, 16: 8, 32: 20}
    assert memory.code_cycles(blocks, sizes) == 5 * (2 + 3 + 3)  # two hot lines once, two cold ones three times
    assert MemoryModel(16, 0, 5).code_cycles({0: 7}, {0: 4}) == 35


def test_buffers_structs_and_outputs(program: Program) -> None:
    machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
    buffers = Buffers(machine)
    inner = buffers.place(b"\x05\x06")
    struct = buffers.struct(inner, -1)
    assert machine.read(struct, 8) == inner.to_bytes(4, "little") + b"\xff" * 4
    timing = time_call(machine, "add", [bytes([3] * 4), bytes([5] * 4), bytes(4), 4], setup={"started": b"\x01\0\0\0"})
    assert timing.outputs[0] == bytes([3] * 4)
    assert timing.outputs[2] != bytes(4)
    assert machine.read(machine.elf.symbol("started").address, 4) == b"\x01\0\0\0"


@pytest.mark.parametrize("flags", [("-O0",), ("-O2", "-mfloat-abi=soft"), ("-O1", "-fno-inline")])
def test_any_elf_can_be_timed(toolchain: Toolchain, flags: tuple[str, ...]) -> None:
    layout = Layout((Region("CODE", 0, 1 << 20), Region("CCM", 0x1000_0000, 1 << 18)), "CODE", "CCM", "CCM", "CCM")
    path = toolchain.build([HERE / "programs.c"], CORES["cortex-m4"], keep=FUNCTIONS, flags=flags, layout=layout)
    timing = time_function(path, "conv3x3", conv_arguments(), "cortex-m4")
    best = time_function(
        toolchain.build([HERE / "programs.c"], CORES["cortex-m4"], keep=FUNCTIONS),
        "conv3x3",
        conv_arguments(),
        "cortex-m4",
    )
    assert timing.untimed == ()
    assert timing.outputs == best.outputs
    assert timing.cycles > best.cycles * (3 if "-O0" in flags else 0.95)


@pytest.mark.debian("arm-none-eabi-gcc")
def test_the_users_own_gcc_gives_the_same_results(tmp_path: Path, program: Program) -> None:
    own = Toolchain(tmp_path, ("arm-none-eabi-gcc",))
    assert "arm-none-eabi-gcc" in own.version
    for core in CORES:
        path = own.build([HERE / "programs.c"], CORES[core], keep=FUNCTIONS)
        timing = time_function(path, "conv3x3", conv_arguments(), core)
        expected = time_call(Machine(program(core), CORES[core]), "conv3x3", conv_arguments())
        assert timing.outputs == expected.outputs
        assert timing.untimed == ()
        assert 0.5 < timing.cycles / expected.cycles < 3


def test_what_cannot_be_timed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        time_function(tmp_path / "absent.elf", "f", [], "cortex-m7")


@pytest.mark.debian("llvm-mca")
@pytest.mark.parametrize(("core", "low", "high"), [("cortex-m7", 0.7, 1.1), ("cortex-m4", 0.9, 1.25)])
def test_steady_loops_agree_with_llvm_mca(program: Program, core: str, low: float, high: float) -> None:
    """llvm-mca writes results back in order, which the M7 does not, and knows no pipelined loads on the M4."""
    elf = program(core)
    total, theirs = 0.0, 0.0
    for symbol, arguments in (("conv3x3", conv_arguments(10, 16)), ("add", add_arguments())):
        machine = Machine(elf, CORES[core])
        run = machine.call(symbol, *(w if isinstance(w, int) else machine.place(bytes(w)) for w in arguments))
        block = max(run.blocks, key=lambda address: run.blocks[address] * run.sizes[address])
        loop = [i for i in decode_cached(machine.read(block, run.sizes[block]), block) if comparable(i)]
        ours, mca = steady_cycles(core, loop), llvm_mca_cycles(core, loop)
        print(f"{core} {symbol}: {len(loop)} instructions a round, ours {ours:.2f} cycles, llvm-mca {mca:.2f}")
        total, theirs = total + ours, theirs + mca
    assert low < total / theirs < high


def comparable(instruction: Instruction) -> bool:
    """llvm-mca rejects IT blocks, and prices a call at 100 cycles."""
    return not instruction.jumps and not instruction.conditional and instruction.group is not Group.IT


def steady_cycles(core: str, loop: list[Instruction], rounds: int = 100) -> float:
    state = State()
    for instruction in loop * rounds:
        PIPELINES[core].issue(state, instruction)
    return sum(state.costs.values()) / rounds


def llvm_mca_cycles(core: str, loop: list[Instruction], rounds: int = 100) -> float:
    command = ["llvm-mca", "-mtriple=thumbv7em-none-eabihf", f"-mcpu={core}", f"-iterations={rounds}"]
    source = "\n".join(item.text for item in loop)
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert found, done.stderr
    return int(found[1]) / rounds
