"""Kept runs on the command line: shown, measured and repeated by whatever they are called, from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.terminal import CELL, TINY, kept, micronas

from micronas.hardware.boards.target import BUNDLED


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def keep_runs() -> list[Path]:
    """Three results of one network below `runs`, the first of another size."""
    common = ("measure", CELL, *TINY[:4], "--target", "nucleo-l4r5zi", "--indicators", "latency,params", "--json")
    for name, flags in (("2026-a", ("--input", "16")), ("2026-b", TINY[4:]), ("2027-c", TINY[4:])):
        path = Path("runs", f"{name}", "result.json")
        path.parent.mkdir(parents=True)
        path.write_text(micronas(*common, *flags).out)
    return sorted(Path("runs").iterdir())


def test_a_kept_run_is_shown_as_it_was_by_whatever_it_is_called() -> None:
    folder, *_ = keep_runs()
    shown = micronas("show", "2026-a")
    data = json.loads((folder / "result.json").read_text())
    assert shown.code == 0
    assert f"nucleo-l4r5zi: {data['network']}" in shown.out
    for name in (str(folder), str(folder / "result.json"), str(folder.absolute()), folder.name):
        assert micronas("show", name) == shown
    assert json.loads(micronas("show", "2026-a", "--json").out) == data
    ambiguous = micronas("show", "2026")
    assert (ambiguous.code, ambiguous.out) == (2, "")
    assert ambiguous.err.startswith("error: '2026' begins the names of 2 runs: 2026-")
    assert ambiguous.err.count("\n") == 1


def test_a_measured_run_brings_its_own_board_and_skeleton_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_runs()
    again = json.loads(micronas("measure", "2027", "--indicators", "latency,params", "--json").out)
    before = json.loads(micronas("show", "2027", "--json").out)
    assert again | {"seconds": 0, "checksum": ""} == before | {"seconds": 0, "checksum": ""}
    runs_folder = Path("runs").absolute()
    monkeypatch.chdir("/")
    other = micronas("measure", "2027", "--runs", str(runs_folder), "--cells", "2", "--indicators", "params", "--json")
    data = json.loads(other.out)
    assert (data["target"], data["network"]) == ("nucleo-l4r5zi", "C=4 N=2 8x8x3 -> 10 classes")
    assert data["indicators"]["params"]["value"] > before["indicators"]["params"]["value"]


def test_a_seed_takes_the_place_of_a_runs_ensemble() -> None:
    Path("r.json").write_text(kept(search="exact", seeds="0-1"))
    for flags, seeds in (((), "0-1"), (("--seed", "3"), None)):
        run = json.loads(micronas("measure", "r.json", *flags, "--indicators", "params", "--json").out)["run"]
        assert run["seeds"] == seeds


@pytest.mark.slow
def test_images_and_a_board_given_as_paths_are_found_from_any_folder(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("photos").mkdir()
    for at, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), np.uint8)):
        Image.fromarray(pixels).save(Path("photos", f"{at}.png"))
    for end in ("toml", "csv"):
        Path(f"nucleo-f446re.{end}").write_bytes((BUNDLED / f"nucleo-f446re.{end}").read_bytes())
    flags = ("--images", "photos", "--target", "nucleo-f446re.toml", "--search", "random", "--repeats", "1")
    first = json.loads(micronas("search", *flags, "--json").out)
    monkeypatch.chdir(tmp_path)
    again = micronas("search", "--repeat", "last", "--runs", "here/runs", "--json")
    assert again.err.count("\n") == 1, "nothing changed, so nothing is noted"
    assert json.loads(again.out) | {"seconds": 0, "checksum": ""} == first | {"seconds": 0, "checksum": ""}
    (elsewhere / "photos").rename(elsewhere / "pictures")
    moved = micronas("search", "--repeat", "last", "--runs", "here/runs")
    assert (moved.code, moved.out, moved.err.count("\n")) == (2, "", 1)
    assert f"are not at {elsewhere / 'photos'} any more; put them back" in moved.err


def test_a_file_that_was_edited_is_not_repeated() -> None:
    folder, *_ = keep_runs()
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    said = micronas("search", "--repeat", "2026-a")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"error: {path} was edited since it was written: its checksum differs; search again\n"
