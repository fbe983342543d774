"""Caches lie where the environment says, and a file is written whole or not at all."""

import os
import stat
import sys
import warnings
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from micronas import cache
from micronas.cache import atomic_write, cache_dir, keep_arrays, kept_arrays
from micronas.errors import UserError


def test_micronas_cache_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "chosen"))
    assert cache_dir() == tmp_path / "chosen"


def test_a_home_in_micronas_cache_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MICRONAS_CACHE", "~/scores")
    assert cache_dir() == tmp_path / "scores"


@pytest.mark.parametrize("value", [None, ""])
def test_else_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MICRONAS_CACHE")
    if value is not None:
        monkeypatch.setenv("MICRONAS_CACHE", value)
    assert cache_dir() == Path(platformdirs.user_cache_dir("micronas", appauthor=False))


@pytest.mark.skipif(sys.platform != "linux", reason="XDG is Linux's convention")
def test_xdg_is_respected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MICRONAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "micronas"
    assert cache_dir().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("content", "stored"), [("κ ≤ 1\n", "κ ≤ 1\n".encode()), (b"\x00\xff\r\n", b"\x00\xff\r\n")])
def test_writes_text_and_bytes_as_they_are(tmp_path: Path, content: str | bytes, stored: bytes) -> None:
    path = tmp_path / "new" / "folder" / "result.json"
    atomic_write(path, content)
    assert path.read_bytes() == stored
    assert list(path.parent.iterdir()) == [path]


def test_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    atomic_write(path, "a long first version")
    atomic_write(path, "second")
    assert path.read_text() == "second"


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("accident", [KeyboardInterrupt, OSError])
def test_an_accident_leaves_the_old_file_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, accident: type[BaseException]
) -> None:
    path = tmp_path / "result.json"
    atomic_write(path, "old")

    def fail(*_: object) -> None:
        raise accident

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(accident):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# --- arrays -------------------------------------------------------------------------------------

ARRAYS = {"numbers": np.arange(12).reshape(3, 4), "flags": np.array([True, False]), "words": np.array(["a", "κ"])}


def test_arrays_are_kept_as_they_are(tmp_path: Path) -> None:
    keep_arrays(tmp_path / "new" / "kept", ARRAYS)
    kept = kept_arrays(tmp_path / "new" / "kept")
    assert kept is not None
    assert {name: (array.dtype, array.tolist()) for name, array in kept.items()} == {
        name: (array.dtype, array.tolist()) for name, array in ARRAYS.items()
    }


def test_what_is_absent_or_damaged_anywhere_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    assert kept_arrays(path) is None
    keep_arrays(path, ARRAYS)
    sound = path.read_bytes()
    for at in range(0, len(sound), 7):
        for damaged in (sound[:at], sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :]):
            path.write_bytes(damaged)
            assert kept_arrays(path) is None


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep_arrays(tmp_path / "file" / "kept", ARRAYS)
    assert kept_arrays(tmp_path / "file" / "kept") is None


def looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """Where caches are if the user's folder is this one, and what is said."""
    monkeypatch.setenv("MICRONAS_CACHE", str(folder))
    cache._looked_at.cache_clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = cache.cache_dir()
        assert cache.cache_dir() == found  # and said once
    return found, [str(each.message) for each in said]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o500])
def test_a_folder_that_only_the_user_can_write_to_is_used(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(mode)
    assert looked_at(tmp_path, monkeypatch)[0] == tmp_path


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o775, 0o722, 0o702])
def test_a_folder_that_others_can_write_to_is_not(mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Compiled code is kept as pickles, which run."""
    tmp_path.chmod(mode)
    found, (said,) = looked_at(tmp_path, monkeypatch)
    assert found != tmp_path
    assert found.stat().st_mode & 0o777 == 0o700
    assert f"what is in {tmp_path} is not used: others can write to it" in said
    assert "set MICRONAS_CACHE" in said
    assert cache.user_dir() == tmp_path  # of tables that a user keeps, which are data


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_somebody_else_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.chown(tmp_path, 12345, -1)
    found, (said,) = looked_at(tmp_path, monkeypatch)
    assert found != tmp_path
    assert "it belongs to user 12345, not to 0" in said


def test_a_new_folder_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found, said = looked_at(tmp_path / "a" / "b", monkeypatch)
    assert (found, said) == (tmp_path / "a" / "b", [])
    assert found.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("below", ["x", "x/y"])
def test_a_folder_that_cannot_be_made_is_said(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    _, (said,) = looked_at(tmp_path / "file" / below, monkeypatch)
    assert f"nothing can be kept in {tmp_path / 'file' / below}" in said


def test_the_home_of_a_user_that_there_is_not_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MICRONAS_CACHE", "~there_is_no_such_user/x")
    with pytest.raises(UserError, match="MICRONAS_CACHE is ~there_is_no_such_user/x, but"):
        cache.cache_dir()
