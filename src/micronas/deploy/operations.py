"""A serial image that times single operations, and the table a board measured with it.

Each operation runs alone on random weights, as in the emulator; every answer carries a checksum of
what the kernel computed, which must be that of the integer reference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from micronas.cache import atomic_write, user_dir
from micronas.deploy.c import call_text, constants_text
from micronas.deploy.firmware import Chip, Firmware, image_id, link, serial_sources
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.profiled import Progress
from micronas.hardware.boards.table import OUR_RUNTIME, OVERHEAD_INPUT_BYTES, LatencyTable
from micronas.hardware.planning.order import ALIGNMENT_BYTES, aligned, tensor_bytes
from micronas.mcu import frame
from micronas.mcu.checksum import crc16, pattern
from micronas.mcu.operators import HEADER, KERNELS, Operator, operator
from micronas.mcu.profile import kernel_version
from micronas.mcu.reference import Int8, run
from micronas.mcu.samples import Sample, sample
from micronas.mcu.serial_board import RUNS, BoardError, CountedRuns, SerialBoard
from micronas.mcu.toolchain import Toolchain
from micronas.network.signature import Signature
from micronas.origin import Word
from micronas.texts import read_json


@dataclass(frozen=True)
class Operation:
    """One operation in an image: its operands lie at the arena's start, then the result, then scratch."""

    signature: Signature

    @property
    def kernel(self) -> Operator:
        """Its C function."""
        return operator(self.signature)

    @property
    def operand_bytes(self) -> int:
        """From one operand to the next."""
        return tensor_bytes(self.signature.in_shape)

    @property
    def output_at(self) -> int:
        """Offset of the result."""
        return self.kernel.operands * self.operand_bytes

    @property
    def scratch_at(self) -> int:
        """Offset of the scratch."""
        return self.output_at + tensor_bytes(self.signature.out_shape)

    @property
    def arena_bytes(self) -> int:
        """All of it."""
        return self.scratch_at + aligned(self.kernel.scratch_bytes)

    @cached_property
    def sample(self) -> Sample:
        """Its constants; the operands are the image's pattern instead."""
        return sample(self.signature)

    def expected(self) -> Int8:
        """What the integer reference computes of the pattern."""
        filled, size = pattern(self.output_at), math.prod(self.signature.in_shape)
        starts = range(0, self.output_at, self.operand_bytes)
        operands = [filled[at : at + size].reshape(self.signature.in_shape) for at in starts]
        return run(self.signature, self.sample.constants, *operands)


@dataclass(frozen=True)
class OperationImage:
    """The operations of one image, the C that times them, and who compiles it: `compiler`, version and flags."""

    signatures: tuple[Signature, ...]
    compiler: str

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """In the order of the entries; the frame comes last."""
        return tuple(map(Operation, self.signatures))

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The generated C."""
        text = _generated(self.operations)
        return {"operations.c": f'{text}\nconst char micronas_image[] = "{self.id}";\n'}

    @cached_property
    def id(self) -> str:
        """Names what the image times; changes with any operation, kernel, code around them or compiler."""
        sources = [*sorted(KERNELS.glob("*.[ch]")), frame.SOURCE]
        return image_id({"operations.c": _generated(self.operations)}, sources, self.compiler)

    @property
    def names(self) -> tuple[str, ...]:
        """What the board calls its entries."""
        return (*map(str, self.signatures), frame.ENTRY)

    def build(self, chip: Chip, toolchain: Toolchain) -> Firmware:
        """The firmware for a board.

        Raises:
            UserError: there is no code for the board's serial port, or it holds not all of them.
        """
        kernels = sorted({KERNELS / operation.kernel.source for operation in self.operations})
        sources = [*serial_sources(chip), *kernels, frame.SOURCE]
        return link(self.files, sources, chip, chip.layout(_arena_bytes(self.operations)), toolchain)


def profile_board(
    target: Target,
    signatures: Sequence[Signature],
    url: str,
    firmware: Path,
    *,
    toolchain: Toolchain,
    runs: int = RUNS,
    progress: Progress | None = None,
) -> LatencyTable:
    """A table measured by the board at a serial port or pyserial URL; its firmware is written to `firmware` first.

    Raises:
        BoardError: as `measure_table`; the message says which file the board must hold.
        UserError: the firmware cannot be built or written.
    """
    image = OperationImage(tuple(dict.fromkeys(signatures)), f"{toolchain.version} -O3")
    with on_port(url, firmware, image.build(Chip.of(target), toolchain)) as board:
        return measure_table(target, board, image, runs, progress)


@contextmanager
def on_port(url: str, file: Path, firmware: Firmware) -> Generator[SerialBoard]:
    """A board at a serial port or pyserial URL, once the image that it should hold is written to a file.

    Raises:
        BoardError: whatever it is, the message says which file the board must hold.
        UserError: the file cannot be written.
    """
    try:
        atomic_write(file, firmware.binary())
    except OSError as error:
        raise UserError(f"cannot write the firmware to {file}: {error.strerror}") from error
    try:
        with SerialBoard.open(url) as board:
            yield board
    except BoardError as error:
        raise BoardError(f"{error} (firmware for it: {file}; docs/measure-on-a-board.md says how to flash)") from error


def expect_board(board: SerialBoard, target: Target, image: str) -> None:
    """Refuse another board, another image or another clock.

    Raises:
        BoardError: it is one of those.
    """
    hello = board.expect(target.name, image)
    if hello.clock_hz != target.clock_hz:
        raise BoardError(
            f"{target.name} runs at {hello.clock_hz} Hz, its target file says {target.clock_hz}: correct it"
        )


def measure_table(
    target: Target,
    board: SerialBoard,
    image: OperationImage,
    runs: int = RUNS,
    progress: Progress | None = None,
) -> LatencyTable:
    """A latency table measured by the board that holds `image`: the median of `runs` of each operation.

    What was measured is kept after every operation: called again after an error, it goes on where it stopped.

    Raises:
        BoardError: no or another board, another image, a line that cannot be trusted, a wrong result.
    """
    expect_board(board, target, image.id)
    kept = _progress_file(target.name, image.id)
    found = measure_entries(board, image, kept, runs, progress)
    kept.unlink(missing_ok=True)  # complete: whoever asks again wants it measured again
    to_ms = 1000 / target.clock_hz
    medians = {signature: found[str(signature)].median_cycles * to_ms for signature in image.signatures}
    return LatencyTable(
        board=target.name,
        runtime=OUR_RUNTIME,
        dtype="int8",
        kernel_version=kernel_version(),
        word=Word.MEASURED,
        overhead_ms=found[frame.ENTRY].median_cycles * to_ms,
        milliseconds=medians,
        provenance=_provenance(target, image, runs),
        overhead_ms_per_input_byte=found[frame.ENTRY].median_cycles
        / OVERHEAD_INPUT_BYTES
        * to_ms,  # all but the copy is nil
    )


def measure_entries(
    board: SerialBoard, image: OperationImage, kept: Path, runs: int = RUNS, progress: Progress | None = None
) -> dict[str, CountedRuns]:
    """Every entry of the image by name, the file `kept` first: whatever is in it is not measured again.

    Raises:
        BoardError: as `measure_table`; the file then holds what was measured before.
    """
    names = board.names() if board.hello().entries == len(image.names) else ()
    if names != image.names:
        raise BoardError(f"the board lists other operations than its image {image.id} has: flash it again")
    found = _read_kept(kept, runs)
    for index, name in enumerate(names):
        if name not in found:
            measured = board.time(index, runs)
            if measured.output_crc != _expected_crc(image, index):
                raise BoardError(f"the board computes {name} wrong: flash it again; if that does not help, report it")
            found[name] = measured
            atomic_write(kept, json.dumps({each: vars(found[each]) for each in found}))
        if progress is not None:
            progress(index + 1, len(names))
    return found


def _expected_crc(image: OperationImage, index: int) -> int:
    if index == len(image.operations):
        return crc16(pattern(OVERHEAD_INPUT_BYTES).tobytes())
    return crc16(image.operations[index].expected().tobytes())


def _progress_file(board: str, image: str) -> Path:
    return user_dir() / "measured" / f"{board}-{image}.json"


def _read_kept(path: Path, runs: int) -> dict[str, CountedRuns]:
    """What an earlier call measured with as many runs; nothing if the file is absent or damaged."""
    try:
        content: dict[str, dict[str, int]] = read_json(path)
        found = {name: CountedRuns(**each) for name, each in content.items()}
        sound = {name: each for name, each in found.items() if each.runs == runs and _is_sound(each)}
    except (UserError, TypeError, AttributeError):
        return {}
    return sound


def _is_sound(counted: CountedRuns) -> bool:
    numbers = (counted.least_cycles, counted.median_cycles, counted.output_crc)
    whole = all(type(number) is int for number in numbers)
    return whole and 0 < counted.least_cycles <= counted.median_cycles <= 0xFFFF_FFFF


# --- the generated C ----------------------------------------------------------------------------


def _arena_bytes(operations: Sequence[Operation]) -> int:
    return max([2 * aligned(OVERHEAD_INPUT_BYTES), *(operation.arena_bytes for operation in operations)])


def _generated(operations: Sequence[Operation]) -> str:
    entries = [
        _entry(str(each.signature), each.output_at, f"run{number}", math.prod(each.signature.out_shape))
        for number, each in enumerate(operations)
    ]
    entries.append(_entry(frame.ENTRY, OVERHEAD_INPUT_BYTES, "run_frame", OVERHEAD_INPUT_BYTES))
    return _SOURCE.format(
        kernels=HEADER,
        alignment=ALIGNMENT_BYTES,
        arena=_arena_bytes(operations),
        operations="".join(_operation(number, each) for number, each in enumerate(operations)),
        frame_at=aligned(OVERHEAD_INPUT_BYTES),
        frame_bytes=OVERHEAD_INPUT_BYTES,
        classes=frame.CLASSES,
        entries="".join(entries),
        count=len(entries),
    )


def _entry(name: str, input_bytes: int, function: str, output_bytes: int) -> str:
    return f'    {{"{name}", input, {input_bytes}, {function}, {output_bytes}}},\n'


def _operation(number: int, operation: Operation) -> str:
    kernel, name = operation.kernel, f"operation{number}"
    constants = constants_text(name, str(operation.signature), kernel, operation.sample.constants)
    operands = [f"arena + {at}" for at in range(0, operation.output_at, operation.operand_bytes)]
    output = f"arena + {operation.output_at}"
    call = call_text(name, kernel, operands, output, f"arena + {operation.scratch_at}")
    return f"{constants}static const int8_t *run{number}(void) {{\n{call}\n    return {output};\n}}\n\n"


def _provenance(target: Target, image: OperationImage, runs: int) -> dict[str, str]:
    return {
        "core": target.core.name,
        "clock_hz": str(target.clock_hz),
        "compiler": image.compiler,
        "measured_with": f"the board's cycle counter, median of {runs} runs after a warm-up, image {image.id}",
        "overhead": f"measured: copy of {OVERHEAD_INPUT_BYTES} bytes, largest of {frame.CLASSES} logits",
    }


_SOURCE = """\
/* Single operations to be timed over a serial port. Generated by micronas; do not edit. */
#include "firmware.h"
#include "{kernels}"

int32_t micronas_frame(const int8_t *image, int32_t image_bytes, int8_t *arena, const int8_t *logits, int32_t classes);

__attribute__((section(".arena"))) static _Alignas({alignment}) int8_t arena[{arena}];

static int8_t *input(void) {{ return arena; }}

{operations}
static volatile int32_t frame_class;

static const int8_t *run_frame(void) {{
    frame_class = micronas_frame(arena, {frame_bytes}, arena + {frame_at}, arena, {classes});
    return arena + {frame_at};
}}

const micronas_entry micronas_entries[] = {{
{entries}}};
const uint32_t micronas_entry_count = {count};
"""
