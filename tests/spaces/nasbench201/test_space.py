"""NAS-Bench-201 with numbers of its skeleton left open: decided with the cell, and written behind it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from tests.networks import lowered

from micronas.candidate import Candidate, everything
from micronas.errors import UserError
from micronas.objective import Objective, Term
from micronas.search.exact import ExactSearch
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.spaces.decisions import NONE, Choices
from micronas.spaces.nasbench201.cell import CELLS, EXAMPLE, cell_drawer
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import ArchitectureError, OpenDecisions
from micronas.task import ONE_CELL, REDUCED, Probe, Task
from micronas.testing.doubles import Drawn

PLAIN, TASK = NasBench201(), Task()
OPEN = NasBench201(channels=(8, 16), cells=(1, 3), input=(16, 32))
ALL_OPEN = NasBench201(channels=(4, 8), cells=(1, 2, 3), stages=(2, 3), stem_stride=(1, 2), input=(16, 32))
NUMBERS = "C=8 N=3 input=16"


def some(space: NasBench201, number: int = 30) -> list[Choices]:
    return [space.sample(at) for at in random.Random(1).sample(range(space.size), number)]


def test_open_numbers_multiply_the_size_and_come_behind_the_cell() -> None:
    assert (PLAIN.size, OPEN.size, ALL_OPEN.size) == (15625, 15625 * 8, 15625 * 48)
    assert OPEN.everything().alive == (*CELLS.alive, ("8", "16"), ("1", "3"), ("16", "32"))


def test_one_option_is_no_decision_and_goes_without_saying() -> None:
    space = NasBench201(channels=(8,), cells=(2,), input=(16,))
    assert space.everything() == CELLS
    assert space.format(space.parse(EXAMPLE)) == EXAMPLE
    assert space.lower(space.parse(EXAMPLE), TASK) == lowered(EXAMPLE, channels=8, cells=2, input_shape=(16, 16, 3))


def test_the_notation_is_the_cells_and_the_open_numbers() -> None:
    text = f"{EXAMPLE} {NUMBERS}"
    assert OPEN.format(OPEN.parse(text)) == text
    assert OPEN.parse(f"{EXAMPLE}   input=16 N=3\nC=8") == OPEN.parse(text)  # in any order
    for space in (OPEN, ALL_OPEN):
        for choices in some(space):
            assert space.parse(space.format(choices)) == choices


@pytest.mark.parametrize(
    ("space", "text", "says"),
    [
        (PLAIN, f"{EXAMPLE} C=8", "C is not open here; an architecture here is a cell and nothing else"),
        (
            OPEN,
            f"{EXAMPLE} {NUMBERS} S=3",
            "S is not open here; write these numbers behind the cell: C=8, 16; N=1, 3; ",
        ),
        (OPEN, EXAMPLE, f"{EXAMPLE!r} has no C; write these numbers behind the cell: C=8, 16; N=1, 3; input=16, 32"),
        (OPEN, f"{EXAMPLE} C=8 N=2 input=16", "has N=2; write these numbers behind the cell"),
        (OPEN, f"{EXAMPLE} C=x N=1 input=16", "has C=x; write these numbers behind the cell"),
        (OPEN, NUMBERS, "has 3 nodes joined by '+', not 1"),
        (OPEN, f"{EXAMPLE} {NUMBERS} nonsense", "node 3 is written |op~0|...|"),
    ],
)
def test_bad_notation_is_one_line(space: NasBench201, text: str, says: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        space.parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_lowers_to_the_cell_in_the_skeleton_that_its_numbers_say() -> None:
    for text, channels, cells, size in (("C=8 N=3 input=16", 8, 3, 16), ("C=16 N=1 input=32", 16, 1, 32)):
        expected = lowered(EXAMPLE, channels, cells, 3, (size, size, 3), classes=7)
        assert OPEN.lower(OPEN.parse(f"{EXAMPLE} {text}"), Task((64, 64, 3), 7)) == expected
    choices = ALL_OPEN.parse(f"{EXAMPLE} C=4 N=2 S=2 stem=2 input=32")
    expected = Skeleton(4, 2, 2, 2).lower(cell_drawer(PLAIN.parse(EXAMPLE)), TASK)
    assert ALL_OPEN.lower(choices, TASK) == expected
    assert ALL_OPEN.describe(choices, TASK) == "C=4 N=2 S=2 stem/2 32x32x3 -> 10 classes"


def test_where_the_size_of_the_image_is_open_only_its_channels_are_the_tasks() -> None:
    choices = OPEN.parse(f"{EXAMPLE} {NUMBERS}")
    assert OPEN.lower(choices, Task((48, 20, 1), 3)).input_shape == (16, 16, 1)
    assert PLAIN.lower(PLAIN.parse(EXAMPLE), Task((48, 20, 1), 3)).input_shape == (48, 20, 1)


def test_the_reduced_network_takes_what_the_probe_says_and_else_what_is_deployed() -> None:
    cell, choices = PLAIN.parse(EXAMPLE), OPEN.parse(f"{EXAMPLE} {NUMBERS}")
    draw = cell_drawer(cell)
    assert OPEN.probe(choices, REDUCED) == PLAIN.probe(cell, REDUCED) == Skeleton(3, 1).lower(draw, TASK)
    assert OPEN.probe(choices, ONE_CELL) == Skeleton(1, 1, 1, stem=False).lower(draw, Task((3, 3, 1)))
    deployed = Probe((8, 8, 3), channels=None, depth=None, classes=4)
    assert OPEN.probe(choices, deployed) == Skeleton(8, 3).lower(draw, Task((8, 8, 3), 4))
    assert OPEN.probe(choices, Probe((8, 8, 3), channels=2, depth=None)).layers[1].signature.out_shape == (8, 8, 2)


def test_open_numbers_are_named_and_an_open_cell_is_drawn_side_by_side() -> None:
    with pytest.raises(OpenDecisions) as caught:
        ALL_OPEN.lower(ALL_OPEN.everything(), TASK)
    assert caught.value.names == ("C", "N", "S", "stem", "input")
    decided = ALL_OPEN.parse(f"{EXAMPLE} C=4 N=2 S=2 stem=2 input=32").alive[6:]
    for at, name in enumerate(caught.value.names):
        alive = [*decided]
        alive[at] = ALL_OPEN.everything().alive[6 + at]
        with pytest.raises(OpenDecisions) as one:
            ALL_OPEN.lower(Choices((*CELLS.alive, *alive)), TASK)
        assert one.value.names == (name,)
    supernet = ALL_OPEN.lower(Choices((*CELLS.alive, *decided)), TASK)
    assert supernet == Skeleton(4, 2, 2, 2).lower(cell_drawer(CELLS), TASK)


def test_the_reduced_network_needs_only_the_numbers_that_the_probe_leaves_open() -> None:
    everything_open = ALL_OPEN.everything()
    with pytest.raises(OpenDecisions) as caught:
        ALL_OPEN.probe(everything_open, REDUCED)
    assert caught.value.names == ("S",)
    assert OPEN.probe(OPEN.everything(), REDUCED) == PLAIN.probe(PLAIN.everything(), REDUCED)


def test_equal_cells_are_equal_in_the_same_skeleton_and_in_no_other() -> None:
    for choices in some(OPEN, 10):
        cell = Choices(choices.alive[:6])
        assert OPEN.canonical(choices) == Choices((*PLAIN.canonical(cell).alive, *choices.alive[6:]))
        assert OPEN.cheapest_form(choices) == Choices((*PLAIN.cheapest_form(cell).alive, *choices.alive[6:]))


@pytest.mark.parametrize(
    ("space", "task", "says"),
    [
        (PLAIN, Task((30, 32, 3)), "cannot be halved between 3 stages; choose a height and width that 4 divides"),
        (NasBench201(stem_stride=(2,)), Task((36, 36, 3)), "a height and width that 8 divides"),
        (NasBench201(channels=(100_000,)), TASK, "MiB"),
    ],
)
def test_what_no_network_can_be_is_refused_in_one_line(space: NasBench201, task: Task, says: str) -> None:
    with pytest.raises(UserError) as caught:
        space.lower(space.sample(15624), task)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


# --- searches -----------------------------------------------------------------------------------

DEPLOYED = Drawn(probe=Probe((8, 8, 3), channels=None, depth=None, classes=4))


def test_random_search_draws_cells_in_all_skeletons() -> None:
    found = RandomSearch(samples=24, repeats=1).run(everything(OPEN, TASK), Objective((Term(DEPLOYED),)))
    assert {one.candidate.choices.alive[6:] for one in found.finalists} == {
        ((channels,), (cells,), (size,)) for channels in ("8", "16") for cells in ("1", "3") for size in ("16", "32")
    }
    values = [DEPLOYED.measure(one.candidate.probe(DEPLOYED.probe)) for one in found.finalists]
    assert values[0] == min(values)


@dataclass(frozen=True)
class Few(NasBench201):
    """Two edges open, and every cell its own representative."""

    def everything(self) -> Choices:
        skip, open_ = ("skip_connect",), CELLS.alive[0]
        return Choices((open_, (NONE,), (NONE,), skip, open_, (NONE,), *super().everything().alive[6:]))

    def canonical(self, choices: Choices) -> Choices:
        return choices

    def cheapest_form(self, choices: Choices) -> Choices:
        return choices


def test_exact_search_ranks_cells_in_all_skeletons() -> None:
    start = everything(Few(channels=(2, 4), cells=(1, 2), stages=(1,)), Task((8, 8, 3), 4))

    def value(candidate: Candidate) -> float:
        return DEPLOYED.measure(candidate.probe(DEPLOYED.probe))

    found = ExactSearch(repeats=1).run(start, Objective((Term(DEPLOYED),)))
    assert start.space.size == 100
    assert value(found.candidate) == min(map(value, start.completions()))


def test_pruning_names_the_numbers_that_it_cannot_take() -> None:
    for space, names in ((OPEN, "C, N, input"), (NasBench201(stages=(2, 3)), "S")):
        asked = Drawn()
        with pytest.raises(UserError) as caught:
            PruningSearch().run(everything(space, TASK), Objective((Term(asked),)))
        assert str(caught.value) == (
            f"pruning cannot take {names} of nasbench201, whose options cannot lie side by side; "
            "search by exact or random"
        )
        assert asked.asked == []


@pytest.mark.parametrize("probe", [Probe(channels=0), Probe(depth=0), Probe((3, 3, 1), channels=0, whole=False)])
def test_nothing_is_no_number_of_a_probe(probe: Probe) -> None:
    with pytest.raises(UserError, match="of a skeleton must be a whole number of at least 1, not 0"):
        PLAIN.probe(PLAIN.sample(0), probe)


@pytest.mark.parametrize("options", [8, "8", [8], (), (0,), (8, 8), (8.0,), (True,)])
def test_options_that_are_none_are_refused_at_once(options: object) -> None:
    with pytest.raises(UserError, match="channels of nasbench201 must be a tuple of different whole numbers"):
        NasBench201(channels=options)  # pyright: ignore[reportArgumentType]


def test_by_default_it_is_the_benchmarks_network() -> None:
    space = NasBench201()
    assert space.describe(space.parse(EXAMPLE), Task()) == "C=16 N=5 32x32x3 -> 10 classes"
    assert Skeleton() == Skeleton(channels=16, cells=5, stages=3, stem_stride=1)


def test_what_is_smaller_is_offered_in_the_words_of_flags() -> None:
    said = [flag for flag, _, _ in NasBench201(channels=(16,), cells=(5,)).smaller(Task((8, 12, 1)))]
    channels = [f"--channels {number}" for number in (8, 4, 2, 1)]
    inputs = ["--input 4x6x1", "--input 2x3x1"]
    assert said == [*channels, "--cells 2", "--cells 1", "--stem-stride 2", "--stem-stride 4", *inputs]
    decided = NasBench201(channels=(8, 16), cells=(1, 3), input=(8, 16)).smaller(Task((8, 8, 3)))
    assert [flag for flag, _, _ in decided] == ["--stem-stride 2", "--stem-stride 4"]


def test_a_first_layer_that_no_microcontroller_holds_is_refused() -> None:
    wide = Task((1, 1, 4096), classes=2)
    with pytest.raises(UserError, match="has layers of 18 MiB"):
        Skeleton(channels=512, cells=1, stages=1).check(wide)
