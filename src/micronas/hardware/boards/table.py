"""A latency table: what every operation costs on one board with one runtime, and where the figures come from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from micronas.errors import UserError
from micronas.hardware.boards.sheet import TableError, remarks_of, sheet_of
from micronas.network.signature import Kind, Shape, Signature
from micronas.origin import Origin, Word
from micronas.quantity import whole_number
from micronas.texts import read_text, shown

FIELDS = (
    *("kind", "in_height", "in_width", "in_channels", "out_height", "out_width", "out_channels"),
    *("kernel_height", "kernel_width", "stride_height", "stride_width"),
    *("pad_above", "pad_below", "pad_left", "pad_right", "operands", "relu_in"),
)
"""The columns that write a `Signature`; a table has one more, `milliseconds`."""

PICOSECONDS = 9
"""Decimals of a latency in milliseconds; what is below is the order of summation."""

OUR_RUNTIME = "micronas"
"""The runtime whose kernels come with the package."""

OVERHEAD_INPUT_BYTES = 32 * 32 * 3
"""The size of the input for which a table states its overhead."""

_NUMBERS = FIELDS[1:]
_MOST = 1e9  # milliseconds, and whatever else a header says in numbers
_FORMAT = "micronas latency table 2"
_OLDER = "micronas latency table 1"  # one number for both axes of a window
_REQUIRED = ("board", "runtime", "dtype", "kernel_version", "source", "overhead_ms")
_PER_BYTE = "overhead_ms_per_input_byte"  # a table without it states one overhead for all inputs


class Grade(StrEnum):
    """What a table's figures are worth, the most first: each grade is kept apart, and used in this order."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    SIMULATED = "simulated"


class UntimedOperation(UserError):
    """The table has no timing of an operation: unknown is an error, never a zero."""

    def __init__(self, board: str, signature: Signature) -> None:
        super().__init__(f'{board} has no timing for {signature}; run "micronas profile {board}"')
        self.board = board
        self.signature = signature


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of each operation, alone, on one board: the key is board x runtime x dtype x kernel version.

    Attributes:
        board: the target's name.
        runtime: whose kernels were timed; runtimes differ up to 24x on one chip.
        dtype: of weights and activations.
        kernel_version: of the runtime's kernels.
        word: how the figures were obtained, simulated or measured.
        overhead_ms: what one inference of a 32x32x3 image costs besides its layers.
        milliseconds: of each signature.
        provisional: not made by our own profile yet.
        provenance: the rest of the file's header: core, clock, compiler, timing model, calibration.
        overhead_ms_per_input_byte: what each further byte of the image adds to the overhead, as it is copied.
    """

    board: str
    runtime: str
    dtype: str
    kernel_version: str
    word: Word
    overhead_ms: float
    milliseconds: Mapping[Signature, float]
    provisional: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    overhead_ms_per_input_byte: float = 0.0

    def __getitem__(self, signature: Signature) -> float:
        """Milliseconds of one operation.

        Raises:
            UntimedOperation: the table does not have it.
        """
        try:
            return self.milliseconds[signature]
        except KeyError:
            raise UntimedOperation(self.board, signature) from None

    def overhead_of(self, input_shape: Shape) -> float:
        """Milliseconds that one inference of such an int8 image costs besides its layers; never negative."""
        further_bytes = math.prod(input_shape) - OVERHEAD_INPUT_BYTES
        return max(0.0, self.overhead_ms + self.overhead_ms_per_input_byte * further_bytes)

    def missing(self, signatures: Iterable[Signature]) -> tuple[Signature, ...]:
        """The signatures without a timing, in order."""
        return tuple(signature for signature in dict.fromkeys(signatures) if signature not in self.milliseconds)

    def agrees_with(self, other: LatencyTable) -> bool:
        """Whether both were made with the same kernels, tools and settings: only such figures add up."""
        return not self.made_otherwise(other)

    def made_otherwise(self, other: LatencyTable) -> str:
        """The first thing that both were not made alike with, "" if there is none."""
        facts = zip(self._made_by.items(), other._made_by.values(), strict=True)
        return next((name.replace("_", " ") for (name, mine), its in facts if mine != its), "")

    def is_outdated_by(self, newer: LatencyTable) -> bool:
        """Whether this was timed with other kernels, or by another timing model; if calibrated, never."""
        if self.is_calibrated:
            return False
        other_model = self.provenance.get("timing_model") != newer.provenance.get("timing_model")
        return self.kernel_version != newer.kernel_version or (self.word is Word.SIMULATED and other_model)

    def with_more(self, milliseconds: Mapping[Signature, float]) -> LatencyTable:
        """This table with further timings; its own win."""
        return replace(self, milliseconds={**milliseconds, **self.milliseconds})

    @property
    def _made_by(self) -> dict[str, str | None]:
        said = {"board": self.board, "runtime": self.runtime, "dtype": self.dtype}
        said |= {"kernel_version": self.kernel_version, "source": self.word}
        tools = ("core", "clock_hz", "compiler", "timing_model", "memory")
        return {**said, **{key: self.provenance.get(key) for key in tools}}

    @property
    def grade(self) -> Grade:
        """What its figures are worth."""
        if self.word is Word.MEASURED:
            return Grade.MEASURED
        return Grade.CALIBRATED if self.is_calibrated else Grade.SIMULATED

    @property
    def is_calibrated(self) -> bool:
        """Whether the figures were fitted to measurements on the board."""
        return "calibration" in self.provenance

    @property
    def measured_classes(self) -> frozenset[str]:
        """The operation classes that the calibration saw; all others have the common scale."""
        pairs = self.provenance.get("calibration_scales", "").split()
        return frozenset(pair.partition("=")[0] for pair in pairs)

    @property
    def origin(self) -> Origin:
        """What must stand beside every figure of this table, e.g. `simulated: ..., uncalibrated`."""
        words = [f"{self.runtime} {self.kernel_version}"]
        if timing := self.provenance.get("timing_model"):
            words.append(timing)
        if self.provisional:
            words.append("provisional")
        if self.word is Word.SIMULATED:
            words.append(f"calibrated ({self.provenance['calibration']})" if self.is_calibrated else "uncalibrated")
        return Origin(self.word, ", ".join(words))

    def digest_of(self, signatures: Iterable[Signature]) -> str:
        """Equal only for tables that give these operations the same figures, made alike; other rows do not matter.

        Raises:
            UntimedOperation: one of them is not in the table.
        """
        figures = sorted(f"{encode(signature)} {_written(self[signature])}" for signature in {*signatures})
        overhead = f"{self.overhead_ms!r} {self.overhead_ms_per_input_byte!r}"
        facts = (*self._made_by.values(), self.provenance.get("calibration"), self.provisional, overhead)
        return sha256("\n".join([repr(facts), *figures]).encode()).hexdigest()[:16]

    def dump(self) -> str:
        """The table as the text of a .csv file, provenance first; `read_table` reads it back."""
        header = {
            "board": self.board,
            "runtime": self.runtime,
            "dtype": self.dtype,
            "kernel_version": self.kernel_version,
            "source": self.word,
            "provisional": "yes" if self.provisional else "no",
            "overhead_ms": repr(self.overhead_ms),
            _PER_BYTE: repr(self.overhead_ms_per_input_byte),
            **self.provenance,
        }
        text = io.StringIO()
        text.write(f"# {_FORMAT}\n")
        text.writelines(f"# {key}: {value}\n" for key, value in header.items())
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*FIELDS, "milliseconds"))
        writer.writerows((*encode(signature), _written(cost)) for signature, cost in self.milliseconds.items())
        return text.getvalue()


def _written(milliseconds: float) -> str:
    """A figure as files have it."""
    return f"{milliseconds:.7g}"


def rounded(milliseconds: float) -> float:
    """A figure as it is read back from a file, so that a table just made answers as the same one later."""
    return float(_written(milliseconds))


def untimed(board: str, runtime: str = OUR_RUNTIME) -> LatencyTable:
    """A table of a board on which nothing was timed yet: every lookup is an error that says what to do."""
    return LatencyTable(board, runtime, "int8", "none", Word.SIMULATED, 0.0, {})


def encode(signature: Signature) -> tuple[str, ...]:
    """A signature as the words of `FIELDS`."""
    numbers = (
        *signature.in_shape,
        *signature.out_shape,
        *(*signature.kernel, *signature.stride, *signature.padding[0], *signature.padding[1]),
        *(signature.operands, int(signature.relu_in)),
    )
    return (str(signature.kind), *map(str, numbers))


def decode(words: Mapping[str, str]) -> Signature:
    """The signature that `encode` wrote, from a mapping of `FIELDS` to words.

    Raises:
        ValueError: a field is missing or is no such thing; the message says which.
    """
    try:
        kind = Kind(words["kind"].strip())
    except (KeyError, ValueError):
        raise ValueError(f"unknown kind {shown(words.get('kind'))}") from None
    at = {name: _whole(name, words.get(name)) for name in _NUMBERS}
    if at["relu_in"] > 1:
        raise ValueError(f"relu_in must be 0 or 1, not {at['relu_in']}")
    return Signature(
        kind,
        (at["in_height"], at["in_width"], at["in_channels"]),
        (at["out_height"], at["out_width"], at["out_channels"]),
        kernel=(at["kernel_height"], at["kernel_width"]),
        stride=(at["stride_height"], at["stride_width"]),
        padding=((at["pad_above"], at["pad_below"]), (at["pad_left"], at["pad_right"])),
        operands=at["operands"],
        relu_in=bool(at["relu_in"]),
    )


def read_table(path: Path) -> LatencyTable:
    """The table in a .csv file.

    Raises:
        TableError: it cannot be read, lacks a header line, or has a line that is no timing.
    """
    text = read_text(path, TableError)
    header = _header(path, text)
    sheet = sheet_of(path, text, (*FIELDS, "milliseconds"))
    milliseconds: dict[Signature, float] = {}
    for (line, row), cost in zip(sheet.rows, sheet.positive("milliseconds"), strict=True):
        try:
            signature = decode(row)
        except ValueError as error:
            raise sheet.wrong(line, error) from error
        if signature in milliseconds:
            raise sheet.wrong(line, f"a second timing for {signature}")
        milliseconds[signature] = cost
    if not milliseconds:
        raise TableError(f"{path}: no timing in it")
    return _table(path, header, milliseconds)


def is_table(path: Path, text: str) -> bool:
    """Whether this is the text of a latency table.

    Raises:
        TableError: it is, but in an older format.
    """
    first = next(iter(remarks_of(text)), "")
    if first == _OLDER:
        raise TableError(f"{path}, line 1: a table of an older format ('# {first}'); profile the board anew")
    return first == _FORMAT


def _whole(name: str, word: str | None) -> int:
    number = whole_number(word or "")
    if number is None:
        raise ValueError(f"{name} must be a whole number, not {shown(word)}")
    return number


def _header(path: Path, text: str) -> dict[str, str]:
    if not is_table(path, text):
        raise TableError(f"{path}, line 1: no latency table; the first line must be '# {_FORMAT}'")
    header: dict[str, str] = {}
    for remark in remarks_of(text)[1:]:
        key, _, value = remark.partition(":")
        if key.strip() in header:
            raise TableError(f"{path}: its header says {shown(key.strip())} twice")
        header[key.strip()] = value.strip()
    if lacking := [key for key in _REQUIRED if not header.get(key)]:
        raise TableError(f"{path}: its header does not say {lacking[0]!r}")
    return header


def _table(path: Path, header: dict[str, str], milliseconds: dict[Signature, float]) -> LatencyTable:
    if header["source"] not in (Word.SIMULATED, Word.MEASURED):
        raise TableError(f"{path}: source is simulated or measured, not {shown(header['source'])}")
    overhead_ms = _not_negative(path, header, "overhead_ms")
    per_byte = _PER_BYTE in header and _not_negative(path, header, _PER_BYTE)
    if "calibration" in header:
        _not_negative(path, header, "calibration_error")  # the band beside every figure
    known = (*_REQUIRED, "provisional", _PER_BYTE)
    return LatencyTable(
        header["board"],
        header["runtime"],
        header["dtype"],
        header["kernel_version"],
        Word(header["source"]),
        overhead_ms,
        milliseconds,
        header.get("provisional") == "yes",
        {key: value for key, value in header.items() if key not in known},
        float(per_byte),
    )


def _not_negative(path: Path, header: Mapping[str, str], key: str) -> float:
    try:
        number = float(header.get(key, ""))
    except ValueError:
        number = math.nan
    if not 0 <= number <= _MOST:
        raise TableError(
            f"{path}: {key} must be a number of at least 0 and at most {_MOST:g}, not {shown(header.get(key, ''))}"
        )
    return number
