"""A version is that of a module and of all it imports: no more, and no less."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import micronas
from micronas.sources import version_of

PROXIES = ("ntk", "linear_regions", "naswot", "zen", "synflow")
MODULES = (
    *(f"micronas.proxies.{name}" for name in PROXIES),
    *("micronas.spaces.nasbench201.space", "micronas.hardware.indicators.counted", "micronas.search.census"),
)

ASK = """
import json, sys
from micronas.sources import version_of
print(json.dumps({name: version_of(name) for name in sys.argv[1:]}))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be edited."""
    copy = tmp_path / "micronas"
    shutil.copytree(Path(micronas.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def versions(package: Path, *modules: str) -> Mapping[str, str]:
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", ASK, *(modules or MODULES)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def changed(package: Path, path: str) -> set[str]:
    """The modules whose version changes when a line is added to a file, or it is made."""
    before = versions(package)
    with (package / path).open("a", encoding="utf-8") as file:
        file.write("\n# another line\n")
    after = versions(package)
    return {name for name in before if before[name] != after[name]}


def test_the_copy_has_the_versions_of_the_original(package: Path) -> None:
    assert versions(package) == {name: version_of(name) for name in MODULES}
    assert len({*versions(package).values()}) == len(MODULES)


@pytest.mark.parametrize("name", PROXIES)
def test_editing_one_proxy_changes_its_own_version_alone(package: Path, name: str) -> None:
    assert changed(package, f"proxies/{name}.py") == {f"micronas.proxies.{name}"}


def test_a_new_module_changes_none(package: Path) -> None:
    assert changed(package, "spaces/another.py") == set()
    assert changed(package, "proxies/another.py") == set()


def test_what_is_imported_counts_wherever_the_import_stands(package: Path) -> None:
    """The compiled engine is imported in a function, when it is first asked for."""
    assert changed(package, "proxies/engine/compiled/numba_backend.py") >= {
        "micronas.proxies.ntk",
        "micronas.proxies.naswot",
    }
    assert changed(package, "weights.py") >= {f"micronas.proxies.{name}" for name in PROXIES}


def test_spaces_are_no_business_of_proxies_nor_proxies_of_spaces(package: Path) -> None:
    assert changed(package, "spaces/nasbench201/cell.py") == {"micronas.spaces.nasbench201.space"}
    spaces = {"micronas.spaces.nasbench201.space", "micronas.hardware.indicators.counted", "micronas.search.census"}
    assert changed(package, "network/live.py") >= spaces
    assert not changed(package, "proxies/engine/compiled/machine.py") & spaces


@pytest.mark.parametrize(
    "line",
    [
        "import micronas.chain",
        "from micronas import chain",
        "from micronas.chain import Chain",
        "from micronas import (\n    errors,\n    chain,\n)",
        "from micronas import errors, chain as one",
        "import json, micronas.chain as one",
        "from .chain import Chain",
        "from . import chain",
        "def late():\n    from micronas.chain import Chain",
    ],
)
def test_every_way_to_import_is_seen(package: Path, line: str) -> None:
    (package / "chain.py").write_text("Chain = 1\n", encoding="utf-8")
    (package / "one.py").write_text(f"{line}\n", encoding="utf-8")
    before = versions(package, "micronas.one")
    (package / "chain.py").write_text("Chain = 2\n", encoding="utf-8")
    assert versions(package, "micronas.one") != before


@pytest.mark.parametrize(
    ("space", "line", "other"),
    [
        ("mine.py", "from widths import WIDTH", "widths.py"),
        ("mine.py", "import json, widths", "widths.py"),
        ("mine.py", "from parts.widths import WIDTH", "parts/widths.py"),
        ("mine.py", "from parts import WIDTH", "parts/__init__.py"),
        ("parts/mine.py", "from .widths import WIDTH", "parts/widths.py"),
        ("parts/mine.py", "from . import WIDTH", "parts/__init__.py"),
        ("parts/deep/mine.py", "from ..widths import WIDTH", "parts/widths.py"),
        ("parts/mine.py", "import widths", "widths.py"),
        ("parts/__init__.py", "from .widths import WIDTH", "parts/widths.py"),
    ],
)
def test_what_lies_beside_a_module_of_a_user_is_seen(tmp_path: Path, space: str, line: str, other: str) -> None:
    """A space is often two files in a folder: editing either makes new networks."""
    for path in ("parts/__init__.py", "parts/deep/__init__.py", "widths.py", "parts/widths.py", "stranger.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("WIDTH = 1\n", encoding="utf-8")
    (tmp_path / space).write_text(f"{line}\n", encoding="utf-8")
    name = space.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(micronas.__file__).parents[1]}"}

    def version() -> str:
        command = [sys.executable, "-c", ASK, name]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    before = version()
    (tmp_path / "stranger.py").write_text("WIDTH = 2\n", encoding="utf-8")
    assert version() == before
    (tmp_path / other).write_text("WIDTH = 2\n", encoding="utf-8")
    assert version() != before


def test_telling_a_version_imports_nothing(package: Path) -> None:
    """Else a second question would wait for torch."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    program = """
import sys
from micronas.sources import version_of
before = {*sys.modules}
version_of("micronas.proxies.ntk")
print(sorted(name for name in {*sys.modules} - before if name.startswith(("micronas", "torch", "numba", "numpy"))))
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_an_indicator_of_a_script_has_the_version_of_the_script(tmp_path: Path) -> None:
    """What is typed has no file: what it computes is of use to its own process only."""
    script, line = tmp_path / "mine.py", 'from micronas.sources import version_of\nprint(version_of("__main__"))\n'

    def said(*command: str) -> str:
        return subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True).stdout

    found: list[str] = []
    for comment in ("", "# another line\n"):
        script.write_text(line + comment, encoding="utf-8")
        found.append(said(str(script)))
    assert len({*found, said("-c", line), said("-c", line)}) == 4
    assert said(str(script)) == found[-1]


def test_several_modules_have_one_version_in_any_order() -> None:
    one, other = "micronas.proxies.ntk", "micronas.spaces.nasbench201.space"
    assert version_of(one, other) == version_of(other, one)
    assert version_of(one, other) not in (version_of(one), version_of(other))
    assert len(version_of(one)) == 16


def test_a_module_of_a_package_without_an_init_has_the_version_of_its_file(tmp_path: Path) -> None:
    module = tmp_path / "spacious" / "mine.py"
    module.parent.mkdir()
    found: list[str] = []
    for text in ("", "", "# another line\n"):
        module.write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", ASK, "spacious.mine"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ["PYTHONPATH"]))}
        found.append(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
    assert found[0] == found[1] != found[2]
