"""Cycles of a Cortex-M program: how often it went from block to block, times what each step costs the pipeline.

    cycles = sum over edges A -> B of n(A, B) * [T(A.B) - T(A)] + mispredicts * penalty + memory terms

T is the time a pipeline needs for a run of instructions, from an empty pipeline; what B adds behind A contains the
stalls that A's unfinished results cause. Every figure is simulated: no board took part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from micronas.mcu.cores import core_named
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import INSTRUCTION_LIMIT, START, Execution, Machine
from micronas.mcu.instructions import Instruction, decode
from micronas.mcu.layout import SRAM, Region
from micronas.mcu.memory import MemoryModel, Stream
from micronas.mcu.pipelines import PIPELINES, Cause, Costs, Pipeline, State

TIMING_VERSION = "1"
"""Changes whenever a constant or a rule does, so that a table can say what it was made with."""

Argument = int | bytes | bytearray
"""What a function is called with: a word, or bytes that are put into SRAM and passed by address."""


@dataclass(frozen=True)
class Timing:
    """Simulated cycles of one run; `breakdown` sums to `cycles`, and so does `by_symbol` but for the memory terms.

    `untimed` names instructions the pipeline has no class for; each was charged as a slow system instruction.
    `outputs` are the bytes of the placed arguments after the run, in the order they were passed.
    """

    core: str
    cycles: float
    instructions: int
    breakdown: Mapping[Cause, float]
    by_symbol: Mapping[str, float]
    return_value: int
    untimed: tuple[str, ...] = ()
    outputs: tuple[bytes, ...] = ()


def time_function(
    elf_path: Path,
    symbol: str,
    arguments: Sequence[Argument],
    core: str,
    memory: MemoryModel | None = None,
    *,
    setup: Mapping[int | str, bytes] | None = None,
    streams: Sequence[Stream] = (),
    regions: Sequence[Region] = (SRAM,),
    limit: int = INSTRUCTION_LIMIT,
    pipeline: Pipeline | None = None,
) -> Timing:
    """Simulated cycles of one call of a function of an ELF, whoever compiled it.

    `arguments` follow the C calling convention: words as ints, and buffers or structs as bytes, which are put into free
    SRAM (16-byte aligned) and passed by address; a 64-bit argument is two words. `Buffers` helps where a struct must
    hold another buffer's address. `setup` is written to memory before the call, by address or symbol. `memory` None
    switches every memory term off; `streams` says which bytes the call streams from slow memory. `pipeline` replaces
    the core's constants, as in `dataclasses.replace(CORTEX_M7, mispredict=6)`.

    Raises:
        UserError: the ELF, the symbol or the core does not exist, or the call fails (`EmulationError`).
    """
    machine = Machine(ElfImage.read(elf_path), core_named(core), regions)
    return time_call(machine, symbol, arguments, memory, setup=setup, streams=streams, limit=limit, pipeline=pipeline)


def time_call(
    machine: Machine,
    symbol: str,
    arguments: Sequence[Argument],
    memory: MemoryModel | None = None,
    *,
    setup: Mapping[int | str, bytes] | None = None,
    streams: Sequence[Stream] = (),
    limit: int = INSTRUCTION_LIMIT,
    pipeline: Pipeline | None = None,
) -> Timing:
    """`time_function` on a machine that is already loaded, perhaps with buffers placed."""
    for where, data in (setup or {}).items():
        machine.write(machine.elf.symbol(where).address if isinstance(where, str) else where, data)
    words = [word if isinstance(word, int) else machine.place(bytes(word)) for word in arguments]
    execution = machine.call(symbol, *words, limit=limit)
    outputs = tuple(
        machine.read(word, len(argument))
        for word, argument in zip(words, arguments, strict=True)
        if not isinstance(argument, int)
    )
    return time_execution(machine, execution, memory, streams, outputs, pipeline)


def time_execution(
    machine: Machine,
    execution: Execution,
    memory: MemoryModel | None = None,
    streams: Sequence[Stream] = (),
    outputs: tuple[bytes, ...] = (),
    pipeline: Pipeline | None = None,
) -> Timing:
    """Cycles of a run that the emulator counted: a call, or a whole image."""
    decoded = _Decoded(machine, execution, pipeline or PIPELINES[machine.core.name])
    costs, by_symbol = decoded.edge_costs()
    costs[Cause.MISPREDICT] += decoded.mispredict_costs(by_symbol)
    if memory is not None:
        costs[Cause.FLASH_WAIT] += memory.code_cycles(execution.blocks, execution.sizes)
        costs[Cause.FLASH_WAIT] += memory.jump_cycles * decoded.jumps()
        costs[Cause.CACHE_STREAM] += memory.stream_cycles(streams)
    return Timing(
        machine.core.name,
        sum(costs.values()),
        execution.instructions,
        MappingProxyType({cause: cost for cause, cost in costs.items() if cost}),
        MappingProxyType(dict(by_symbol)),
        execution.return_value,
        decoded.untimed(),
        outputs,
    )


@dataclass
class _Decoded:
    """The blocks that one execution ran, decoded, and the pipeline's state behind each."""

    machine: Machine
    execution: Execution
    pipeline: Pipeline
    blocks: dict[int, tuple[Instruction, ...]] = field(init=False)
    _behind: dict[int, State] = field(default_factory=dict[int, State])

    def __post_init__(self) -> None:
        self.blocks = {
            address: decode_cached(self.machine.read(address, size), address)
            for address, size in self.execution.sizes.items()
        }

    def edge_costs(self) -> tuple[dict[Cause, float], dict[str, float]]:
        """Cycles by cause and by function, over all edges."""
        costs: dict[Cause, float] = defaultdict(float)
        by_symbol: dict[str, float] = defaultdict(float)
        for (before, after), times in self.execution.edges.items():
            step = self.step(before, after)
            for cause, cycles in step.items():
                costs[cause] += times * cycles
            by_symbol[self.machine.elf.function_at(after)] += times * sum(step.values())
        return costs, by_symbol

    def step(self, before: int, after: int) -> Costs:
        """T(A.B) - T(A), by cause; the jump from A to B is part of it."""
        state = State() if before == START else self._state_behind(before).copy()
        if before != START and self._leaves_the_line(before, after):
            self.pipeline.jump(state)
        for instruction in self.blocks[after]:
            self.pipeline.issue(state, instruction)
        return state.costs

    def mispredict_costs(self, by_symbol: dict[str, float]) -> float:
        """Cycles lost to mispredicts, added to their functions too.

        A predictor with memory settles on where a block usually goes: every other way out is a mispredict.
        """
        ways: dict[int, list[int]] = defaultdict(list)
        for (before, _), times in self.execution.edges.items():
            if before != START:
                ways[before].append(times)
        total = 0.0
        for block, times in ways.items():
            lost = (sum(times) - max(times)) * self.pipeline.mispredict_cycles(self.blocks[block])
            by_symbol[self.machine.elf.function_at(block)] += lost
            total += lost
        return total

    def jumps(self) -> int:
        """How often control left the straight line."""
        edges = self.execution.edges.items()
        return sum(n for (before, after), n in edges if before != START and self._leaves_the_line(before, after))

    def untimed(self) -> tuple[str, ...]:
        """The instructions that ran and that no class is known for."""
        return tuple(sorted({item.text for block in self.blocks.values() for item in block if not item.known}))

    def _state_behind(self, block: int) -> State:
        if block not in self._behind:
            state = State()
            for instruction in self.blocks[block]:
                self.pipeline.issue(state, instruction)
            self._behind[block] = state
        return self._behind[block]

    def _leaves_the_line(self, before: int, after: int) -> bool:
        return after != before + self.execution.sizes[before]


@lru_cache(maxsize=4096)
def decode_cached(code: bytes, address: int) -> tuple[Instruction, ...]:
    """`decode`, remembered: tables time the same kernels hundreds of times."""
    return decode(code, address)


class Buffers:
    """Places buffers in a machine's SRAM, so that structs can hold their addresses.

    >>> buffers = Buffers(machine)                                     # doctest: +SKIP
    >>> parameters = buffers.struct(buffers.place(multipliers), buffers.place(shifts))
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def place(self, data: bytes, align: int = 16) -> int:
        """The address of a copy of `data`."""
        return self._machine.place(data, align)

    def struct(self, *words: int) -> int:
        """The address of a struct of 32-bit words: ints, sizes, addresses."""
        return self.place(b"".join((word & 0xFFFF_FFFF).to_bytes(4, "little") for word in words), 8)
