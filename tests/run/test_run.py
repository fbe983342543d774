"""A run as data: its names and values are checked when it is made, and it survives as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.run.reading import run_of
from micronas.run.run import Run

RUN = Run(
    space_settings={"channels": (8, 16), "cells": 3},
    search="exact",
    target="nrf5340dk",
    terms={"ntk": 2.0, "naswot": 1},
    limits={"latency": 100.0, "sram": 65536},
    seeds="0-2",
)


def test_a_run_survives_as_plain_data() -> None:
    for run in (Run(), RUN):
        data = run.to_dict()
        assert json.loads(json.dumps(data)) == data
        assert run_of(data, "here") == run


def test_by_default_a_search_weighs_what_it_likes_and_nothing_is_limited() -> None:
    assert Run().terms is None
    assert (Run().limits, Run().space_settings, Run().search_settings) == ({}, {}, {})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"serach": "exact"}, "a run: unknown key 'serach'; did you mean 'search'?"),
        ({"qwertz": 8}, f"a run: unknown key 'qwertz'; there are {', '.join(one.name for one in fields(Run))}"),
        ({"max_latency_ms": 300}, "a run: unknown key 'max_latency_ms'; write limits={'latency': 300}"),
        ({"ntk_weight": 2}, "a run: unknown key 'ntk_weight'; write terms={'ntk': 1}"),
        ({"channels": 8}, "a run: unknown key 'channels'; write space_settings={'channels': 16}"),
    ],
)
def test_strange_names_are_refused_and_those_of_an_earlier_version_translated(
    given: dict[str, object], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        Run(**given)  # type: ignore[arg-type]
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"input": 32.5}, 'input of a run must be a whole number, or a text like "96x96x1", not 32.5'),
        ({"fit": 1}, "fit of a run must be true or false, not 1"),
        ({"reserve_sram": "16KiB"}, "reserve_sram of a run must be a whole number, not '16KiB'"),
        ({"classes": True}, "classes of a run must be a whole number, not True"),
        ({"search": 1}, "search of a run must be a text, not 1"),
        ({"target": None}, "target of a run must be a text, not None"),
        ({"seeds": [0, 1]}, "seeds of a run must be a text, not [0, 1]"),
        ({"terms": {"ntk": "1"}}, "terms of a run must be a finite number for each indicator's name, not {'ntk': '1'}"),
        ({"terms": {"ntk": True}}, "terms of a run must be a finite number"),
        ({"terms": ["ntk"]}, "terms of a run must be a finite number"),
        ({"terms": {1: 1}}, "terms of a run must be a finite number"),
        ({"limits": {"latency": math.inf}}, "limits of a run must be a finite number"),
        ({"limits": {"latency": math.nan}}, "limits of a run must be a finite number"),
        ({"limits": {"latency": 10**400}}, "limits of a run must be a finite number"),
        ({"space_settings": {"channels": None}}, "space_settings of a run must be a number, a text or a list"),
        ({"space_settings": {"channels": [8, "16"]}}, "space_settings of a run must be a number, a text or a list"),
        ({"search_settings": 200}, "search_settings of a run must be a number, a text or a list"),
    ],
)
def test_values_of_another_type_are_refused_in_one_line(given: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        Run(**given)  # type: ignore[arg-type]
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_paths_of_an_anchored_run_read_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(target="mine.toml", images="photos").anchored()
    assert (run.target, run.images) == (str(tmp_path / "mine.toml"), str(tmp_path / "photos"))
    assert run.anchored() == run
    assert Run().anchored() == Run()


@pytest.mark.parametrize(
    ("said", "picture"),
    [(96, (96, 96, None)), ("96", (96, 96, None)), ("96x64", (96, 64, None)), ("96X64x1", (96, 64, 1))],
)
def test_an_input_says_height_width_and_perhaps_channels(said: int | str, picture: tuple[int, int, int | None]) -> None:
    assert Run(input=said).picture == picture


@pytest.mark.parametrize("said", ["", "96x", "x96", "96x96x1x1", "96.5", "-3", "wide"])
def test_another_input_is_refused_in_one_line(said: str) -> None:
    with pytest.raises(UserError, match=r"cannot read the input from|must be a whole number, or a text"):
        print(Run(input=said).picture)
