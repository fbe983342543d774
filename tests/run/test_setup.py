"""A run's parts are built once, and what cannot be built is refused in one line before anything is measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micronas import catalog
from micronas.errors import UserError
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Better
from micronas.run.run import Run
from micronas.run.setup import MOST_REPEATS, Setup, graph_of, set_up, unit_of
from micronas.search.exact import ExactSearch
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"space": "nasbench202"}, "unknown space 'nasbench202'; did you mean 'nasbench201'?"),
        ({"search": "exactly"}, "unknown search 'exactly'; did you mean 'exact'? there are pruning, exact, random"),
        ({"target": "nucleo-f746zx"}, "nucleo-f746zg"),
        ({"space_settings": {"chanels": 8}}, "unknown setting of nasbench201 'chanels'; did you mean 'channels'?"),
        (
            {"space_settings": {"channels": 0}},
            "channels of nasbench201 must be one or several different whole numbers of at least 1",
        ),
        (
            {"space_settings": {"channels": (8, 0)}},
            "channels of nasbench201 must be one or several different whole numbers",
        ),
        (
            {"space_settings": {"channels": ()}},
            "channels of nasbench201 must be one or several different whole numbers",
        ),
        ({"space_settings": {"channels": (8, 8)}}, "channels of nasbench201 must be one or several different"),
        (
            {"space_settings": {"channels": "8"}},
            "channels of nasbench201 must be one or several different whole numbers",
        ),
        (
            {"search": "random", "search_settings": {"samples": 0}},
            "samples of random must be a whole number of at least 1",
        ),
        ({"search": "random", "search_settings": {"sample": 9}}, "unknown setting of random 'sample'; did you mean"),
        ({"search_settings": {"samples": 9}}, "exact has no settings, so 'samples' is none"),
        ({"search_settings": {"seed": 9}}, "exact has no settings, so 'seed' is none"),
        ({"input": 30}, "choose a height and width that 4 divides"),
        ({"input": 0}, "the input's height must be a whole number of at least 1, not 0"),
        ({"classes": 0}, "classes must be a whole number of at least 1, not 0"),
        ({"terms": {"ntk": -1.0}}, "the weight of ntk must be 0 or more, not -1"),
        ({"terms": {"nkt": 1.0}}, "unknown indicator 'nkt'; did you mean 'ntk'?"),
        ({"terms": {}}, "all weights are 0"),
        ({"terms": {"ntk": 0.0, "linear-regions": 0.0}}, "all weights are 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1, not 0"),
        ({"repeats": 10**24}, f"repeats must be at most {MOST_REPEATS}, not 1{'0' * 24}"),
        ({"limits": {"latency": -3.0}}, "the limit on latency must be above 0 ms, not -3"),
        ({"limits": {"latencies": 3.0}}, "unknown indicator 'latencies'; did you mean 'latency'?"),
        ({"images": "/no/such/folder"}, "/no/such/folder"),
        ({"seeds": "0-4", "search": "pruning"}, "several seeds are for --search exact; pruning takes one: --seed"),
        ({"seeds": "four", "search": "exact"}, "cannot read seeds from 'four'"),
    ],
)
def test_bad_values_are_refused_in_one_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        set_up(replace(Run(), **change)).refuse_unfit_pictures()  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def weights(parts: Setup) -> dict[str, float]:
    return {one.indicator.name: one.weight for one in (*parts.objective.performance, *parts.objective.hardware)}


def test_the_default_weights_are_those_decided_beforehand() -> None:
    """ADR 0004: FLOPs that reach the output are capacity to the exact search, and nothing to the others."""
    regions = {"ntk": 1.0, "linear-regions": 1.0}
    assert weights(set_up(Run(search="exact"))) == regions | {"live-flops": 1.0}
    for search in ("pruning", "random"):
        assert weights(set_up(Run(search=search))) == regions
    (capacity,) = set_up(Run(search="exact")).objective.hardware
    assert capacity.better is Better.HIGHER
    assert set_up(Run(fit=False)).objective.limits == ()


def test_terms_and_limits_are_any_of_the_catalog_by_name() -> None:
    ones = dict.fromkeys(catalog.INDICATORS, 1.0)
    parts = set_up(Run(search="exact", terms=ones, limits=ones))
    assert weights(parts) == ones
    assert {limit.indicator.name: limit.at_most for limit in parts.objective.limits} == ones  # less than the board has
    assert {term.indicator.name for term in parts.objective.performance} == {
        *("ntk", "linear-regions", "naswot", "zen-score", "synflow")
    }


def test_seeds_and_repeats_reach_the_search() -> None:
    exact, pruning = set_up(Run(search="exact", seeds="0-2")), set_up(Run(search="pruning", seed=4, repeats=2))
    assert isinstance(exact.search, ExactSearch)
    assert (exact.search.seeds, exact.search.repeats, exact.draws) == ((0, 1, 2), 3, tuple(range(9)))
    assert isinstance(pruning.search, PruningSearch)
    assert (pruning.search.seed, pruning.search.repeats, pruning.draws) == (4, 2, (8, 9))


def limits(run: Run) -> dict[str, float]:
    return {limit.indicator.name: limit.at_most for limit in set_up(run).objective.limits}


def test_the_board_limits_memory_less_what_is_reserved() -> None:
    """By hand: 256 KiB is the largest region of the F746ZG, and 1 MiB its flash."""
    assert limits(Run()) == {"sram": (256 - 16) * 1024, "flash": (1024 - 64) * 1024}
    assert limits(Run(reserve_sram=0, reserve_flash=24 * 1024)) == {"sram": 256 * 1024, "flash": 1000 * 1024}
    assert limits(Run(fit=False)) == {}
    with pytest.raises(UserError, match=r"a reserve of 256.0 KiB leaves nothing of .*; give --reserve-sram less"):
        set_up(Run(reserve_sram=256 * 1024))


def test_of_two_limits_on_the_same_memory_the_lower_holds() -> None:
    asked = {"sram": 1000.0, "flash": 5e6, "latency": 3.0}
    assert limits(Run(limits=asked)) == {"latency": 3.0, "sram": 1000.0, "flash": 960 * 1024}
    assert limits(Run(limits=asked, fit=False)) == asked


def test_a_margin_is_that_of_the_latency_alone() -> None:
    parts = set_up(Run(limits={"latency": 300.0}, margin="band"))
    (latency,) = (limit.indicator for limit in parts.objective.limits if limit.indicator.name == "latency")
    graph = graph_of(Run(), CELL, {})
    found = Latency(parts.bench).breakdown(graph)
    assert latency.measure(graph) == pytest.approx(found.range_ms[1])
    assert parts.indicator("latency").measure(graph) == pytest.approx(found.latency_ms)
    with pytest.raises(UserError, match="unknown margin 'bands'; did you mean 'band'"):
        set_up(Run(margin="bands"))


def test_the_usual_search_is_exact_where_the_space_is_small_and_the_page_says_which() -> None:
    assert set_up(Run()).run.search == "exact"
    large = {"channels": tuple(range(4, 264, 4))}
    assert set_up(Run(space_settings=large)).run.search == "random"  # widths cannot lie side by side


def test_the_pictures_say_channels_and_classes(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / "train" / ("cat", "dog", "owl")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 7), 40 * number, np.uint8)).save(folder / f"{number}.png")
    parts = set_up(Run(images=str(tmp_path)))
    assert parts.start.task == Task((32, 32, 1), 3)
    assert (parts.run.input, parts.run.classes) == ("32x32x1", 3)
    assert parts.notes == (
        f"{tmp_path} holds grey pictures, so the network reads one channel",
        f"3 classes, as {tmp_path} has",
    )
    said = set_up(Run(images=str(tmp_path), input="16x8x3", classes=5))
    assert said.start.task == Task((16, 8, 3), 5)
    assert said.notes == (f"{tmp_path} has 3 classes, and 5 were asked for",)


def test_settings_reach_space_and_search() -> None:
    settings = {"channels": 8, "cells": (1, 3), "input": [16, 32]}
    run = Run(space_settings=settings, search="random", search_settings={"samples": 7}, classes=4, input=16)  # type: ignore[dict-item]
    parts = set_up(run)
    assert parts.start.space == NasBench201(channels=(8,), cells=(1, 3), input=(16, 32))
    assert parts.start.task == Task((16, 16, 3), 4)
    assert parts.start.choices == parts.start.space.everything()
    assert isinstance(parts.search, RandomSearch)
    assert parts.search.samples == 7


def test_an_architecture_is_measured_for_the_numbers_that_its_row_says() -> None:
    run = Run(space_settings={"channels": 8, "cells": 1})
    assert graph_of(run, CELL, {}) == NasBench201((8,), (1,)).lower(NasBench201().parse(CELL), Task())
    graph = graph_of(run, CELL, {"channels": 4, "input": 16, "classes": 3})
    assert graph == NasBench201((4,), (1,)).lower(NasBench201().parse(CELL), Task((16, 16, 3), 3))


def test_the_board_times_what_is_asked_for_by_all_its_indicators() -> None:
    parts = set_up(Run(limits={"latency": 1e6}, terms={"ntk": 1, "latency": 1}))
    latency = parts.indicator("latency")
    assert isinstance(latency, Latency)
    assert latency.board is parts.bench
    assert math.isfinite(latency.measure(graph_of(Run(), CELL, {})))
    assert parts.bench.used


def test_units_are_those_of_the_indicators() -> None:
    assert [unit_of(name) for name in ("latency", "sram", "live-flops", "ntk")] == ["ms", "bytes", "MAC", ""]
    with pytest.raises(UserError, match="unknown indicator 'latencys'; did you mean 'latency'"):
        unit_of("latencys")
