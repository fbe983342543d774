"""One operator on one emulated core: parameters, operands and scratch placed, called, its output read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from micronas.mcu.cores import Core
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import Machine
from micronas.mcu.memory import MemoryModel
from micronas.mcu.operators import KERNELS, Operator, operator, pack
from micronas.mcu.reference import Constants, Int8
from micronas.mcu.timing import Timing, time_call
from micronas.mcu.toolchain import Toolchain
from micronas.network.signature import Signature

SYMBOLS = (
    "micronas_convolution",
    "micronas_depthwise",
    "micronas_linear",
    "micronas_average_pool",
    "micronas_max_pool",
    "micronas_global_pool",
    "micronas_add",
    "micronas_relu",
    "micronas_pad",
)
"""Every kernel, as the linker must keep it."""


@dataclass(frozen=True)
class Emulated:
    """What one call computed (int8, `out_shape`) and how long it took, simulated."""

    output: Int8
    timing: Timing


def build_kernels(toolchain: Toolchain, core: Core, flags: Sequence[str] = ()) -> ElfImage:
    """All kernels as one program for a core; `flags` are the compiler's, after its own.

    Raises:
        UserError: no compiler, or one that cannot build them.
    """
    sources = sorted(KERNELS.glob("*.c"))
    return ElfImage.read(toolchain.build(sources, core, include=[KERNELS], keep=SYMBOLS, flags=flags))


def run_operator(
    kernels: ElfImage,
    core: Core,
    signature: Signature,
    constants: Constants,
    operands: Sequence[Int8],
    memory: MemoryModel | None = None,
    in_place: int | None = None,
    kernel: Operator | None = None,
) -> Emulated:
    """Call the kernel of a signature once; `in_place` lets it write its output over that operand.

    `kernel` is called in place of ours: another runtime's function with our parameters.

    Raises:
        NoKernelError: no kernel computes the signature.
        EmulationError: the kernel leaves its memory.
    """
    kernel, machine = kernel or operator(signature), Machine(kernels, core)
    inputs = [machine.place(operand.tobytes()) for operand in operands]
    size = prod(signature.out_shape)
    output = machine.place(bytes(size)) if in_place is None else inputs[in_place]
    arguments = [_params(machine, kernel, constants), _input(machine, kernel, inputs), output]
    arguments.append(machine.place(bytes(kernel.scratch_bytes)))
    timing = time_call(machine, kernel.symbol, arguments, memory, streams=kernel.streams)
    return Emulated(np.frombuffer(machine.read(output, size), np.int8).reshape(signature.out_shape), timing)


def _params(machine: Machine, kernel: Operator, constants: Constants) -> int:
    fields = kernel.fields(constants)
    arrays = {name: value for name, value in fields.items() if not isinstance(value, int)}
    addresses = {name: machine.place(np.ascontiguousarray(value).tobytes()) for name, value in arrays.items()}
    return machine.place(pack(fields, addresses))


def _input(machine: Machine, kernel: Operator, inputs: Sequence[int]) -> int:
    if kernel.operands == 1:
        return inputs[0]
    return machine.place(b"".join(address.to_bytes(4, "little") for address in inputs))
