"""Mutants are drawn by seed, reach tables and properties, and live where tests do not look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs cosmic-ray: make mutants installs it")
from tools.mutants.edits import Mutant, Source, sampled
from tools.mutants.rooms import ROOMS, judges

ROOT = Path(__file__).resolve().parents[1]

TOY = '''"""A toy."""

from __future__ import annotations

from dataclasses import dataclass

PRICES = {"apple": 3, "pear": 5}


@dataclass(frozen=True)
class Basket:
    apples: int = 0
    pears: int | None = None

    @property
    def price(self) -> int | None:
        if self.apples < 0:
            raise ValueError(f"{self.apples + 1} apples")
        return PRICES["apple"] * self.apples


def endless(number: int) -> int:
    while number > 0:
        number -= 1
    return number
'''

TESTS = """
from micronas.toy import Basket, endless

def test_price():
    assert Basket(2).price == 6

def test_endless():
    assert endless(3) == 0
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A checkout with one module."""
    files = {"src/micronas/toy.py": TOY, "src/micronas/__init__.py": "", "tests/test_toy.py": TESTS}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n', encoding="utf-8")
    return tmp_path


def mutants(toy: Path) -> list[Mutant]:
    """Every mutant of the toy."""
    source = Source(toy, "src/micronas/toy.py")
    return [mutant for place in source.places for edit in place if (mutant := source.mutant(*edit)) is not None]


def test_tables_and_properties_are_reached(toy: Path) -> None:
    edits = {(each.line, each.old, each.new) for each in mutants(toy)}
    row = 'PRICES = {"apple": 3, "pear": 5}'
    assert (7, row, row.replace("3", "4")) in edits
    assert (7, row, row.replace("5", "4")) in edits
    assert (15, "@property", "") in edits
    assert (19, 'return PRICES["apple"] * self.apples', 'return PRICES["apple"] // self.apples') in edits


def test_what_only_says_is_left_alone(toy: Path) -> None:
    """Annotations, the arguments of decorators, the words of errors."""
    assert {each.line for each in mutants(toy)} == {7, 10, 12, 15, 17, 19, 23, 24}


@pytest.mark.slow
def test_a_sample_repeats_by_seed_and_has_mutants_of_every_module() -> None:
    sources = [Source(ROOT, path) for path in judges(ROOT, ROOMS) if "/network/" in path]
    first = sampled(sources, 70, seed=1)
    assert first == sampled(sources, 70, seed=1)
    assert first != sampled(sources, 70, seed=2)
    assert abs(len(first) - 70) <= len(sources)
    assert {each.path for each in first} == {source.path for source in sources if source.places}


def test_an_edit_is_found_again_where_lines_moved(toy: Path) -> None:
    source = Source(toy, "src/micronas/toy.py")
    (mutant,) = (each for each in mutants(toy) if each.old == "@property")
    (toy / source.path).write_text(TOY.replace("PRICES = ", "\n\nPRICES = "), encoding="utf-8")
    found = Source(toy, source.path).again(mutant)
    assert found is not None
    assert (found.line, found.old, found.new) == (mutant.line + 2, mutant.old, mutant.new)


def run(toy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The tool on the toy."""
    program = f"""
import sys
from pathlib import Path
from tools.mutants import trial
from tools.mutants.__main__ import main
from tools.mutants.rooms import Room
trial.HEAVY, trial.patience_s = (), lambda usual_s: 1 + usual_s
sys.exit(main({arguments!r}, Path({str(toy)!r}), [Room(("*.py",), ("*.py",))]))
"""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_no_test_looks_at_survives_and_is_named_until_a_test_does(toy: Path) -> None:
    done = run(toy, "--mutants", "99")
    assert done.returncode == 1, done.stdout + done.stderr
    row = 'PRICES = {"apple": 3, "pear": 5}'
    survivor = f"src/micronas/toy.py:7 NumberReplacer\n    - {row}\n    + "
    assert done.stdout.count(survivor) == 1  # the pear's
    verdicts = {
        each["mutant"]["new"]: each["outcome"] for each in json.loads((toy / ".mutants/verdicts.json").read_text())
    }
    assert verdicts[""] == "killed"
    assert "timed out" in verdicts.values()
    with (toy / "tests/test_toy.py").open("a") as file:
        file.write("\ndef test_pear():\n    from micronas.toy import PRICES\n    assert PRICES['pear'] == 5\n")
    again = run(toy, "--again")
    assert "NumberReplacer\n    - PRICES" not in again.stdout, again.stdout + again.stderr
    assert (toy / "src/micronas/toy.py").read_text() == TOY


def test_tests_that_fail_anyway_judge_nothing(toy: Path) -> None:
    with (toy / "tests/test_toy.py").open("a") as file:
        file.write("\ndef test_wrong():\n    assert False\n")
    done = run(toy)
    assert done.returncode == 1
    assert "tests/test_toy.py fails on the source as it is" in done.stderr
