"""What a user takes home from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.terminal import CELL, DEAD, TINY, kept, micronas

from micronas.mcu.elf import ElfImage


def test_a_network_is_written_as_c_with_what_it_is(tmp_path: Path) -> None:
    out = tmp_path / "wing"
    said = micronas("export", CELL, *TINY, "--out", str(out), "--name", "wing", "--seed", "3")
    assert said.code == 0
    assert said.err == "note: random weights, seed 3: trained ones are not in it\n"
    files = [Path(line) for line in said.out.splitlines()]
    assert out / "wing.c" in files
    assert all(path.exists() for path in files)
    for name in ("wing.h", "wing.c", "wing_selftest.h", "wing_selftest.c", "CMakeLists.txt"):
        text = (out / name).read_text()
        assert f"Network: {CELL} of nasbench201, C=4 N=1 8x8x3 -> 10 classes, int8." in text
        assert "random weights, seed 3" in text
        assert "Apache-2.0" in text


def test_a_kept_run_is_exported_in_its_own_skeleton(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one" / "result.json"
    run.parent.mkdir(parents=True)
    run.write_text(kept(space_settings={"channels": 4, "cells": 1}, input=8))
    said = micronas("export", "one", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "c"), "--json")
    found = json.loads(said.out)
    assert (found["format"], found["weights"]) == ("c", "random weights")
    assert "C=4 N=1 8x8x3" in (tmp_path / "c" / "model.h").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((CELL, "--format", "onnx"), "unknown format 'onnx'; there are c, firmware, emulator"),
        ((CELL, "--name", "memcpy"), "'memcpy' is a name of the C library; name the model otherwise"),
        ((CELL, "--format", "firmware", "--name", "wing"), "the model of an image is called model, not wing"),
        ((DEAD,), f"{DEAD} cannot be exported: "),
        (("nobody",), "nor does 'nobody' name a run in runs"),
        ((CELL, "--format", "firmware", "--target", "raspberry-pi-pico"), "no start-up code for raspberry-pi-pico"),
    ],
    ids=["format", "name", "name of an image", "dead", "run", "board"],
)
def test_what_cannot_be_exported_is_one_line(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    said = micronas("export", *words, *TINY, "--out", str(tmp_path / "out"))
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_under_json_an_error_is_json_too() -> None:
    said = micronas("measure", "nobody", "--json")
    assert said.code == 2
    assert json.loads(said.out) == {"error": said.err.removeprefix("error: ").rstrip("\n"), "exit_code": 2}
    far = micronas("search", *TINY, "--max-latency", "1us", "--json")
    assert (far.code, json.loads(far.out)["exit_code"]) == (3, 3)
    assert micronas("measure", "nobody").out == ""


def test_what_is_emulated_can_be_kept(tmp_path: Path) -> None:
    said = micronas("measure", CELL, *TINY, "--emulate", "--indicators", "flash", "--keep", str(tmp_path / "kept"))
    assert said.code == 0, said.err
    image = ElfImage.read(tmp_path / "kept" / "nucleo-f746zg-for-the-emulator.elf")
    assert {"model_run", "micronas_halt"} <= {*image.symbols}
    assert (tmp_path / "kept" / "model_selftest.c").exists()
    alone = micronas("measure", CELL, *TINY, "--indicators", "flash", "--keep", str(tmp_path / "kept"))
    assert (alone.code, alone.err) == (2, "error: --keep keeps what --emulate builds; give both\n")
