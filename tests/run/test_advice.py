"""What is said beside an answer, and what would help where there is none: each word checked by asking for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from micronas.objective import Unreachable
from micronas.run.advice import notes, smaller
from micronas.run.run import Run
from micronas.run.running import search
from micronas.run.setup import set_up
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

TINY = Run(space_settings={"channels": 4, "cells": 1}, input=16, repeats=1, search="random")
EMPTY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def test_a_flag_that_is_said_to_help_does() -> None:
    """Memory out of reach: every flag that is named is asked for, and the same limit is kept."""
    limits = {"sram": 1500.0, "flash": 1e6}
    with pytest.raises(Unreachable) as caught:
        search(replace(TINY, limits=limits))
    flags = re.findall(r"--([a-z-]+) (\d+)", str(caught.value))
    assert {name for name, _ in flags} == {"stem-stride", "input"}
    assert "sram ≤ 1500 bytes" in str(caught.value)
    assert "flash" not in str(caught.value)
    for name, number in flags:
        if name == "input":
            run = replace(TINY, limits=limits, input=int(number))
        else:
            run = replace(
                TINY, limits=limits, space_settings={**TINY.space_settings, name.replace("-", "_"): int(number)}
            )
        assert search(run).indicators["sram"].value <= 1500  # type: ignore[operator]


def test_the_gentlest_change_is_named() -> None:
    parts = set_up(replace(TINY, limits={"sram": 1500.0}))
    nearest = parts.start.of(parts.start.space.parse(EMPTY))
    words = smaller(nearest, parts.objective.limits)
    (side,) = map(int, re.findall(r"--input (\d+)x", words))
    space = NasBench201(channels=(4,), cells=(1,))
    sram = parts.indicator("sram")
    needs = [sram.measure(space.lower(space.parse(EMPTY), Task((size, size, 3)))) for size in (side, 2 * side)]
    assert needs[0] <= 1500 < needs[1]


def test_nothing_is_promised_where_nothing_is_known_to_help() -> None:
    parts = set_up(replace(TINY, limits={"sram": 1.0}))
    assert smaller(parts.start.of(parts.start.space.parse(EMPTY)), parts.objective.limits) == ""
    with pytest.raises(Unreachable) as caught:
        search(replace(TINY, limits={"sram": 1.0}))
    assert "would help" not in str(caught.value)


def test_an_empty_cell_never_goes_unsaid() -> None:
    """The latency of the cheapest network is the limit, so there is one answer."""
    parts = set_up(TINY)
    cheapest = parts.start.of(parts.start.space.parse(EMPTY))
    least = parts.indicator("latency").measure(cheapest.graph)
    outcome = search(replace(TINY, search="exact", limits={"latency": least}, terms={"live-flops": 1.0, "ntk": 1.0}))
    assert outcome.architecture == EMPTY
    empty, *rest = [note for note in outcome.notes if "empty" in note or "smallest" in note]
    assert empty.startswith("the cell that was found is empty, skip connections alone")
    assert rest == [
        "even the smallest network takes 100 % of the limit on latency; --channels, --stem-stride, --input leave more "
        "to the search"
    ]


def test_a_full_cell_within_wide_limits_needs_no_word() -> None:
    parts = set_up(replace(TINY, limits={"latency": 1e6}))
    answer = parts.start.of(parts.start.space.parse(FULL))
    assert list(notes(answer, parts.start, parts.objective.limits)) == []
