"""The page at the widths of terminals: nothing cut, an architecture that can be copied, words that are right."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from micronas.deploy.emulation import Emulation
from micronas.origin import Origin, Word
from micronas.run import running
from micronas.run.outcome import Finalist, Kept, Outcome, Reading, Round
from micronas.run.run import Run
from micronas.spaces.nasbench201.space import NasBench201
from micronas.views import terminal

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|skip_connect~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
HARDWARE = ("flops", "live-flops", "params", "latency", "sram", "sram-tflm", "flash")


def measured(cell: str = CELL) -> Outcome:
    return running.measure(Run(), cell, only=HARDWARE)


def found(finalists: int, skipped: int) -> Outcome:
    """A searched outcome with as many finalists and skipped removals."""
    outcome = measured()
    one = Finalist(outcome.architecture, 1.0, {}, hardware_factor=2.0)
    struck = Round(24, skipped=((0, "none"),) * skipped)
    limits = (Kept("latency", 300.0, 293.3, "ms"),)
    found = replace(outcome, finalists=(one,) * finalists, rounds=(struck,), measured=1, limits=limits)
    return replace(found, search="pruning", seconds=3.21)


def shown(outcome: Outcome, width: int = 100) -> str:
    out = StringIO()
    terminal.show(outcome, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_the_headline_names_the_seeds_that_were_drawn() -> None:
    outcome = found(1, 0)
    assert "found by pruning, seed 0, in" in shown(outcome)
    ensemble = replace(outcome, search="exact", run={**outcome.run, "seeds": "0-4"})
    assert "found by exact, seeds 0-4, in" in shown(ensemble)


def test_a_calibrated_latency_does_not_say_that_no_board_was_attached() -> None:
    outcome = measured()
    assert outcome.breakdown is not None
    assert "no board was attached" in shown(outcome)
    calibrated = replace(outcome.breakdown, is_calibrated=True, band=0.05)
    text = shown(replace(outcome, breakdown=calibrated))
    assert "expect " in text
    assert "no board was attached" not in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_cut_at_any_usual_width(width: int) -> None:
    text = shown(found(2, 2), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("conv 3x3", "avg pool 3x3", "skip connect", "reduce1", "persistent", "depthwise 1x1"):
        assert word in text


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_an_architecture_is_broken_only_between_nodes_and_can_be_pasted_back(width: int) -> None:
    outcome = measured()
    lines = shown(outcome, width).splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("  |"))
    last = next(at for at, line in enumerate(lines[first:], first) if not line.strip())
    assert NasBench201().format(NasBench201().parse("\n".join(lines[first:last]))) == outcome.architecture
    if width >= 60:
        assert all(line.rstrip().endswith(("|+", "|")) for line in lines[first:last])


def test_numbers_stand_with_their_unit_and_their_origin() -> None:
    outcome = measured()
    readings = shown(outcome).partition("where the time goes")[0].splitlines()
    lines = {line.split("  ")[1].strip(): line for line in readings if line.startswith("  ")}
    latency = outcome.indicators["latency"].value
    assert latency is not None
    _, number, *words = lines["latency"].split()
    assert float(number) == pytest.approx(latency, abs=0.05)
    assert words == ["ms", "±20", "%", "simulated"]
    assert lines["parameters"].split()[-2:] == ["million", "computed"]
    assert "simulated: micronas" in shown(outcome)
    assert "no board was attached" in shown(outcome)
    assert "measured" not in shown(outcome)


def test_ends_of_numbers_stand_below_each_other() -> None:
    rows = [
        line for line in shown(measured()).splitlines() if line.endswith("computed" + " " * 0) or "computed" in line
    ]
    ends = {row.index(unit) for row in rows for unit in (" KiB", " MMAC", " million") if unit in row}
    assert len(ends) == 1


@pytest.mark.parametrize(("number", "words"), [(1, "1 cell"), (0, "0 cells"), (2, "2 cells"), (1500, "1,500 cells")])
def test_plurals(number: int, words: str) -> None:
    assert terminal.count(number, "cell") == words


def test_the_limit_says_what_it_allowed() -> None:
    several, one = shown(found(3, 1)), shown(found(1, 0))
    assert re.search(r"latency +293.3 ms +of 300.0 ms .* 98 %", several)
    assert "3 cells came of the hardware weights that were tried" in several
    assert "1 removal skipped" in several
    assert "led to this cell (hardware weights x 2)" in one
    assert "skipped" not in one
    assert "1 measurement of untrained networks" in one


def test_a_dead_cell_says_so_and_has_no_latency() -> None:
    text = shown(measured(DEAD))
    assert "No path leads from the input to the output" in text
    assert "where the time goes" not in text


def test_without_latency_nothing_is_said_of_time() -> None:
    text = shown(running.measure(Run(), CELL, only=["params"]))
    assert "where the time goes" not in text
    assert "No path" not in text


def test_a_caveat_stands_beside_its_number() -> None:
    saturated = Reading(3000.0, "", Origin(Word.COMPUTED, "on C=1"), "saturated, a lower bound")
    text = shown(replace(measured(), indicators={"linear-regions": saturated}))
    assert "3,000" in text
    assert text.count("saturated, a lower bound") == 2


def test_an_emulation_is_called_simulated() -> None:
    emulation = Emulation("b", 1e6, 1, 4.63, (1,), True, 1000, {"x": 24}, 500, 2048, {}, {})
    text = shown(replace(measured(), emulation=emulation))
    assert "4.63 ms from reset to halt, 1,000,000 cycles, simulated" in text
    assert "1.5 KiB: arena 1,000, stack 500, statics 24 bytes" in text
    assert "NOT equal" in shown(replace(measured(), emulation=replace(emulation, matches_reference=False)))


def test_the_last_lines_can_be_copied_however_long() -> None:
    out = StringIO()
    path = Path("a folder", "x" * 90, "result.json")
    terminal.close(path, Console(file=out, width=60, color_system=None))
    assert f"kept in  {path}\n" in out.getvalue()
    assert f"micronas search --repeat '{path}'\n" in out.getvalue()


@pytest.mark.parametrize(
    ("value", "text"), [(0.0258194, "0.0258"), (71.2005, "71.2"), (28.98, "29.0"), (304.81, "304.8"), (1204.4, "1,204")]
)
def test_milliseconds_have_digits_that_mean_something(value: float, text: str) -> None:
    assert terminal.milliseconds(value) == text
