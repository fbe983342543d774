"""Which measurements have a say: those that fit the others; and how well the others predict each."""

from __future__ import annotations

import numpy as np
import pytest

from micronas.hardware.boards.believed import believed_of, far, left_out_errors
from micronas.hardware.boards.regression import Problem


def problem(ratios: list[float], classes: list[int] | None = None) -> Problem:
    """Operations of 1 to 2 ms, each of one class, that take so many times what is simulated."""
    simulated = np.linspace(1.0, 2.0, len(ratios))
    of = classes or [0] * len(ratios)
    parts = np.zeros((len(ratios), max(of) + 1))
    parts[range(len(ratios)), of] = simulated
    return Problem(parts, np.zeros(len(ratios)), simulated * ratios, 0.0, False)


@pytest.mark.parametrize(
    ("residuals", "expected"),
    [
        ([0.0, 0.01, -0.01, 0.02, 3.0], [False] * 4 + [True]),
        ([0.0, 0.01, -0.01, 0.02, -3.0], [False] * 4 + [True]),
        ([0.0, 0.001, -0.001, 0.0, 0.13], [False] * 5),  # nothing within 15 % is one
        ([0.5, -0.5, 0.6, -0.4, 0.7], [False] * 5),  # all are far: none is farther than the rest scatter
    ],
)
def test_far_is_what_lies_beyond_the_scatter_of_all(residuals: list[float], expected: list[bool]) -> None:
    assert far(np.array(residuals)).tolist() == expected


@pytest.mark.parametrize("wrong", [10.0, 0.1, 1.8])
@pytest.mark.parametrize("at", [0, 3, 7])
def test_one_wrong_row_has_no_say_and_all_others_have(wrong: float, at: int) -> None:
    ratios = [1.2, 1.21, 1.19, 1.2, 1.22, 1.18, 1.2, 1.21]
    ratios[at] *= wrong
    assert believed_of(problem(ratios)).tolist() == [other != at for other in range(8)]


def test_two_wrong_rows_on_one_side_have_no_say() -> None:
    ratios = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 5.0, 6.0]
    assert believed_of(problem(ratios)).tolist() == [True] * 7 + [False] * 2


def test_what_fits_is_believed_whole() -> None:
    assert believed_of(problem([1.3, 1.31, 1.29, 1.3, 1.32])).all()


def test_who_is_left_out_first_may_be_let_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look finds the last two far; without both, the one of them that the others predict comes back."""
    said = iter([np.array([False] * 6 + [True, True])])
    monkeypatch.setattr("micronas.hardware.boards.believed.far", lambda _: next(said))
    ratios = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.05, 3.0]
    assert believed_of(problem(ratios)).tolist() == [True] * 7 + [False]


def test_the_others_predict_each_row() -> None:
    ratios = [1.1, 1.1, 1.1, 1.1, 1.2]
    told: list[tuple[int, int]] = []
    its = problem(ratios)
    errors = left_out_errors(its, its.solve(), lambda done, total: told.append((done, total)))
    assert told == [(at, 5) for at in range(1, 6)]
    assert errors[-1] == pytest.approx(1 - 1.1 / 1.2, abs=0.01)
    assert max(errors[:4]) < 0.03


def test_the_only_row_of_a_class_takes_the_residual_of_all() -> None:
    its = problem([1.1, 1.11, 1.09, 1.1, 1.4], classes=[0, 0, 0, 0, 1])
    solution = its.solve()
    assert left_out_errors(its, solution, None)[-1] == 2**0.5 * solution.components.noise
