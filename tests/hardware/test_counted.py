"""A whole space counted at once equals architectures lowered, deployed and summed one by one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from micronas.choices import Choices
from micronas.hardware.counted import CountedSpace, count_space, network_signatures
from micronas.hardware.latency import Latency
from micronas.hardware.table import LatencyTable, UntimedOperation
from micronas.hardware.target import load_target
from micronas.origin import Word
from micronas.spaces.nasbench201 import OPERATIONS, NasBench201
from micronas.spaces.space import Skeleton

SPACE = NasBench201()
EVERYTHING = SPACE.everything()
ALL = list(EVERYTHING.completions())
IDENTITY = SPACE.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")


def drawn_table(counted: CountedSpace) -> LatencyTable:
    """Figures without a pattern, so that no two mistakes cancel."""
    chance = random.Random(3)
    figures = {signature: chance.uniform(0.1, 30) for signature in counted.signatures}
    return LatencyTable("drawn", "test", "int8", "1", Word.SIMULATED, 1.5, figures, overhead_ms_per_input_byte=4e-4)


class _ThreeEdges(NasBench201):
    """The same space with three of its edges open: small enough to be counted plainly."""

    def everything(self) -> Choices:
        open_, closed = OPERATIONS, ("skip_connect",)
        return Choices((open_, closed, ("none",), open_, closed, open_))


def assert_counted_equals_one_by_one(space: NasBench201, skeleton: Skeleton, rows: list[int]) -> None:
    counted = count_space(space, skeleton)
    table = drawn_table(counted)
    latency = Latency(load_target("nucleo-f746zg").with_latency(table))
    architectures = list(counted.everything.completions())
    one_by_one = [latency.measure(SPACE.lower(architectures[row], skeleton)) for row in rows]
    assert counted.latency_ms(table)[rows].tolist() == pytest.approx(one_by_one, rel=1e-12)


def test_the_whole_space_counted_equals_one_by_one() -> None:
    rows = [*random.Random(0).sample(range(len(ALL)), 40), ALL.index(IDENTITY), 0]
    assert_counted_equals_one_by_one(SPACE, Skeleton(), rows)


@pytest.mark.parametrize(
    "skeleton",
    [
        Skeleton(input_shape=(16, 48, 1), channels=3, cells=1, stages=2, classes=4),
        Skeleton(input_shape=(8, 8, 3), channels=5, cells=3, stages=1),
        Skeleton(input_shape=(4, 4, 4), classes=2, channels=4, cells=2, stages=1, stem=False),
    ],
    ids=str,
)
def test_other_skeletons_counted_equal_one_by_one(skeleton: Skeleton) -> None:
    assert_counted_equals_one_by_one(_ThreeEdges(), skeleton, list(range(125)))


def test_the_default_skeleton_needs_31_operations_and_341_strings_have_no_path() -> None:
    counted = count_space(SPACE, Skeleton())
    assert counted.counts.shape == (15625, 31)
    assert int((~counted.connected).sum()) == 341
    assert np.isinf(counted.latency_ms(drawn_table(counted))).tolist() == (~counted.connected).tolist()


def test_every_operation_of_a_network_is_among_those_of_the_space() -> None:
    known = set(count_space(SPACE, Skeleton()).signatures)
    for row in random.Random(1).sample(range(len(ALL)), 20):
        if count_space(SPACE, Skeleton()).connected[row]:
            assert set(network_signatures(SPACE.lower(ALL[row], Skeleton()))) <= known


def test_an_untimed_operation_is_named() -> None:
    counted = count_space(SPACE, Skeleton())
    table = drawn_table(counted)
    del table.milliseconds[counted.signatures[7]]  # type: ignore[attr-defined]
    with pytest.raises(UntimedOperation, match=r"drawn has no timing for"):
        counted.latency_ms(table)


def test_counts_are_kept_and_a_damaged_file_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    skeleton = Skeleton(input_shape=(4, 4, 3), channels=2, cells=1, stages=1)
    space = _ThreeEdges()
    first = count_space.__wrapped__(space, skeleton)
    (path,) = (tmp_path / "counts").iterdir()
    kept = count_space.__wrapped__(space, skeleton)
    assert kept.signatures == first.signatures
    assert (kept.counts == first.counts).all()
    path.write_bytes(path.read_bytes()[:100])
    again = count_space.__wrapped__(space, skeleton)
    assert (again.counts == first.counts).all()
