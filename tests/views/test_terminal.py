"""The page at the widths of terminals: nothing cut, an architecture that can be copied, words that are right."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from micronas import quantity
from micronas.deploy.emulation import Emulation
from micronas.hardware.boards.bands import Band
from micronas.origin import Origin, Word
from micronas.run import running
from micronas.run.findings import Finalist, Kept, Ranked, Reading, Round, Standing
from micronas.run.outcome import Outcome
from micronas.run.run import Run
from micronas.views import details, terminal, wording

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
    return shown_by(terminal.show, outcome, width)


def shown_by(show: Callable[[Outcome, Console], None], outcome: Outcome, width: int = 100) -> str:
    out = StringIO()
    show(outcome, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def closed(path: Path, width: int) -> str:
    out = StringIO()
    terminal.close(path, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_the_headline_names_the_seeds_that_were_drawn() -> None:
    outcome = found(1, 0)
    assert "found by pruning, seed 0, in" in shown(outcome)
    ensemble = replace(outcome, search="exact", run={**outcome.run, "seeds": "0-4"})
    assert "found by exact, seeds 0-4, in" in shown(ensemble)


def test_a_calibrated_latency_does_not_say_that_no_board_was_attached() -> None:
    outcome = measured()
    assert outcome.breakdown is not None
    assert "no board was attached" in shown_by(details.show_sources, outcome)
    calibrated = replace(outcome.breakdown, is_calibrated=True, band=Band.around(0.05))
    text = shown_by(details.show_sources, replace(outcome, breakdown=calibrated))
    assert "expect " in text
    assert "no board was attached" not in text


MOST_LINES = 26


def words_of(text: str) -> list[str]:
    """Whatever is no drawing, in order, however it is broken into lines."""
    return re.findall(r"[\w.,%±−/|~+-]*[\w%|][\w.,%±−/|~+-]*", text.replace("─", " "))


def everything_found() -> Outcome:
    """A page with all that a search can say: four limits, pictures, runners-up, a better network that does not fit."""
    outcome = found(1, 0)
    limits = (
        Kept("latency", 400.0, 293.3, "ms", upper=352.0),
        Kept("live-flops", 50e6, 49.1e6, "MAC"),
        Kept("sram", 240 * 1024, 98_304, "bytes", "16 of 256 KiB SRAM1"),
        Kept("flash", 960 * 1024, 500_000, "bytes", "64 of 1,024 KiB flash"),
    )
    others = [
        Ranked(CELL, rank, {"latency": 380.5, "live-flops": 54e6, "sram": 98_304, "flash": 5e5}) for rank in (9, 12)
    ]
    best = Ranked(CELL, 1, {"latency": 512.25, "live-flops": 70.1e6, "sram": 98_304, "flash": 5e5})
    names = [one.indicator for one in limits]
    more = dict(zip(names, (others[1], Ranked(CELL, 5, {"live-flops": 54.4e6}), *others), strict=True))
    without = dict(zip(names, (others[0], best, *others), strict=True))
    standing = Standing(9, 5259, 2744, best, tuple(others), without, more)
    images = "60,000 of 28x28x1 in 10 classes, from some/folder"
    return replace(outcome, limits=limits, standing=standing, images=images, search="exact")


@pytest.mark.parametrize("width", [30, 40, 50])
def test_nothing_is_lost_where_no_column_fits(width: int) -> None:
    outcome = everything_found()
    text, widest = shown(outcome, width), shown(outcome, 400)
    assert sorted(words_of(text)) == sorted(words_of(widest))
    assert "…" not in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_nothing_is_lost_at_any_width_and_the_page_fits_a_screen(width: int) -> None:
    outcome = everything_found()
    text, widest = shown(outcome, width), shown(outcome, 400)
    assert sorted(words_of(text)) == sorted(words_of(widest))
    assert "…" not in text
    assert len(text.splitlines()) + len(closed(Path("runs/a/result.json"), width).splitlines()) <= MOST_LINES
    for word in ("(0)", "(3)", "conv 3x3", "avg pool 3x3", "skip connect", "simulated −7/+27 %", "computed"):
        assert word in text


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_what_is_copied_has_no_line_break(width: int) -> None:
    outcome = everything_found()
    lines = [line.strip() for line in shown(outcome, width).splitlines()]
    assert outcome.architecture in lines
    assert f"images     {outcome.images}" in lines
    assert f"runner-up  {CELL} rank 9" in lines


def test_only_drawn_lines_are_wider_than_the_console() -> None:
    outcome = everything_found()
    copied = ("|", "images", "runner-up", "not chosen")
    lines = [line for line in shown(outcome, 60).splitlines() if not line.strip().startswith(copied)]
    assert max(map(cell_len, lines)) <= 60


def test_why_this_one() -> None:
    text = " ".join(shown(everything_found(), 400).split())
    assert "rank 9 of 5,259 networks (above 99.8 %); 2,744 fit" in text
    assert "10 % more of live FLOPs buys rank 5 (54.40 MMAC), of latency or SRAM or flash nothing" in text
    assert "nothing; live FLOPs binds" in text
    assert "rank 1 needs latency 512.2 ms, 128 %; live FLOPs 70.10 MMAC, 140 % of the limit" in text
    assert text.count("runner-up") == 1
    assert shown(replace(everything_found(), limits=everything_found().limits[:3])).count("runner-up") == 2


def test_without_limits_nothing_keeps_the_best_away() -> None:
    outcome = found(1, 0)
    best = Ranked(outcome.architecture, 1, {})
    text = shown(replace(outcome, limits=(), standing=Standing(1, 5259, 5259, best)), 400)
    assert "1 of 5,259 networks (above 100 %)\n" in re.sub(" +\n", "\n", text)
    assert "not chosen" not in text
    assert "10 % more" not in text


def test_numbers_stand_with_their_unit_and_their_origin() -> None:
    outcome = measured()
    (simulated,) = (line for line in shown(outcome).splitlines() if line.strip().startswith("simulated"))
    latency = outcome.indicators["latency"].value
    assert latency is not None
    _, name, number, *words = simulated.split()
    assert name == "latency"
    assert float(number) == pytest.approx(latency, abs=0.05)
    assert words == ["ms", "−7/+27", "%"]
    assert re.search(r"computed .*parameters \d+\.\d{3} million", shown(outcome, 400))
    assert "simulated: micronas" in shown_by(details.show_sources, outcome)
    assert "no board was attached" in shown_by(details.show_sources, outcome)
    assert "measured" not in shown(outcome) + shown_by(details.show_sources, outcome)


def test_the_layers_are_those_of_the_network_and_add_up() -> None:
    outcome = measured()
    assert outcome.breakdown is not None
    text = shown_by(details.show_layers, outcome)
    layers = text.partition("layer by layer")[2].splitlines()
    named = {words[0]: float(words[1]) for line in layers if len(words := line.split()) > 2 and words[2] == "ms"}
    assert list(named) == [cost.layer for cost in outcome.breakdown.costs]
    assert sum(named.values()) == pytest.approx(outcome.breakdown.latency_ms, abs=0.01 * len(named))
    for word in ("conv 3x3", "avg pool 3x3", "reduce1", "where the time goes"):
        assert word in text


@pytest.mark.parametrize(("number", "words"), [(1, "1 cell"), (0, "0 cells"), (2, "2 cells"), (1500, "1,500 cells")])
def test_plurals(number: int, words: str) -> None:
    assert wording.count(number, "cell") == words


def test_the_limit_says_what_it_allowed_and_the_sources_how_the_search_got_there() -> None:
    assert re.search(r"latency +293.3 ms +of 300.0 ms .* 98 % +simulated −7/\+27 %", shown(found(3, 1)))
    several, one = (shown_by(details.show_sources, outcome) for outcome in (found(3, 1), found(1, 0)))
    assert "3 cells came of the hardware weights that were tried" in several
    assert "1 removal skipped" in several
    assert "led to this cell (hardware weights x 2)" in one
    assert "skipped" not in one
    assert "1 measurement of untrained networks" in one


def test_a_limit_in_question_is_named_with_the_most_it_may_be() -> None:
    limits = (Kept("latency", 300.0, 293.3, "ms", upper=352.0),)
    assert "fits nucleo-f746zg if the estimate is right: latency up to 352.0 ms" in shown(
        replace(found(1, 0), limits=limits)
    )


def test_a_dead_cell_says_so_and_has_no_latency() -> None:
    outcome = measured(DEAD)
    text = shown(outcome)
    assert "No path leads from the input to the output" in text
    assert "(0)" in text
    assert "(3)" in text
    assert "disconnected" in text
    assert "where the time goes" not in shown_by(details.show_layers, outcome)


def test_without_latency_nothing_is_said_of_time() -> None:
    outcome = running.measure(Run(), CELL, only=["params"])
    assert "where the time goes" not in shown_by(details.show_layers, outcome)
    assert "No path" not in shown(outcome)


def test_a_caveat_stands_beside_its_number() -> None:
    saturated = Reading(3000.0, "", Origin(Word.COMPUTED, "on C=1"), "saturated, a lower bound")
    outcome = replace(measured(), indicators={"linear-regions": saturated})
    assert "linear regions 3,000 (saturated, a lower bound)" in shown(outcome)
    assert "saturated, a lower bound" in shown_by(details.show_sources, outcome)


def test_an_emulation_is_called_simulated() -> None:
    emulation = Emulation("b", 1e6, 1, 4.63, (1,), True, 1000, {"x": 24}, 500, 2048, {}, {})
    text = shown(replace(measured(), emulation=emulation))
    assert "4.63 ms from reset to halt, 1,000,000 cycles, simulated" in text
    assert "1.5 KiB: arena 1,000, stack 500, statics 24 bytes" in text
    assert "NOT equal" in shown(replace(measured(), emulation=replace(emulation, matches_reference=False)))


def test_the_last_lines_can_be_copied_however_long() -> None:
    folder = Path("a folder", "x" * 90)
    text = closed(folder / "result.json", 60)
    assert f"micronas search --repeat '{folder / 'result.json'}'\n" in text
    assert f"micronas show '{folder}' --layers --sources\n" in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0258194, "0.0258"), (71.2005, "71.2"), (28.98, "29.0"), (304.81, "304.8"), (1204.4, "1,204")]
)
def test_milliseconds_have_digits_that_mean_something(value: float, text: str) -> None:
    assert quantity.milliseconds(value) == text
