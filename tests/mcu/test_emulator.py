"""The emulator: results as C defines them, counts that add up, faults that name their place."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import START, EmulationError, Machine
from micronas.mcu.toolchain import Toolchain

Program = Callable[[str], ElfImage]


def signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


@pytest.mark.parametrize("core", CORES)
def test_a_dot_product_equals_python_on_every_core(program: Program, core: str) -> None:
    chance = random.Random(1)
    a, b = chance.randbytes(1001), chance.randbytes(1001)
    machine = Machine(program(core), CORES[core])
    run = machine.call("dot", machine.place(a), machine.place(b), len(a))
    expected = 7 + 2 + sum(signed(x) * signed(y) for x, y in zip(a, b, strict=True))
    assert run.return_value == expected & 0xFFFF_FFFF


def test_arguments_beyond_four_and_sixty_four_bits(program: Program, with_runtime: ElfImage) -> None:
    machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
    assert machine.call("sixth", 1, 2, 3, 4, 5, -60).return_value == 0
    small = Machine(with_runtime, CORES["cortex-m0plus"])
    assert small.call("divide", 0, 7, 1000, 0).return_value == (7 << 32) // 1000 & 0xFFFF_FFFF


def test_the_counts_are_those_of_the_loop(program: Program) -> None:
    machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
    buffer = machine.place(bytes(4096))
    short, long = (machine.call("dot", buffer, buffer, count) for count in (1024, 2048))
    assert [times for (before, _), times in short.edges.items() if before == START] == [1]
    assert sum(short.edges.values()) == sum(short.blocks.values())
    assert long.instructions - short.instructions == pytest.approx(short.instructions, rel=0.05)
    assert machine.call("dot", buffer, buffer, 1024) == short


def test_faults_name_their_place(program: Program) -> None:
    machine = Machine(program("cortex-m7"), CORES["cortex-m7"])
    with pytest.raises(EmulationError, match=r"in dot at 0x08.*reads 0x50000000"):
        machine.call("dot", 0x5000_0000, 0x5000_0000, 8)
    with pytest.raises(EmulationError, match=r"has not ended after 10,000 instructions.*endless"):
        machine.call("endless", limit=10_000)
    with pytest.raises(EmulationError, match=r"in undefined at .*executes an undefined instruction"):
        machine.call("undefined")
    with pytest.raises(UserError, match="no symbol 'absent'"):
        machine.call("absent")
    with pytest.raises(UserError, match="do not fit into SRAM"):
        machine.place(bytes(9 << 20))
    assert machine.call("sixth", 1, 0, 0, 0, 0, 0).return_value == 1  # still usable


def test_an_image_runs_from_reset_to_its_halt(toolchain: Toolchain) -> None:
    core = CORES["cortex-m4"]
    source = Path(__file__).parent / "image.c"
    elf = ElfImage.read(toolchain.build([source], core, keep=["reset"], entry="reset"))
    assert elf.entry & ~1 == elf.symbol("reset").address
    machine = Machine(elf, core)
    start, end = (elf.symbol(f"__stack_{side}").address for side in ("start", "end"))
    machine.write(elf.symbol("initialised").address, bytes(4))  # the start-up code must load it
    machine.paint(start, end - start)
    assert machine.run_until().output == "all well\n"
    assert 190 * 4 <= machine.painted_over(start, end - start) <= 230 * 4  # an array of 200 words, from its start
    until = Machine(elf, core).run_until("finished")
    assert until.output == ""
    assert until.instructions < machine.run_until().instructions
