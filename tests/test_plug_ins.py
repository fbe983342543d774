"""The page on plug-ins, built as a distribution and used as its reader would; and plug-ins that are broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from micronas.cache import cache_dir

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "plug-ins.md"
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
TINY = ("--channels", "2", "--cells", "1", "--input", "8")


@dataclass(frozen=True)
class Installed:
    """A folder of distributions on the path of a process of its own."""

    folder: Path

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(ROOT / "src"), str(self.folder)])
        environment = os.environ | {"PYTHONPATH": path, "MICRONAS_CACHE": str(self.folder / "cache")}
        found = subprocess.run(
            [sys.executable, *words], env=environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert found.returncode == code, found.stdout + found.stderr
        return found

    def micronas(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "micronas.cli", *words, code=code)

    def found(self, *words: str) -> Any:
        once = ("--repeats", "1", "--no-fit", "--json")
        return json.loads(self.micronas("search", *words, *once).stdout)


def install(folder: Path, name: str, version: str, entry_points: dict[str, dict[str, str]]) -> None:
    """What an installer leaves of a distribution, for `importlib.metadata` to find."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in its.items()) for group, its in entry_points.items())
    (info / "entry_points.txt").write_text("\n".join(groups))


def with_compiled(folder: Path) -> None:
    """A cache of its own but for what was compiled already, which is the same for all."""
    (folder / "cache").mkdir()
    for name in ("numba", "toolchain"):
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (folder / "cache" / name).symlink_to(cache_dir() / name)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The page's distribution, its board's table made as the page says."""
    folder = tmp_path_factory.mktemp("mine")
    blocks = re.findall(
        r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for package in ("mine", "mine/boards"):
        (folder / package / "__init__.py").write_text("")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(folder, project["name"], project["version"], project["entry-points"])
    installed = Installed(folder)
    with_compiled(folder)
    (command,) = re.findall(r"^micronas (profile .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    installed.micronas(*command.split())
    return installed


@pytest.mark.slow
def test_the_pages_lists_and_laws_hold(mine: Installed) -> None:
    listed = {one["name"]: one for one in json.loads(mine.micronas("indicators", "--json").stdout)}
    assert (listed["traffic"]["unit"], listed["traffic"]["better"]) == ("bytes", "lower")
    assert listed["grad-norm"]["what"] == "indicator grad-norm of micronas-mine 1.0"
    assert "weather-station" in mine.micronas("targets").stdout
    laws = mine.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert re.search(r"\d+ passed", laws.stdout)


@pytest.mark.parametrize("search", ["exact", "random", "hill"])
def test_an_indicator_weighs_and_limits(mine: Installed, search: str) -> None:
    weights = (
        "--weight",
        "traffic=1",
        "--weight",
        "grad-norm=1",
        "--search",
        search,
        "--space",
        "tower",
        "--input",
        "8",
    )
    free = mine.found(*weights)
    at_most = 0.7 * free["indicators"]["traffic"]["value"]
    limited = mine.found(*weights, "--limit", f"traffic={at_most}")
    assert limited["indicators"]["traffic"]["value"] <= at_most
    assert limited["limits"][0]["indicator"] == "traffic"
    assert free["indicators"]["grad-norm"]["value"] > 0
    assert free["versions"]["micronas-mine"] == "1.0"
    assert "micronas-mine 1.0" in free["indicators"]["traffic"]["how"]
    if search == "exact":
        without = mine.found("--search", search, "--space", "tower", "--input", "8")
        assert without["indicators"].get("traffic") is None
        assert [one["score"] for one in free["finalists"]] != [one["score"] for one in without["finalists"]]


@pytest.mark.slow
def test_pruning_weighs_both_kinds(mine: Installed) -> None:
    words = (
        "--search",
        "pruning",
        "--ntk-weight",
        "0",
        "--regions-weight",
        "0",
        "--weight",
        "grad-norm=1",
        "--cells",
        "1",
        "--batch",
        "4",
    )
    large, small = (mine.found(*words, "--weight", f"traffic={weight}") for weight in (0, 50))
    assert small["indicators"]["traffic"]["value"] < large["indicators"]["traffic"]["value"]


def test_a_search_of_ones_own_has_its_settings_and_repeats(mine: Installed) -> None:
    words = ("--search", "hill", "--search-setting", "steps=1", "--space", "tower", "--input", "8")
    first = mine.found(*words)
    again = json.loads(mine.micronas("search", "--repeat", "last", "--json").stdout)
    assert (first["search"], again["architecture"]) == ("hill", first["architecture"])
    wrong = mine.micronas("search", "--search", "hill", "--search-setting", "step=1", code=2)
    assert wrong.stderr == "error: unknown setting of hill 'step'; did you mean 'steps'? there are samples, steps\n"


def test_a_board_of_ones_own_is_searched_for(mine: Installed) -> None:
    words = ("measure", CELL, "--target", "weather-station", "--indicators", "latency,sram", "--json")
    found = json.loads(mine.micronas(*words).stdout)
    assert found["latency_ms"] > 0
    assert found["versions"]["micronas-mine"] == "1.0"
    assert "of 192 KiB SRAM1" in found["limits"][0]["whose"]


def test_another_version_measures_anew_and_a_repeat_says_so(mine: Installed, tmp_path: Path) -> None:
    copy = Installed(tmp_path / "copy")
    shutil.copytree(mine.folder, copy.folder, symlinks=True, ignore=shutil.ignore_patterns("runs"))
    words = ("--space", "tower", "--input", "8", "--weight", "grad-norm=1")
    first = copy.found(*words)
    (info,) = copy.folder.glob("*.dist-info")
    metadata = (info / "METADATA").read_text().replace("1.0", "1.1")
    (info / "METADATA").write_text(metadata)
    info.rename(copy.folder / "micronas_mine-1.1.dist-info")
    said = copy.micronas("search", "--repeat", "last", "--json")
    assert "note: micronas-mine is 1.1 now, and was 1.0 when" in said.stderr
    assert json.loads(said.stdout)["finalists"] == first["finalists"]


# --- broken ones --------------------------------------------------------------------------------

BROKEN = {
    "micronas.indicators": {
        "not-there": "broken.nowhere:thing",
        "raises": "broken:raises",
        "bare": "broken:bare",
        "nan": "broken:nan",
        "flops": "broken:bare",
    },
    "micronas.searches": {"none": "broken:NoSearch"},
    "micronas.spaces": {"empty": "broken:Empty"},
    "micronas.boards": {"gone": "broken.boards"},
}
CODE = """
import micronas

print("imported")
raises = lambda means: 1 / 0
nan = micronas.indicator(lambda graph: float("nan"))

class Bare:
    name = "bare"
    better = "lower"
    def measure(self, graph):
        return 0.0

bare = Bare()

class NoSearch:
    def __init__(self, **settings):
        pass

class Empty(micronas.SearchSpace):
    name = "empty"
    def everything(self):
        return micronas.Choices((("a", "b"),))
    def lower(self, choices, task):
        return None
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "broken.py").write_text(CODE)
    install(folder, "micronas-broken", "0.1", BROKEN)
    with_compiled(folder)
    return Installed(folder)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--limit", "not-there=1"], ["the indicator not-there of micronas-broken 0.1 is broken: ModuleNotFoundError"]),
        (["--limit", "raises=1"], ["the indicator raises of micronas-broken 0.1 is broken: ZeroDivisionError"]),
        (
            ["--limit", "bare=1"],
            [
                "the indicator bare of micronas-broken 0.1 is no Indicator: it lacks unit (str: the unit of the number",
                "a right better (Better: which way is better), for 'lower' is none",
                "measure_many(graphs: 'Sequence[Graph]') (Scores: the numbers of many networks, shape (graphs,);",
                "origin (Origin: ",
            ],
        ),
        (
            ["--search", "none"],
            ["the search none of micronas-broken 0.1 is no Search: it lacks ", "run(start", "name (str"],
        ),
        (["--space", "empty"], ["empty: lower must make a Graph, not NoneType"]),
        (["--target", "gone"], ["unknown board 'gone'", "the board gone of micronas-broken 0.1 is broken"]),
        (["--weight", "bear=1"], ["unknown indicator 'bear'; did you mean 'bare'?"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_a_broken_one_costs_one_line_where_it_is_asked_for(
    broken: Installed, words: Sequence[str], says: Sequence[str]
) -> None:
    said = broken.micronas("search", *words, *([] if "--space" in words else TINY), code=2)
    assert said.stderr.startswith("error: ")
    assert said.stderr.count("\n") == 1
    for each in says:
        assert each in said.stderr


def test_and_nobody_else(broken: Installed) -> None:
    """A name of ours is ours; nothing is imported that nobody asked for; lists say what is broken, and go on."""
    said = broken.micronas("measure", CELL, "--indicators", "flops,latency")
    assert "imported" not in said.stdout
    assert said.stderr == ""
    listed = broken.micronas("indicators")
    assert "ntk" in listed.stdout
    assert listed.stderr.count("\n") == 3
    assert "note: the indicator raises of micronas-broken 0.1 is broken: ZeroDivisionError" in listed.stderr
    nan = broken.micronas("measure", CELL, "--indicators", "nan", code=2)
    assert nan.stderr == "error: nan returned NaN; return infinity for what is worst\n"
    targets = broken.micronas("targets")
    assert "nucleo-f746zg" in targets.stdout
    assert targets.stderr.startswith("note: the board gone of micronas-broken 0.1 is broken:")
