"""Whatever the system refuses while a file is written, the error names the file, and nothing is left half done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import micronas

from micronas import cache
from micronas.cache import WriteError, atomic_write, keep_arrays, kept_arrays, writing
from micronas.deploy.c import CModel
from micronas.errors import UserError
from micronas.hardware.boards.table import untimed
from micronas.run import results
from micronas.run.outcome import Outcome
from micronas.run.run import Run

CODES = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.ENAMETOOLONG,
    errno.EISDIR,
    errno.EIO,
    errno.EFBIG,
]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_trouble_names_the_file_and_leaves_the_old_one(
    code: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))  # as a full disk: without a name

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[call], fail)
    with pytest.raises(WriteError) as caught:
        atomic_write(path, "new")
    assert str(caught.value) == f"cannot write {path}: {os.strerror(code)}"
    assert (caught.value.filename, caught.value.errno, caught.value.exit_code) == (str(path), code, 2)
    assert isinstance(caught.value, UserError)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["x" * 256, "é" * 200, "a\0b", "folder"])
def test_names_that_cannot_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match="cannot write "):
        atomic_write(tmp_path / name, "x")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", ["x" * 250, "é" * 120, os.fsdecode(b"caf\xe9")])
def test_names_that_can(name: str, tmp_path: Path) -> None:
    atomic_write(tmp_path / name, "x")
    assert (tmp_path / name).read_text() == "x"


def test_text_that_is_none_is_refused_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"a\.txt: .*surrogates not allowed"):
        atomic_write(tmp_path / "a.txt", "\udce9")


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a result": lambda folder: results.keep(outcome(), folder),
    "the C": lambda folder: CModel.write(_model(), folder / "c"),
    "a board's file": lambda folder: said("targets", "new", str(folder / "b.toml")),
    "a table": lambda folder: atomic_write(folder / "t.csv", untimed("b").dump()),
}


def outcome() -> Outcome:
    return Outcome("nasbench201", "", (), "C=4", "nucleo-f746zg", {}, None, 0, Run().to_dict())


def said(*words: str) -> None:
    done = micronas(*words)
    if done.code:
        raise UserError(done.err)


def _model() -> CModel:
    from tests.networks import lowered

    from micronas.deploy.c import emit
    from micronas.deploy.quantize import random_network
    from micronas.network.deployed import deploy

    cell = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    return emit(random_network(deploy(lowered(cell, 4, 1, 1, (8, 8, 3), 2)), 0))


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_line_with_the_file_whoever_writes(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match=f"{tmp_path}.*: No space left on device") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value).strip()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_trouble_within_trouble_keeps_the_first_name(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot write inner: "), writing(Path("outer")), writing(Path("inner")):
        full()


def test_a_command_says_where_caches_could_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full)
    done = micronas("targets", "new", str(tmp_path / "b.toml"))
    assert (done.code, done.err) == (2, f"error: cannot use {tmp_path / 'b.toml'}: No space left on device\n")


@pytest.mark.parametrize("name", ["a b", "a'b", 'a"b', "../a\n", "-a", "é", "a;b", ".a", "x" * 101, "a\x1b[31m"])
def test_a_new_board_has_a_name_that_any_file_takes(name: str, tmp_path: Path) -> None:
    done = micronas("targets", "new", str(tmp_path / f"{name}.toml"))
    assert done.code == 2
    assert "a board's name is letters, digits" in done.err or "cannot write" in done.err
    assert not [*tmp_path.iterdir()]


def test_arrays_kept_by_others_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.arrays"
    keep_arrays(path, {})
    for content in (b"", b"PK", b"\x93NUMPY", b"no archive"):
        path.write_bytes(cache._digest(content) + content)  # pyright: ignore[reportPrivateUsage]
        assert kept_arrays(path) is None


def test_bytes_of_a_name_that_are_no_text_are_kept_in_a_result(tmp_path: Path) -> None:
    run = Run(images=os.fsdecode(b"/data/caf\xe9")).to_dict()
    kept = results.keep(Outcome("nasbench201", "", (), "C=4", "nucleo-f746zg", {}, None, 0, run), tmp_path)
    assert kept.read_bytes().decode().count("\\udce9") == 1
    assert results.read_back(kept).run["images"] == os.fsdecode(b"/data/caf\xe9")
    for flags in (("runs",), ("runs", "--json"), ("show", str(kept))):
        assert micronas(*flags, *(("--runs", str(tmp_path)) if flags[0] == "runs" else ())).code == 0


@pytest.mark.parametrize("words", [("targets",), ("--help",), ("doctor",), ("runs",)])
def test_caches_in_the_home_of_nobody_are_one_line_for_every_command(words: tuple[str, ...]) -> None:
    environment = {**os.environ, "MICRONAS_CACHE": "~no-such-user/x"}
    command = [sys.executable, "-m", "micronas", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: MICRONAS_CACHE is ~no-such-user/x, but ")
    assert done.stderr.count("\n") == 1
