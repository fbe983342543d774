"""An outcome as HTML and as data frames."""

from __future__ import annotations

import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.terminal import CELL, DEAD

from micronas.errors import UserError
from micronas.run import running
from micronas.run.findings import FrontPoint
from micronas.run.notebook import FRAMES
from micronas.run.outcome import Outcome
from micronas.run.run import Run

TINY = Run(space_settings={"channels": 4, "cells": 1}, input=8, repeats=1)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Of one network, with notes that HTML must not take for tags."""
    return replace(
        running.measure(TINY, CELL), notes=("1 < 2 & 3",), front=(FrontPoint("a", 1.0, {"latency_ms": 2.0}),)
    )


def test_its_html_is_well_formed_and_says_all_that_counts(outcome: Outcome) -> None:
    page = ET.fromstring(outcome._repr_html_())
    assert page.findtext("b") == f"nucleo-f746zg: {outcome.verdict}"
    assert (page.findtext("pre") or "").splitlines() == [outcome.architecture, *outcome.drawing]
    rows = {cells[0]: cells[1:] for row in page.iter("tr") if (cells := [cell.text or "" for cell in row])}
    reading = outcome.indicators["sram"]
    assert reading.value is not None
    assert rows["SRAM"] == [f"{reading.value / 1024:,.1f} KiB", "240.0 KiB", f"computed: {reading.origin.how}"]
    assert len(rows) == 1 + len(outcome.indicators)
    assert [line.text for line in page.iter("p")] == ["1 < 2 & 3"]


def test_a_disconnected_network_says_so() -> None:
    html = running.measure(TINY, DEAD, only=["sram", "ntk"])._repr_html_()
    assert "; disconnected" in html
    assert ">none<" in html


def test_frames_hold_what_the_outcome_says(outcome: Outcome) -> None:
    frame = outcome.to_frame()
    assert [*frame.index] == [*outcome.indicators]
    assert {*frame.columns} >= {"value", "unit", "origin", "how"}
    assert frame["value"].to_dict() == pytest.approx({name: one.value for name, one in outcome.indicators.items()})
    assert outcome.breakdown is not None
    layers = outcome.to_frame("layers")
    assert len(layers) == len(outcome.breakdown.costs)
    assert [*outcome.to_frame("limits")["indicator"]] == [one.indicator for one in outcome.limits]
    assert outcome.to_frame("front").to_dict("records") == [{"architecture": "a", "score": 1.0, "latency_ms": 2.0}]
    assert outcome.to_frame("finalists").empty
    assert running.measure(TINY, DEAD, only=["latency"]).to_frame("layers").empty


def test_a_frame_that_cannot_be_is_refused_in_words(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"no frame 'rows'; there are {', '.join(FRAMES)}"):
        outcome.to_frame("rows")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"need pandas: .*\[frames\]"):
        outcome.to_frame()
