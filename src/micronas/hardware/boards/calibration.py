"""Calibration: a scale for each operation class and an overhead, fitted to what a user measured on the board.

measured = overhead (whole networks only) + sum over classes of scale * simulated milliseconds of the class
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from micronas.errors import UserError
from micronas.hardware.boards.bands import Band, band_of, mean
from micronas.hardware.boards.believed import FEWEST, Progress, believed_of, far, left_out_errors
from micronas.hardware.boards.regression import Problem
from micronas.hardware.boards.sheet import TableError, sheet_of
from micronas.hardware.boards.table import FIELDS, LatencyTable, decode, is_table
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Signature
from micronas.quantity import whole_number
from micronas.spaces.space import ArchitectureError
from micronas.texts import first_line, read_text, shown

NUMBERS = ("channels", "cells", "input", "classes")
"""Columns of a file of measurements that change the network of their row."""

NetworkOf = Callable[[str, Mapping[str, int]], Graph]
"""(architecture in its notation, what the row's columns say) -> its graph; raises `ArchitectureError`."""


_WORST_ERROR = 0.5  # median leave-one-out error; beyond it the uncalibrated figures, at 40 %, say more
_FEWEST_NETWORKS = 3
_SCALES = (0.2, 20.0)  # a common scale beyond is no board's
_NINE_OF_TEN = 1.645  # deviations of a normal error


class CalibrationError(UserError):
    """Measurements that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Measurement:
    """What a user measured on the board: one operation, or a whole network.

    Attributes:
        name: as the user wrote it.
        line: of the file, for messages.
        counts: how often it runs each operation.
        is_network: whole networks pay the overhead.
        milliseconds: measured.
    """

    name: str
    line: int
    counts: Mapping[Signature, int]
    is_network: bool
    milliseconds: float


@dataclass(frozen=True)
class Calibration:
    """Scales of the operation classes and the overhead, with how well they predict what they have not seen.

    Attributes:
        scales: of the classes that were measured, alone or within networks.
        common: of all other classes.
        overhead_ms: of a whole network; the simulated one if no whole network was measured.
        errors: relative error of each measurement when it is predicted from the others; without outliers.
        runtime: whose kernels were measured on the board.
        source: the runtime and version of the simulated figures that are scaled.
        outliers: the same error of measurements that do not fit the others and had no say, by name and line.
        overhead_ms_per_input_byte: as the table has it; 0 where the overhead was fitted, for then it is a constant.
        noise: of the measurements, pooled: a standard deviation, relative.
        uncalibrated: the band of what was measured before it was calibrated; None of a table that is read back.
    """

    scales: Mapping[str, float]
    common: float
    overhead_ms: float
    errors: tuple[float, ...]
    runtime: str
    source: str
    outliers: Mapping[str, float] = field(default_factory=dict[str, float])
    overhead_ms_per_input_byte: float = 0.0
    noise: float = 0.0
    uncalibrated: Band | None = None

    @property
    def typical_error(self) -> float:
        """Median of the leave-one-out errors, relative."""
        return float(np.median(self.errors))

    @property
    def band(self) -> float:
        """What nine of ten measurements stay within when left out; the band of a latency of classes that were.

        Never less than the pooled noise allows: a few rows that happen to agree are no proof.
        """
        return max(float(np.quantile(self.errors, 0.9)), _NINE_OF_TEN * self.noise)

    @property
    def doubt(self) -> str:
        """Why not to use it, "" if nothing speaks against it."""
        before = self.uncalibrated
        if before is None or 2 * self.band <= before.width:
            return ""
        return (
            f"the measurements predict each other within {self.band:.0%} only, and uncalibrated figures are within "
            f"{before.low - 1:+.0%} and {before.high - 1:+.0%}; measure more operations, each several times"
        )

    @property
    def summary(self) -> str:
        """`31 measurements, 2 outliers, median leave-one-out error 3.1%`."""
        few = len(self.outliers)
        outliers = f", {few} outlier{'s' if few > 1 else ''}" if few else ""
        count = len(self.errors) + len(self.outliers)
        return f"{count} measurements{outliers}, median leave-one-out error {self.typical_error:.1%}"

    def scale(self, signature: Signature) -> float:
        """What a simulated figure is multiplied by."""
        return self.scales.get(signature.operation, self.common)

    def applied_to(self, table: LatencyTable) -> LatencyTable:
        """The table with scaled figures, marked as calibrated; it stays simulated."""
        scales = " ".join(f"{name}={scale!r}" for name, scale in {"*": self.common, **self.scales}.items())
        return replace(
            table,
            runtime=self.runtime,
            overhead_ms=self.overhead_ms,
            overhead_ms_per_input_byte=self.overhead_ms_per_input_byte,
            milliseconds={signature: cost * self.scale(signature) for signature, cost in table.milliseconds.items()},
            provenance={
                **table.provenance,
                "calibration": self.summary,
                "calibration_error": repr(round(self.band, 6)),
                "calibration_noise": repr(round(self.noise, 6)),
                "calibration_errors": " ".join(repr(round(error, 6)) for error in self.errors),
                "calibration_scales": scales,
                "calibrated_runtime": table.runtime,
                "simulated_overhead_ms": repr(table.overhead_ms),
                "simulated_overhead_ms_per_input_byte": repr(table.overhead_ms_per_input_byte),
            },
        )

    def removed_from(self, table: LatencyTable) -> LatencyTable:
        """The table before `applied_to`."""
        added = ("calibration", "calibrated_runtime", "simulated_overhead_ms")
        return replace(
            table,
            runtime=table.provenance["calibrated_runtime"],
            overhead_ms=float(table.provenance["simulated_overhead_ms"]),
            overhead_ms_per_input_byte=float(table.provenance.get("simulated_overhead_ms_per_input_byte", 0.0)),
            milliseconds={signature: cost / self.scale(signature) for signature, cost in table.milliseconds.items()},
            provenance={key: value for key, value in table.provenance.items() if not key.startswith(added)},
        )

    @staticmethod
    def of(table: LatencyTable) -> Calibration | None:
        """The calibration a table says it went through, None if it did not.

        Raises:
            TableError: the table's header says it in no form that can be read.
        """
        if not table.is_calibrated:
            return None
        said = table.provenance
        try:
            pairs = [pair.split("=") for pair in said["calibration_scales"].split()]
            scales = {name: _within(scale, 1e-9, 1e9) for name, scale in pairs}
            errors = tuple(_within(error, 0, 1e9) for error in said["calibration_errors"].split())
            for key in ("simulated_overhead_ms", "simulated_overhead_ms_per_input_byte"):
                _within(said.get(key, "0") if key.endswith("byte") else said[key], 0, 1e9)
            if not errors:
                raise ValueError("no calibration_errors")
            base = f"{said['calibrated_runtime']} {table.kernel_version}"
            return Calibration(
                scales,
                scales.pop("*"),
                table.overhead_ms,
                errors,
                table.runtime,
                base,
                overhead_ms_per_input_byte=table.overhead_ms_per_input_byte,
                noise=_within(said.get("calibration_noise", "0"), 0, 1e9),
            )
        except (KeyError, ValueError) as error:
            raise TableError(
                f"the table of {table.board} does not say how it was calibrated: {first_line(error)}"
            ) from error


def read_measurements(path: Path, network: NetworkOf, known: Sequence[Signature]) -> tuple[Measurement, ...]:
    """The measurements of a .csv with the columns `name` and `milliseconds`.

    A name is an operation as every page writes it, e.g. `conv3x3/1 32x32x16` (`known` are those it may name), or an
    architecture, of which `network` makes the graph; columns `channels`, `cells`, `input` and `classes` change the
    network of their row. A latency table will do as well.

    Raises:
        TableError: the file cannot be read; the message names the line.
    """
    text = read_text(path, TableError)
    operations = {str(signature): signature for signature in known}
    found: list[Measurement] = []
    sheet = sheet_of(path, text, (*(FIELDS if is_table(path, text) else ("name",)), "milliseconds"))
    for (line, row), milliseconds in zip(sheet.rows, sheet.positive("milliseconds"), strict=True):
        try:
            found.append(_measurement(line, row, milliseconds, network, operations))
        except (ValueError, UserError) as error:
            raise sheet.wrong(line, error) from error
    return tuple(found)


def fit(
    table: LatencyTable,
    measurements: Sequence[Measurement],
    runtime: str | None = None,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> Calibration:
    """The calibration that explains the measurements best, most of them at least (`regression.py`).

    Rows of one signature are one measurement. Rows that are far off what all others say, and by more than 15 %, are
    outliers and have no say. A scale that cannot be told from 1 stays near it. `runtime` says whose kernels were
    measured, by default the table's own; `force` believes a common scale that is no board's.

    Raises:
        CalibrationError: too few measurements, or too few that fit each other or the simulated figures; or a common
            scale that looks like a slip of the unit.
        UntimedOperation: a measured operation is not in the table.
    """
    if len(measurements) < FEWEST:
        raise CalibrationError(f"calibration needs at least {FEWEST} measurements, not {len(measurements)}")
    rows_ = _Rows.of(measurements)
    if (left := len(measurements) - len(rows_.strays)) < FEWEST:
        raise CalibrationError(f"only {left} of {len(measurements)} measurements fit each other; measure again")
    if len(rows_.merged) < FEWEST:
        raise CalibrationError(
            f"rows of one operation are one measurement: these are {len(rows_.merged)}, and calibration needs at "
            f"least {FEWEST}; measure other operations too"
        )
    classes, problem = _problem(table, rows_.merged)
    believed = believed_of(problem)
    if (left := int(believed.sum())) < FEWEST:
        raise CalibrationError(f"only {left} of {len(rows_.merged)} measurements fit each other; measure again")
    kept = problem.only(believed)
    solution = kept.solve()
    errors = left_out_errors(kept, solution, progress)
    if (typical := float(np.median(errors))) > _WORST_ERROR:
        raise CalibrationError(
            f"the {len(measurements)} measurements do not predict each other (median error {typical:.0%}): "
            "are they milliseconds, of this board and one runtime?"
        )
    if not (_SCALES[0] <= (common := float(np.exp(solution.unknowns[0]))) <= _SCALES[1] or force):
        slip = _slip(common, float(table.provenance.get("clock_hz", 0)))
        raise CalibrationError(f"these rows are {common:.3g} times what is simulated, {slip}; --force believes it")
    off = np.abs(np.exp(-problem.residuals(solution)) - 1)
    outliers = {_place(one): float(off[at]) for at, one in enumerate(rows_.merged) if not believed[at]}
    overhead = (solution.overhead, 0.0) if kept.fits_overhead else (table.overhead_ms, table.overhead_ms_per_input_byte)
    seen = kept.parts.sum(axis=0) > 0
    ran = [(table[one] * times, band_of(table, one)) for row in rows_.merged for one, times in row.counts.items()]
    return Calibration(
        {
            name: scale
            for name, scale, is_seen in zip(classes, map(float, solution.scales()), seen, strict=True)
            if is_seen
        },
        solution.common,
        overhead[0],
        tuple(errors),
        runtime or table.runtime,
        f"{table.runtime} {table.kernel_version}",
        {_place(one): error for one, error in rows_.strays} | outliers,
        overhead_ms_per_input_byte=overhead[1],
        noise=solution.components.noise,
        uncalibrated=mean(ran),
    )


# --- the rows -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """Rows of one signature (or of one network) merged into one measurement, and those of them that fit none.

    Attributes:
        merged: the typical one of each, at the median of their milliseconds.
        strays: rows too far off their equals, with the error.
    """

    merged: tuple[Measurement, ...]
    strays: Sequence[tuple[Measurement, float]]

    @staticmethod
    def of(measurements: Sequence[Measurement]) -> _Rows:
        alike: dict[object, list[Measurement]] = {}
        for one in measurements:
            alike.setdefault((frozenset(one.counts.items()), one.is_network), []).append(one)
        merged: list[Measurement] = []
        strays: list[tuple[Measurement, float]] = []
        for equals in alike.values():
            logs = np.log([one.milliseconds for one in equals])
            stray = far(logs - np.median(logs))
            errors = np.exp(np.median(logs) - logs) - 1
            strays += [(one, abs(float(errors[at]))) for at, one in enumerate(equals) if stray[at]]
            merged.append(replace(equals[0], milliseconds=float(np.exp(np.median(logs[~stray])))))
        return _Rows(tuple(merged), strays)


def _place(one: Measurement) -> str:
    return f"{one.name} (line {one.line})"


def _problem(table: LatencyTable, measurements: Sequence[Measurement]) -> tuple[tuple[str, ...], Problem]:
    """(the operation classes that occur, what is to be explained).

    One network's own error is no overhead: that is fitted from three networks on.
    """
    costs: list[Counter[str]] = [Counter() for _ in measurements]
    for sums, one in zip(costs, measurements, strict=True):
        for signature, times in one.counts.items():
            sums[signature.operation] += times * table[signature]  # pyright: ignore[reportArgumentType]
    classes = tuple(sorted({name for sums in costs for name in sums}))
    parts = np.array([[sums[name] for name in classes] for sums in costs], dtype=np.float64)
    networks = np.array([float(one.is_network) for one in measurements])
    measured = np.array([one.milliseconds for one in measurements])
    return classes, Problem(parts, networks, measured, table.overhead_ms, networks.sum() >= _FEWEST_NETWORKS)


# --- slips of a unit ----------------------------------------------------------------------------


def _slip(scale: float, clock_hz: float) -> str:
    """What unit the rows may be in, of which milliseconds were expected: that which brings the scale nearest to 1."""
    units = {"microseconds": 1e3, "nanoseconds": 1e6, "seconds": 1e-3}
    if clock_hz:
        units["cycles"] = clock_hz / 1e3
    unit, factor = min(units.items(), key=lambda one: abs(np.log(scale / one[1])))
    near = _SCALES[0] <= scale / factor <= _SCALES[1]
    return f"probably a slip of the unit: {unit if near else 'microseconds, seconds or cycles'}, not milliseconds"


# --- reading ------------------------------------------------------------------------------------


def _measurement(
    line: int, row: Mapping[str, str], milliseconds: float, network: NetworkOf, operations: Mapping[str, Signature]
) -> Measurement:
    if "kind" in row:
        signature = decode(row)
        return Measurement(str(signature), line, {signature: 1}, False, milliseconds)
    name = row["name"].strip()
    if name in operations:
        return Measurement(name, line, {operations[name]: 1}, False, milliseconds)
    try:
        graph = network(name, _numbers(row))
    except ArchitectureError as error:
        raise ValueError(
            f"{shown(name)} is no operation the board was profiled for, and no architecture: {error}"
        ) from None
    try:
        counts = Counter(layer.signature for layer in deploy(graph).operations)
    except Disconnected:
        raise ValueError(f"{name} has no path to its output, so nothing runs") from None
    return Measurement(name, line, counts, True, milliseconds)


def _within(word: str, least: float, most: float) -> float:
    number = float(word)
    if not least <= number <= most:
        raise ValueError(f"{shown(word)} is not between {least:g} and {most:g}")
    return number


def _numbers(row: Mapping[str, str]) -> dict[str, int]:
    """What the columns of a row say of its network."""
    numbers: dict[str, int] = {}
    for column in NUMBERS:
        if word := row.get(column, "").strip():
            number = whole_number(word)
            if number is None:
                raise ValueError(f"{column} must be a whole number, not {shown(word)}")
            numbers[column] = number
    return numbers
