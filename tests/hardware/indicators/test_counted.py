"""A whole space counted at once equals architectures lowered, deployed and summed one by one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.networks import lowered

from micronas.candidate import everything
from micronas.errors import UserError
from micronas.hardware.boards.table import LatencyTable, UntimedOperation
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.counted import CountedSpace, count_space, network_signatures
from micronas.hardware.indicators.latency import Latency
from micronas.network.signature import Kind
from micronas.origin import Word
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import OPERATIONS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import FORMS, SearchSpace
from micronas.task import Task

SPACE, TASK = NasBench201(), Task()
EVERYTHING = SPACE.everything()
ALL = list(EVERYTHING.completions())
IDENTITY = SPACE.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")


def drawn_table(counted: CountedSpace) -> LatencyTable:
    """Figures without a pattern, so that no two mistakes cancel."""
    chance = random.Random(3)
    figures = {signature: chance.uniform(0.1, 30) for signature in counted.operations}
    return LatencyTable("drawn", "test", "int8", "1", Word.SIMULATED, 1.5, figures, overhead_ms_per_input_byte=4e-4)


def board(table: LatencyTable) -> Latency:
    return Latency(load_target("nucleo-f746zg").with_latency(table))


class _ThreeEdges(NasBench201):
    """The same space with three of its edges open: small enough to be counted plainly."""

    def everything(self) -> Choices:
        open_, closed = OPERATIONS, ("skip_connect",)
        return Choices((open_, closed, ("none",), open_, closed, open_, *super().everything().alive[6:]))


def assert_counted_equals_one_by_one(space: SearchSpace, task: Task, rows: list[int]) -> None:
    counted = count_space(space, task)
    latency = board(drawn_table(counted))
    architectures = list(space.everything().completions())
    one_by_one = [latency.measure(space.lower(architectures[row], task)) for row in rows]
    assert latency.of_all(everything(space, task))[rows].tolist() == pytest.approx(one_by_one, rel=1e-12)


def test_the_whole_space_counted_equals_one_by_one() -> None:
    rows = [*random.Random(0).sample(range(len(ALL)), 40), ALL.index(IDENTITY), 0]
    assert_counted_equals_one_by_one(SPACE, TASK, rows)


@pytest.mark.parametrize(
    ("space", "task"),
    [
        (_ThreeEdges(channels=(3,), cells=(1,), stages=(2,)), Task((16, 48, 1), classes=4)),
        (_ThreeEdges(channels=(5,), cells=(3,), stages=(1,)), Task((8, 8, 3))),
        (_ThreeEdges(channels=(4,), cells=(2,), stages=(1, 2), input=(4, 8)), Task((32, 32, 3), classes=2)),
    ],
    ids=str,
)
def test_other_skeletons_counted_equal_one_by_one(space: NasBench201, task: Task) -> None:
    """Where images of two sizes are read, each pays its own overhead."""
    assert_counted_equals_one_by_one(space, task, list(range(space.everything().size)))


def test_the_default_skeleton_needs_31_operations_and_341_strings_have_no_path() -> None:
    counted = count_space(SPACE, TASK)
    assert len(counted.connected) == 15625
    assert len(counted.operations) == 31
    assert [one.kind for one in counted.signatures if one not in counted.operations] == [Kind.INPUT]
    assert int((~counted.connected).sum()) == 341
    latencies = board(drawn_table(counted)).of_all(everything(SPACE, TASK))
    assert np.isinf(latencies).tolist() == (~counted.connected).tolist()


def test_every_operation_of_a_network_is_among_those_of_the_space() -> None:
    counted = count_space(SPACE, TASK)
    known = set(counted.operations)
    for row in random.Random(1).sample(range(len(ALL)), 20):
        if counted.connected[row]:
            assert set(network_signatures(lowered(ALL[row]))) <= known


@pytest.mark.parametrize("form", FORMS)
def test_totals_counts_and_having_are_of_the_layers_of_each_architecture(form: str) -> None:
    space, task = _ThreeEdges(channels=(3,), cells=(2,), stages=(2,)), Task((8, 8, 3), 4)
    counted = count_space(space, task, form)  # type: ignore[arg-type]
    chance = random.Random(5)
    costs = {signature: chance.uniform(1, 2) for signature in counted.signatures}
    totals, pooled = counted.total(costs.__getitem__), counted.having(lambda one: one.kind is Kind.AVG_POOL)
    for row, choices in enumerate(space.everything().completions()):
        if not counted.connected[row]:
            assert np.isinf(totals[row])
            continue
        expected = Counter(layer.signature for layer in FORMS[form](space.lower(choices, task)))  # type: ignore[index]
        assert counted.counts(row) == expected
        assert totals[row] == pytest.approx(sum(costs[one] * times for one, times in expected.items()))
        assert pooled[row] == any(one.kind is Kind.AVG_POOL for one in expected)


def test_an_untimed_operation_is_named() -> None:
    table = drawn_table(count_space(SPACE, TASK))
    some = dict([*table.milliseconds.items()][1:])
    with pytest.raises(UntimedOperation, match=r"drawn has no timing for"):
        board(replace(table, milliseconds=some)).of_all(everything(SPACE, TASK))


def test_a_space_too_large_to_enumerate_is_not_counted() -> None:
    with pytest.raises(UserError, match="too large to enumerate, 1,015,625 networks"):
        count_space(NasBench201(channels=tuple(range(4, 264, 4))), TASK)


def test_counts_are_kept_and_a_damaged_file_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    space, task = _ThreeEdges(channels=(2,), cells=(1,), stages=(1,)), Task((4, 4, 3))

    def assert_equal(one: CountedSpace, other: CountedSpace) -> None:
        assert one.signatures == other.signatures
        for name in ("rows", "columns", "times", "connected"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()

    first = count_space.__wrapped__(space, task)
    (path,) = (tmp_path / "spaces").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("micronas.hardware.indicators.counted._count", None)
        assert_equal(count_space.__wrapped__(space, task), first)
    path.write_bytes(path.read_bytes()[:100])
    assert_equal(count_space.__wrapped__(space, task), first)
