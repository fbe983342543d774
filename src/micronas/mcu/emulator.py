"""Runs a Cortex-M program and counts how often control went from each basic block to each other one.

The emulator (unicorn, which is qemu's processor as a library) executes instructions exactly but knows no cycles: those
are computed from the counts by `timing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.mcu.cores import Core
from micronas.mcu.elf import ElfImage
from micronas.mcu.layout import SRAM, Region

try:
    import unicorn
    from unicorn import arm_const as arm
    from unicorn import unicorn_const as const
except ImportError as error:  # pragma: no cover - the extra is installed wherever tests run
    raise UserError(f"emulation needs unicorn: {how_to_install('mcu')}") from error

Edges = Mapping[tuple[int, int], int]
"""(address of a block, address of the block that ran next) -> times; the first block follows `START`."""

START = 0
"""The block before the first one."""

INSTRUCTION_LIMIT = 2_000_000_000
"""What runs longer than this is taken for a program that never ends."""

_PAGE = 0x1000
_PRIVATE_BUS = Region("PPB", 0xE000_0000, 0x10_0000)  # system registers: plain memory, so that start-up code can write
_RETURN = Region("RETURN", 0x6FFF_F000, _PAGE)  # where a called function returns to; nothing else lives there
_PAINT = 0xA5
_LONGEST_INSTRUCTION = 4
_LONG_PREFIX = 0xE8
_SEMIHOSTING = b"\xab\xbe"  # bkpt 0xAB
_SYS_WRITEC, _SYS_WRITE0, _SYS_EXIT, _SYS_EXIT_EXTENDED = 0x03, 0x04, 0x18, 0x20
_BREAKPOINT = 7  # the number of qemu's EXCP_BKPT
_UNDEFINED = "executes an undefined instruction"
_EXCEPTIONS = {1: _UNDEFINED, 2: "calls the supervisor (svc), which nobody serves"}
_ACCESSES = {
    const.UC_MEM_READ_UNMAPPED: "reads",
    const.UC_MEM_WRITE_UNMAPPED: "writes",
    const.UC_MEM_FETCH_UNMAPPED: "jumps to",
}
_MODELS = {
    "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
    "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
    "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
    "cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0,
}
_ARGUMENT_REGISTERS = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3)


class EmulationError(UserError):
    """The program did what no program may: an access outside memory, an undefined instruction, no end."""


@dataclass(frozen=True)
class Execution:
    """What ran. `return_value` is r0 at the end (unsigned); `sizes` the bytes of code in each block.

    `output` is what the program printed through semihosting.
    """

    return_value: int
    instructions: int
    edges: Edges
    sizes: Mapping[int, int]
    output: str = ""

    @cached_property
    def blocks(self) -> Mapping[int, int]:
        """How often each block ran, by its address."""
        counts: dict[int, int] = defaultdict(int)
        for (_, block), times in self.edges.items():
            counts[block] += times
        return dict(counts)


class _Processor(Protocol):
    """What we use of `unicorn.Uc`, whose own types are half unknown."""

    def reg_read(self, reg_id: int) -> int: ...
    def reg_write(self, reg_id: int, value: int) -> None: ...
    def mem_map(self, address: int, size: int) -> None: ...
    def mem_read(self, address: int, size: int) -> bytearray: ...
    def mem_write(self, address: int, data: bytes) -> None: ...
    def hook_add(self, htype: int, callback: Callable[..., object]) -> int: ...
    def hook_del(self, handle: int) -> None: ...
    def emu_start(self, begin: int, until: int) -> None: ...
    def emu_stop(self) -> None: ...


_EmulatorStopped = unicorn.UcError  # pyright: ignore[reportPrivateImportUsage]


def _processor(core: Core) -> _Processor:
    mode = const.UC_MODE_THUMB | const.UC_MODE_MCLASS
    processor = unicorn.Uc(const.UC_ARCH_ARM, mode)  # pyright: ignore[reportPrivateImportUsage]
    processor.ctl_set_cpu_model(_MODELS[core.name])
    return cast("_Processor", processor)


class _Watch:
    """What the emulator's hooks saw in one run.

    `on_block` runs once per block, millions of times, so it does next to nothing.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.edges: dict[tuple[int, int], int] = defaultdict(int)
        self.sizes: dict[int, int] = {}
        self.output: list[str] = []
        self.halted = False
        self.fault: str | None = None
        self._last = START
        self._left = limit_bytes

    def on_block(self, uc: _Processor, address: int, size: int, _data: object) -> None:
        self.edges[self._last, address] += 1
        self._last = address
        self.sizes[address] = size
        self._left -= size
        if self._left < 0:
            uc.emu_stop()

    def on_bad_access(self, _uc: _Processor, access: int, address: int, *_rest: object) -> bool:
        self.fault = f"{_ACCESSES.get(access, 'uses')} {address:#010x}, where there is no memory"
        return False

    def on_interrupt(self, uc: _Processor, number: int, _data: object) -> None:
        pc = uc.reg_read(arm.UC_ARM_REG_PC)
        if number != _BREAKPOINT:
            self.fault = _EXCEPTIONS.get(number, f"raises exception {number}")
        elif bytes(uc.mem_read(pc, 2)) == _SEMIHOSTING and self._semihosting(uc):
            uc.reg_write(arm.UC_ARM_REG_PC, (pc + 2) | 1)
            return
        else:
            self.halted = True
        uc.emu_stop()

    def _semihosting(self, uc: _Processor) -> bool:
        """Serve a request of the program; False if it asks to end."""
        request, argument = uc.reg_read(arm.UC_ARM_REG_R0), uc.reg_read(arm.UC_ARM_REG_R1)
        if request == _SYS_WRITEC:
            self.output.append(chr(uc.mem_read(argument, 1)[0]))
        elif request == _SYS_WRITE0:
            self.output.append(_c_string(uc, argument))
        return request not in (_SYS_EXIT, _SYS_EXIT_EXTENDED)


class Machine:
    """One Cortex-M with a program loaded.

    Memory is what the program's segments need, rounded up to pages, plus `regions` (by default 8 MB of SRAM at
    0x2000_0000). Any other access is an `EmulationError`. Buffers are placed behind the program's own data in the first
    of the regions; the stack of a called function grows down from that region's end.
    """

    def __init__(self, elf: ElfImage, core: Core, regions: Sequence[Region] = (SRAM,)) -> None:
        self.elf = elf
        self.core = core
        self._uc = _processor(core)
        self._map(regions)
        self._ram = regions[0]
        used = [s.address + s.size_bytes for s in elf.segments if self._ram.origin <= s.address < self._ram.end]
        self._free = max(used, default=self._ram.origin)
        for segment in elf.segments:
            self.write(segment.load_address, segment.data)
            self.write(segment.address, segment.data)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of memory."""
        return bytes(self._uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into memory, wherever they go: code too."""
        self._uc.mem_write(address, data)

    def place(self, data: bytes, align: int = 16) -> int:
        """Put bytes into free SRAM and return their address.

        Raises:
            UserError: there is no room left beside the stack, which keeps 64 KB, or a quarter of a smaller region.
        """
        address = -(-self._free // align) * align
        if address + len(data) > self._ram.end - min(64 << 10, self._ram.size_bytes // 4):
            raise UserError(f"{len(data)} bytes do not fit into {self._ram.name} ({self._ram.size_bytes} bytes)")
        self.write(address, data)
        self._free = address + len(data)
        return address

    def call(self, symbol: str, *arguments: int, stack: int | None = None, limit: int = INSTRUCTION_LIMIT) -> Execution:
        """Call a function as C does (AAPCS): four words in registers, the others on the stack.

        A 64-bit argument is two words (low first, in an even register). `stack` is the initial stack pointer; `limit`
        is the number of instructions after which the call is taken for endless.

        Raises:
            EmulationError: a fault, or the limit; the message names the instruction's address and function.
        """
        words = [argument & 0xFFFF_FFFF for argument in arguments]
        spilled = b"".join(word.to_bytes(4, "little") for word in words[4:])
        pointer = ((self._ram.end if stack is None else stack) - len(spilled)) & ~7
        self.write(pointer, spilled)
        for register, word in zip(_ARGUMENT_REGISTERS, words, strict=False):
            self._uc.reg_write(register, word)
        self._uc.reg_write(arm.UC_ARM_REG_SP, pointer)
        self._uc.reg_write(arm.UC_ARM_REG_LR, _RETURN.origin | 1)
        return self._run(self.elf.symbol(symbol).address, _RETURN.origin, limit)

    def run_until(
        self, halt: str | None = None, vectors: int | None = None, limit: int = INSTRUCTION_LIMIT
    ) -> Execution:
        """Run the whole image from its reset vector to a halt: `bkpt`, semihosting's exit, or reaching symbol `halt`.

        `vectors` is the address of the vector table, by default the lowest address that is loaded.

        Raises:
            EmulationError: as for `call`.
        """
        table = min(s.load_address for s in self.elf.segments) if vectors is None else vectors
        words = self.read(table, 8)
        self._uc.reg_write(arm.UC_ARM_REG_SP, int.from_bytes(words[:4], "little"))
        until = self.elf.symbol(halt).address if halt else _RETURN.origin
        return self._run(int.from_bytes(words[4:], "little") & ~1, until, limit)

    def run_phases(self, boundaries: Sequence[int], halt: str, limit: int = INSTRUCTION_LIMIT) -> tuple[Execution, ...]:
        """Run the whole image once, from its reset vector to symbol `halt`, counting anew at each boundary.

        `boundaries` are addresses of instructions in the order the program reaches them; there is one phase more.

        Raises:
            EmulationError: as for `call`.
        """
        table = min(s.load_address for s in self.elf.segments)
        words = self.read(table, 8)
        self._uc.reg_write(arm.UC_ARM_REG_SP, int.from_bytes(words[:4], "little"))
        starts = (int.from_bytes(words[4:], "little") & ~1, *boundaries)
        ends = (*boundaries, self.elf.symbol(halt).address)
        return tuple(self._run(start, until, limit) for start, until in zip(starts, ends, strict=True))

    def paint(self, address: int, size: int) -> None:
        """Fill memory with a pattern, for `painted_over` to find later how deep a stack went."""
        self.write(address, bytes([_PAINT]) * size)

    def painted_over(self, address: int, size: int) -> int:
        """Bytes from the lowest one that changed to the end: the high-water mark of a stack that grows down."""
        memory = self.read(address, size)
        return size - (len(memory) - len(memory.lstrip(bytes([_PAINT]))))

    def _run(self, start: int, until: int, limit: int) -> Execution:
        watch = _Watch(limit * _LONGEST_INSTRUCTION)
        hooks = [
            self._uc.hook_add(const.UC_HOOK_BLOCK, watch.on_block),
            self._uc.hook_add(const.UC_HOOK_INTR, watch.on_interrupt),
            self._uc.hook_add(const.UC_HOOK_MEM_INVALID, watch.on_bad_access),
        ]
        try:
            self._uc.emu_start(start | 1, until)
        except _EmulatorStopped as error:
            undefined = error.errno == const.UC_ERR_INSN_INVALID
            watch.fault = watch.fault or (_UNDEFINED if undefined else f"stops the emulator: {error}")
        finally:
            for hook in hooks:
                self._uc.hook_del(hook)
        self._check_end(watch, until, limit)
        return self._execution(watch)

    def _check_end(self, watch: _Watch, until: int, limit: int) -> None:
        pc = self._uc.reg_read(arm.UC_ARM_REG_PC)
        where = f"{self.elf.function_at(pc)} at {pc:#010x}"
        if watch.fault:
            raise EmulationError(f"the program fails in {where}: it {watch.fault}")
        if not watch.halted and pc != until:
            raise EmulationError(f"the program has not ended after {limit:,} instructions; it was in {where}")

    def _execution(self, watch: _Watch) -> Execution:
        lengths = {block: instruction_count(self.read(block, size)) for block, size in watch.sizes.items()}
        instructions = sum(times * lengths[block] for (_, block), times in watch.edges.items())
        result = self._uc.reg_read(arm.UC_ARM_REG_R0)
        return Execution(result, instructions, dict(watch.edges), watch.sizes, "".join(watch.output))

    def _map(self, regions: Sequence[Region]) -> None:
        wanted = [(region.origin, region.end) for region in (*regions, _PRIVATE_BUS, _RETURN)]
        for segment in self.elf.segments:
            wanted.append((segment.address, segment.address + segment.size_bytes))
            wanted.append((segment.load_address, segment.load_address + len(segment.data)))
        for start, end in _pages(wanted):
            self._uc.mem_map(start, end - start)


def instruction_count(code: bytes) -> int:
    """How many Thumb instructions these bytes hold."""
    return sum(1 for _ in instruction_offsets(code))


def instruction_offsets(code: bytes) -> Iterator[int]:
    """Where each Thumb instruction starts: one of 4 bytes begins with 0b11101, 0b11110 or 0b11111."""
    offset = 0
    while offset < len(code):
        yield offset
        offset += 4 if code[offset + 1] >= _LONG_PREFIX else 2


def _pages(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans rounded out to whole pages, those that touch made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((low & -_PAGE, -(-high // _PAGE) * _PAGE) for low, high in spans if high > low):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _c_string(uc: _Processor, address: int) -> str:
    characters = bytearray()
    while byte := uc.mem_read(address + len(characters), 1)[0]:
        characters.append(byte)
    return characters.decode("latin-1")
