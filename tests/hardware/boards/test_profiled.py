"""Tables are made by profiling, completed on demand, kept for the user, and never mixed across versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from micronas.cache import cache_dir
from micronas.errors import Notice, UserError
from micronas.hardware.boards import profiled
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.calibration import Calibration
from micronas.hardware.boards.profiled import NotInstalledError, complete, keep, profile
from micronas.hardware.boards.table import Grade, LatencyTable
from micronas.hardware.boards.target import load_target, table_path
from micronas.network.signature import Kind, Signature
from micronas.origin import Word

BOARD = "nucleo-f746zg"
SHAPE = (4, 4, 8)
NEW = Signature(Kind.ADD, SHAPE, SHAPE, operands=2)
OTHER = Signature(Kind.RELU, SHAPE, SHAPE)
LINEAR = Signature(Kind.LINEAR, (1, 1, 64), (1, 1, 10))
POOL = Signature(Kind.GLOBAL_POOL, (8, 8, 64), (1, 1, 64))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's folder of this test's own, with the compiler's cache of the whole run."""
    compiled = cache_dir() / "toolchain"
    compiled.mkdir(parents=True, exist_ok=True)
    (tmp_path / "toolchain").symlink_to(compiled)
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))


def forbid_profiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> LatencyTable:
        raise AssertionError("profiled again")

    monkeypatch.setattr(profiled, "profile", fail)


def test_the_bundled_table_is_what_profiling_gives() -> None:
    """Fails when kernels, timing model or compiler changed: `python benchmarks/profile_boards.py --write` then."""
    target = load_target(BOARD)
    found = profile(target, [LINEAR, POOL])
    assert found.agrees_with(target.latency)
    for signature in (LINEAR, POOL):
        assert found[signature] == pytest.approx(target.latency[signature], rel=1e-6)
    for shape in ((8, 8, 3), (32, 32, 3), (64, 64, 1)):
        assert found.overhead_of(shape) == pytest.approx(target.latency.overhead_of(shape))


def test_milliseconds_follow_the_clock() -> None:
    target = load_target(BOARD)
    slower = replace(target, clock_hz=target.clock_hz // 2)
    assert profile(slower, [NEW])[NEW] == pytest.approx(2 * profile(target, [NEW])[NEW])


def test_memory_terms_can_be_switched_off() -> None:
    target = load_target(BOARD)
    without = profile(target, [NEW], with_memory=False)
    assert without[NEW] < profile(target, [NEW])[NEW]
    assert without.provenance["memory"] == "off"


def test_what_is_missing_is_profiled_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    first = complete(load_target(BOARD), [LINEAR, NEW], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    forbid_profiling(monkeypatch)
    again = load_target(BOARD)
    assert again.latency[NEW] == pytest.approx(first.latency[NEW], rel=1e-6)
    assert again.latency[LINEAR] == first.latency[LINEAR]
    assert complete(again, [LINEAR, NEW]) is again


def test_figures_of_two_versions_are_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_target(BOARD)
    old = replace(target.latency, kernel_version="older", milliseconds={LINEAR: 1e6, POOL: 1e6})
    with pytest.warns(Notice, match="made by another kernel version; it is made anew"):
        found = complete(target.with_latency(old), [LINEAR, NEW]).latency
    assert found[LINEAR] < 1
    assert found.missing([POOL]) == (POOL,)
    assert found.kernel_version != "older"


def test_a_users_table_that_newer_kernels_have_overtaken_is_not_used() -> None:
    bundled = load_target(BOARD).latency
    keep(replace(bundled, milliseconds={LINEAR: 5.0}))
    assert load_target(BOARD).latency[LINEAR] == 5.0
    keep(replace(bundled, kernel_version="older", milliseconds={LINEAR: 5.0}))
    assert load_target(BOARD).latency == bundled


def test_another_runtimes_table_is_found_by_its_name_and_needs_its_adapter() -> None:
    table = replace(load_target(BOARD).latency, runtime="toy 1.0", milliseconds={LINEAR: 7.0})
    keep(table)
    target = load_target(BOARD, runtime="toy 1.0")
    assert target.latency[LINEAR] == 7.0
    assert load_target(BOARD).latency[LINEAR] != 7.0
    with pytest.raises(UserError, match=r"no timing for add2 4x4x8 with toy 1\.0; .*--adapter"):
        complete(target, [NEW])


def test_a_calibrated_table_stays_calibrated_when_it_grows() -> None:
    target = load_target(BOARD)
    calibration = Calibration({"add": 2.0}, 1.5, 0.1, (0.01, 0.02), "toy", "micronas")
    grown = complete(target.with_latency(calibration.applied_to(target.latency)), [LINEAR, NEW, OTHER]).latency
    raw = profile(target, [NEW, OTHER])
    assert grown.is_calibrated
    assert (grown.runtime, grown.overhead_ms) == ("toy", 0.1)
    assert grown[NEW] == pytest.approx(2.0 * raw[NEW])
    assert grown[OTHER] == pytest.approx(1.5 * raw[OTHER])
    assert grown[LINEAR] == pytest.approx(1.5 * target.latency[LINEAR])
    assert table_path(BOARD, "toy", Grade.CALIBRATED).exists()


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiled, "find_spec", lambda name: None if name == "unicorn" else object())
    with pytest.raises(NotInstalledError, match=r"profiling needs unicorn: .* -m pip install .*\[mcu\]"):
        profile(load_target(BOARD), [NEW])


def test_an_own_compiler_needs_no_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiled, "find_spec", lambda name: None if name == "ziglang" else object())
    with pytest.raises(UserError, match="cannot start the compiler 'no-such-compiler'"):
        profile(load_target(BOARD), [NEW], compiler=("no-such-compiler",))


def test_an_interrupted_profile_leaves_nothing_half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(target: Target, signatures: Sequence[Signature], **_: object) -> LatencyTable:
        raise KeyboardInterrupt

    monkeypatch.setattr(profiled, "profile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        complete(load_target(BOARD), [NEW])
    assert not table_path(BOARD, "micronas").exists()


def test_the_source_of_a_profile_is_never_measured() -> None:
    assert profile(load_target(BOARD), [NEW]).word is Word.SIMULATED
