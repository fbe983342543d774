"""NAS-Bench-201's cell against the benchmark's own figures, and its classes of equal networks."""

import csv
import gzip
import math
from collections import defaultdict
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.networks import lowered

from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import Flops, Parameters, macs, parameters
from micronas.hardware.indicators.counted import count_space
from micronas.hardware.indicators.latency import Latency
from micronas.network.deployed import cost, deploy
from micronas.network.signature import Kind
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, EDGES, read_cell, representative, write_cell
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import ArchitectureError
from micronas.task import Task


@pytest.mark.parametrize(("option", "size"), [("nor_conv_1x1", 1), ("nor_conv_3x3", 3)])
def test_a_convolution_has_the_window_of_its_name(option: str, size: int) -> None:
    text = f"|{option}~0|+|none~0|none~1|+|{option}~0|none~1|none~2|"
    space = NasBench201(channels=(4,), cells=(1,))
    graph = space.lower(space.parse(text), Task((8, 8, 3), 4))
    convs = [layer for layer in graph if layer.signature.kind is Kind.CONV and layer.name.startswith("stage1.cell1.")]
    assert len(convs) == 2
    for layer in convs:
        assert layer.signature.kernel == (size, size)
        assert layer.signature.padding == ((size // 2, size // 2), (size // 2, size // 2))


@pytest.mark.slow
def test_flops_and_parameters_of_all_cells_equal_the_benchmark(shared: Path) -> None:
    """Exact, on the plain graph; source: the benchmark's published table. Counted all at once, some one by one."""
    counted = count_space(NasBench201(), Task(), "plain")
    flops, params = counted.total(macs), counted.total(parameters)
    place = {write_cell(cell): at for at, cell in enumerate(CELLS.completions())}
    with gzip.open(shared / "data" / "nasbench201_cifar10.csv.gz", "rt") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 15_625
    for number, row in enumerate(rows):
        at, published = place.pop(row["arch"]), (int(row["flops"]), int(row["params"]))
        assert (flops[at], params[at]) == published, row["arch"]
        if number % 50 == 0:
            graph = lowered(row["arch"])
            assert (Flops().measure(graph), Parameters().measure(graph)) == published, row["arch"]
    assert not place


def string_rule(cell: Choices) -> str:
    """NAS-Bench-201's own rule for equal cells: sorted sums of nested strings; a zero is written, not dropped."""
    nodes = ["0"]
    for node in (1, 2, 3):
        parts: list[str] = []
        for (source, target), (option,) in zip(EDGES, cell.alive, strict=True):
            if target == node:
                through = nodes[source] if option == "skip_connect" else f"({nodes[source]})@{option}"
                parts.append("#" if option == "none" or nodes[source] == "#" else through)
        nodes.append("+".join(sorted(parts)))
    return nodes[-1]


def test_the_benchmarks_string_rule_gives_6466_groups() -> None:
    """Golden: 6,466 (NAS-Bench-201, §2.1)."""
    assert len({string_rule(cell) for cell in CELLS.completions()}) == 6466


@pytest.fixture(scope="module")
def classes() -> dict[Choices, list[Choices]]:
    found: dict[Choices, list[Choices]] = defaultdict(list)
    for cell in CELLS.completions():
        found[representative(cell)].append(cell)
    return found


def test_5260_networks_differ(classes: dict[Choices, list[Choices]]) -> None:
    """Golden: 5,260, one disconnected (two independent enumerations of the rule agree)."""
    assert len(classes) == 5260
    assert sum(len(members) for members in classes.values()) == 15_625
    assert all(representative(one) == one for one in classes)


Values = npt.NDArray[np.float64]


def run_cell(cell: Choices, weights: dict[int, Values], x: Values) -> Values:
    """The cell by its definition: every convolution edge multiplies the rectified input by a matrix of its own."""
    nodes = [x]
    for node in (1, 2, 3):
        total = np.zeros_like(x)
        for edge, ((source, target), (option,)) in enumerate(zip(EDGES, cell.alive, strict=True)):
            if target == node and option != "none":
                value = nodes[source]
                if option == "avg_pool_3x3":  # any linear map that is the same on every edge
                    value = (value + np.roll(value, 1, axis=0)) / 2
                elif option != "skip_connect":
                    value = weights[edge] @ np.maximum(value, 0)
                total = total + value
        nodes.append(total)
    return nodes[-1]


def computes_the_same(one: Choices, other: Choices) -> bool:
    """Whether, for random weights of `one`, some assignment of them to the edges of `other` gives the same output."""
    random = np.random.default_rng(7)
    x, pool = random.standard_normal((5, 3)), [random.standard_normal((5, 5)) for _ in EDGES]
    expected = run_cell(one, dict(enumerate(pool)), x)
    return any(
        np.allclose(run_cell(other, dict(enumerate(order)), x), expected, atol=1e-9) for order in permutations(pool)
    )


def test_members_of_a_class_compute_the_same_and_neighbours_do_not(classes: dict[Choices, list[Choices]]) -> None:
    """On a sample: the representative against a member, and against a cell that differs in one operation."""
    crowded = [(one, members) for one, members in classes.items() if len(members) > 1]
    for one, members in crowded[::150]:
        assert computes_the_same(one, members[-1]), (write_cell(one), write_cell(members[-1]))
    for (one, _), (other, _) in list(pairwise(crowded))[::150]:
        assert not computes_the_same(one, other), (write_cell(one), write_cell(other))


@pytest.mark.parametrize("board", ["nucleo-f746zg", "raspberry-pi-pico"])
def test_no_member_of_a_class_is_cheaper_deployed_than_the_one_that_stands_for_it(
    classes: dict[Choices, list[Choices]], board: str
) -> None:
    """By brute force on a sample, with what a board takes and with the price that knows no board."""
    latency, dearer = Latency(load_target(board)), 0
    for one, members in [(one, members) for one, members in classes.items() if len(members) > 1][::25]:
        graphs = [lowered(cell) for cell in members]
        if latency.measure(graph := lowered(one)) == math.inf:
            continue
        milliseconds, prices = latency.measure_many(graphs), [cost(deploy(each)) for each in graphs]
        assert latency.measure(graph) == min(milliseconds), write_cell(one)
        assert cost(deploy(graph)) == min(prices), write_cell(one)
        dearer += max(milliseconds) > min(milliseconds) and max(prices) > min(prices)
    assert dearer > 5  # classes in which the choice matters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "3 nodes joined by '[+]', not 1"),
        ("|none~0|+|none~0|none~1|", "not 2"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "node 2 has 2 incoming edges, not 1"),
        ("|nor_conv_3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "did you mean 'nor_conv_3x3'"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 0 of node 1 is written op~0"),
        ("none~0+none~0|none~1+none~0|none~1|none~2", "node 1 is written"),
    ],
)
def test_bad_notation_is_one_clear_line(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words) as error:
        read_cell(text)
    assert "\n" not in str(error.value)
