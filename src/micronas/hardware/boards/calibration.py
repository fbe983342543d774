"""Calibration: a scale for each operation class and an overhead, fitted to what a user measured on the board.

measured = overhead (whole networks only) + sum over classes of scale * simulated milliseconds of the class
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas.errors import UserError
from micronas.hardware.boards.table import FIELDS, LatencyTable, TableError, decode, is_table, positive_number, rows
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Signature
from micronas.spaces.space import ArchitectureError

FEWEST = 4
"""Measurements below which nothing is fitted: leaving one out must leave enough to fit."""

NUMBERS = ("channels", "cells", "input", "classes")
"""Columns of a file of measurements that change the network of their row."""

NetworkOf = Callable[[str, Mapping[str, int]], Graph]
"""(architecture in its notation, what the row's columns say) -> its graph; raises `ArchitectureError`."""

Vector = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

_NOISE, _SPREAD, _OVERHEAD_SPREAD = 0.05, 0.3, 0.1
_HUBER, _BIWEIGHT = 1.345, 4.685  # 95 % efficiency on normal errors (Holland & Welsch, 1977)
_ROUNDS = 30
_WORST_ERROR = 0.5  # median leave-one-out error; beyond it the uncalibrated figures, at 30 %, say more
_NO_SAY = 0.05  # weight of a measurement below which it is an outlier


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
    """

    scales: Mapping[str, float]
    common: float
    overhead_ms: float
    errors: tuple[float, ...]
    runtime: str
    source: str
    outliers: Mapping[str, float] = field(default_factory=dict[str, float])
    overhead_ms_per_input_byte: float = 0.0

    @property
    def typical_error(self) -> float:
        """Median of the leave-one-out errors, relative."""
        return float(np.median(self.errors))

    @property
    def band(self) -> float:
        """What nine of ten measurements stayed within when left out; the band of a latency of classes that were."""
        return float(np.quantile(self.errors, 0.9))

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
            scales = {name: float(scale) for name, scale in pairs}
            errors = tuple(float(error) for error in said["calibration_errors"].split())
            base = f"{said['calibrated_runtime']} {table.kernel_version}"
            return Calibration(
                scales,
                scales.pop("*"),
                table.overhead_ms,
                errors,
                table.runtime,
                base,
                overhead_ms_per_input_byte=table.overhead_ms_per_input_byte,
            )
        except (KeyError, ValueError) as error:
            raise TableError(f"the table of {table.board} does not say how it was calibrated: {error}") from error


def read_measurements(path: Path, network: NetworkOf, known: Sequence[Signature]) -> tuple[Measurement, ...]:
    """The measurements of a .csv with the columns `name` and `milliseconds`.

    A name is an operation as every page writes it, e.g. `conv3x3/1 32x32x16` (`known` are those it may name), or an
    architecture, of which `network` makes the graph; columns `channels`, `cells`, `input` and `classes` change the
    network of their row. A latency table will do as well.

    Raises:
        TableError: the file cannot be read; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from error
    operations = {str(signature): signature for signature in known}
    found: list[Measurement] = []
    columns = FIELDS if is_table(path, lines) else ("name",)
    for line, row in rows(path, lines, (*columns, "milliseconds")):
        try:
            found.append(_measurement(line, row, network, operations))
        except (ValueError, UserError) as error:
            raise TableError(f"{path}, line {line}: {error}") from error
    return tuple(found)


def fit(
    table: LatencyTable,
    measurements: Sequence[Measurement],
    runtime: str | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """The calibration that explains the measurements best, most of them at least.

    Robust regression on the logarithm of measured / predicted (a factor 2 too slow weighs as much as
    a factor 2 too fast): iteratively reweighted least squares, Huber's weights from the medians of the
    classes first, then Tukey's biweight, which drops outliers. Classes are drawn towards one common
    scale as if they differed by some 30 % and measurements by some 5 %, so that a class seen once, or
    only within networks, is no wild guess.
    `runtime` says whose kernels were measured, by default the table's own.

    Raises:
        CalibrationError: too few measurements, or too few that fit each other or the simulated figures.
        UntimedOperation: a measured operation is not in the table.
    """
    if len(measurements) < FEWEST:
        raise CalibrationError(f"calibration needs at least {FEWEST} measurements, not {len(measurements)}")
    problem = _Problem.of(table, measurements)
    solution, weights = problem.solve()
    errors: list[float] = []
    outliers: dict[str, float] = {}
    for at, one in enumerate(measurements):
        error = problem.error_without(at)
        if weights[at] < _NO_SAY:
            outliers[f"{one.name} (line {one.line})"] = error
        else:
            errors.append(error)
        if progress is not None:
            progress(at + 1, len(measurements))
    if len(errors) < FEWEST:
        raise CalibrationError(f"only {len(errors)} of {len(measurements)} measurements fit each other; measure again")
    if (typical := float(np.median(errors))) > _WORST_ERROR:
        raise CalibrationError(
            f"the {len(measurements)} measurements do not predict each other (median error {typical:.0%}): "
            "are they milliseconds, of this board and one runtime?"
        )
    scales = dict(zip(problem.classes, map(float, solution[1:-1] + solution[0]), strict=True))
    overhead = (float(solution[-1]), 0.0)
    if not problem.overheads.any():  # nothing measured says anything about it
        overhead = (table.overhead_ms, table.overhead_ms_per_input_byte)
    source = f"{table.runtime} {table.kernel_version}"
    return Calibration(
        *(scales, float(solution[0]), overhead[0], tuple(errors), runtime or table.runtime, source, outliers),
        overhead_ms_per_input_byte=overhead[1],
    )


# --- the regression -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """Unknowns: the common scale, what each class adds to it, the overhead.

    Attributes:
        classes: operation classes that occur.
        parts: (measurements, classes), simulated milliseconds of each class.
        overheads: (measurements,), 1 for whole networks.
        measured: (measurements,), milliseconds.
    """

    classes: tuple[str, ...]
    parts: Vector
    overheads: Vector
    measured: Vector

    @staticmethod
    def of(table: LatencyTable, measurements: Sequence[Measurement]) -> _Problem:
        rows_: list[Counter[str]] = []
        for one in measurements:
            costs: Counter[str] = Counter()
            for signature, times in one.counts.items():
                costs[signature.operation] += times * table[signature]  # pyright: ignore[reportArgumentType]
            rows_.append(costs)
        classes = tuple(sorted({name for costs in rows_ for name in costs}))
        parts = np.array([[costs[name] for name in classes] for costs in rows_], dtype=np.float64)
        overheads = np.array([float(one.is_network) for one in measurements])
        return _Problem(classes, parts, overheads, np.array([one.milliseconds for one in measurements]))

    @cached_property
    def design(self) -> Vector:
        """(measurements, unknowns): what each unknown adds to a prediction."""
        return np.column_stack([self.parts.sum(axis=1), self.parts, self.overheads])

    def solve(self) -> tuple[Vector, Vector]:
        """(unknowns, weights of the measurements).

        The logarithm is linearised at the last solution; penalties stand below as further rows.
        """
        solution, weights = self._start(), np.ones(len(self.measured))
        for weigh in (_huber, _biweight):  # the second forgets outliers altogether, but needs a good start
            for _ in range(_ROUNDS):
                predicted = np.maximum(self.design @ solution, 1e-3 * self.measured)
                residuals = np.log(self.measured / predicted)
                weights = weigh(residuals)
                before, solution = solution, self._step(solution, predicted, residuals, weights)
                if np.allclose(before, solution, rtol=1e-6, atol=1e-9):
                    break
        return solution, weights

    def error_without(self, left_out: int) -> float:
        """Relative error of one measurement's prediction from the others."""
        kept = np.arange(len(self.measured)) != left_out
        others = replace(self, parts=self.parts[kept], overheads=self.overheads[kept], measured=self.measured[kept])
        predicted = float(self.design[left_out] @ others.solve()[0])
        return abs(predicted / float(self.measured[left_out]) - 1)

    def _start(self) -> Vector:
        """The median ratio of all, and what the median of the operations of one class is off it."""
        totals = self.parts.sum(axis=1)
        ratios = self.measured / totals
        common = float(np.median(ratios))
        pure = self.parts == totals[:, None]
        own = [float(np.median(ratios[rows_])) - common if rows_.any() else 0.0 for rows_ in pure.T]
        return np.array([common, *own, 0.0])

    def _step(self, solution: Vector, predicted: Vector, residuals: Vector, weights: Vector) -> Vector:
        """Weighted least squares around the last solution, with the penalties; the overhead is not negative."""
        slope = self.design / predicted[:, None]
        share = np.sqrt(weights)[:, None]
        target = residuals + slope @ solution
        common = solution[0]
        networks = self.measured[self.overheads > 0]
        typical = float(np.median(networks)) if len(networks) else 1.0
        classes = len(self.classes)
        draw = np.zeros((classes + 1, classes + 2))
        draw[:classes, 1:-1] = np.eye(classes) * _NOISE / (_SPREAD * common)
        draw[classes, -1] = _NOISE / (_OVERHEAD_SPREAD * typical)
        rows_ = np.vstack([slope * share, draw])
        wanted = np.concatenate([target * share[:, 0], np.zeros(classes + 1)])
        found = _least_squares(rows_, wanted)
        if found[-1] < 0:
            found = np.append(_least_squares(rows_[:, :-1], wanted), 0.0)
        least = common / 20  # scales stay positive whatever the data
        found[0] = max(found[0], least)
        found[1:-1] = np.maximum(found[1:-1], least - found[0])
        return found


def _least_squares(rows_: Vector, wanted: Vector) -> Vector:
    return np.linalg.lstsq(rows_, wanted, rcond=None)[0].astype(np.float64)


def _huber(residuals: Vector) -> Vector:
    """1 for what is within the usual scatter, less the farther off."""
    return np.minimum(1.0, _HUBER * _scatter(residuals) / np.maximum(np.abs(residuals), 1e-12))


def _biweight(residuals: Vector) -> Vector:
    """About 1 for what is within the usual scatter, 0 for what is far off."""
    return np.maximum(0.0, 1 - (residuals / (_BIWEIGHT * _scatter(residuals))) ** 2) ** 2


def _scatter(residuals: Vector) -> float:
    """A standard deviation that outliers do not move; no measurement is better than 1 %."""
    return max(1.4826 * float(np.median(np.abs(residuals))), 0.01)


# --- reading ------------------------------------------------------------------------------------


def _measurement(
    line: int, row: Mapping[str, str], network: NetworkOf, operations: Mapping[str, Signature]
) -> Measurement:
    milliseconds = positive_number("milliseconds", row["milliseconds"])
    if "kind" in row:
        signature = decode(row)
        return Measurement(str(signature), line, {signature: 1}, False, milliseconds)
    name = row["name"].strip()
    if name in operations:
        return Measurement(name, line, {operations[name]: 1}, False, milliseconds)
    try:
        graph = network(name, _numbers(row))
    except ArchitectureError as error:
        raise ValueError(f"{name!r} is no operation the board was profiled for, and no architecture: {error}") from None
    try:
        counts = Counter(layer.signature for layer in deploy(graph).operations)
    except Disconnected:
        raise ValueError(f"{name} has no path to its output, so nothing runs") from None
    return Measurement(name, line, counts, True, milliseconds)


def _numbers(row: Mapping[str, str]) -> dict[str, int]:
    """What the columns of a row say of its network."""
    numbers: dict[str, int] = {}
    for column in NUMBERS:
        word = row.get(column, "").strip()
        if word and not word.isdecimal():
            raise ValueError(f"{column} must be a whole number, not {word!r}")
        if word:
            numbers[column] = int(word)
    return numbers
