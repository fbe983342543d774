"""One process at a time, whatever the system lends for it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests.terminal import CELL
from tests.without import SYSTEMS, python, said

from micronas import locking

COUNT = """
import time
from pathlib import Path
from micronas.locking import alone

lock, number = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(8):
    with alone(lock):
        found = int(number.read_text())
        time.sleep(0.005)
        number.write_text(str(found + 1))
"""
HOLD = """
import time
from pathlib import Path
from micronas.locking import alone

with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
TAKE = """
import time
from pathlib import Path
from micronas import locking

locking._ABANDONED_S, locking._SETTLE_S = 0.6, 0.3
print("begin", flush=True)
with locking.alone(Path(sys.argv[1])):
    print(time.time(), flush=True)
    time.sleep(0.1)
    print(time.time())
"""


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_two_are_at_work_at_once(system: str, tmp_path: Path) -> None:
    """A number that is read, waited on and written back loses nothing."""
    number = tmp_path / "number"
    number.write_text("0")
    runs = [python(system, COUNT, str(tmp_path / "lock"), str(number)) for _ in range(3)]
    assert [said(run) for run in runs] == [""] * 3
    assert number.read_text() == "24"
    assert not list(tmp_path.glob("*.held*"))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_process_lets_go(system: str, tmp_path: Path) -> None:
    """And of those that waited for it still only one is at work at once."""
    holder = python(system, HOLD, str(tmp_path / "lock"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiting = [python(system, TAKE, str(tmp_path / "lock")) for _ in range(3)]
    for each in waiting:
        assert each.stdout is not None
        assert each.stdout.readline() == "begin\n"
    time.sleep(0.2)
    killed = time.time()
    holder.kill()
    holder.communicate(timeout=60)
    spans = sorted(tuple(map(float, said(each).split())) for each in waiting)
    assert killed <= spans[0][0]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert not list(tmp_path.glob("*.held*"))


def test_who_was_taken_for_dead_does_not_take_the_others_lock_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_ABANDONED_S", 0.0)
    monkeypatch.setattr(locking, "_SETTLE_S", 0.0)
    path, held = tmp_path / "lock", tmp_path / "lock.held"
    first, second = locking._name_in_a_file(path), locking._name_in_a_file(path)
    with first:
        mine = held.read_text()
        second.__enter__()
        theirs = held.read_text()
    assert mine != theirs == held.read_text()
    second.__exit__(None, None, None)
    assert not held.exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_where_no_file_can_be_made_is_an_error_at_once(system: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = "from pathlib import Path\nfrom micronas.locking import alone\nwith alone(Path(sys.argv[1])): pass"
    process = python(system, program, str(tmp_path / "file" / "lock"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "NotADirectoryError" in output


@pytest.mark.parametrize("system", ["windows", "neither"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], "search"),
        (["targets"], "nucleo-f746zg"),
        (["measure", CELL, "--indicators", "latency"], "simulated"),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_commands_need_nothing_that_only_unix_has(system: str, arguments: list[str], words: str) -> None:
    program = "from micronas.cli import main\nsys.exit(main(sys.argv[1:]))"
    assert words in said(python(system, program, *arguments))
