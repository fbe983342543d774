"""Cycles of each operation alone, as the paper profiles them: its kernel, run in the emulator and timed by the model.

What is timed is a `Runtime`: our own kernels, or another's behind a small C adapter (micronas_adapter.h). Every figure
is simulated.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from micronas.errors import UserError
from micronas.graph import Kind, Signature
from micronas.mcu.cores import Core
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulator import Machine
from micronas.mcu.memory import MemoryModel, Stream
from micronas.mcu.operators import KERNELS, Operator, operator, pack
from micronas.mcu.samples import sample
from micronas.mcu.timing import Timing, time_call
from micronas.mcu.toolchain import Toolchain

OURS = "micronas"
"""The name of our own runtime, and the prefix of its C functions."""

ADAPTER = "adapter"
"""The prefix of the functions of an adapter."""

FRAME_IMAGE_BYTES, FRAME_CLASSES = 32 * 32 * 3, 10
"""The image and the logits for which the overhead is simulated."""

Progress = Callable[[int, int], None]
"""Told (done, of all) after each operation."""

_HERE = Path(__file__).parent
_FUNCTIONS = (
    *("convolution", "depthwise", "linear", "average_pool", "max_pool", "global_pool"),
    *("add", "relu", "pad"),
)
_ADAPTER_SCRATCH_BYTES = 256 << 10  # ADAPTER_SCRATCH_BYTES of the header
_BLOCK_COMMENT, _LINE_COMMENT, _SPACE = re.compile(r"/\*.*?\*/", re.DOTALL), re.compile(r"//[^\n]*"), re.compile(r"\s+")


class UnsupportedOperation(UserError):  # noqa: N818 - what happened, as the message says it
    """The runtime has no function for an operation."""


@dataclass(frozen=True)
class Runtime:
    """Kernels built for one core.

    Attributes:
        name: what stands beside every latency.
        version: of the kernels' code.
        compiler: who built them, with which flags.
        core: for which.
        program: the ELF file that holds them and the frame.
        prefix: of the functions' names.
    """

    name: str
    version: str
    compiler: str
    core: Core
    program: Path
    prefix: str

    @property
    def elf(self) -> ElfImage:
        """The program."""
        return _read(self.program)

    def function(self, signature: Signature) -> Operator:
        """The kernel of a signature; its symbol is the runtime's own.

        Raises:
            NoKernel: no kernel of ours computes it, so there are no parameters to hand over.
            UnsupportedOperation: this runtime has no function for it.
        """
        found = operator(signature)
        symbol = self.symbol(found)
        if symbol not in self.elf.symbols:
            raise UnsupportedOperation(f"{self.name} cannot run {signature}: its adapter defines no {symbol}")
        return found

    def symbol(self, found: Operator) -> str:
        """The name of this runtime's function for a kernel of ours."""
        return self.prefix + found.symbol.removeprefix(OURS)

    def scratch_bytes(self, found: Operator) -> int:
        """What the function may need of scratch memory."""
        return found.scratch_bytes if self.prefix == OURS else _ADAPTER_SCRATCH_BYTES


def our_runtime(toolchain: Toolchain, core: Core) -> Runtime:
    """Our own kernels for a core.

    Raises:
        UserError: no compiler is installed, or it fails.
    """
    sources = [*sorted(KERNELS.glob("*.c")), _HERE / "frame.c"]
    keep = [f"{OURS}_{function}" for function in (*_FUNCTIONS, "frame")]
    program = toolchain.build(sources, core, include=[KERNELS], keep=keep)
    return Runtime(OURS, kernel_version(), _compiler(toolchain), core, program, OURS)


def adapted_runtime(toolchain: Toolchain, core: Core, adapter: Path) -> Runtime:
    """Another runtime's kernels, behind an adapter in C (micronas_adapter.h says how to write one).

    Raises:
        UserError: it does not compile, or does not say what it is.
    """
    keep = [f"{ADAPTER}_{function}" for function in (*_FUNCTIONS, "runtime", "version")]
    sources = [adapter, _HERE / "frame.c"]
    program = toolchain.build(sources, core, include=[_HERE, KERNELS], keep=[*keep, f"{OURS}_frame"])
    name, version = (_text(_read(program), f"{ADAPTER}_{fact}", adapter) for fact in ("runtime", "version"))
    if name == OURS:
        raise UserError(f"{adapter}: {ADAPTER}_runtime is {OURS!r}, which names our own kernels; name yours")
    return Runtime(name, version, _compiler(toolchain), core, program, ADAPTER)


def kernel_version() -> str:
    """Eight digits that change whenever the code of our kernels does; comments and spaces do not count."""
    digest = sha256()
    for path in (*sorted(KERNELS.glob("*.[ch]")), _HERE / "frame.c"):
        text = path.read_text(encoding="utf-8")
        for pattern in (_BLOCK_COMMENT, _LINE_COMMENT, _SPACE):
            text = pattern.sub(" ", text)
        digest.update(f"{path.name}\n{text}\n".encode())
    return digest.hexdigest()[:8]


def time_operation(runtime: Runtime, signature: Signature, memory: MemoryModel | None = None) -> Timing:
    """One call of the signature's kernel on random weights and operands; `memory` None: every access hits.

    Raises:
        NoKernel, UnsupportedOperation: nothing runs it.
        EmulationError: the kernel does what no program may.
    """
    found = runtime.function(signature)
    machine = Machine(runtime.elf, runtime.core)
    arguments = _arguments(machine, signature, found, runtime.scratch_bytes(found))
    return time_call(machine, runtime.symbol(found), arguments, memory, streams=streams(signature, found))


def time_operations(
    runtime: Runtime,
    signatures: Sequence[Signature],
    memory: MemoryModel | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> dict[Signature, float]:
    """Cycles of each signature; raises as `time_operation`.

    With more than one worker, operations run in processes of their own, which import the caller's main
    module: a script then needs its `if __name__ == "__main__"`.
    """
    cycles: dict[Signature, float] = {}
    with _mapper(workers) as each:
        for signature, found in zip(signatures, each(partial(_cycles, runtime, memory), signatures), strict=True):
            cycles[signature] = found
            if progress is not None:
                progress(len(cycles), len(signatures))
    return cycles


def _cycles(runtime: Runtime, memory: MemoryModel | None, signature: Signature) -> float:
    return time_operation(runtime, signature, memory).cycles


_Map = Callable[[Callable[[Signature], float], Sequence[Signature]], Iterable[float]]


@contextmanager
def _mapper(workers: int) -> Generator[_Map]:
    if workers == 1:
        yield map
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            yield pool.map


def frame_cycles(runtime: Runtime, memory: MemoryModel | None = None) -> float:
    """Cycles an image spends around the layers: the copy of a 32x32x3 input, the largest of 10 logits."""
    machine = Machine(runtime.elf, runtime.core)
    image, arena = (machine.place(bytes(FRAME_IMAGE_BYTES)) for _ in range(2))
    logits = machine.place(bytes(range(FRAME_CLASSES)))
    words = [image, FRAME_IMAGE_BYTES, arena, logits, FRAME_CLASSES]
    return time_call(machine, f"{OURS}_frame", words, memory).cycles


def streams(signature: Signature, found: Operator) -> tuple[Stream, ...]:
    """What one call reads and writes from end to end, as our kernels are written.

    Tensors once each, but for the kernels that go channel by channel over all pixels; weights of a
    convolution once per output row (its rows are spread out first, and read once for every two
    output channels) or, where in_channels is no multiple of 4, once for every two pixels. Another
    runtime is assumed to do the same.
    """
    operand, result = (math.prod(shape) for shape in (signature.in_shape, signature.out_shape))
    passes = -(-signature.in_shape[2] // 4) if signature.kind is Kind.DEPTHWISE else 1
    tensors = [Stream(operand, passes, "sram") for _ in range(signature.operands)] + [Stream(result, passes, "sram")]
    height, width, channels = signature.out_shape
    weights = math.prod(signature.weight_shape) + 12 * channels if signature.weight_shape else 0  # bias and rescale
    match signature.kind:
        case Kind.CONV if signature.in_shape[2] % 4 == 0:
            rows = Stream(found.scratch_bytes, height * -(-channels // 2), "sram")
            return (*tensors, rows, Stream(weights, height))
        case Kind.CONV:
            return (*tensors, Stream(weights, height * -(-width // 2)))
        case Kind.DEPTHWISE | Kind.LINEAR:
            return (*tensors, Stream(weights))
        case _:
            return tuple(tensors)


def _arguments(machine: Machine, signature: Signature, found: Operator, scratch_bytes: int) -> list[int]:
    """The four words of a kernel's call, all they point to placed in the machine."""
    drawn = sample(signature)
    fields = found.fields(drawn.constants)
    arrays = {name: np.ascontiguousarray(value) for name, value in fields.items() if not isinstance(value, int)}
    addresses = {name: machine.place(array.tobytes()) for name, array in arrays.items()}
    operands = [machine.place(operand.tobytes()) for operand in drawn.operands]
    source = operands[0] if found.operands == 1 else machine.place(struct.pack(f"<{len(operands)}I", *operands))
    result = machine.place(bytes(math.prod(signature.out_shape)))
    return [machine.place(pack(fields, addresses)), source, result, machine.place(bytes(scratch_bytes))]


@lru_cache(maxsize=8)
def _read(program: Path) -> ElfImage:
    """The program, read once in each process."""
    return ElfImage.read(program)


def _compiler(toolchain: Toolchain) -> str:
    return f"{toolchain.version} -O3"


def _text(elf: ElfImage, symbol: str, adapter: Path) -> str:
    """A C string of the program."""
    if symbol in elf.symbols:
        address = elf.symbols[symbol].address
        for part in elf.segments:
            if part.address <= address < part.address + len(part.data):
                text = part.data[address - part.address :].partition(b"\0")[0].decode("utf-8", "replace").strip()
                if text and "\n" not in text:
                    return text
    raise UserError(f'{adapter} must define const char {symbol}[] = "..."; it stands beside every latency')
