"""Choices are values: striking an option makes new ones, and the last option stays."""

import pytest

from micronas.spaces.decisions import Choices, Removal

OPEN = Choices((("none", "conv"), ("none", "conv", "skip"), ("conv",)))


def test_only_open_decisions_have_removals() -> None:
    assert len(OPEN.removals()) == 5
    assert all(removal.decision < 2 for removal in OPEN.removals())


def test_striking_leaves_the_old_value_as_it_was() -> None:
    struck = OPEN.without(Removal(0, "none"), Removal(1, "skip"))
    assert struck.alive == (("conv",), ("none", "conv"), ("conv",))
    assert OPEN.alive[0] == ("none", "conv")


@pytest.mark.parametrize("removal", [Removal(2, "conv"), Removal(0, "skip")])
def test_the_last_or_an_absent_option_cannot_be_struck(removal: Removal) -> None:
    with pytest.raises(ValueError, match="cannot strike"):
        OPEN.without(removal)


def test_completions_are_every_architecture_once() -> None:
    completions = list(OPEN.completions())
    assert len(completions) == len(set(completions)) == 6
    assert all(choices.is_decided for choices in completions)
    assert completions[0].alive == (("none",), ("none",), ("conv",))
    assert [OPEN.completion(number) for number in range(6)] == completions


def test_an_option_can_be_struck_wherever_another_is_left() -> None:
    assert OPEN.without_option("none").alive == (("conv",), ("conv", "skip"), ("conv",))
    assert OPEN.fixed(1, "skip").alive[1] == ("skip",)


@pytest.mark.parametrize("decision", range(3))
def test_a_decision_can_be_taken_and_the_others_stay(decision: int) -> None:
    taken = OPEN.fixed(decision, "conv")
    assert taken.alive[decision] == ("conv",)
    assert [taken.alive[at] for at in range(3) if at != decision] == [
        OPEN.alive[at] for at in range(3) if at != decision
    ]
