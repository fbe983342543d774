"""How many cycles Cortex-M7, M4, M33 and M0+ need for a run of instructions, in order, memory aside.

Every constant is listed with its source in docs/timing-model.md and frozen by ADR 0010; none is fitted to our kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from micronas.mcu.instructions import FLAGS, Group, Instruction


class Cause(StrEnum):
    """What a cycle is spent on."""

    ISSUE = "issue"  # issuing the instructions themselves
    LOAD_USE = "load_use"  # waiting for a loaded value
    MAC = "mac"  # waiting for a product
    DEPENDENCY = "dependency"  # waiting for any other result
    BRANCH = "branch"  # refilling the pipeline after a jump
    MISPREDICT = "mispredict"
    FLASH_WAIT = "flash_wait"  # fetching code
    CACHE_STREAM = "cache_stream"  # fetching weights and activations


Costs = dict[Cause, float]
"""Cycles by cause."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """When a register may be read by the main ALU and by the multiplier, and what a reader waits for till then."""

    alu: int
    multiplier: int
    cause: Cause


@dataclass(slots=True)
class State:
    """Where a pipeline stands: its current cycle, what was issued in it, what is in flight, what was spent so far."""

    cycle: int = -1
    group: tuple[Instruction, ...] = ()  # what else may issue in this cycle depends on these; () if nothing may
    ready: dict[str, _Ready] = field(default_factory=dict[str, _Ready])
    previous: Instruction | None = None
    costs: Costs = field(default_factory=dict[Cause, float])

    def copy(self) -> State:
        """A state that can go on alone; its costs start at zero."""
        return State(self.cycle, self.group, dict(self.ready), self.previous, {})

    def spend(self, cause: Cause, cycles: int) -> None:
        """Let cycles pass and charge them to a cause."""
        if cycles > 0:
            self.cycle += cycles
            self.costs[cause] = self.costs.get(cause, 0) + cycles


class Pipeline(Protocol):
    """A core's instruction timing."""

    def issue(self, state: State, instruction: Instruction) -> None:
        """Execute one more instruction, changing the state."""
        ...

    def jump(self, state: State) -> None:
        """The instruction executed last leaves the straight line."""
        ...

    def mispredict_cycles(self, block: Sequence[Instruction]) -> float:
        """Lost when this block's branch goes another way than predicted; 0 on a core that predicts nothing."""
        ...


@dataclass(frozen=True)
class Scoreboard:
    """An in-order core in which results arrive some cycles after issue: Cortex-M7 (dual issue) and M33.

    A latency counts from an instruction's issue to the first issue of one that reads the result in the main ALU.
    `early_cycles` sooner it must be there for addresses and shifted operands, `late_cycles` later it may be there for
    what is accumulated on, `store_cycles` later for what is stored. `pairs` says which two instructions share a cycle.
    """

    pairs: Callable[[Instruction, Instruction], bool]
    has_early_alu: bool
    early_cycles: int
    late_cycles: int
    store_cycles: int
    latency: Mapping[Group, int]
    load_to_multiply: int
    occupancy: Mapping[Group, int]
    registers_per_cycle: int  # of a multiple access
    taken_branch: int
    taken_indirect: int
    folded_flags: int  # a taken branch that was issued with the instruction that sets its flags
    mispredict: float = 0
    mispredict_early_flags: float = 0  # the flags were set at least `early_flags_distance` instructions before
    early_flags_distance: int = 6

    def issue(self, state: State, instruction: Instruction) -> None:
        """Issue it beside the one before if the rules and its operands allow it, else in a later cycle."""
        needed, cause = self._needed(state, instruction)
        if needed <= state.cycle and self._joins(state, instruction):
            state.group = (state.group[0], instruction)
        else:
            state.spend(cause, needed - state.cycle - 1)
            state.spend(Cause.ISSUE, 1)
            state.group = (instruction,)
        self._write(state, instruction)
        state.previous = instruction
        if (busy := self._busy(instruction)) > 1:
            state.spend(Cause.ISSUE, busy - 1)
        if instruction.group in self.occupancy:
            state.group = ()

    def _joins(self, state: State, instruction: Instruction) -> bool:
        alone = instruction.group in self.occupancy
        return len(state.group) == 1 and not alone and self.pairs(state.group[0], instruction)

    def jump(self, state: State) -> None:
        """Refill the pipeline; a branch the core predicts right costs nothing more."""
        last, older = state.previous, state.group[0] if len(state.group) == 2 else None
        indirect = last is not None and last.group is not Group.BRANCH
        cycles = self.taken_indirect if indirect else self.taken_branch
        if older is not None and older is not last and older.sets_flags and last is not None and last.conditional:
            cycles += self.folded_flags
        if cycles:
            state.spend(Cause.BRANCH, cycles)
            state.group = ()

    def mispredict_cycles(self, block: Sequence[Instruction]) -> float:
        """Less where the flags were known early."""
        distance = next((n for n, item in enumerate(reversed(block)) if item.sets_flags), len(block))
        return self.mispredict_early_flags if distance >= self.early_flags_distance else self.mispredict

    def _needed(self, state: State, instruction: Instruction) -> tuple[int, Cause]:
        """The first cycle in which every operand is there, and what the last one is waited for."""
        multiplies = instruction.group in _MULTIPLIES
        stored = self.store_cycles if instruction.is_store else self.late_cycles
        needed, cause = -1, Cause.DEPENDENCY
        for registers, shift in (
            (instruction.address, self.early_cycles),
            (instruction.early, self.early_cycles),
            (instruction.reads, 0),
            (instruction.late, -stored),
        ):
            for register in registers:
                found = state.ready.get(register)
                if found is None:
                    continue
                cycle = (found.multiplier if multiplies and shift == 0 else found.alu) + shift
                if cycle > needed:
                    needed, cause = cycle, found.cause
        return needed, cause

    def _write(self, state: State, instruction: Instruction) -> None:
        now = state.cycle
        latency = self._result_latency(state, instruction)
        cause = _cause(instruction)
        last = now + self._busy(instruction) - 1
        multiplier = self.load_to_multiply if instruction.is_load else latency
        for register in instruction.writes:
            state.ready[register] = _Ready(last + latency, last + max(latency, multiplier), cause)
        for register in instruction.bases:
            state.ready[register] = _Ready(now + 1 - self.early_cycles, now + 1, Cause.DEPENDENCY)
        if FLAGS in instruction.writes:
            state.ready[FLAGS] = _Ready(now + 1, now + 1, Cause.DEPENDENCY)

    def _result_latency(self, state: State, instruction: Instruction) -> int:
        latency = self.latency.get(instruction.group, 1)
        if not self.has_early_alu:
            return latency
        older = len(state.group) == 1
        free = instruction.group is Group.SHIFT or (instruction.group is Group.SIMPLE and older)
        # The early ALU runs a cycle before the main one, so its operands must be there a cycle sooner.
        if free and all(state.ready[r].alu < state.cycle for r in instruction.reads if r in state.ready):
            return 0
        return latency

    def _busy(self, instruction: Instruction) -> int:
        """Cycles in which nothing else issues."""
        if instruction.group in _MULTIPLE:
            return -(-instruction.count // self.registers_per_cycle)
        return self.occupancy.get(instruction.group, 1)


@dataclass(frozen=True)
class CycleTable:
    """A short pipeline in which each instruction takes its cycles and then its result is there: Cortex-M4 and M0+."""

    cycles: Mapping[Group, int]
    load: int
    load_after_load: int
    store: int
    store_register_offset: int  # more for an address of two registers
    multiple_base: int  # a multiple access takes this and one for each register
    address_stall: int  # the address comes from the instruction before
    folds_it: bool
    taken_branch: int
    taken_call: int
    taken_indirect: int
    taken_load: int  # a load into pc

    def issue(self, state: State, instruction: Instruction) -> None:
        """One cycle for the instruction, and what it takes more to its cause."""
        before = state.previous
        if instruction.group is Group.IT and self.folds_it and before is not None and before.size == 2:
            return
        cycles = self._cycles(instruction, before)
        state.spend(Cause.ISSUE, min(cycles, 1))
        state.spend(Cause.LOAD_USE if instruction.is_load else Cause.ISSUE, cycles - 1)
        if before is not None and not before.is_load and set(before.writes) & set(instruction.address):
            state.spend(Cause.DEPENDENCY, self.address_stall)
        state.previous = instruction

    def jump(self, state: State) -> None:
        """Refill the pipeline."""
        last = state.previous
        if last is None or last.group is Group.BRANCH:
            call = last is not None and "lr" in last.writes
            state.spend(Cause.BRANCH, self.taken_call if call else self.taken_branch)
        elif last.is_load or last.group is Group.TABLE:
            state.spend(Cause.BRANCH, self.taken_load)
        else:
            state.spend(Cause.BRANCH, self.taken_indirect)

    def mispredict_cycles(self, block: Sequence[Instruction]) -> float:
        """None: nothing is predicted."""
        del block
        return 0

    def _cycles(self, instruction: Instruction, before: Instruction | None) -> int:
        after_load = before is not None and before.group in (Group.LOAD, Group.LOAD_NARROW)
        depends = before is not None and bool(set(before.writes) & set(instruction.address))
        if instruction.group in _MULTIPLE:
            return self.multiple_base + instruction.count
        if instruction.is_load:
            return self.load_after_load if after_load and not depends else self.load
        if instruction.is_store:
            cycles = self.store + (self.store_register_offset if instruction.offset is None else 0)
            return max(1, cycles - (self.load - self.load_after_load)) if after_load and not depends else cycles
        return self.cycles.get(instruction.group, 1)


_MULTIPLE = frozenset({Group.LOAD_MANY, Group.STORE_MANY})
_MULTIPLIES = frozenset({Group.MULTIPLY, Group.ACCUMULATE})
_OLDER_ONLY = frozenset({Group.EXTEND, Group.EXTRACT, Group.REVERSE, Group.SATURATE})
_EARLY_SHIFTER = frozenset({Group.SHIFTED, Group.SHIFT, Group.EXTRACT, Group.REVERSE})
_FLOATS = frozenset({Group.FLOAT, Group.FLOAT_ACCUMULATE, Group.FLOAT_DIVIDE, Group.FLOAT_MOVE})
_JUMPS = frozenset({Group.BRANCH, Group.INDIRECT, Group.TABLE})


def _cause(instruction: Instruction) -> Cause:
    if instruction.is_load:
        return Cause.LOAD_USE
    return Cause.MAC if instruction.group in _MULTIPLIES else Cause.DEPENDENCY


def pairs_on_m7(older: Instruction, younger: Instruction) -> bool:
    """Whether a Cortex-M7 can issue these two in one cycle, operands aside."""
    a, b = older.group, younger.group
    if b in _OLDER_ONLY or a in _MULTIPLE or b in _MULTIPLE:
        return False
    if (a in _MULTIPLIES and (b in _MULTIPLIES or younger.is_store)) or (b in _MULTIPLIES and older.is_store):
        return False
    if (older.is_store and younger.is_store) or (a in _FLOATS and b in _FLOATS) or (a in _JUMPS and b in _JUMPS):
        return False
    if b is Group.SHIFTED and a in _EARLY_SHIFTER:
        return False
    return not (older.is_load and younger.is_load and _same_bank(older, younger))


def _same_bank(older: Instruction, younger: Instruction) -> bool:
    """Even and odd words lie in two banks; two loads off one base register show whether they meet in one.

    Loads off different registers are taken to miss each other, as LLVM's model has it.
    """
    if older.address != younger.address or older.offset is None or younger.offset is None:
        return False
    return (older.offset ^ younger.offset) & 4 == 0


def pairs_on_m33(older: Instruction, younger: Instruction) -> bool:
    """Whether a Cortex-M33 issues these two in one cycle: a short branch, IT or nop after a short instruction."""
    if older.size != 2 or younger.size != 2 or older.group in _JUMPS:
        return False
    return younger.group in (Group.BRANCH, Group.IT, Group.NOP)


CORTEX_M7 = Scoreboard(
    pairs=pairs_on_m7,
    has_early_alu=True,
    early_cycles=1,
    late_cycles=1,
    store_cycles=2,
    latency=MappingProxyType(
        {
            Group.LOAD: 1,
            Group.LOAD_MANY: 1,
            Group.LOAD_NARROW: 2,
            Group.REVERSE: 0,
            Group.SATURATE: 2,
            Group.MULTIPLY: 2,
            Group.ACCUMULATE: 2,
            Group.FLOAT: 3,
            Group.FLOAT_MOVE: 3,
            Group.FLOAT_ACCUMULATE: 5,
        }
    ),
    load_to_multiply=2,
    occupancy=MappingProxyType({Group.DIVIDE: 7, Group.TABLE: 2, Group.SYSTEM: 3, Group.FLOAT_DIVIDE: 16}),
    registers_per_cycle=2,
    taken_branch=0,
    taken_indirect=0,
    folded_flags=0,
    mispredict=8,
    mispredict_early_flags=6,
)
"""Cortex-M7."""

CORTEX_M33 = Scoreboard(
    pairs=pairs_on_m33,
    has_early_alu=False,
    early_cycles=0,
    late_cycles=1,
    store_cycles=1,
    latency=MappingProxyType(
        {
            Group.LOAD: 2,
            Group.LOAD_MANY: 2,
            Group.LOAD_NARROW: 2,
            Group.SHIFTED: 2,
            Group.EXTRACT: 2,
            Group.SATURATE: 2,
            Group.MULTIPLY: 2,
            Group.ACCUMULATE: 2,
            Group.FLOAT_ACCUMULATE: 3,
        }
    ),
    load_to_multiply=2,
    occupancy=MappingProxyType({Group.DIVIDE: 7, Group.TABLE: 2, Group.SYSTEM: 2, Group.FLOAT_DIVIDE: 14}),
    registers_per_cycle=1,
    taken_branch=1,
    taken_indirect=2,
    folded_flags=1,
)
"""Cortex-M33."""

CORTEX_M4 = CycleTable(
    cycles=MappingProxyType(
        {Group.DIVIDE: 7, Group.TABLE: 2, Group.SYSTEM: 2, Group.FLOAT_ACCUMULATE: 3, Group.FLOAT_DIVIDE: 14}
    ),
    load=2,
    load_after_load=1,
    store=1,
    store_register_offset=1,
    multiple_base=1,
    address_stall=1,
    folds_it=True,
    taken_branch=2,
    taken_call=2,
    taken_indirect=2,
    taken_load=3,
)
"""Cortex-M4."""

CORTEX_M0PLUS = CycleTable(
    cycles=MappingProxyType({Group.MULTIPLY: 1, Group.SYSTEM: 3}),
    load=2,
    load_after_load=2,
    store=2,
    store_register_offset=0,
    multiple_base=1,
    address_stall=0,
    folds_it=False,
    taken_branch=1,
    taken_call=2,
    taken_indirect=1,
    taken_load=2,
)
"""Cortex-M0+ with the single-cycle multiplier."""

PIPELINES: Mapping[str, Pipeline] = MappingProxyType(
    {"cortex-m7": CORTEX_M7, "cortex-m4": CORTEX_M4, "cortex-m33": CORTEX_M33, "cortex-m0plus": CORTEX_M0PLUS}
)
"""The pipeline of every core, by the core's name."""
