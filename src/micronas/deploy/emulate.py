"""Runs a whole network as firmware in the emulator: from reset to halt, never a sum of calls.

Every time here is simulated: the emulator executes the machine code exactly, the timing model prices the one run kernel
by kernel: a phase from each kernel's call to the next, with caches and predictor of its own (ADR 30 says why).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from micronas.cache import cache_dir
from micronas.deploy.c import CModel, emit
from micronas.deploy.emulation import Emulation
from micronas.deploy.firmware import Chip, Firmware, build_once
from micronas.deploy.int8 import logits
from micronas.deploy.quantize import random_images, random_network
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.mcu.emulator import Machine
from micronas.mcu.instructions import decode
from micronas.mcu.memory import MemoryModel
from micronas.mcu.reference import Int8
from micronas.mcu.timing import Timing, time_execution
from micronas.mcu.toolchain import Toolchain
from micronas.network.deployed import deploy
from micronas.network.graph import Graph


def emulate(
    graph: Graph, target: Target, seed: int = 0, *, toolchain: Toolchain | None = None, with_memory: bool = True
) -> Emulation:
    """Build a network's firmware with random int8 weights, run it on one image, compare it with the integer reference.

    `graph` is a decided network. The weights, and so the logits, depend on `seed`; the time hardly does.
    Without `with_memory` every access to flash and SRAM takes one cycle.

    Raises:
        Disconnected: no path leads from the network's input to its output.
        UserError: the arena does not fit the board, no compiler, or the image fails.
    """
    model = emit(random_network(deploy(graph), seed))
    image = model.network.input.quantize(random_images(graph, 1, seed + 1)[0])
    return run_image(model, image, target, toolchain or default_toolchain(), with_memory=with_memory)


def default_toolchain() -> Toolchain:
    """The pip-installed compiler, its output kept in the user's cache."""
    return Toolchain(cache_dir() / "toolchain")


def run_image(
    model: CModel, image: Int8, target: Target, toolchain: Toolchain, *, with_memory: bool = True
) -> Emulation:
    """Build the firmware of an emitted model and run it on one image (height, width, channels)."""
    firmware = build_once(model, image, Chip.of(target), toolchain)
    run = _run(firmware, model, target.memory_model if with_memory else None)
    cycles = sum(timing.cycles for timing in run.timings)
    return Emulation(
        target=target.name,
        cycles=cycles,
        instructions=sum(timing.instructions for timing in run.timings),
        latency_ms=1000 * cycles / target.clock_hz,
        logits=run.logits,
        matches_reference=run.logits == tuple(logits(model.network, image).tolist()),
        arena_bytes=firmware.arena_bytes,
        statics=firmware.statics,
        stack_bytes=run.stack_bytes,
        flash_bytes=firmware.flash_bytes,
        by_layer=_by_layer(model, run.timings),
        by_cause=_by_cause(run.timings),
    )


def _by_layer(model: CModel, timings: Sequence[Timing]) -> dict[str, float]:
    names = ("start-up", *(layer.name for layer, _ in model.steps()))
    return {name: timing.cycles for name, timing in zip(names, timings, strict=True)}


def _by_cause(timings: Sequence[Timing]) -> dict[str, float]:
    causes: dict[str, float] = defaultdict(float)
    for timing in timings:
        for cause, cycles in timing.breakdown.items():
            causes[str(cause)] += cycles
    return dict(causes)


@dataclass(frozen=True)
class _Run:
    timings: tuple[Timing, ...]
    logits: tuple[int, ...]
    stack_bytes: int


def _run(firmware: Firmware, model: CModel, memory: MemoryModel | None) -> _Run:
    """Paint the stack, reset the processor, look at what is left when it halts.

    It runs once; its blocks are counted anew at each call of a kernel, because the timing model's caches and branch
    predictor hold what is most frequent, and that changes from kernel to kernel.
    """
    elf = firmware.image
    machine = Machine(elf, firmware.chip.core, firmware.chip.sram)
    stack = elf.symbol("__stack_start").address
    machine.paint(stack, firmware.layout.stack_bytes)
    phases = machine.run_phases(_kernel_calls(machine, model), "micronas_halt")
    used = machine.painted_over(stack, firmware.layout.stack_bytes)
    if used >= firmware.layout.stack_bytes:
        raise UserError(f"the image needs more stack than the {firmware.layout.stack_bytes} bytes set aside for it")
    moved = [(), *(kernel.streams for _, kernel in model.steps())]
    timings = [time_execution(machine, each, memory, own) for each, own in zip(phases, moved, strict=True)]
    return _Run(tuple(timings), _logits(machine, model), used)


def _kernel_calls(machine: Machine, model: CModel) -> list[int]:
    """Addresses of the calls in `model_run`, which has no branches: one for each layer that runs."""
    run = machine.elf.symbol(f"{model.name}_run")
    kernels = {machine.elf.symbol(kernel.symbol).address for _, kernel in model.steps()}
    code = decode(machine.read(run.address, run.size_bytes), run.address)
    found = [each.address_of for each in code if each.text.startswith("bl #") and int(each.text[4:], 0) in kernels]
    if len(found) != sum(1 for _ in model.steps()):
        raise UserError(f"the compiler made {len(found)} kernel calls of {model.name}_run; build with another one")
    return found


def _logits(machine: Machine, model: CModel) -> tuple[int, ...]:
    """What lies where the plan puts the output."""
    output = model.plan.graph.output
    address = machine.elf.symbol(f"{model.name}_arena").address + model.plan.placement.tensors[output.name]
    return tuple(np.frombuffer(machine.read(address, math.prod(output.signature.out_shape)), np.int8).tolist())
