"""Tables made by profiling: a board's operations timed in the emulator, kept for the user, completed on demand."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from math import isclose
from pathlib import Path

from micronas.cache import atomic_write, cache_dir
from micronas.errors import Notice, UserError
from micronas.extras import how_to_install
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.calibration import Calibration
from micronas.hardware.boards.sheet import TableError
from micronas.hardware.boards.table import (
    OUR_RUNTIME,
    OVERHEAD_INPUT_BYTES,
    Grade,
    LatencyTable,
    read_table,
    rounded,
    untimed,
)
from micronas.hardware.boards.target import own_tables, table_path
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
    signatures are profiled anew, for figures of two versions do not add up, and that is said. A calibration is kept.
    A table that was measured without one of them gives way to the calibrated or simulated one, which is said too.

    Raises:
        UserError: as `profile`; or the table is of another runtime's kernels, which only their adapter can time.
    """
    missing = target.latency.missing(signatures)
    if not missing:
        return target
    calibration = Calibration.of(target.latency)
    raw = calibration.removed_from(target.latency) if calibration else target.latency
    if raw.runtime != OUR_RUNTIME:
        raise UserError(
            f"{target.name} has no timing for {missing[0]} with {raw.runtime}; profile it with that runtime's "
            f'adapter: "micronas profile {target.name} --adapter FILE.c"'
        )
    if raw.grade is Grade.MEASURED:
        return complete(_without_measured(target, missing), signatures, progress)
    found = profile(target, missing, progress=progress)
    if found.agrees_with(raw):
        found = found.with_more(raw.milliseconds)
    elif raw.milliseconds:
        _say(f"the table of {target.name} was made by another {raw.made_otherwise(found)}; it is made anew")
        if len(missing) < len(set(signatures)):
            found = profile(target, signatures, progress=progress)
    table = calibration.applied_to(found) if calibration else found
    keep(table, replace=True)  # of other kernels or tools, or the same figures and more
    return target.with_latency(table)


def _without_measured(target: Target, missing: Sequence[Signature]) -> Target:
    """The board with the next table that there is: figures of two grades do not add up."""
    after = target.lesser[0] if target.lesser else untimed(target.name)
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    _say(
        f"{target.name} was measured without {missing[0]}{others}, so all figures are "
        f'{after.grade}; to measure them too, with the same skeleton: "micronas profile {target.name} --port PORT"'
    )
    return dataclasses.replace(target, latency=after, lesser=target.lesser[1:])


def _say(what: str) -> None:
    warnings.warn(what, Notice, stacklevel=3)


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
            UserError: as `complete`; or what was asked for before was measured, and one of these was not.
        """
        wanted = dict.fromkeys(signatures)
        grade, missing = self.target.latency.grade, self.target.latency.missing(wanted)
        if self.used and missing and grade is Grade.MEASURED:
            raise UserError(
                f"{self.target.name} was measured without {missing[0]}, and networks without it are priced already; "
                f'measure it too, with the same skeleton ("micronas profile {self.target.name} --port PORT"), or move '
                f"{table_path(self.target.name, self.target.latency.runtime, grade)} away to simulate all"
            )
        self.used |= wanted
        self.target = complete(self.target, tuple(wanted), self._progress)
        return self.target.latency


def extended(table: LatencyTable) -> LatencyTable:
    """A new table with what this user's own one of its grade holds besides, where both were made alike."""
    before = own_tables(table.board, table.runtime).get(table.grade)
    alike = before is not None and table.agrees_with(before) and table.grade is not Grade.CALIBRATED
    return table.with_more(before.milliseconds) if before is not None and alike else table


@dataclass(frozen=True)
class KeptTable:
    """Where a table is kept.

    Attributes:
        backup: where the one that it took the place of is now, if that had anything it has not.
        made_otherwise: what that one was made by another of, "" if both were made alike.
        in_use: what the board's table in use is worth: tables that are worth more go before it.
    """

    path: Path
    backup: Path | None
    made_otherwise: str
    in_use: Grade


def keep(table: LatencyTable, *, replace: bool = False) -> KeptTable:
    """Writes a table where `load_target` finds it for this user; the file is whole or absent.

    Tables of other grades stay as they are. Whatever figures of an earlier one of this grade are not in it are kept
    in a file beside.

    Raises:
        UserError: other figures of the same operations would go out of use, and `replace` does not allow it.
    """
    _settle(table.board, table.runtime)
    path = table_path(table.board, table.runtime, table.grade)
    before, backup, made_otherwise = _kept_before(path), None, ""
    if before is not None:
        made_otherwise = before.made_otherwise(table)
        moved = _moved(before, table)
        if moved and not replace and not before.is_outdated_by(table):
            raise UserError(
                f"{path} is a table of yours with other figures of {len(moved)} of these operations, {moved[0]} first; "
                "--replace puts the new one in its place, and keeps it beside"
            )
        if moved or not before.milliseconds.keys() <= table.milliseconds.keys():
            backup = _beside(path)
    elif path.exists():
        backup = _beside(path)  # damaged, and yet perhaps of use to somebody
    if backup is not None:
        atomic_write(backup, path.read_bytes())
    atomic_write(path, table.dump())
    return KeptTable(path, backup, made_otherwise, _in_use(table))


def _settle(board: str, runtime: str) -> None:
    """Before tables were kept apart, one file held whichever there was: it goes where its grade is kept."""
    path = table_path(board, runtime)
    before = _kept_before(path)
    if before is not None and before.grade is not Grade.SIMULATED:
        place = table_path(board, runtime, before.grade)
        path.rename(_beside(place) if place.exists() else place)


def _in_use(table: LatencyTable) -> Grade:
    kept = (grade for grade in Grade if table_path(table.board, table.runtime, grade).exists())
    return next(kept, table.grade)


def _kept_before(path: Path) -> LatencyTable | None:
    """The table in a file; None if there is none, or one that cannot be read."""
    try:
        return read_table(path)
    except TableError:
        return None


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
