"""What is said beside an answer, and what would help where there is none: each word checked by asking for it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from micronas.hardware.indicators.memory import Sram
from micronas.objective import Limit, Unreachable
from micronas.run.advice import notes, smaller
from micronas.run.run import Run
from micronas.run.running import search
from micronas.run.setup import set_up
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

TINY = Run(space_settings={"channels": 4, "cells": 1}, input=16, repeats=1, search="random")
EMPTY = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
FULL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.slow
def test_a_flag_that_is_said_to_help_does() -> None:
    """Memory out of reach: with every flag that is named, the nearest network keeps the same limit."""
    with pytest.raises(Unreachable) as caught:
        search(replace(TINY, limits={"sram": 1500.0}))
    assert "sram ≤ 1500 bytes" in str(caught.value)
    assert "flash" not in str(caught.value)  # the board's, and no part of it
    flags = re.findall(r"--([a-z-]+) (\d+)", str(caught.value))
    assert {name for name, _ in flags} == {"stem-stride", "input"}
    assert caught.value.nearest is not None
    for name, number in flags:
        side = int(number) if name == "input" else 16
        stride = int(number) if name == "stem-stride" else 1
        space = NasBench201(channels=(4,), cells=(1,), stem_stride=(stride,))
        network = space.lower(caught.value.nearest.choices, Task((side, side, 3)))
        assert Sram().measure(network) <= 1500


def test_the_gentlest_change_is_named() -> None:
    parts = set_up(replace(TINY, limits={"sram": 1500.0}))
    nearest = parts.start.of(parts.start.space.parse(EMPTY))
    words = smaller(nearest, parts.objective.limits)
    (side,) = map(int, re.findall(r"--input (\d+)x", words))
    space = NasBench201(channels=(4,), cells=(1,))
    sram = parts.indicator("sram")
    needs = [sram.measure(space.lower(space.parse(EMPTY), Task((size, size, 3)))) for size in (side, 2 * side)]
    assert needs[0] <= 1500 < needs[1]


@pytest.mark.slow
def test_nothing_is_promised_where_nothing_is_known_to_help() -> None:
    parts = set_up(replace(TINY, limits={"sram": 1.0}))
    assert smaller(parts.start.of(parts.start.space.parse(EMPTY)), parts.objective.limits) == ""
    with pytest.raises(Unreachable) as caught:
        search(replace(TINY, limits={"sram": 1.0}))
    assert "would help" not in str(caught.value)


def test_an_empty_cell_never_goes_unsaid() -> None:
    """The latency of the cheapest network is the limit, so there is one answer."""
    parts = set_up(replace(TINY, limits={"latency": 1.0}))
    cheapest = parts.start.of(parts.start.space.parse(EMPTY))
    limit = Limit(parts.indicator("latency"), parts.indicator("latency").measure(cheapest.graph))
    empty, skeleton = notes(cheapest, parts.start, [limit])
    assert empty.startswith("the cell that was found is empty, skip connections alone")
    assert skeleton == (
        "even the smallest network takes 100 % of the limit on latency; --channels, --stem-stride, --input leave more "
        "to the search"
    )
    assert [*notes(cheapest, parts.start, [Limit(limit.indicator, 2 * limit.at_most)])][1:] == []


def test_a_full_cell_within_wide_limits_needs_no_word() -> None:
    parts = set_up(replace(TINY, limits={"latency": 1e6}))
    answer = parts.start.of(parts.start.space.parse(FULL))
    assert list(notes(answer, parts.start, parts.objective.limits)) == []
