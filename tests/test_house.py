"""The house keeps its own rules: what README promises exists, and every law of the floors bites."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

import micronas

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

MACHINE = re.compile(r"/(?:root|work|home/\w+|Users/\w+)/|/tmp/\w|pypi\.org|pythonhosted\.org|download\.pytorch\.org")


def blocks(language: str) -> list[str]:
    """README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def named_commands(program: str) -> set[str]:
    """What follows a program's name in README's console blocks: `search` for `make search`."""
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    return {line.split()[1] for line in lines if line.startswith(f"{program} ")}


def tracked_files() -> list[Path]:
    """Every file of the checkout that git tracks, text or not."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_readme_names_targets_of_make() -> None:
    assert {"search", "test"} <= named_commands("make")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert named_commands("make") <= targets


def test_readme_names_commands_of_micronas() -> None:
    for command in named_commands("micronas") | {"search"}:
        assert python("-m", "micronas", command, "--help").returncode == 0, command


def test_readme_shows_the_ten_lines() -> None:
    code = (ROOT / "examples/ten_lines.py").read_text().split('"""\n\n', maxsplit=1)[1]
    assert code in blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_the_version_is_written_once() -> None:
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version:" not in (ROOT / "CITATION.cff").read_text().replace("cff-version:", "")


def test_the_installed_version_is_ours() -> None:
    try:
        installed = metadata.version("micronas")
    except metadata.PackageNotFoundError:
        pytest.skip("run from a checkout that is not installed")
    assert installed == micronas.__version__, "the version changed since it was installed: make clean"


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    project = PYPROJECT["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[<>=]", requirement)[0] for requirement in wanted}
    assert names <= {pin.split("==")[0] for pin in pins}


def test_no_tracked_file_names_a_machine() -> None:
    for path in tracked_files():
        found = MACHINE.search(path.read_bytes().decode(errors="replace"))
        assert found is None, f"{path.relative_to(ROOT)} names {found[0]}"


@pytest.mark.parametrize("statement", ["import micronas", "from micronas.search import *", "import micronas.cli"])
def test_importing_stays_light(statement: str) -> None:
    check = f"{statement}\nimport sys; print(sorted({{'torch', 'numba'}} & set(sys.modules)))"
    done = python("-c", check)
    assert done.stdout.strip() == "[]", done.stderr


def lint_imports(source: Path) -> subprocess.CompletedProcess[str]:
    """The laws of pyproject.toml on the package in a folder."""
    shutil.copy(ROOT / "pyproject.toml", source)
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(source / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


BREACHES = {
    "torch outside its rooms": (
        "choices.py",
        "import torch",
        "Only torch_network, proxies and deploy import torch BROKEN",
    ),
    "numba outside proxies": ("deploy/breach.py", "import numba", "Only proxies import numba BROKEN"),
    "what only Unix has": ("search/breach.py", "import resource", "Only locking imports what only Unix has BROKEN"),
    "upwards": ("network/graph.py", "import micronas.search.breach", "every module has a floor BROKEN"),
    "no floor": ("breach.py", "", "every child of every container must be declared"),
    "a proxy that asks hardware": ("proxies/breach.py", "import micronas.hardware.breach", "judge apart BROKEN"),
    "a face": ("search/breach.py", "from micronas import __version__", "never a package's __init__ BROKEN"),
    "a heavy search": ("search/breach.py", "import micronas.proxies.breach", "even indirectly BROKEN"),
    "a page that asks": (
        "views/terminal.py",
        "import micronas.hardware.indicators.flash",
        "never of what makes them BROKEN",
    ),
    "the catalog": ("search/breach.py", "import micronas.catalog", "every module has a floor BROKEN"),
}


@pytest.mark.parametrize(("module", "line", "verdict"), BREACHES.values(), ids=BREACHES)
def test_a_breach_of_the_floors_is_caught(tmp_path: Path, module: str, line: str, verdict: str) -> None:
    package = tmp_path / "src" / "micronas"
    shutil.copytree(ROOT / "src" / "micronas", package, ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("search", "hardware", "proxies", "deploy"):
        (package / room / "breach.py").write_text("import torch\n" if room == "proxies" else "")
    (package / "catalog.py").touch()
    with (package / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert verdict in done.stdout


def test_the_laws_are_kept_here(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout
