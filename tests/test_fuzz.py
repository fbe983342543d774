"""Every reader, given inputs that are almost right, answers or refuses in one line: `make fuzz` with few inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tools.fuzz.readers import READERS, Reader
from tools.fuzz.trial import tried

from micronas.errors import UserError


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_in_one_line(name: str) -> None:
    figures = tried(name, READERS[name], 40, seed=1)
    assert figures.faults == []
    assert figures.accepted
    assert figures.accepted + figures.refused == figures.tried


@pytest.mark.parametrize("raised", [ValueError("x"), UserError("two\nlines"), UserError("l" * 5000), UserError("")])
def test_whatever_else_a_reader_does_is_a_fault(raised: Exception) -> None:
    def read(content: bytes, _: Path) -> None:
        if content != b"true":
            raise raised

    figures = tried("toy", Reader(read, lambda: (b"true",), lambda _, __: b"false"), 3, seed=0)
    assert (figures.tried, figures.accepted, len(figures.faults)) == (4, 1, 3)


def test_a_true_input_that_is_refused_is_a_fault() -> None:
    def read(_: bytes, __: Path) -> None:
        raise UserError("never")

    assert tried("toy", Reader(read, lambda: (b"true",)), 0, seed=0).faults


def test_the_tool_prints_figures_of_each_reader() -> None:
    command = [sys.executable, "-m", "tools.fuzz", "--inputs", "20", "--only", "board", "typed"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["reader", "board", "typed", "0"]
