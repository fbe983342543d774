"""Counting on one cell, and multiplied, is counting the whole network's layers."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from micronas.network.deployed import deploy
from micronas.network.live import Disconnected
from micronas.network.segments import parts_of
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, cell_drawer, read_cell
from micronas.spaces.nasbench201.counting import counts, parts
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.space import FORMS, Form
from micronas.task import Task

IDENTITY = read_cell("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
DEAD = read_cell("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|")

SKELETONS = (
    (Skeleton(), Task()),
    (Skeleton(channels=3, cells=1, stages=1), Task((9, 7, 1), 4)),
    (Skeleton(channels=5, cells=2, stages=2, stem_stride=2), Task((16, 8, 3), 2)),
    (Skeleton(channels=2, cells=3, stages=4), Task((16, 16, 3))),
    (Skeleton(channels=4, cells=3, stages=2, stem=False), Task((8, 8, 4), 2)),
)


def sampled(number: int, seed: int) -> list[Choices]:
    return [CELLS.completion(at) for at in random.Random(seed).sample(range(CELLS.size), number)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("skeleton", "task"), SKELETONS, ids=str)
def test_counts_are_those_of_the_whole_network(skeleton: Skeleton, task: Task, form: Form) -> None:
    for cell in (*sampled(25, seed=len(form)), IDENTITY, DEAD, read_cell(_FULL)):
        try:
            expected = Counter(layer.signature for layer in FORMS[form](skeleton.lower(cell_drawer(cell), task)))
        except Disconnected:
            with pytest.raises(Disconnected):
                counts(cell, skeleton, task, form)
            continue
        assert counts(cell, skeleton, task, form) == expected


@pytest.mark.parametrize(("skeleton", "task"), SKELETONS, ids=str)
def test_parts_are_those_of_the_whole_network(skeleton: Skeleton, task: Task) -> None:
    for cell in (*sampled(60, seed=5), IDENTITY, DEAD, read_cell(_FULL)):
        try:
            expected = Counter(parts_of(deploy(skeleton.lower(cell_drawer(cell), task))))
        except Disconnected:
            with pytest.raises(Disconnected):
                parts(cell, skeleton, task)
            continue
        assert parts(cell, skeleton, task) == expected


_FULL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"


@pytest.mark.parametrize("form", FORMS)
def test_what_is_counted_belongs_to_the_caller(form: Form) -> None:
    """Nobody's changes are seen by whoever asks next."""
    cell, skeleton, task = read_cell(_FULL), replace(Skeleton(), cells=2), Task()
    for ask in (counts, parts):
        first = ask(cell, skeleton, task, form)
        kept = Counter(first)
        first.clear()
        assert ask(cell, skeleton, task, form) == kept
