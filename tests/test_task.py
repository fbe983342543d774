"""A task is pictures in and classes out; what no microcontroller could hold is refused before it fills this machine."""

from __future__ import annotations

import pytest

from micronas.errors import UserError
from micronas.task import ONE_CELL, REDUCED, Probe, Task


@pytest.mark.parametrize(
    ("shape", "classes", "says"),
    [
        ((0, 32, 3), 10, "the input's height must be a whole number of at least 1, not 0"),
        ((32, -1, 3), 10, "the input's width must be a whole number of at least 1, not -1"),
        ((32, 32, 1.5), 10, "the input's channels must be a whole number of at least 1, not 1.5"),
        ((32, True, 3), 10, "the input's width must be a whole number of at least 1, not True"),
        ((32, 32), 10, "the input's shape must be (height, width, channels), not (32, 32)"),
        ([32, 32, 3], 10, "the input's shape must be (height, width, channels), not [32, 32, 3]"),
        (32, 10, "the input's shape must be (height, width, channels), not 32"),
        ((32, 32, 3), 0, "classes must be a whole number of at least 1, not 0"),
        ((32, 32, 3), "10", "classes must be a whole number of at least 1, not '10'"),
        ((4096, 4096, 3), 10, "an input of 4096x4096x3 takes 48 MiB; no microcontroller holds that"),
    ],
)
def test_no_such_task(shape: tuple[int, int, int], classes: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        Task(shape, classes)
    assert str(caught.value) == says


def test_tasks_and_probes_read_aloud() -> None:
    assert str(Task((49, 10, 1), 12)) == "49x10x1 -> 12 classes"
    assert str(REDUCED) == "C=3 N=1 32x32x3 -> 10 classes"
    assert str(ONE_CELL) == "C=1, one cell alone, 3x3x1 -> 10 classes"
    assert str(Probe(channels=None, depth=None)) == "C as deployed N as deployed 32x32x3 -> 10 classes"


def test_a_probe_has_a_task_of_its_own() -> None:
    assert ONE_CELL.task == Task((3, 3, 1), 10)
    with pytest.raises(UserError, match="the input's height"):
        Probe((0, 3, 1)).task  # noqa: B018
