"""Tables made by profiling: a board's operations timed in the emulator, kept for the user, completed on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from micronas.cache import atomic_write, cache_dir
from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.calibration import Calibration
from micronas.hardware.boards.table import (
    OUR_RUNTIME,
    OVERHEAD_INPUT_BYTES,
    LatencyTable,
    TableError,
    read_table,
    rounded,
)
from micronas.hardware.boards.target import table_path
from micronas.network.signature import Signature
from micronas.origin import Word

Progress = Callable[[int, int], None]
"""Told (done, of all) after each operation."""

DTYPE = "int8"

OVERHEAD = "simulated: copy of a 32x32x3 image, largest of 10 logits; the board's own start cost is assumed 0"

_EMULATOR = ("unicorn", "elftools", "capstone")


class NotInstalledError(UserError):
    """Profiling needs the optional dependencies; the message says how to install them."""


def profile(
    target: Target,
    signatures: Sequence[Signature],
    *,
    compiler: tuple[str, ...] = (),
    adapter: Path | None = None,
    with_memory: bool = True,
    progress: Progress | None = None,
) -> LatencyTable:
    """Times every signature on a board's core, each operation alone, and says with what.

    `compiler` is the command of an own cross compiler, by default zig's. `adapter` is a C file that
    hands another runtime's kernels over (mcu/micronas_adapter.h), and an operation that it lacks stays
    untimed; by default ours are timed.
    `with_memory` False: as if every access to flash and SRAM were a hit.

    Raises:
        NotInstalledError: the extra `mcu` is missing.
        UserError: no compiler, an adapter that does not compile or has nothing of this, an operation
            without a kernel of ours.
    """
    _need_extra(compiler)
    # Only here: whoever only reads tables needs neither emulator nor compiler.
    from micronas.mcu.profile import adapted_kernels, frame_cycles, our_kernels, time_operations
    from micronas.mcu.toolchain import Toolchain

    toolchain = Toolchain(cache_dir() / "toolchain", compiler)
    kernels = adapted_kernels(toolchain, target.core, adapter) if adapter else our_kernels(toolchain, target.core)
    memory = target.memory_model if with_memory else None
    able = [signature for signature in dict.fromkeys(signatures) if not adapter or kernels.has(signature)]
    if signatures and not able:
        raise UserError(f"{adapter} defines none of the functions to be timed; micronas_adapter.h lists them")
    cycles = time_operations(kernels, able, memory, progress)
    frame, twice = (frame_cycles(kernels, times * OVERHEAD_INPUT_BYTES, memory) for times in (1, 2))
    to_ms = 1e3 / target.clock_hz
    return LatencyTable(
        target.name,
        kernels.name,
        DTYPE,
        kernels.version,
        Word.SIMULATED,
        frame * to_ms,
        {signature: rounded(count * to_ms) for signature, count in cycles.items()},
        provenance=_provenance(target, kernels.compiler, with_memory),
        overhead_ms_per_input_byte=(twice - frame) / OVERHEAD_INPUT_BYTES * to_ms,
    )


def complete(target: Target, signatures: Sequence[Signature], progress: Progress | None = None) -> Target:
    """The board with timings for all these signatures: what its table lacks is profiled and kept for the user.

    Where the table was made by other kernels, compilers or timing models than those here, all of the
    signatures are profiled anew, for figures of two versions do not add up. A calibration is kept.

    Raises:
        UserError: as `profile`; or the table is of another runtime's kernels, which only their adapter can time.
    """
    missing = target.latency.missing(signatures)
    if not missing:
        return target
    calibration = Calibration.of(target.latency)
    raw = calibration.removed_from(target.latency) if calibration else target.latency
    if raw.word is Word.MEASURED:
        raise UserError(
            f"{target.name} was measured without {missing[0]}; measure it too, with the same skeleton: "
            f'"micronas profile {target.name} --port PORT", or simulate all: "micronas profile {target.name}"'
        )
    if raw.runtime != OUR_RUNTIME:
        raise UserError(
            f"{target.name} has no timing for {missing[0]} with {raw.runtime}; profile it with that runtime's "
            f'adapter: "micronas profile {target.name} --adapter FILE.c"'
        )
    found = profile(target, missing, progress=progress)
    if found.agrees_with(raw):
        found = found.with_more(raw.milliseconds)
    elif len(missing) < len(set(signatures)):
        found = profile(target, signatures, progress=progress)
    table = calibration.applied_to(found) if calibration else found
    keep(table)
    return target.with_latency(table)


class Bench:
    """A board in one run: what its table lacks is profiled when it is first asked for, and kept for the user.

    Attributes:
        target: the board, with its table as it is by now.
        used: every operation that was asked for.
    """

    def __init__(self, target: Target, progress: Progress | None = None) -> None:
        self.target = target
        self.used: dict[Signature, None] = {}
        self._progress = progress

    def table_of(self, signatures: Iterable[Signature]) -> LatencyTable:
        """The board's table, with these operations in it.

        Raises:
            UserError: as `complete`.
        """
        wanted = dict.fromkeys(signatures)
        self.used |= wanted
        self.target = complete(self.target, tuple(wanted), self._progress)
        return self.target.latency


def extended(table: LatencyTable) -> LatencyTable:
    """A new table with what this user's own one holds besides, where both were made alike."""
    try:
        before = read_table(table_path(table.board, table.runtime))
    except TableError:
        return table  # there is none, or a damaged one that will be replaced
    alike = table.agrees_with(before) and not before.is_calibrated
    return table.with_more(before.milliseconds) if alike else table


def keep(table: LatencyTable) -> Path:
    """Writes a table where `load_target` finds it for this user; the file is whole or absent."""
    path = table_path(table.board, table.runtime)
    atomic_write(path, table.dump())
    return path


def _need_extra(compiler: tuple[str, ...]) -> None:
    wanted = _EMULATOR if compiler else ("ziglang", *_EMULATOR)
    if lacking := [name for name in wanted if find_spec(name) is None]:
        raise NotInstalledError(f"profiling needs {lacking[0]}: {how_to_install('mcu')}")


def _provenance(target: Target, compiler: str, with_memory: bool) -> dict[str, str]:
    from micronas.mcu.timing import TIMING_VERSION

    parameters = " ".join(f"{name}={value}" for name, value in target.memory.items())
    return {
        "core": target.core.name,
        "clock_hz": str(target.clock_hz),
        "compiler": compiler,
        "timing_model": f"timing model {TIMING_VERSION}",
        "memory": parameters if with_memory else "off",
        "overhead": OVERHEAD,
    }
