"""The emulator executes as many instructions as qemu counts: two functions, to 1e-4."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import Machine
from micronas.mcu.layout import Layout, Region
from micronas.mcu.toolchain import Toolchain

HERE = Path(__file__).parent
INSTRUCTIONS_PER_TICK = 40  # 1 ns an instruction, 25 MHz
MPS2 = Layout((Region("FLASH", 0, 4 << 20), Region("SRAM", 0x2000_0000, 4 << 20)))


@pytest.mark.debian("qemu-system-arm")
def test_instruction_counts_are_qemus(toolchain: Toolchain) -> None:
    core = CORES["cortex-m7"]
    sources = [HERE / "qemu.c", HERE / "programs.c"]
    path = toolchain.build(sources, core, keep=["reset"], entry="reset", layout=MPS2)
    counted = [INSTRUCTIONS_PER_TICK * int(line, 16) for line in run_in_qemu(path)]
    elf = ElfImage.read(path)
    a, b, c = (elf.symbol(name).address for name in "abc")
    machine = Machine(elf, core, MPS2.regions[1:])
    runs = [machine.call("conv3x3", a, b, c, 26, 16), machine.call("add", a, b, c, 1 << 18)]
    emulated = [run.instructions for run in runs]
    print(f"emulated {emulated}, qemu {counted}")
    assert emulated == pytest.approx(counted, rel=1e-4)
    assert min(emulated) > 1_000_000


def run_in_qemu(image: Path) -> list[str]:
    qemu = shutil.which("qemu-system-arm")
    assert qemu
    options = ["-M", "mps2-an500", "-icount", "shift=0", "-nographic", "-monitor", "none", "-serial", "none"]
    command = [qemu, *options, "-semihosting-config", "enable=on,target=native", "-kernel", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return (done.stdout + done.stderr).split()
