"""The command line as tests call it: in this process, or as a user's own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

from micronas.cli import main
from micronas.run import results
from micronas.run.outcome import Outcome
from micronas.run.run import Run

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TINY = ("--channels", "4", "--cells", "1", "--input", "8")


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


def micronas(*arguments: str) -> Said:
    """Run a command in this process; neither stream is a terminal."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Said(code, out.getvalue(), err.getvalue())


def kept(**run: object) -> str:
    """The file of an outcome that came of such a run."""
    outcome = Outcome("nasbench201", CELL, (), "C=4", "nucleo-f746zg", {}, None, 0, Run().to_dict() | run)
    return json.dumps(results.sealed(outcome))


def start(*arguments: str, stdout: int = subprocess.PIPE, text: bool = True) -> subprocess.Popen[Any]:
    """Start a command as a process of its own, in a group of its own."""
    command = [sys.executable, "-m", "micronas", *arguments]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=text, start_new_session=True)
