"""A drawn cell shows every operation once, every arrow ends at a node, and nothing runs over anything else."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from micronas.drawing import Edge, draw_cell, title
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import EDGES, OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201

SPACE = NasBench201()
CELLS = st.lists(st.sampled_from(OPERATIONS), min_size=6, max_size=6)


def test_a_cell_reads_as_a_graph() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    assert SPACE.drawing(SPACE.parse(cell)) == (
        "(0)── conv 3x3 ──▶(1)── conv 1x1 ──▶(2)─avg pool 3x3─▶(3)\n"
        " │                                                    ▲\n"
        " └─────────────────── skip connect ───────────────────┘"
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CELLS)
def test_every_operation_is_shown_and_every_node(options: list[str]) -> None:
    drawn = SPACE.drawing(Choices(tuple((option,) for option in options)))
    used = Counter(title(option) for option in options if option != "none")
    assert {name: drawn.count(name) for name in used} == used
    assert all(f"({node})" in drawn for node in range(4))
    assert drawn.count("▶") == sum(options[EDGES.index(edge)] != "none" for edge in ((0, 1), (1, 2), (2, 3)))
    assert drawn.count("▲") == drawn.count("┘") == sum(used.values()) - drawn.count("▶")
    assert max(map(len, drawn.splitlines())) <= 58


def test_a_cell_without_an_edge_is_still_drawn() -> None:
    assert draw_cell(()).startswith("(0)")


def test_a_disconnected_cell_is_drawn_with_every_node() -> None:
    assert SPACE.drawing(SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")).split() == [
        "(0)",
        "(1)",
        "(2)",
        "(3)",
    ]


def test_operations_have_names_that_can_be_read_aloud() -> None:
    assert [title(name) for name in ("nor_conv_3x3", "conv3x3", "avg_pool2x2", "add", "skip_connect")] == [
        "conv 3x3",
        "conv 3x3",
        "avg pool 2x2",
        "add",
        "skip connect",
    ]


def test_edges_between_neighbours_lie_on_one_line() -> None:
    assert draw_cell([Edge(0, 1, "none_such")]).count("\n") == 0
