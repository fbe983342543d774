"""Thumb code decoded into what timing needs: a class for each instruction, and which registers it reads when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import cast

from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.mcu.emulator import instruction_offsets

try:
    import capstone
    from capstone import arm
except ImportError as error:  # pragma: no cover - the extra is installed wherever tests run
    raise UserError(f"timing needs capstone: {how_to_install('mcu')}") from error

FLAGS = "flags"
"""The condition flags, as one more register."""


class Group(StrEnum):
    """Instructions that a pipeline treats alike."""

    SIMPLE = "simple"  # add, sub, mov without shift: can run in an early ALU
    LOGIC = "logic"  # every other plain ALU operation
    SHIFT = "shift"  # lsl, lsr, asr, ror by themselves
    SHIFTED = "shifted"  # an ALU operation with a shifted operand or a shifted constant
    EXTEND = "extend"  # sign and zero extension, and the one-cycle SIMD operations
    EXTRACT = "extract"  # bit fields and extend-and-add: an operand passes the early shifter
    REVERSE = "reverse"
    SATURATE = "saturate"  # saturating arithmetic: a result one cycle later
    MULTIPLY = "multiply"
    ACCUMULATE = "accumulate"  # multiply-accumulate
    DIVIDE = "divide"
    LOAD = "load"
    LOAD_NARROW = "load_narrow"  # a byte or half-word
    LOAD_MANY = "load_many"  # ldm, pop, ldrd
    STORE = "store"
    STORE_MANY = "store_many"
    BRANCH = "branch"  # to a fixed target: b, bl, cbz
    INDIRECT = "indirect"  # to an address in a register: bx, blx, mov pc
    TABLE = "table"  # tbb, tbh
    IT = "it"
    NOP = "nop"
    FLOAT = "float"
    FLOAT_ACCUMULATE = "float_accumulate"
    FLOAT_DIVIDE = "float_divide"
    FLOAT_MOVE = "float_move"
    SYSTEM = "system"  # barriers, special registers, and all that is not known


@dataclass(frozen=True)
class Instruction:
    """One instruction. `text` is its assembler; `size` 2 or 4 bytes.

    Registers are read at four moments: `address` for addresses, `early` before the main ALU (shifted operands), `reads`
    by the main ALU or multiplier, `late` after it (what is stored, what is accumulated on). `bases` are registers that
    an access moves (written back). `count` is the number of registers a multiple access transfers. `jumps`: it can
    write pc. `known` is False where the class is only a guess. `offset` is an access's constant offset, None if there
    is none.
    """

    text: str
    address_of: int
    size: int
    group: Group
    address: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    count: int = 1
    offset: int | None = None
    jumps: bool = False
    conditional: bool = False
    known: bool = True

    @property
    def is_load(self) -> bool:
        """Whether it reads memory."""
        return self.group in _LOADS

    @property
    def is_store(self) -> bool:
        """Whether it writes memory."""
        return self.group in _STORES

    @property
    def sets_flags(self) -> bool:
        """Whether it writes the condition flags."""
        return FLAGS in self.writes


_LOADS = frozenset({Group.LOAD, Group.LOAD_NARROW, Group.LOAD_MANY})
_STORES = frozenset({Group.STORE, Group.STORE_MANY})
_GROUPS: tuple[tuple[str, Group], ...] = (
    (r"addw?|subw?|mov[sw]?|adr|cpy", Group.SIMPLE),
    (r"movt|mvn|and|orr|eor|bic|orn|adc|sbc|rsb|cmp|cmn|tst|teq|neg", Group.LOGIC),
    (r"lsl|lsr|asr|ror|rrx", Group.SHIFT),
    (r"[su]xt(b|h|b16)|(s|u|sh|uh)(add16|add8|asx|sax|sub16|sub8)|sel|clz", Group.EXTEND),
    (r"[su]bfx|bfi|bfc|[su]xta(b|h|b16)|pkh(bt|tb)", Group.EXTRACT),
    (r"rev|rev16|revsh|rbit", Group.REVERSE),
    (r"[su]sat(16)?|(q|uq)(add|sub|asx|sax)(8|16)?|qd(add|sub)|usada?8", Group.SATURATE),
    (r"mul|smul\w*|umull|smu[as]dx?|smmulr?", Group.MULTIPLY),
    (r"ml[as]|sml[as]\w*|umlal|umaal|smml[as]r?", Group.ACCUMULATE),
    (r"[su]div", Group.DIVIDE),
    (r"ldr(t|ex)?|lda(ex)?|vldr", Group.LOAD),
    (r"ldr(ex)?s?[bh]t?|lda(ex)?[bh]", Group.LOAD_NARROW),
    (r"ldm\w*|pop|ldrd|vldm\w*|vpop", Group.LOAD_MANY),
    (r"str(ex)?[bh]?t?|stl(ex)?[bh]?|vstr", Group.STORE),
    (r"stm\w*|push|strd|vstm\w*|vpush", Group.STORE_MANY),
    (r"b|bl|cbn?z", Group.BRANCH),
    (r"bx|blx|bxns|blxns", Group.INDIRECT),
    (r"tb[bh]", Group.TABLE),
    (r"it", Group.IT),
    (r"nop|hint|yield|pld\w?|pli|sev", Group.NOP),
    (r"v(add|sub|mul|nmul|cvt\w*|cmpe?|neg|abs|sel\w*|maxnm|minnm|rint\w)", Group.FLOAT),
    (r"vn?ml[as]|vfn?m[as]", Group.FLOAT_ACCUMULATE),
    (r"vdiv|vsqrt", Group.FLOAT_DIVIDE),
    (r"vmov\w*|vmrs|vmsr|fmstat|fconst\w", Group.FLOAT_MOVE),
    (r"d[sm]b|isb|mrs|msr|cps\w*|svc|bkpt|udf|wf[ei]|clrex|sg|tt\w*", Group.SYSTEM),
)
_PATTERNS = tuple((re.compile(pattern), group) for pattern, group in _GROUPS)
_ALU = (Group.SIMPLE, Group.LOGIC)
_PLAIN_CONSTANT = ("addw", "subw", "movw", "movt", "adr")
_EARLY_LAST = {"sxtab", "sxtah", "sxtab16", "uxtab", "uxtah", "uxtab16", "pkhbt", "pkhtb", "bfi"}  # only that operand
_PC = "pc"


def decode(code: bytes, address: int) -> tuple[Instruction, ...]:
    """The instructions of a basic block that starts at `address`.

    What the decoder does not know becomes a `SYSTEM` instruction with `known` False, never nothing.
    """
    disassemble = cast("Callable[[bytes, int], Iterable[capstone.CsInsn]]", _disassembler().disasm)
    found = {item.address: item for item in disassemble(code, address) if item.id}  # 0: data among the code
    return tuple(
        _instruction(found[address + offset]) if address + offset in found else _unknown(code, offset, address)
        for offset in instruction_offsets(code)
    )


@lru_cache(maxsize=1)
def _disassembler() -> capstone.Cs:
    # v8 too: what Cortex-M33 adds is encoded where older cores have nothing.
    tool = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8)
    tool.detail = True
    tool.skipdata = True
    return tool


def _unknown(code: bytes, offset: int, address: int) -> Instruction:
    size = 4 if code[offset + 1] >= 0xE8 else 2
    text = f".inst 0x{int.from_bytes(code[offset : offset + size], 'little'):x}"
    return Instruction(text, address + offset, size, Group.SYSTEM, known=False)


@lru_cache(maxsize=1024)
def _group(name: str) -> Group | None:
    for pattern, group in _PATTERNS:
        if pattern.fullmatch(name):
            return group
    return None


def _instruction(item: capstone.CsInsn) -> Instruction:
    text = f"{item.mnemonic} {item.op_str}".strip()
    name = cast("Callable[[], str]", item.insn_name)()
    group = _group(name)
    roles = _Roles(item, name, group or Group.SYSTEM)
    return Instruction(
        text,
        item.address,
        item.size,
        roles.group,
        address=roles.address,
        early=roles.early,
        reads=roles.reads,
        late=roles.late,
        writes=roles.writes,
        bases=roles.bases,
        count=roles.count,
        offset=roles.offset,
        jumps=roles.jumps,
        conditional=_is_conditional(item, name),
        known=group is not None,
    )


class _Roles:
    """Which register an instruction needs when."""

    def __init__(self, item: capstone.CsInsn, name: str, group: Group) -> None:
        operands = list(item.operands)
        read, written = item.regs_access()
        self._names = {register: _named(item, register) for register in (*read, *written)}
        memory = [operand for operand in operands if operand.type == arm.ARM_OP_MEM]
        self.address = tuple(
            _named(item, register)
            for operand in memory
            for register in (operand.mem.base, operand.mem.index)
            if register and _named(item, register) != _PC
        )
        self.offset = memory[0].mem.disp if memory and not memory[0].mem.index else None
        self.group = _shifted(group, item.mnemonic, operands)
        self.writes: tuple[str, ...] = tuple(
            dict.fromkeys(part for register in written for part in _parts(self._names[register]))
        )
        sources = [part for register in read for part in _parts(self._names[register]) if part != _PC]
        self.count = _count(name, operands)
        if self.group in (Group.LOAD_MANY, Group.STORE_MANY) and not memory:
            base = "sp" if name in ("push", "pop", "vpush", "vpop") else _named(item, operands[0].reg)
            self.address = (base,)
        self.jumps = group in (Group.BRANCH, Group.INDIRECT, Group.TABLE) or _PC in self.writes
        self.bases = tuple(r for r in self.address if r in self.writes and (item.writeback or r == "sp"))
        self.early, self.late = self._moments(item, name, operands)
        taken = {*self.address, *self.early, *self.late} - set(self._also_read(item, name, operands))
        self.reads = tuple(dict.fromkeys(source for source in sources if source not in taken))
        if item.update_flags and FLAGS not in self.writes:
            self.writes = (*self.writes, FLAGS)
        if _is_conditional(item, name) and FLAGS not in self.reads:
            self.reads = (*self.reads, FLAGS)
        if group in (Group.BRANCH, Group.IT):  # predicted or folded: they wait for nothing
            self.reads = ()
        if self.group in _STORES:
            self.writes = self.bases

    def _moments(self, item: capstone.CsInsn, name: str, operands: list[arm.ArmOp]) -> tuple[tuple[str, ...], ...]:
        """The registers read early, and those read late."""
        named = [(_named(item, o.reg), o) for o in operands if o.type == arm.ARM_OP_REG]
        registers = [register for register, _ in named]
        if self.group is Group.SHIFTED:
            return tuple(register for register, operand in named if operand.shift.type), ()
        if self.group in (Group.EXTRACT, Group.REVERSE) or name.startswith(("ssat", "usat", "qd")):
            return tuple(registers[-1:] if name in _EARLY_LAST else registers[1:]), ()
        return (), tuple(part for register in self._late(name, registers) for part in _parts(register))

    def _late(self, name: str, registers: list[str]) -> list[str]:
        match self.group:
            case Group.ACCUMULATE:
                return registers[:2] if _is_long(name) else registers[3:]
            case Group.STORE | Group.FLOAT_ACCUMULATE:
                return registers[:1]
            case Group.STORE_MANY:
                return registers if name in ("push", "vpush", "strd") else registers[1:]
            case _:
                return []

    def _also_read(self, item: capstone.CsInsn, name: str, operands: list[arm.ArmOp]) -> Iterator[str]:
        """Registers that a multiplier reads besides accumulating on them, or an ALU besides shifting them."""
        registers = [_named(item, o.reg) for o in operands if o.type == arm.ARM_OP_REG]
        if self.group is Group.ACCUMULATE:
            yield from registers[2:] if _is_long(name) else registers[1:3]
        elif self.group is Group.FLOAT_ACCUMULATE:
            yield from (part for register in registers[1:] for part in _parts(register))
        elif self.group is Group.SHIFTED:
            yield from (_named(item, o.reg) for o in operands[1:] if o.type == arm.ARM_OP_REG and not o.shift.type)


def _is_conditional(item: capstone.CsInsn, name: str) -> bool:
    if name == "it":
        return False
    return item.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID) or name in ("cbz", "cbnz")


def _is_long(name: str) -> bool:
    """Whether it accumulates on a pair of registers."""
    return "lal" in name or name.startswith("smlsld") or name == "umaal"


def _shifted(group: Group, mnemonic: str, operands: list[arm.ArmOp]) -> Group:
    if group not in _ALU:
        return group
    if any(o.type == arm.ARM_OP_REG and o.shift.type for o in operands):
        return Group.SHIFTED
    constants = [o.imm & 0xFFFF_FFFF for o in operands if o.type == arm.ARM_OP_IMM]
    if not mnemonic.startswith(_PLAIN_CONSTANT) and any(_is_shifted_constant(value) for value in constants):
        return Group.SHIFTED
    return group


def _is_shifted_constant(value: int) -> bool:
    """Whether an immediate is 8 bits moved up, not the plain byte or one of the repeated patterns."""
    low = value & 0xFF
    repeated = (low, low * 0x10001, (value >> 8 & 0xFF) * 0x1000100, low * 0x1010101)
    return value not in repeated


def _count(name: str, operands: list[arm.ArmOp]) -> int:
    registers = sum(2 if _is_double(o) else 1 for o in operands if o.type == arm.ARM_OP_REG)
    if name in ("ldrd", "strd"):
        return 2
    if name.startswith(("ldm", "stm", "vldm", "vstm")):
        return registers - 1
    return registers if name in ("push", "pop", "vpush", "vpop") else 1


def _is_double(operand: arm.ArmOp) -> bool:
    return arm.ARM_REG_D0 <= operand.reg <= arm.ARM_REG_D31


def _named(item: capstone.CsInsn, register: int) -> str:
    # Cast: the names of capstone's own annotations are half unknown.
    name = cast("Callable[[int], str | None]", item.reg_name)(register)
    return FLAGS if name in ("cpsr", "apsr", "apsr_nzcv", "fpscr_nzcv") else name or ""


def _parts(name: str) -> tuple[str, ...]:
    """A double register is two single ones."""
    if re.fullmatch(r"d\d+", name):
        number = int(name[1:])
        return (f"s{2 * number}", f"s{2 * number + 1}") if number < 16 else (name,)
    return (name,)
