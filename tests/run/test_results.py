"""Results on disk: found by name, refused if they are not what was written, compared row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import CELL

from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.counted import count_space, network_signatures
from micronas.network.signature import Kind, Signature
from micronas.run import results, running
from micronas.run.outcome import SCHEMA, Outcome
from micronas.run.results import LAST, RESULT, THE_ANSWERS_LATENCIES, THE_TABLE, find, keep, locate, read_back, seal
from micronas.run.run import Run
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

OLD = Path(__file__).parents[1] / "data" / "result_before_schemas.json"
SPACE, TASK = NasBench201(), Task()


def measured() -> Outcome:
    return running.measure(Run(), CELL, only=["latency"])


# --- reading ------------------------------------------------------------------------------------


def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    outcome = measured()
    path = keep(outcome, tmp_path)
    assert read_back(path) == outcome
    assert json.loads(path.read_text(encoding="utf-8")) == results.sealed(outcome)


def test_spaces_between_words_are_no_edit(tmp_path: Path) -> None:
    outcome = measured()
    path = keep(outcome, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    assert read_back(path) == outcome


def without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "edited": (lambda data: data | {"seed": 7}, "was edited since it was written: its checksum differs"),
    "in another order": (lambda data: dict(sorted(data.items())), "was edited"),
    "no checksum": (lambda data: without(data, "checksum"), "was edited"),
    "newer": (lambda data: seal(data | {"schema": SCHEMA + 1}), "install a newer micronas"),
    "incomplete": (lambda data: seal(without(data, "drawing")), "can be read: KeyError('drawing'); search again"),
    "another type": (lambda data: seal(data | {"indicators": 3}), "holds no result that can be read"),
    "another word": (lambda data: seal(data | {"latency": {**data["latency"], "origin": "guessed"}}), "'guessed'"),
    "a list": (lambda _: [1], "holds no result; give a result.json written by 'micronas search'"),
    "foreign": (lambda _: {"a": 1}, "holds no result"),
    "no number": (lambda data: data | {"schema": "1"}, "holds no result"),
    "a truth": (lambda data: data | {"schema": True}, "holds no result"),
    "NaN": (lambda data: data | {"seed": float("nan")}, "is not valid JSON: NaN is no number of JSON"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_what_was_not_written_so_is_refused_in_one_line(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], says: str
) -> None:
    path = keep(measured(), tmp_path)
    path.write_text(json.dumps(damage(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_back(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_an_earlier_version_is_named_as_such() -> None:
    with pytest.raises(UserError, match=r"was written by an earlier version of micronas .*; search again"):
        read_back(OLD)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'"run"', b"3", b'{"schema": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RESULT).write_bytes(content)
    with pytest.raises(UserError, match=r"result\.json"):
        read_back(tmp_path / RESULT)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / RESULT, tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            read_back(path)


# --- finding ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs, of which the last is not the last written, and what is no run."""
    for name in ("20260102-000000-b-exact", "20260102-000000-b-exact-2", "20260103-000000-a-pruning"):
        (tmp_path / name).mkdir()
        (tmp_path / name / RESULT).touch()
    os.utime(tmp_path / "20260103-000000-a-pruning" / RESULT, (0, 0))
    (tmp_path / "20260109-no-result").mkdir()
    (tmp_path / "20260110-a-file").touch()
    return tmp_path


def test_a_run_is_found_by_path_by_the_start_of_its_name_and_as_the_last(folder: Path) -> None:
    run = folder / "20260103-000000-a-pruning"
    for text in (str(run), str(run / RESULT), run.name, "20260103", LAST):
        assert find(text, folder) == locate(text, folder) == run / RESULT
    assert find(str(run), Path("/none")) == run / RESULT


def test_a_whole_name_is_not_ambiguous(folder: Path) -> None:
    assert find("20260102-000000-b-exact", folder) == folder / "20260102-000000-b-exact" / RESULT


def test_a_renamed_run_is_as_old_as_its_file(folder: Path) -> None:
    (folder / "20260103-000000-a-pruning").rename(folder / "the best")
    assert locate(LAST, folder).parent.name.startswith("20260102")
    assert locate("the b", folder).parent.name == "the best"


def test_of_two_runs_within_a_second_the_last_written_is_the_last(folder: Path) -> None:
    (folder / "20260103-000000-a-pruning" / RESULT).unlink()
    for at, name in ((5, "20260102-000000-b-exact"), (4, "20260102-000000-b-exact-2")):
        os.utime(folder / name / RESULT, (at, at))
    assert locate(LAST, folder).parent.name == "20260102-000000-b-exact"


def test_an_ambiguous_name_lists_at_most_five(folder: Path) -> None:
    with pytest.raises(UserError, match=r"begins the names of 2 runs: .*-b-exact.*, .*-b-exact.*; write more"):
        find("20260102", folder)
    for day in range(11, 17):
        (folder / f"202602{day}-000000-x").mkdir()
        (folder / f"202602{day}-000000-x" / RESULT).touch()
    with pytest.raises(UserError) as caught:
        locate("2", folder)
    assert str(caught.value).count("-000000-x") == 5
    assert "begins the names of 9 runs: 20260216-000000-x, " in str(caught.value)
    assert "and 4 more; write more of the name" in str(caught.value)


def test_where_nothing_is_found_it_is_said_where(folder: Path) -> None:
    for text in ("2027", "", CELL, "a\0b", "x" * 5000, "20260109", "20260110-a-file"):
        assert find(text, folder) is None
        with pytest.raises(UserError, match=f"no run in {folder} has a name that begins so"):
            locate(text, folder)
    with pytest.raises(UserError, match=r"holds no result\.json"):
        locate(str(folder), folder)
    with pytest.raises(UserError, match="there is no run in /none; 'micronas search' keeps one"):
        find(LAST, Path("/none"))


# --- comparing ----------------------------------------------------------------------------------


def test_nothing_differs_from_a_result_just_written(tmp_path: Path) -> None:
    outcome = measured()
    path = keep(outcome, tmp_path)
    assert results.differences(read_back(path), outcome, path) == []


def test_other_images_other_latencies_and_another_answer_are_said() -> None:
    outcome = measured()
    path = Path(RESULT)
    other = replace(outcome, made_from=dict.fromkeys(outcome.made_from, "0"))
    lines = results.differences(outcome, other, path)
    assert [line.split(" changed")[0] for line in lines] == ["the images", THE_ANSWERS_LATENCIES]
    lines = results.differences(outcome, replace(other, architecture="another"), path)
    assert [line.split(" changed")[0] for line in lines[:-1]] == ["the images"]  # of other rows nothing can be said
    assert CELL in lines[-1]


def test_an_outcome_without_latencies_is_made_of_none() -> None:
    assert [*running.measure(Run(), CELL, only=["params"]).made_from] == ["the images"]


def table(changed: Signature | None = None) -> Callable[[str, str], Target]:
    """`load_target` with another operation in its table, and one figure changed if there is one to change."""

    def load(name: str, runtime: str) -> Target:
        target = load_target(name, runtime)
        figures = {**target.latency.milliseconds, Signature(Kind.ADD, (7, 7, 7), (7, 7, 7), operands=2): 1.0}
        if changed:
            figures[changed] *= 1.001
        return target.with_latency(replace(target.latency, milliseconds=figures))

    return load


def ran_and_not_ran(architecture: str) -> tuple[Signature, Signature]:
    """An operation that a network runs, and one of its space that it does not run."""
    ran = network_signatures(SPACE.lower(SPACE.parse(architecture), TASK))
    return ran[0], next(each for each in count_space(SPACE, TASK).operations if each not in ran)


def test_a_table_that_merely_grew_raises_no_alarm_and_a_changed_row_does(monkeypatch: pytest.MonkeyPatch) -> None:
    before = measured()
    ran, not_ran = ran_and_not_ran(CELL)
    for load, same in ((table(), True), (table(not_ran), True), (table(ran), False)):
        monkeypatch.setattr("micronas.run.setup.load_board", load)
        assert (measured().made_from == before.made_from) is same


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"limits": {"latency": 500.0}}, {"terms": {"ntk": 1.0, "latency": 0.5}}])
def test_a_search_that_weighs_latency_depends_on_every_row_of_its_space(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(Run(repeats=1, search="random"), **changes)
    before = running.search(run)
    assert [*before.made_from] == ["the images", THE_TABLE]
    for load, same in ((table(), True), (table(ran_and_not_ran(before.architecture)[1]), False)):
        monkeypatch.setattr("micronas.run.setup.load_board", load)
        assert (running.search(run).made_from == before.made_from) is same
