"""Cycles of each operation alone, as the paper profiles them: its kernel, run in the emulator and timed by the model.

What is timed are `BuiltKernels`: our own, or another runtime's behind a small C adapter (micronas_adapter.h). Every
figure is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from micronas.errors import UserError
from micronas.mcu import frame
from micronas.mcu.cores import Core
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulated import SYMBOLS, run_operator
from micronas.mcu.emulator import Machine
from micronas.mcu.memory import MemoryModel
from micronas.mcu.operators import KERNELS, Operator, kernel_version, operator
from micronas.mcu.samples import sample
from micronas.mcu.timing import Timing, time_call
from micronas.mcu.toolchain import Toolchain
from micronas.network.signature import Signature

OURS = "micronas"
"""The name of our own runtime, and the prefix of its C functions."""

ADAPTER = "adapter"
"""The prefix of the functions of an adapter."""

Progress = Callable[[int, int], None]
"""Told (done, of all) after each operation."""

_HERE = Path(__file__).parent
_ADAPTER_SCRATCH_BYTES = 256 << 10  # ADAPTER_SCRATCH_BYTES of the header


class UnsupportedOperationError(UserError):
    """The runtime has no function for an operation."""


@dataclass(frozen=True)
class BuiltKernels:
    """Kernels built for one core.

    Attributes:
        name: what stands beside every latency.
        version: of the kernels' code.
        compiler: who built them, with which flags.
        core: for which.
        file: the ELF that holds them and the frame.
        prefix: of the functions' names.
    """

    name: str
    version: str
    compiler: str
    core: Core
    file: Path
    prefix: str

    @property
    def elf(self) -> ElfImage:
        """What the file holds."""
        return _read(self.file)

    def function(self, signature: Signature) -> Operator:
        """The kernel of a signature: our parameters, the runtime's own symbol and room for what it may scratch.

        Raises:
            NoKernelError: no kernel of ours computes it, so there are no parameters to hand over.
            UnsupportedOperationError: this runtime has no function for it.
        """
        kernel = operator(signature)
        if self.prefix == OURS:
            return kernel
        symbol = self._symbol(kernel)
        if symbol not in self.elf.symbols:
            raise UnsupportedOperationError(f"{self.name} cannot run {signature}: its adapter defines no {symbol}")
        return replace(kernel, symbol=symbol, scratch_bytes=_ADAPTER_SCRATCH_BYTES)

    def has(self, signature: Signature) -> bool:
        """Whether this runtime has a function for it; raises NoKernelError as `function`."""
        return self._symbol(operator(signature)) in self.elf.symbols

    def _symbol(self, kernel: Operator) -> str:
        return self.prefix + kernel.symbol.removeprefix(OURS)


def our_kernels(toolchain: Toolchain, core: Core) -> BuiltKernels:
    """Our own kernels for a core.

    Raises:
        UserError: no compiler is installed, or it fails.
    """
    sources = [*sorted(KERNELS.glob("*.c")), frame.SOURCE]
    file = toolchain.build(sources, core, include=[KERNELS], keep=[*SYMBOLS, frame.SYMBOL])
    return BuiltKernels(OURS, kernel_version(), _compiler(toolchain), core, file, OURS)


def adapted_kernels(toolchain: Toolchain, core: Core, adapter: Path) -> BuiltKernels:
    """Another runtime's kernels, behind an adapter in C (micronas_adapter.h says how to write one).

    Raises:
        UserError: it does not compile, or does not say what it is.
    """
    functions = [symbol.replace(OURS, ADAPTER) for symbol in SYMBOLS]
    keep = [*functions, f"{ADAPTER}_runtime", f"{ADAPTER}_version", frame.SYMBOL]
    sources = [adapter, frame.SOURCE]
    file = toolchain.build(sources, core, include=[_HERE, KERNELS], keep=keep)
    name, version = (_text(_read(file), f"{ADAPTER}_{fact}", adapter) for fact in ("runtime", "version"))
    if name == OURS:
        raise UserError(f"{adapter}: {ADAPTER}_runtime is {OURS!r}, which names our own kernels; name yours")
    return BuiltKernels(name, version, _compiler(toolchain), core, file, ADAPTER)


def time_operation(kernels: BuiltKernels, signature: Signature, memory: MemoryModel | None = None) -> Timing:
    """One call of the signature's kernel on random weights and operands; `memory` None: every access hits.

    Raises:
        NoKernelError, UnsupportedOperationError: nothing runs it.
        EmulationError: the kernel does what no program may.
    """
    kernel, drawn = kernels.function(signature), sample(signature)
    ran = run_operator(kernels.elf, kernels.core, signature, drawn.constants, drawn.operands, memory, kernel=kernel)
    return ran.timing


def time_operations(
    kernels: BuiltKernels,
    signatures: Sequence[Signature],
    memory: MemoryModel | None = None,
    progress: Progress | None = None,
) -> dict[Signature, float]:
    """Cycles of each signature, one after the other; raises as `time_operation`."""
    cycles: dict[Signature, float] = {}
    for signature in signatures:
        cycles[signature] = time_operation(kernels, signature, memory).cycles
        if progress is not None:
            progress(len(cycles), len(signatures))
    return cycles


def frame_cycles(kernels: BuiltKernels, input_bytes: int, memory: MemoryModel | None = None) -> float:
    """Cycles an image spends around the layers: the copy of its input, the largest of 10 logits."""
    machine = Machine(kernels.elf, kernels.core)
    image, arena = (machine.place(bytes(input_bytes)) for _ in range(2))
    logits = machine.place(bytes(range(frame.CLASSES)))
    words = [image, input_bytes, arena, logits, frame.CLASSES]
    return time_call(machine, frame.SYMBOL, words, memory).cycles


@lru_cache(maxsize=8)
def _read(file: Path) -> ElfImage:
    """An ELF, read once in each process."""
    return ElfImage.read(file)


def _compiler(toolchain: Toolchain) -> str:
    return f"{toolchain.version} -O3"


def _text(elf: ElfImage, symbol: str, adapter: Path) -> str:
    """A C string of an ELF."""
    if symbol in elf.symbols:
        address = elf.symbols[symbol].address
        for part in elf.segments:
            if part.address <= address < part.address + len(part.data):
                text = part.data[address - part.address :].partition(b"\0")[0].decode("utf-8", "replace").strip()
                if text and "\n" not in text:
                    return text
    raise UserError(f'{adapter} must define const char {symbol}[] = "..."; it stands beside every latency')
