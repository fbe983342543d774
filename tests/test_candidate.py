"""A candidate is a network of a space for a task, and lowers itself once."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from micronas.candidate import Candidate, everything
from micronas.errors import UserError
from micronas.network.graph import Graph
from micronas.spaces.decisions import NONE, Choices, Removal
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import SMALL, OpenDecisions
from micronas.task import Task
from micronas.testing.doubles import OPTIONS, PROBE, START, TASK, Triangle


@dataclass(frozen=True)
class Noting(Triangle):
    """Triangles that note whenever one is drawn."""

    drawn: list[Choices] = field(default_factory=list[Choices], compare=False)

    def lower(self, choices: Choices, task: Task) -> Graph:
        self.drawn.append(choices)
        return super().lower(choices, task)


def test_it_is_drawn_once_however_often_it_is_asked() -> None:
    space = Noting()
    candidate = Candidate(space, TASK, space.parse("none|skip_connect|none"))
    assert candidate.graph is candidate.graph
    assert candidate.is_connected
    assert len(space.drawn) == 1


def test_equal_decisions_for_the_same_task_are_equal() -> None:
    text = "none|skip_connect|none"
    one, other = (Candidate(Triangle(), Task((4, 4, 3), 2), Triangle().parse(text)) for _ in range(2))
    assert (one, hash(one)) == (other, hash(other))
    assert one.graph == other.graph
    assert one != Candidate(Triangle(), Task((4, 4, 3), 3), one.choices)
    assert one.text == text


def test_all_of_a_space_is_every_network_it_may_become() -> None:
    assert everything(Triangle(), TASK) == START
    assert START.choices == Choices((OPTIONS,) * 3)
    found = list(START.completions())
    assert len(found) == len(set(found)) == 125
    assert [one.choices for one in found] == list(START.choices.completions())
    assert START.without(Removal(0, NONE), Removal(2, NONE)).choices.size == 80


def test_one_that_stands_for_itself_is_itself() -> None:
    for candidate in START.completions():
        canonical = candidate.canonical
        assert canonical.canonical is canonical
        assert (candidate is canonical) == (candidate == canonical)
        assert candidate.is_connected == canonical.is_connected


def test_its_probe_is_the_spaces() -> None:
    start = everything(NasBench201(), Task())
    assert start.probe(PROBE) == NasBench201().probe(start.choices, PROBE) != start.graph


def test_what_is_open_and_cannot_be_drawn_is_named() -> None:
    with pytest.raises(OpenDecisions, match="nasbench201 cannot draw the options of C side by side; decide them first"):
        everything(NasBench201(channels=(8, 16)), Task()).graph  # noqa: B018
    with pytest.raises(UserError, match="a height and width that 4 divides"):
        everything(NasBench201(), Task((30, 30, 3))).graph  # noqa: B018


def test_what_can_be_enumerated_is_small() -> None:
    large = everything(NasBench201(channels=tuple(range(4, 264, 4))), Task())
    assert START.is_small
    assert large.choices.size > SMALL
    assert not large.is_small
    assert not large.of(large.choices.fixed(6, "8")).is_small  # tables are of whole spaces
