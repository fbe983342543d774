"""The command line: one clear line for every mistake, nothing half done, and at once where nothing must be computed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.terminal import CELL, TINY, Said, kept, micronas, start

from micronas import extras
from micronas.cache import cache_dir

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def is_one_error(said: Said, words: str, code: int = 2) -> None:
    assert said.err.startswith("error: "), said
    assert said.err.count("\n") == 1, said.err
    assert words in said.err
    assert "Traceback" not in said.err
    assert (said.code, said.out) == (code, "")
    assert not list(Path.cwd().iterdir()), "something was written"


MISTAKES = {
    "unknown operation": (["measure", CELL.replace("avg_pool", "max_pool")], "unknown operation 'max_pool_3x3'"),
    "too few nodes": (["measure", "|none~0|+|none~0|none~1|"], "has 3 nodes joined by '+', not 2"),
    "too few edges": (["measure", "|none~0|+|none~0|+|none~0|none~1|none~2|"], "node 2 has 2 incoming edges, not 1"),
    "empty": (["measure", ""], "e.g. |nor_conv_3x3~0|"),
    "no architecture": (["measure"], "Missing argument"),
    "unknown indicator": (["measure", CELL, "--indicators", "latency,srm"], "did you mean 'sram'?"),
    "near board": (["search", "--target", "nucleo-f746"], "did you mean 'nucleo-f746zg'?"),
    "far board": (["search", "--target", "toaster"], "unknown board 'toaster'; there are "),
    "near search": (["search", "--search", "exakt"], "did you mean 'exact'?"),
    "expressivity": (["search", "--expressivity", "linear_regions"], "did you mean 'linear-regions'?"),
    "the NTK is none": (["search", "--expressivity", "ntk"], "unknown expressivity 'ntk'"),
    "no unit": (["search", "--max-latency", "300"], "write us, ms or s, like 300ms"),
    "another unit": (["search", "--max-latency", "5 min"], "write us, ms or s"),
    "negative limit": (["search", "--max-latency", "-5ms"], "must be above 0"),
    "no number": (["search", "--max-latency=nanms"], "cannot read a limit on latency from 'nanms'"),
    "infinite": (["search", "--max-latency", "inf"], "cannot read a limit on latency"),
    "beyond floats": (["search", "--max-latency", "1e999ms"], "cannot read a limit on latency"),
    "zero": (["search", "--max-latency", "0ms"], "must be above 0"),
    "negative weight": (["search", "--ntk-weight", "-1"], "--ntk-weight"),
    "weight NaN": (["search", "--regions-weight", "nan"], "weight"),
    "weight infinite": (["search", "--latency-weight", "inf"], "must be 0 or more, not 'inf'"),
    "two limits": (["search", "--max-latency", "9ms", "--limit", "latency=1s"], "latency is given twice, as 9.0"),
    "a batch of one": (["measure", CELL, "--batch", "1"], "Invalid value for '--batch'"),
    "two weights": (["search", "--weight", "ntk=1", "--weight", "ntk=2"], "ntk is given twice, as 1.0 and as 2.0"),
    "no weights": (["search", "--search", "random", "--ntk-weight", "0", "--regions-weight", "0"], "weights are 0"),
    "no channels": (["measure", CELL, "--channels", "0"], "channels of nasbench201 must be one or several"),
    "no classes": (["search", "--classes", "0"], "classes must be a whole number of at least 1, not 0"),
    "no cells": (["profile", "nucleo-f746zg", "--cells", "0"], "cells of nasbench201 must be"),
    "odd input": (["search", "--input", "31"], "choose a height and width that 4 divides"),
    "tiny input": (["measure", CELL, "--input", "2"], "that 4 divides"),
    "negative input": (["measure", CELL, "--input", "-8"], "cannot read the input from '-8'; write it like"),
    "huge channels": (["search", "--channels", "100000"], "no microcontroller holds that"),
    "huge input": (["measure", CELL, "--input", "100000"], "no microcontroller holds that"),
    "huge classes": (["scores", "--out", "x.csv", "--classes", "1" + "0" * 12], "no microcontroller holds that"),
    "many cells": (["profile", "nucleo-f746zg", "--cells", "1000000"], "at most 300"),
    "negative seed": (["search", "--seed", "-1"], "--seed"),
    "half a seed": (["search", "--seed", "1.5"], "--seed"),
    "no repeats": (["search", "--repeats", "0"], "--repeats"),
    "backward seeds": (["search", "--search", "exact", "--seeds", "4-0"], "write them like 0-4"),
    "seeds of pruning": (["search", "--search", "pruning", "--seeds", "0-4"], "several seeds are for --search exact"),
    "unknown flag": (["search", "--maximum", "3"], "No such option"),
    "unknown command": (["serach"], "No such command 'serach'"),
    "no file to repeat": (["search", "--repeat", "none.json"], "there is no run 'none.json': it is no file"),
    "folder to repeat": (["search", "--repeat", "."], ". holds no result.json"),
    "nothing kept": (["search", "--repeat", "last"], "there is no run in "),
    "nothing to show": (["show"], "there is no run in "),
    "nothing to measure": (["measure", "last", "--runs", "elsewhere"], "elsewhere; 'micronas search' keeps one"),
    "no such run": (["show", "2026", "--runs", "elsewhere"], "there is no run '2026': it is no file"),
    "repeat and more": (["search", "--repeat", "x.json", "--seed", "3"], "--seed cannot stand beside --repeat"),
    "repeat and config": (["search", "--repeat", "x.json", "--config", "y.toml"], "--config cannot stand beside"),
    "no image folder": (["search", "--images", "none"], "none is neither a folder of images nor an .npz"),
    "empty image folder": (["search", "--images", "."], "holds no images"),
    "missing board": (["measure", CELL, "--target", "my.toml"], "here/my.toml: No such file"),
    "scores to nowhere": (["scores", "--out", "/dev/null/x.csv"], "cannot write /dev/null/x.csv"),
    "table to a folder": (["profile", "nucleo-f746zg", "--out", "."], "cannot write ."),
    "unfinished quote": (["profile", "nucleo-f746zg", "--cc", "'", *TINY], "No closing quotation"),
    "no compiler": (["profile", "nucleo-f746zg", "--cc", "", *TINY], "--cc names no compiler"),
    "unknown compiler": (["profile", "nucleo-f746zg", "--cc", "gcc-17", *TINY], "cannot start the compiler 'gcc-17'"),
    "no adapter": (["profile", "nucleo-f746zg", "--adapter", "none.c", *TINY], "none.c"),
    "board without a port": (["profile", "raspberry-pi-pico", "--port", "x", *TINY], "no start-up code for raspberry"),
    "port and memory": (["profile", "nucleo-f746zg", "--port", "x", "--no-memory"], "cannot stand beside --port"),
    "port and adapter": (["profile", "nucleo-f746zg", "--port", "x", "--adapter", "a.c"], "cannot stand beside --port"),
    "no measurements": (["calibrate", "nucleo-f746zg", "none.csv"], "cannot read none.csv"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments: list[str], words: str) -> None:
    is_one_error(micronas(*arguments), words)


FILES = {
    "corrupt result": ("r.json", "{", ["search", "--repeat", "r.json"], "is not valid JSON"),
    "foreign result": ("r.json", '{"a": 1}', ["search", "--repeat", "r.json"], "holds no result"),
    "older result": ("r.json", '{"run": {}}', ["show", "r.json"], "was written by an earlier version of micronas"),
    "deep": ("r.json", "[" * 100_000, ["measure", "r.json"], "is not valid JSON"),
    "another's key": ("r.json", kept(sede=1), ["search", "--repeat", "r.json"], "did you mean 'seed'?"),
    "wrong type": ("r.json", kept(seed="1"), ["measure", "r.json"], "seed of a run must be a whole number, not '1'"),
    "bad seed": ("r.json", kept(seed=-1), ["search", "--repeat", "r.json"], "seed must be a whole number"),
    "bad weight": ("r.json", kept(terms={"ntk": -1.0}), ["search", "--repeat", "r.json"], "weight of ntk"),
    "run and config": ("r.json", kept(), ["measure", "r.json", "--config", "x.toml"], "cannot stand beside a run"),
    "lost images": ("r.json", kept(images="/none/photos"), ["measure", "r.json"], "are not at /none/photos any more"),
    "lost pictures": ("r.json", kept(images="/none"), ["search", "--repeat", "r.json"], "start anew with --images"),
    "config": ("r.toml", "seed = = 1", ["search", "--config", "r.toml"], "is not valid TOML"),
    "config key": ("r.toml", "clases = 8", ["measure", CELL, "--config", "r.toml"], "did you mean 'classes'?"),
    "board": ("b.toml", "[[[", ["search", "--target", "b.toml"], "b.toml is not valid TOML"),
    "board's name": ("b.toml", "name = 1", ["measure", CELL, "--target", "b.toml"], "line 1: name must be a text"),
    "board's core": ("b.toml", 'name = "b"\ncore = "z80"', ["profile", "b.toml", *TINY], "b.toml"),
    "corrupt .npz": ("i.npz", "PK", ["search", "--images", "i.npz"], "i.npz is no readable .npz"),
    "no images": ("i.txt", "hello", ["search", "--images", "."], "holds no images"),
    "no picture": ("i.png", "hello", ["search", "--images", "."], "i.png; remove or replace it"),
    "measurements": ("m.csv", "name,milliseconds\nadd2,fast\n", ["calibrate", "nrf5340dk", "m.csv"], "m.csv, line 2"),
    "adapter": ("a.c", "int x = ;", ["profile", "nucleo-f746zg", "--adapter", "a.c", *TINY], "cannot build a.c"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "arguments", "words"), FILES.values(), ids=FILES)
def test_a_bad_file_is_one_line_that_names_it(
    elsewhere: Path, tmp_path: Path, name: str, content: str, arguments: list[str], words: str
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / name).write_text(content)
    where = [str(folder / name) if word == name else str(folder) if word == "." else word for word in arguments]
    is_one_error(micronas(*where), words)


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for at in range(40):
        path = tmp_path / f"{at}.jpg"
        Image.fromarray(np.full((32, 32, 3), at, np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:200])
    is_one_error(micronas("search", "--images", str(tmp_path)), "cannot read the image")


def test_a_damaged_table_is_named_and_says_what_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "nucleo-f746zg.csv").write_text("# micronas latency table 2\n# board: x\n")
    is_one_error(micronas("measure", CELL, "--indicators", "latency"), '"micronas profile nucleo-f746zg" makes it anew')


def test_a_limit_out_of_reach_names_the_cheapest_cell_and_how_fast_it_is() -> None:
    said = micronas("search", "--max-latency", "10us")
    is_one_error(said, "no architecture reaches latency ≤ 0.01 ms; the cheapest, ", code=3)
    assert re.search(r"needs (latency )?3\d\.\d+ ms", said.err)
    assert "|skip_connect~0|none~1|none~2|" in said.err


def test_caches_that_cannot_be_written_cost_time_or_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", "/dev/null/caches")
    said = micronas("measure", CELL, "--indicators", "latency")
    assert (said.code, said.err.count("\n")) == (0, 1)
    assert said.err.startswith("note: nothing can be kept in /dev/null/caches: Not a directory; ")
    is_one_error(micronas("profile", "nucleo-f746zg", *TINY), "set MICRONAS_CACHE to a folder you can write to")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["--max-latency", "--seed", "300ms", "-1", "--json"]))))
def test_whatever_is_typed_there_is_no_traceback(words: list[str]) -> None:
    for arguments in (["measure", *words, "--target", "nowhere"], ["search", "--target", "nowhere", *words], words[:1]):
        said = micronas(*arguments)
        assert said.code in (0, 2)
        assert said.err.count("\n") == (1 if said.code else 0), said.err
        assert said.code == 0 or said.err.startswith("error: ")


# --- what is right ------------------------------------------------------------------------------


def test_without_a_command_there_is_help() -> None:
    said = micronas()
    assert (said.code, said.err) == (0, "")
    for command in ("search", "measure", "show", "scores", "profile", "calibrate", "targets", "indicators"):
        assert command in said.out
        assert micronas(command, "--help").code == 0
    assert micronas("--version").out == micronas("-V").out == f"micronas {version('micronas')}\n"
    assert micronas("-h").out == micronas("--help").out
    assert micronas("search", "-h").out == micronas("search", "--help").out


def test_the_doctor_says_what_is_there_and_what_an_extra_would_add(monkeypatch: pytest.MonkeyPatch) -> None:
    there = json.loads(micronas("doctor", "--json").out)
    assert {"python", "numpy", "torch", "micronas"} <= {*there["versions"]}
    assert there["extras"]["mcu"]["missing"] == []
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "unicorn" else name)
    said = micronas("doctor").out
    assert "the extra mcu" in said
    assert re.search(r"adds +times operations that no bundled table has", said)
    assert re.search(r"missing +unicorn", said)
    assert extras.how_to_install("mcu") in said


def test_an_extra_is_added_to_this_very_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.sys, "executable", "/somewhere/my env/bin/python")
    assert extras.how_to_install("mcu") == f"'/somewhere/my env/bin/python' -m pip install -e '{ROOT}[mcu]'"
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "site-packages" / "micronas" / "extras.py"))
    assert extras.how_to_install("mcu") == "'/somewhere/my env/bin/python' -m pip install 'micronas[mcu]'"


def test_any_indicator_can_be_asked_for_by_name() -> None:
    listed = [one["name"] for one in json.loads(micronas("indicators", "--json").out)]
    said = micronas("measure", CELL, "--indicators", ",".join(listed), "--json")
    assert [*json.loads(said.out)["indicators"]] == listed


def test_a_latency_is_asked_for_alone() -> None:
    said = micronas("measure", CELL, "--indicators", "latency", "--target", "nucleo-l4r5zi", "--json")
    data = json.loads(said.out)
    assert said.err == ""
    assert [*data["indicators"]] == ["latency"]
    assert data["latency_ms"] == data["indicators"]["latency"]["value"] > 0
    assert data["indicators"]["latency"]["unit"] == "ms"
    assert data["indicators"]["latency"]["origin"] == "simulated"
    assert (data["target"], data["seed"], data["search"]) == ("nucleo-l4r5zi", 0, None)


def test_a_pasted_architecture_may_be_broken_into_lines() -> None:
    broken = CELL.replace("+", "+\n   ")
    assert json.loads(micronas("measure", broken, "--indicators", "flops", "--json").out)["architecture"] == CELL


def test_where_there_is_no_terminal_there_are_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in (["measure", CELL, "--indicators", "latency"], ["targets"], ["indicators"]):
        said = micronas(*arguments)
        assert "\x1b" not in said.out + said.err
        assert max(map(len, said.out.splitlines())) <= 100


def test_lists_can_be_read_by_programs() -> None:
    boards = json.loads(micronas("targets", "--json").out)
    assert {"nucleo-f746zg", "raspberry-pi-pico"} <= {board["name"] for board in boards}
    assert all(board["latency"].startswith("simulated") and board["clock_hz"] > 0 for board in boards)
    indicators = {each["name"]: each for each in json.loads(micronas("indicators", "--json").out)}
    assert indicators["latency"]["unit"] == "ms"
    assert indicators["linear-regions"]["better"] == "higher"


def test_a_batch_is_kept_with_the_run_and_shown_again() -> None:
    usual, small = (
        json.loads(micronas("measure", CELL, "--indicators", "ntk", "--repeats", "1", *batch, "--json").out)
        for batch in ((), ("--batch", "8"))
    )
    assert (usual["run"]["batch"], small["run"]["batch"]) == (None, 8)
    assert usual["indicators"]["ntk"]["value"] != small["indicators"]["ntk"]["value"]


def test_flags_win_over_a_config_file(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('target = "nucleo-l4r5zi"\n[space_settings]\nchannels = 8\ncells = 2\n')
    said = micronas("measure", CELL, "--config", str(config), "--cells", "1", "--indicators", "flops", "--json")
    run = json.loads(said.out)["run"]
    assert (run["target"], run["space_settings"], run["input"]) == (
        "nucleo-l4r5zi",
        {"channels": 8, "cells": 1},
        "32x32x3",
    )


def test_a_search_is_kept_and_repeats_to_the_same_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = micronas(
        "search", "--search", "pruning", "--no-fit", "--max-latency", "0.25s", "--repeats", "1", "--seed", "3", "--json"
    )
    first = json.loads(said.out)
    assert said.err.count("\n") == 1
    (path,) = Path("runs").rglob("result.json")
    assert str(path) in said.err
    assert json.loads(micronas("show", "--json").out) == first
    assert json.loads(path.read_text()) == first
    assert first["latency_ms"] <= 250
    assert {"architecture", "indicators", "seconds", "seed", "target", "search"} <= {*first}
    monkeypatch.chdir(tmp_path)
    path = Path("here", path)
    again = micronas("search", "--repeat", str(path), "--runs", "/dev/null/runs", "--json")
    assert again.code == 2
    assert again.err == "error: cannot write the result below /dev/null/runs: Not a directory; choose another --runs\n"
    assert [*json.loads(again.out)] == ["error", "exit_code"]  # before any work
    repeated = json.loads(micronas("search", "--repeat", str(path), "--json").out)
    same = ("architecture", "indicators", "latency_ms", "seed", "run", "finalists", "rounds")
    assert {name: repeated[name] for name in same} == {name: first[name] for name in same}


def test_a_table_does_not_take_the_place_of_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = micronas("scores", "--out", str(pipe))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: cannot write {pipe}: it is no file")
    assert pipe.is_fifo()


# --- as processes of their own ------------------------------------------------------------------

QUICK = (["--help"], ["targets"], ["indicators"], ["measure", CELL, "--indicators", "latency,sram,flash", "--json"])


@pytest.mark.parametrize("arguments", QUICK, ids=lambda arguments: arguments[0])
def test_questions_that_need_no_network_load_neither_torch_nor_numba(arguments: list[str]) -> None:
    heavy = "sorted({'torch', 'numba'} & {*sys.modules})"
    code = f"import sys; from micronas.cli import main; code = main({arguments!r}); sys.exit(code or str({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"


SLOW = {
    "search": ["search", "--repeats", "100", "--runs", "runs"],
    "measure": ["measure", CELL, "--emulate"],
    "scores": ["scores", "--out", "scores.csv"],
    "profile": ["profile", "nucleo-l552ze-q", "--channels", "24"],
}


@pytest.mark.parametrize(
    ("name", "seconds"), [("search", 0.4), ("search", 1.2), ("measure", 1.2), ("scores", 1.2), ("profile", 2.0)]
)
def test_an_interrupted_command_says_so_and_leaves_nothing(
    name: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "cache"))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored, with tests in the background
    process = start(*SLOW[name])
    signal.signal(signal.SIGINT, before)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    *stopped, last = err.splitlines()
    assert (process.returncode, out, last) == (130, "", "interrupted; no result was written")
    assert all(line.startswith("stopped at ") for line in stopped)
    assert not list(Path.cwd().iterdir())
    assert not [*(tmp_path / "cache").rglob("*.tmp")]
    assert not [*(tmp_path / "cache" / "targets").glob("*")]


def test_a_reader_who_leaves_early_is_no_error_worth_a_traceback() -> None:
    for arguments in (["targets"], ["targets", "--json"]):
        with start(*arguments) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait() == 1


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        process = start("targets", stdout=full.fileno())
        _, err = process.communicate()
    assert (process.returncode, err) == (2, "error: cannot use the output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_box_drawing_loses_nothing(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("measure", CELL, "--indicators", "latency,sram")
    drawn = micronas(*arguments).out
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    process = start(*arguments, text=False)
    out, err = process.communicate()
    plain = out.decode(encoding)
    assert "?" not in plain
    assert "(0)-- conv 3x3 -->(1)" in plain
    assert re.findall(r"[\w.~]+", plain) == re.findall(r"[\w.~]+", drawn)
    assert err == b""


def test_the_cache_of_tests_is_not_the_users() -> None:
    assert "micronas-tests-" in str(cache_dir())
