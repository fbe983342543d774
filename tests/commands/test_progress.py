"""What a user is told meanwhile: how long it goes on, what it will cost, what an interrupt leaves."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from tests.terminal import CELL, TINY, micronas

from micronas.commands.progress import progress
from micronas.views.pace import Pace, clock


class Clock:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_what_is_left_is_counted_down_between_reports() -> None:
    now = Clock()
    pace = Pace(now)
    pace.report(0, 100, "work")
    assert pace.left_s is None
    now.seconds += 10
    pace.report(20, 100, "work")
    assert pace.left_s == pytest.approx(40)
    now.seconds += 15
    assert pace.left_s == pytest.approx(25)
    now.seconds += 100
    assert pace.left_s == 0
    assert pace.taken_s == pytest.approx(125)


def test_other_work_begins_anew_and_what_ended_is_told() -> None:
    now = Clock()
    pace = Pace(now)
    now.seconds += 1
    assert pace.report(0, 10, "one") == "starting: 1.0 s"
    now.seconds += 2.5
    assert pace.report(5, 10, "one") == ""
    assert pace.report(40, 100, "two") == "one: 2.5 s"
    assert pace.left_s is None
    now.seconds += 3
    pace.report(70, 100, "two")
    assert pace.left_s == pytest.approx(3)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (52.4, "0:52"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def _interrupted() -> None:
    with progress() as watch:
        watch(0, 0, "scoring takes about 71 s")
        watch(512, 5000, "ntk of 5000 networks")
        raise KeyboardInterrupt


def test_an_announcement_is_said_and_an_interrupt_says_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    announced, stopped = capsys.readouterr().err.splitlines()
    assert announced == "scoring takes about 71 s"
    kept = "scores measured so far are kept, and the same command goes on from them"
    assert stopped == f"stopped at ntk of 5000 networks, 512 of 5,000; {kept}"


def test_quiet_says_nothing_and_verbose_what_took_how_long() -> None:
    said = micronas("measure", CELL, *TINY, "--indicators", "ntk", "-q")
    assert (said.code, said.err) == (0, "")
    told = micronas("measure", CELL, *TINY, "--indicators", "ntk", "-v")
    assert re.search(r"^\S.*: \d+\.\d s$", told.err, re.M)
    assert micronas("measure", CELL, *TINY, "--indicators", "flops").err == ""
    assert told.out == said.out


@pytest.mark.slow
def test_a_terminal_sees_the_time_left_move_and_an_interrupt_loses_no_score() -> None:
    """A real search in a real terminal, ended by Ctrl-C while it scores."""
    wide = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "micronas", "search", *TINY, "--no-fit", "--repeats", "9", "--seed", "977"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, env=wide, start_new_session=True)
    os.close(theirs)
    seen, times = "", []
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and len(times) < 8:
        if select.select([ours], [], [], 1.0)[0]:
            new = os.read(ours, 65536).decode(errors="replace")
            seen += new
            if re.search(r"ntk of \d{4} networks.*\d:\d\d left", new):
                times.append(time.monotonic())
    os.killpg(process.pid, signal.SIGINT)
    while True:
        try:
            new = os.read(ours, 65536).decode(errors="replace")
        except OSError:
            break
        if not new:
            break
        seen += new
    assert process.wait() == 130
    assert max(after - before for before, after in pairwise(times)) < 1
    assert "takes about" in seen
    assert re.search(r"stopped at ntk of .* scores measured so far are kept", " ".join(seen.split()))
    assert "interrupted; no result was written" in seen
