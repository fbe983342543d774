"""Tables made by profiling: a board's operations timed in the emulator, kept for the user, completed on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from math import isclose
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
    keep(table, replace=True)  # of other kernels or tools, or the same figures and more
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
    before = _kept_before(table_path(table.board, table.runtime))
    alike = before is not None and table.agrees_with(before) and not before.is_calibrated
    return table.with_more(before.milliseconds) if before is not None and alike else table


@dataclass(frozen=True)
class KeptTable:
    """Where a table is kept, and where the one that it took the place of is now, if that had anything it has not."""

    path: Path
    backup: Path | None = None


def keep(table: LatencyTable, *, replace: bool = False) -> KeptTable:
    """Writes a table where `load_target` finds it for this user; the file is whole or absent.

    Whatever figures of an earlier one are not in it are kept in a file beside.

    Raises:
        UserError: one that is worth more (measured, calibrated), or other figures of the same operations, would go out
            of use, and `replace` does not allow it.
    """
    path = table_path(table.board, table.runtime)
    before = _kept_before(path)
    if before is None:
        backup = _beside(path) if path.exists() else None  # damaged, and yet perhaps of use to somebody
    else:
        if (why := _worth_more(before, table)) and not replace:
            raise _refused(path, why)
        all_there = before.milliseconds.keys() <= table.milliseconds.keys()
        same = all_there and not _moved(before, table) and _kind(before) == _kind(table)
        backup = None if same else _beside(path)
    if backup is not None:
        atomic_write(backup, path.read_bytes())
    atomic_write(path, table.dump())
    return KeptTable(path, backup)


def refuse_to_replace(board: str) -> None:
    """Before operations are simulated, which takes a while: a user's table that is worth more stays.

    Raises:
        UserError: there is one.
    """
    path = table_path(board, OUR_RUNTIME)
    before = _kept_before(path)
    if before is not None and (before.word is Word.MEASURED or before.is_calibrated):
        raise _refused(path, _worth(before))


def _refused(path: Path, why: str) -> UserError:
    return UserError(f"{path} is a table of yours {why}; --replace puts the new one in its place, and keeps it beside")


def _worth(table: LatencyTable) -> str:
    return "that was measured on the board" if table.word is Word.MEASURED else "that is calibrated"


def _kind(table: LatencyTable) -> tuple[Word, bool]:
    return table.word, table.is_calibrated


def _kept_before(path: Path) -> LatencyTable | None:
    """The table in a file; None if there is none, or one that cannot be read."""
    try:
        return read_table(path)
    except TableError:
        return None


def _worth_more(before: LatencyTable, after: LatencyTable) -> str:
    """What speaks against a table in the place of another, "" if nothing does."""
    if after.word is not Word.MEASURED and (before.word is Word.MEASURED or before.is_calibrated > after.is_calibrated):
        return _worth(before)
    if before.is_outdated_by(after) or _kind(before) != _kind(after):
        return ""
    other = _moved(before, after)
    return f"with other figures of {len(other)} of these operations, {other[0]} first" if other else ""


_SAME = 1e-5
"""By so much a figure may differ and be the same: calibrated ones are written, scaled back and scaled again."""


def _moved(before: LatencyTable, after: LatencyTable) -> list[Signature]:
    """Operations of both whose figures differ."""
    now = after.milliseconds
    return [one for one, ms in before.milliseconds.items() if not isclose(now.get(one, ms), ms, rel_tol=_SAME)]


def _beside(path: Path) -> Path:
    """A name for a backup that is still free."""
    names = (path.with_name(f"{path.name}.{number}.bak") for number in count(1))
    return next(name for name in names if not name.exists())


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
