"""The regression behind a calibration: one common scale, classes drawn towards it, robust against absurd rows.

log measured = log(overhead + sum over classes of exp(common + class) * simulated) + error

Classes differ from the common scale with a spread, measurements from their prediction with a noise; both are estimated
from the rows together with the scales (expectation-maximisation), each with the weight of a few rows of the usual size,
so that four rows are no wild guess. Errors are Student's t: a row far off says little, and nothing when it is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_USUAL_NOISE, _NOISE_ROWS = 0.03, 2.0  # logarithmic, and how many rows that assumption weighs
_USUAL_SPREAD, _SPREAD_ROWS = 0.10, 2.0
_SEEN_ROWS = 0.3  # the same, where classes are judged that were not measured by how far measured ones lie apart
_OVERHEAD_SPREAD = 0.03  # of the typical network
_FREEDOM = 4.0  # of Student's t (Lange, Little & Taylor, 1989)
_ROUNDS = 60
_DOUBT = 40.0  # odds against a scale that cannot be told from 1 (ADR 22 has the trials)
_LARGEST_STEP = 1.0
_LARGEST_CLASS = np.log(2.0)  # so far off the others a class may begin; a lone row farther off is an absurd one


@dataclass(frozen=True)
class Components:
    """Standard deviations of logarithms: `noise` of a measurement about its prediction, `spread` of the classes."""

    noise: float
    spread: float


USUAL = Components(_USUAL_NOISE, _USUAL_SPREAD)


@dataclass(frozen=True)
class Solution:
    """What was fitted.

    Attributes:
        unknowns: (classes + 2,), the logarithm of the common scale, what each class adds to it, the overhead.
        covariance: of the same, (classes + 2, classes + 2).
        components: estimated along.
        rows: how many measurements were fitted.
    """

    unknowns: Vector
    covariance: Vector
    components: Components
    rows: int

    @property
    def common(self) -> float:
        """The scale of classes that were not measured, which may lie off the common one as far as others do."""
        own = self.unknowns[1:-1]
        seen = len(own)
        spread = (_SEEN_ROWS * _USUAL_SPREAD**2 + float(own @ own)) / (_SEEN_ROWS + seen - 1)
        error = self.components.noise**2 / self.rows
        return float(np.exp(_cautious(float(self.unknowns[0]), spread * (1 + 1 / seen) + error)))

    def scale(self, at: int) -> float:
        """Of one class; near 1 as far as it cannot be told from 1."""
        pick = np.zeros(len(self.unknowns))
        pick[[0, 1 + at]] = 1.0
        return float(np.exp(_cautious(float(pick @ self.unknowns), float(pick @ self.covariance @ pick))))

    def scales(self) -> Vector:
        """Of all classes, (classes,)."""
        return np.array([self.scale(at) for at in range(len(self.unknowns) - 2)], dtype=np.float64)

    @property
    def overhead(self) -> float:
        """Milliseconds."""
        return float(self.unknowns[-1])


def _cautious(logarithm: float, variance: float) -> float:
    """What is left of a scale's logarithm: all of it where it is far from 0, little within its own error.

    As if it were 0 unless the rows say otherwise: a figure that may be right as it stands is not made worse.
    """
    return logarithm / (1 + _DOUBT * float(np.exp(-0.5 * logarithm**2 / max(variance, 1e-18))))


@dataclass(frozen=True)
class Problem:
    """What was measured, and the simulated figures that explain it.

    Attributes:
        parts: (measurements, classes), simulated milliseconds of each class.
        networks: (measurements,), 1 for whole networks, which pay the overhead, else 0.
        measured: (measurements,), milliseconds.
        simulated_overhead: milliseconds.
        fits_overhead: whether the overhead is an unknown.
    """

    parts: Vector
    networks: Vector
    measured: Vector
    simulated_overhead: float
    fits_overhead: bool

    def only(self, kept: npt.NDArray[np.bool_]) -> Problem:
        """The same with some of the rows."""
        return Problem(
            self.parts[kept], self.networks[kept], self.measured[kept], self.simulated_overhead, self.fits_overhead
        )

    def predicted(self, scales: Vector, overhead: float) -> Vector:
        """Milliseconds of each row by the scales of the classes, (measurements,)."""
        return self.parts @ scales + overhead * self.networks

    def solve(self, fixed: Components | None = None) -> Solution:
        """The most probable unknowns; with the components of `fixed`, or estimated ones."""
        now = fixed or USUAL
        unknowns = self._start()
        covariance = np.zeros((len(unknowns), len(unknowns)))
        for _ in range(_ROUNDS):
            before, components = unknowns, now
            unknowns, covariance = self._step(unknowns, now)
            if fixed is None:
                now = self._components(unknowns, covariance, now)
            moved = abs(now.noise - components.noise) + abs(now.spread - components.spread)
            if np.abs(unknowns - before).max() + moved < 1e-7:
                break
        return Solution(unknowns, covariance, now, len(self.measured))

    def _start(self) -> Vector:
        """The median ratio of all rows, and what the median of each class's own rows is off it."""
        totals = self.parts.sum(axis=1)
        ratios = np.log(self.measured / (totals + self.simulated_overhead * self.networks))
        common = float(np.median(ratios))
        alone = (self.parts == totals[:, None]) & (self.networks == 0)[:, None]
        own = [float(np.median(ratios[its])) - common if its.any() else 0.0 for its in alone.T]
        off = [at if abs(at) < _LARGEST_CLASS else 0.0 for at in own]
        return np.array([common, *off, self.simulated_overhead])

    @cached_property
    def _typical(self) -> float:
        """Milliseconds of a network."""
        chosen = self.measured[self.networks > 0]
        return float(np.median(chosen)) if len(chosen) else 1.0

    def residuals(self, solution: Solution) -> Vector:
        """Logarithms of measured / fitted, (measurements,)."""
        return self._linear(solution.unknowns)[0]

    def _linear(self, unknowns: Vector) -> tuple[Vector, Vector]:
        """(residuals, slopes) at the unknowns: logarithms, and what each unknown moves the prediction's by."""
        parts = self.parts * np.exp(unknowns[0] + unknowns[1:-1])
        predicted = parts.sum(axis=1) + unknowns[-1] * self.networks
        slopes = np.column_stack([parts.sum(axis=1), parts, self.networks * self.fits_overhead]) / predicted[:, None]
        return np.log(self.measured / predicted), slopes

    def _step(self, unknowns: Vector, now: Components) -> tuple[Vector, Vector]:
        """One step of weighted least squares; (unknowns, their covariance). The overhead is not negative."""
        residuals, slopes = self._linear(unknowns)
        weighted = slopes * (_weights(residuals, now.noise) / now.noise**2)[:, None]
        draw = np.full(len(unknowns), now.spread**-2)
        draw[0], draw[-1] = 1e-6, (_OVERHEAD_SPREAD * self._typical) ** -2
        off = unknowns - np.array([0.0, *np.zeros(len(unknowns) - 2), self.simulated_overhead])
        covariance = np.linalg.inv(weighted.T @ slopes + np.diag(draw))
        step = covariance @ (weighted.T @ residuals - draw * off)
        step[:-1] = np.clip(step[:-1], -_LARGEST_STEP, _LARGEST_STEP)
        found = unknowns + step
        found[-1] = max(found[-1], 0.0)
        return found, np.asarray(covariance, dtype=np.float64)

    def _components(self, unknowns: Vector, covariance: Vector, now: Components) -> Components:
        residuals, slopes = self._linear(unknowns)
        unsure = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
        squares = float((_weights(residuals, now.noise) * (residuals**2 + unsure)).sum())
        noise = (_NOISE_ROWS * _USUAL_NOISE**2 + squares) / (_NOISE_ROWS + len(residuals))
        classes = unknowns[1:-1] ** 2 + np.diag(covariance)[1:-1]
        spread = (_SPREAD_ROWS * _USUAL_SPREAD**2 + float(classes.sum())) / (_SPREAD_ROWS + len(classes))
        return Components(float(np.sqrt(noise)), float(np.sqrt(spread)))


def _weights(residuals: Vector, noise: float) -> Vector:
    """Student's t: about 1 for what is within the noise, the less the farther off."""
    return (_FREEDOM + 1) / (_FREEDOM + (residuals / noise) ** 2)
