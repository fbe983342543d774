"""Scores survive kills, neighbours and damage, and what happened to them is said."""

from __future__ import annotations

import math
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from tests.without import python, said

from micronas.errors import UserError
from micronas.store import LAYOUT, ScoreStore, Series, default_store

SERIES = Series("ntk", "batch 32, seed 0", "c0de")
OTHER = Series("ntk", "batch 32, seed 1", "c0de")
SCORES = {f"{number:032x}": number / 7 for number in range(2000)} | {"disconnected": math.inf}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "caches" / "scores.sqlite3"


@pytest.fixture
def filled(path: Path) -> Path:
    ScoreStore(path).write({SERIES: SCORES, OTHER: {"a": 1.0}})
    return path


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


# --- reading and writing ------------------------------------------------------------------------


def test_what_is_written_is_read_by_any_run(filled: Path) -> None:
    store = ScoreStore(filled)
    assert store.read(SERIES) == SCORES
    assert store.read(OTHER) == {"a": 1.0}
    assert store.read(Series("regions", SERIES.fingerprint, "c0de")) == {}
    assert store.said == []


def test_a_later_score_of_a_network_replaces_the_earlier(filled: Path) -> None:
    ScoreStore(filled).write({OTHER: {"a": 2.0, "b": -math.inf}})
    assert ScoreStore(filled).read(OTHER) == {"a": 2.0, "b": -math.inf}


def test_scores_of_other_code_are_other_scores_and_are_dropped_when_new_ones_come(filled: Path) -> None:
    store, newer = ScoreStore(filled), Series(SERIES.indicator, SERIES.fingerprint, "c0de2")
    assert store.read(newer) == {}
    assert store.read(SERIES) == SCORES  # asking drops nothing
    store.write({newer: {"a": 5.0}})
    assert store.read(newer) == {"a": 5.0}
    assert store.read(SERIES) == {}
    assert store.read(OTHER) == {"a": 1.0}  # another seed stays
    assert sql(filled, "SELECT count(*) FROM scores") == [(2,)]


def test_it_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    assert default_store().path == tmp_path / "scores.sqlite3"


def test_several_series_are_written_all_or_none(filled: Path) -> None:
    with pytest.raises(UserError):
        ScoreStore(filled).write({OTHER: {"a": 7.0}, SERIES: {"b": object()}})  # type: ignore[dict-item]
    assert ScoreStore(filled).read(OTHER) == {"a": 1.0}


# --- damage -------------------------------------------------------------------------------------


def assert_mended(path: Path, *, at_least: int = 0) -> ScoreStore:
    """Nothing false is read, and what is missing can be made again."""
    store = ScoreStore(path)
    read = store.read(SERIES)
    assert read.items() <= SCORES.items()
    assert len(read) >= at_least
    store.write({SERIES: SCORES})
    assert ScoreStore(path).read(SERIES) == SCORES
    return store


@pytest.mark.parametrize("size", [15, 100, 4096, 4097, 20_000, 100_000])
def test_a_truncated_file(filled: Path, size: int) -> None:
    filled.write_bytes(filled.read_bytes()[:size])
    assert len(assert_mended(filled).said) == 1


def test_a_lost_tail_costs_only_what_was_in_it(filled: Path) -> None:
    filled.write_bytes(filled.read_bytes()[:-4096])
    assert_mended(filled, at_least=500)


@pytest.mark.parametrize("content", [b"\x00" * 5000, b"no database" * 1000, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_not_a_database(filled: Path, content: bytes) -> None:
    filled.write_bytes(content)
    (line,) = assert_mended(filled).said
    assert f"the score store {filled} was damaged or of another version (file is not a database)" in line
    assert "0 scores were saved from it" in line
    assert filled.with_name("scores.damaged.sqlite3").read_bytes() == content


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert assert_mended(path).said == []


def test_an_overwritten_header(filled: Path) -> None:
    filled.write_bytes(b"\xff" * 100 + filled.read_bytes()[100:])
    assert len(assert_mended(filled).said) == 1


def test_a_flipped_value_is_noticed_by_its_checksum_and_costs_one_row(filled: Path) -> None:
    sql(filled, f"UPDATE scores SET value = 0.125 WHERE key = '{77:032x}'")
    store = assert_mended(filled, at_least=len(SCORES) - 1)
    (line,) = store.said
    assert "(1 scores in it are false); 2,001 scores were saved" in line
    assert assert_mended(filled).said == []  # said once, not for ever


def test_a_row_of_another_series_is_no_score_of_this_one(filled: Path) -> None:
    sql(filled, "UPDATE scores SET series = 3 - series WHERE key IN ('a', 'disconnected')")
    assert_mended(filled, at_least=len(SCORES) - 1)


def test_flipped_bytes_anywhere_never_yield_a_false_score(filled: Path) -> None:
    sound, chance = filled.read_bytes(), random.Random(0)
    places = [*range(16, 100, 3), *(chance.randrange(100, len(sound)) for _ in range(60))]
    for at in places:
        flipped = bytearray(sound)
        flipped[at : at + 8] = bytes(byte ^ 0xA5 for byte in sound[at : at + 8])
        filled.write_bytes(flipped)
        assert_mended(filled)
        assert_mended(filled, at_least=len(SCORES))


def test_tables_of_another_layout_are_put_aside(filled: Path) -> None:
    sql(filled, f"PRAGMA user_version = {LAYOUT - 1}")
    (line,) = assert_mended(filled, at_least=len(SCORES)).said
    assert f"(its layout is {LAYOUT - 1}, this version's is {LAYOUT})" in line
    assert f"{len(SCORES) + 1:,} scores were saved" in line


def test_a_table_that_is_gone(filled: Path) -> None:
    sql(filled, "DROP TABLE series")
    (line,) = assert_mended(filled).said
    assert "no such table: series" in line


def test_somebody_elses_database_is_kept_aside_whole(path: Path) -> None:
    path.parent.mkdir()
    sql(path, "CREATE TABLE diary (page TEXT)")
    assert_mended(path)
    assert sql(path.with_name("scores.damaged.sqlite3"), "SELECT count(*) FROM diary") == [(0,)]


# --- places that cannot be used -----------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for use in (lambda store: store.read(SERIES), lambda store: store.write({SERIES: {}})):
        with pytest.raises(UserError, match=r"cannot use the score store .*; set MICRONAS_CACHE to a folder you can"):
            use(ScoreStore(tmp_path / "file" / "scores.sqlite3"))


def test_a_folder_in_the_files_place_is_one_clear_line(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="unable to open database file"):
        ScoreStore(path).read(SERIES)


def test_a_file_that_may_only_be_read_still_answers(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, **settings: object) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", read_only)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert ScoreStore(filled).read(SERIES) == SCORES
    with pytest.raises(UserError, match="attempt to write a readonly database; set MICRONAS_CACHE"):
        ScoreStore(filled).write({SERIES: {"a": 1.0}})


def test_a_locked_file_is_waited_for_and_never_called_damaged(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micronas.store._PATIENCE_S", 0.05)
    with closing(sqlite3.connect(filled)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="database is locked"):
            ScoreStore(filled).read(SERIES)
    assert ScoreStore(filled).read(SERIES) == SCORES
    assert list(filled.parent.iterdir()) == [filled]


# --- several runs at once -----------------------------------------------------------------------

RUN = """
import sys, time
from pathlib import Path
from micronas.network.identity import weights_key
from micronas.search import measured
from micronas.search.census import take_census
from micronas.search.measured import Measured
from micronas.store import ScoreStore
from micronas.testing.doubles import START, Drawn

measure = Drawn.measure
Drawn.measure = lambda self, graph: time.sleep({pause}) or measure(self, graph)
measured.CHUNK = 4
census = take_census(START)
graphs = [census.representative(at).graph for at in range(len(census))]
keys = [weights_key(graph) for graph in graphs]
print("begin", flush=True)
with Measured(ScoreStore(Path(sys.argv[1]))) as known:
    for values in known.of_keys(Drawn(), keys, graphs.__getitem__, range(2)):
        print("scores", *values.tolist(), flush=True)
print(*known.notes, flush=True)
"""


def start(path: Path, pause: float) -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(root)!r})\n" + RUN.replace("{pause}", str(pause)),
    ]
    return subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return [line for line in output.splitlines() if line.startswith("scores")]


def rows_in(path: Path) -> int:
    """How many scores are there; a run killed early leaves no tables yet."""
    if not path.exists() or not sql(path, "SELECT 1 FROM sqlite_master"):
        return 0
    return int(str(sql(path, "SELECT count(*) FROM scores")[0][0]))


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments_and_finished(tmp_path: Path) -> None:
    expected = finish(start(tmp_path / "undisturbed.sqlite3", 0))
    path, chance = tmp_path / "scores.sqlite3", random.Random(4)
    kept: list[int] = []
    for _ in range(20):
        process = start(path, 0.001)
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        time.sleep(chance.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        assert process.returncode in (-signal.SIGKILL, 0), output
        kept.append(rows_in(path))
    assert all(before <= after for before, after in pairwise(kept))  # nothing that was kept is lost
    assert kept[0] < kept[-1]
    process = start(path, 0)
    output, _ = process.communicate(timeout=60)
    assert [line for line in output.splitlines() if line.startswith("scores")] == expected
    assert output.endswith("\n\n"), output  # nothing had to be said of damage
    assert ScoreStore(path).said == []


def test_three_runs_at_once_agree_and_leave_a_sound_store(tmp_path: Path) -> None:
    expected = finish(start(tmp_path / "alone.sqlite3", 0))
    path = tmp_path / "scores.sqlite3"
    runs = [start(path, 0.0005) for _ in range(3)]
    assert [finish(run) for run in runs] == [expected] * 3
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_three_runs_that_find_the_same_damage_mend_it_once(tmp_path: Path) -> None:
    expected = finish(start(tmp_path / "alone.sqlite3", 0))
    path = tmp_path / "scores.sqlite3"
    path.write_bytes(b"no database" * 1000)
    runs = [start(path, 0.0005) for _ in range(3)]
    assert [finish(run) for run in runs] == [expected] * 3
    assert path.with_name("scores.damaged.sqlite3").read_bytes() == b"no database" * 1000
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


MEND = """
from pathlib import Path
from tests.test_store import SCORES, SERIES
from micronas.store import ScoreStore

path = Path(sys.argv[1])
ScoreStore(path).write({SERIES: SCORES})
assert ScoreStore(path).read(SERIES) == SCORES
whole = path.read_bytes()
path.write_bytes(whole[:-4096])
store = ScoreStore(path)
kept = store.read(SERIES)
store.write({SERIES: SCORES})
assert ScoreStore(path).read(SERIES) == SCORES
print(len(kept), *store.said)
"""


@pytest.mark.parametrize("system", ["windows", "neither"])
def test_it_is_written_read_and_mended_on_other_systems_too(system: str, path: Path) -> None:
    kept, _, words = said(python(system, MEND, str(path))).partition(" ")
    assert 500 <= int(kept) < len(SCORES)
    assert f"the score store {path} was damaged" in words
    assert sorted(each.suffix for each in path.parent.iterdir()) == [
        *([".lock"] if system == "windows" else []),
        *(".sqlite3", ".sqlite3"),
    ]
