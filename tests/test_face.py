"""`import micronas` gives a search to call with keywords, which in a notebook shows how it gets on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import micronas

TINY: dict[str, Any] = {
    "channels": 4,
    "cells": 1,
    "input": 8,
    "repeats": 1,
    "search": "random",
    "search_setting": ["samples=3"],
}


def test_keywords_search_as_the_same_run_does() -> None:
    told: list[tuple[int, int, str]] = []

    def watch(done: int, total: int, what: str) -> None:
        told.append((done, total, what))

    found = micronas.find(watch=watch, max_latency="20ms", **TINY)
    settings: dict[str, Any] = {"channels": 4, "cells": 1}
    run = micronas.Run(
        space_settings=settings,
        input=8,
        repeats=1,
        search="random",
        search_settings={"samples": 3},
        limits={"latency": 20.0},
    )
    assert micronas.find(run).run == found.run
    assert micronas.find(run).architecture == found.architecture
    assert micronas.find(run, seed=1).seed == 1
    assert any(what == "ntk of 3 networks" for _, _, what in told)


def test_a_keyword_that_is_none_is_refused_before_any_work() -> None:
    with pytest.raises(micronas.UserError, match="unknown keyword 'max_latencies'; did you mean 'max_latency'"):
        micronas.find(max_latencies="20ms")


SEARCH = """
import micronas
found = micronas.find(channels=4, cells=1, repeats=1, search="random", search_setting=["samples=1000"], fit=False)
found
"""


def _executed(tmp_path: Path, *cells: str) -> list[Any]:
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    shown: list[str] = []

    class Client(NotebookClient):
        """Keeps every state of the bar: an execution leaves only the last."""

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if msg["msg_type"] in ("display_data", "update_display_data"):
                shown.append(msg["content"]["data"].get("text/html", ""))
            return super().process_message(msg, cell, cell_index)

    client = Client(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    return [notebook, shown]


@pytest.mark.slow
def test_in_a_notebook_a_search_shows_its_pace_and_then_the_answer(tmp_path: Path) -> None:
    notebook, shown = _executed(tmp_path, SEARCH)
    bars = [bar for bar in shown if "<progress" in bar]
    assert bars[0].startswith("<span>starting <progress>")
    assert any(" of 1000 networks" in bar for bar in bars), bars[-5:]
    assert shown[-1] == ""  # it is gone
    answers = [out["data"] for out in notebook.cells[0].outputs if out["output_type"] == "execute_result"]
    assert len(answers) == 1
    assert "<table>" in answers[0]["text/html"]
    assert answers[0]["text/plain"].startswith("Outcome of nucleo-f746zg:")


PACED = """
import time
from micronas.commands.cell import progress
with progress() as watch:
    for done in range(4):
        watch(done, 3, "ntk of 3 networks")
        time.sleep(1)
"""


@pytest.mark.slow
def test_in_a_notebook_the_bar_says_what_is_done_and_how_long_it_goes_on(tmp_path: Path) -> None:
    _, shown = _executed(tmp_path, PACED)
    bars = [bar for bar in shown if "<progress" in bar]
    for done in range(4):
        says = f'ntk of 3 networks <progress value="{done}" max="3"></progress> {done} of 3, 0:0'
        assert any(says in bar for bar in bars), (done, bars)
    assert any(bar.endswith(" left</span>") for bar in bars), bars
    assert shown[-1] == ""


def test_in_a_notebook_an_error_is_said_and_the_bar_goes(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="error: unknown board 'nope'; there are ") as caught:
        _executed(tmp_path, "import micronas\nmicronas.find(target='nope')")
    assert "Traceback" not in str(caught.value)
