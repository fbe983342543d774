"""Whatever a name from outside holds, a terminal is shown text and no command."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from tests.terminal import CELL, TINY, micronas

from micronas.run import results
from micronas.views.escaped import SafeConsole, escaped

ATTACKS = [
    ("\x1b[2J", "\\x1b[2J"),  # clears the screen
    ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),  # names the window
    ("\x1b]8;;http://there\x1b\\", "\\x1b]8;;http://there\\x1b\\"),  # a link
    ("\x9b31m", "\\x9b31m"),  # the same in one character
    ("\rfits", "\\x0dfits"),  # writes over what stands before
    ("\x08\x08ok", "\\x08\\x08ok"),
    ("a\tb", "a\\x09b"),
    ("\x7f", "\\x7f"),
    ("\u202egnp.exe", "\\u202egnp.exe"),  # turns text round
    ("\u2066x\u2069", "\\u2066x\\u2069"),
    ("zero\u200bwidth", "zero\\u200bwidth"),
    ("line\u2028break", "line\\u2028break"),
    ("caf\udce9", "caf\\xe9"),  # a byte that is not UTF-8
    ("\x00", "\\x00"),
]
HARMLESS = ["Zürich", "画像", "a b\nc", "±20 %", "(0)── conv ──▶(1)", "naïve \u00a0 space", "emoji 🙂"]


@pytest.mark.parametrize(("text", "shown"), ATTACKS)
def test_what_commands_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert escaped(text) == shown
    out = io.StringIO()
    console = SafeConsole(file=out, width=80, force_terminal=True, color_system="standard")
    table = Table("", box=None)
    table.add_row(Text(text, style="bold"))
    for what in (Text(escaped(text), style="red"), Text(text), table):
        console.print(what)
    said = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert shown in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_only_text_is_left_alone(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize("text", [text for text, _ in ATTACKS if "\x00" not in text])
def test_no_error_commands_a_terminal(text: str) -> None:
    for words in (("show", text), ("measure", text), ("search", "--target", text), ("search", "--images", text)):
        said = micronas(*words)
        assert said.code == 2
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said.err)
        assert said.err.count("\n") == 1


def test_no_page_of_a_result_from_elsewhere_commands_a_terminal(tmp_path: Path) -> None:
    text = micronas("measure", CELL, *TINY, "--indicators", "latency,params", "--json").out
    data = json.loads(text)
    evil = "".join(attack for attack, _ in ATTACKS if "\udce9" not in attack)
    for key in ("architecture", "network", "target", "images"):
        data[key] = f"{data[key]}{evil}"
    data["notes"], data["drawing"] = [evil], [evil]
    data["indicators"]["params"]["how"] = data["indicators"]["params"]["unit"] = evil
    (tmp_path / "result.json").write_text(json.dumps(results.seal(data)))
    for flags in ((), ("--layers",), ("--sources",), ("--json",)):
        said = micronas("show", str(tmp_path), *flags)
        assert said.code == 0
        if not flags:
            assert "".join(escaped(evil).split()) in "".join(said.out.split())
        for stream in said[1:]:
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028\u200b]", stream)
