"""A table of the user's is put out of use by nothing that is worth less, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import TINY, micronas

from micronas import cache
from micronas.errors import UserError
from micronas.hardware.boards import profiled
from micronas.hardware.boards.calibration import Calibration
from micronas.hardware.boards.profiled import keep, refuse_to_replace
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


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("measured", "simulated", "that was measured on the board"),
        ("measured", "calibrated", "that was measured on the board"),
        ("calibrated", "simulated", "that is calibrated"),
        ("simulated", "calibrated", ""),
        ("simulated", "measured", ""),
        ("calibrated", "measured", ""),
    ],
)
def test_less_takes_no_place_of_more(before: str, after: str, refused: str, own: Path) -> None:
    path = keep(table(before)).path
    content = path.read_bytes()
    if refused:
        with pytest.raises(UserError, match=f"{path} is a table of yours {refused}; --replace puts the new one"):
            keep(table(after))
        assert path.read_bytes() == content
    done = keep(table(after), replace=bool(refused))
    assert done.backup is not None
    assert done.backup.read_bytes() == content
    assert read_table(path).word is table(after).word
    assert sorted(own.iterdir()) == sorted([path, done.backup])


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


@pytest.mark.parametrize("writes", [0, 1])
def test_killed_in_the_middle_of_a_replacement_nothing_is_lost(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keep(table("measured")).path
    content, done = path.read_bytes(), [0]

    def killed(where: Path, what: str | bytes) -> None:
        if done[0] == writes:
            raise KeyboardInterrupt
        done[0] += 1
        cache.atomic_write(where, what)

    monkeypatch.setattr(profiled, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        keep(table("simulated"), replace=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("kind", "complaint"), [("measured", "measured on the board"), ("calibrated", "is calibrated")]
)
def test_nothing_is_profiled_for_a_table_that_would_not_be_kept(
    kind: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep(table(kind)).path
    content = path.read_bytes()
    with pytest.raises(UserError, match=complaint):
        refuse_to_replace(BOARD)
    monkeypatch.setattr("micronas.commands.boards.profile_in_emulator", lambda *_, **__: pytest.fail("it was timed"))
    said = micronas("profile", BOARD, *TINY)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "--replace puts the new one in its place" in said.err
    assert path.read_bytes() == content


@pytest.mark.slow
def test_a_replaced_table_is_said_to_be_kept() -> None:
    keep(table("calibrated"))
    said = micronas("profile", BOARD, *TINY, "--replace")
    assert said.code == 0
    assert "note: the table that was there is in " in said.err
    assert not load_target(BOARD).latency.is_calibrated
