"""Which measurements have a say, and how well those predict each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from micronas.hardware.boards.regression import Problem, Solution, Vector

FEWEST = 4
"""Different measurements below which nothing is fitted: leaving one out must leave enough to fit."""

Progress = Callable[[int, int], None]
Chosen = npt.NDArray[np.bool_]

_NO_OUTLIER = 0.15  # relative error within which no measurement is an outlier
_FAR = 3.5  # deviations beyond which one may be
_TO_DEVIATION = 1.4826  # a median of absolute residuals as the standard deviation of normal ones
_PASSES = 5


def far(residuals: Vector) -> Chosen:
    """Whether each residual, a logarithm, is beyond 15 % and beyond what the others scatter."""
    scatter = _TO_DEVIATION * float(np.median(np.abs(residuals)))
    return np.abs(np.exp(-residuals) - 1) > np.maximum(_NO_OUTLIER, np.exp(_FAR * scatter) - 1)


def believed_of(problem: Problem) -> Chosen:
    """Which measurements have a say: those that fit all the others, or are within 15 % of what these predict."""
    believed = np.ones(len(problem.measured), dtype=np.bool_)
    for _ in range(_PASSES):
        kept = problem.only(believed)
        solution = kept.solve()
        now = ~far(problem.residuals(solution)) if believed.all() else _readmitted(problem, solution, believed)
        if (now == believed).all() or now.sum() < FEWEST:
            return now
        believed = now
    return believed


def _readmitted(problem: Problem, solution: Solution, believed: Chosen) -> Chosen:
    """Those that were believed, and what is within 15 % of what they predict."""
    near = np.abs(np.exp(-problem.residuals(solution)) - 1) <= _NO_OUTLIER
    return believed | near


def left_out_errors(problem: Problem, solution: Solution, progress: Progress | None) -> list[float]:
    """The relative error of each measurement when it is predicted from the others.

    A class with one row of its own cannot be predicted by others of it, and takes the residual of all rows pooled:
    its scale's and its own.
    """
    pooled = 2**0.5 * solution.components.noise
    errors: list[float] = []
    shares = problem.parts / problem.parts.sum(axis=1)[:, None]
    for at in range(len(problem.measured)):
        others = np.arange(len(problem.measured)) != at
        lone = (shares[at] > _MOSTLY) & ~(shares[others] > _MOSTLY).any(axis=0)
        if lone.any():
            errors.append(pooled)
        else:
            left = problem.only(others).solve(solution.components)
            errors.append(abs(float(np.exp(-problem.residuals(left)[at]) - 1)))
        if progress is not None:
            progress(at + 1, len(problem.measured))
    return errors


_MOSTLY = 0.5
"""Of the milliseconds of a measurement: what is of one class by more than this is that class's own."""
