"""A table of the user's is put out of use by nothing that is worth less, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import TINY, micronas

from micronas import cache
from micronas.errors import Notice, UserError
from micronas.hardware.boards import profiled
from micronas.hardware.boards.calibration import Calibration
from micronas.hardware.boards.profiled import Bench, complete, keep
from micronas.hardware.boards.table import LatencyTable, read_table
from micronas.hardware.boards.target import BUNDLED, load_target, table_path
from micronas.network.signature import Kind, Signature
from micronas.origin import Word

BOARD = "nucleo-f746zg"
SIMULATED = read_table(BUNDLED / f"{BOARD}.csv")
ONE, TWO = (Signature(Kind.RELU, (size, size, 8), (size, size, 8)) for size in (4, 8))


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of this test's own."""
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "targets"


def table(kind: str, figures: Mapping[Signature, float] | None = None, **more: Any) -> LatencyTable:
    """Of one of three kinds."""
    made = SIMULATED
    if kind == "calibrated":
        made = Calibration({"add": 2.0}, 1.5, 0.1, (0.01, 0.02), "micronas", "micronas").applied_to(SIMULATED)
    word = Word.MEASURED if kind == "measured" else Word.SIMULATED
    return replace(made, word=word, milliseconds=dict(figures or {ONE: 1.0}), **more)


KINDS = ("measured", "calibrated", "simulated")


@pytest.mark.parametrize("order", list(permutations(KINDS)), ids="-".join)
def test_each_kind_is_kept_apart_and_the_best_is_used(order: tuple[str, ...], own: Path) -> None:
    for number, kind in enumerate(order, 1):
        done = keep(table(kind, {ONE: float(number)}))
        assert done.backup is None
        best = min(order[:number], key=KINDS.index)
        assert done.in_use == best
        target = load_target(BOARD)
        assert target.latency.grade == best
        assert target.latency[ONE] == order.index(best) + 1
        assert [one.grade for one in target.lesser] == [
            one for one in KINDS if one in order[:number] and one != best
        ] + ([] if "simulated" in order[:number] else ["simulated"])
    assert sorted(path.name for path in own.iterdir()) == [
        f"{BOARD}.calibrated.csv",
        f"{BOARD}.csv",
        f"{BOARD}.measured.csv",
    ]


@pytest.mark.parametrize("kind", ["measured", "calibrated"])
@pytest.mark.parametrize("after", KINDS)
def test_what_was_kept_before_kinds_were_apart_is_used_and_moved(kind: str, after: str, own: Path) -> None:
    own.mkdir(parents=True)
    older = table(kind, {ONE: 1.0})
    (own / f"{BOARD}.csv").write_text(older.dump())
    assert load_target(BOARD).latency == older
    keep(table(after, {TWO: 2.0}))
    assert any(path.read_text() == older.dump() for path in own.iterdir())
    assert load_target(BOARD).latency.grade == min(kind, after, key=KINDS.index)


@pytest.mark.parametrize("kind", ["measured", "calibrated", "simulated"])
def test_other_figures_of_the_same_operations_need_to_be_asked_for(kind: str) -> None:
    keep(table(kind, {ONE: 1.0, TWO: 2.0}))
    with pytest.raises(UserError, match="with other figures of 1 of these operations, relu 8x8x8 first"):
        keep(table(kind, {ONE: 1.0, TWO: 2.5}))
    done = keep(table(kind, {ONE: 1.0, TWO: 2.5}), replace=True)
    assert done.backup is not None
    assert read_table(done.path).milliseconds == {ONE: 1.0, TWO: 2.5}
    assert read_table(done.backup).milliseconds == {ONE: 1.0, TWO: 2.0}


def test_more_operations_or_the_same_leave_nothing_behind() -> None:
    for figures in ({ONE: 1.0}, {ONE: 1.0}, {ONE: 1.0 + 1e-9}, {ONE: 1.0, TWO: 2.0}):
        assert keep(table("measured", figures)).backup is None


def test_what_other_kernels_overtook_gives_way_and_is_kept() -> None:
    keep(table("simulated", {ONE: 1.0}, kernel_version="older"))
    assert keep(table("simulated", {ONE: 3.0})).backup is not None


def test_every_backup_has_a_name_of_its_own(own: Path) -> None:
    for ms in (1.0, 2.0, 3.0, 4.0):
        keep(table("simulated", {ONE: ms}), replace=True)
    kept = sorted(read_table(path).milliseconds[ONE] for path in own.glob("*.bak"))
    assert kept == [1.0, 2.0, 3.0]


def test_what_cannot_be_read_is_kept_too() -> None:
    path = table_path(BOARD, "micronas")
    path.parent.mkdir(parents=True)
    path.write_text("damaged")
    done = keep(table("simulated"))
    assert done.backup is not None
    assert done.backup.read_text() == "damaged"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writes", [0, 1])
def test_killed_in_the_middle_of_a_replacement_nothing_is_lost(
    kind: str, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(table(kind, {ONE: 1.0})).path
    content, done = path.read_bytes(), [0]

    def killed(where: Path, what: str | bytes) -> None:
        if done[0] == writes:
            raise KeyboardInterrupt
        done[0] += 1
        cache.atomic_write(where, what)

    monkeypatch.setattr(profiled, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        keep(table(kind, {ONE: 2.0}), replace=True)
    assert path.read_bytes() == content


# --- a measured table that lacks something ------------------------------------------------------


@pytest.mark.parametrize("lesser", KINDS[1:])
def test_a_network_is_never_priced_from_two_kinds(lesser: str) -> None:
    keep(table("measured", {ONE: 1.0}))
    keep(table(lesser, {ONE: 5.0, TWO: 7.0}))
    bench = Bench(load_target(BOARD))
    with pytest.warns(Notice, match=f"measured without relu 8x8x8, so all figures are {lesser}; .* --port"):
        figures = bench.table_of([ONE, TWO])
    assert (figures[ONE], figures[TWO], figures.grade) == (5.0, 7.0, lesser)
    assert bench.table_of([ONE]).grade == lesser


def test_what_was_measured_is_used_where_it_is_all_there_is_to_price() -> None:
    keep(table("measured", {ONE: 1.0}))
    keep(table("simulated", {ONE: 5.0, TWO: 7.0}))
    bench = Bench(load_target(BOARD))
    assert bench.table_of([ONE]).origin.word is Word.MEASURED
    with pytest.raises(
        UserError, match=r"networks without it are priced already; .*move .*measured\.csv away"
    ) as caught:
        bench.table_of([TWO])
    assert "relu 8x8x8" in str(caught.value)


def test_a_table_that_another_compiler_made_is_made_anew_and_that_is_said() -> None:
    other = {**SIMULATED.provenance, "compiler": "cc 1"}
    target = load_target(BOARD).with_latency(table("simulated", {ONE: 3.0}, provenance=other))
    with pytest.warns(Notice, match=f"the table of {BOARD} was made by another compiler; it is made anew"):
        anew = complete(target, [ONE, TWO]).latency
    assert anew[ONE] != 3.0


# --- the command --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["measured", "calibrated"])
def test_a_profile_says_which_table_goes_before_it(kind: str) -> None:
    better = keep(table(kind))
    content = better.path.read_bytes()
    said = micronas("profile", BOARD, *TINY)
    assert said.code == 0
    assert f"note: {BOARD} has a {kind} table, which is kept apart and goes before it" in said.err
    assert better.path.read_bytes() == content
    assert load_target(BOARD).latency.grade == kind


@pytest.mark.slow
def test_a_replaced_table_is_said_to_be_kept() -> None:
    keep(table("simulated", kernel_version="older"))
    said = micronas("profile", BOARD, *TINY)
    assert said.code == 0
    assert "note: the table that was there, made by another kernel version, is in " in said.err
