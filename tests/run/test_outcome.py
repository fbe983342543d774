"""An outcome is plain data: it survives its file, and so does the page made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any, cast

import jsonschema
import pytest
from rich.console import Console
from tests.terminal import CELL, DEAD, micronas

from micronas.candidate import Candidate
from micronas.origin import Origin, Word
from micronas.run import results, running
from micronas.run.findings import Finalist, Kept, Reading, Round, Verdict
from micronas.run.outcome import SCHEMA, Outcome
from micronas.run.readings import finalists
from micronas.run.run import Run
from micronas.search.search import Finalist as Compared
from micronas.search.search import SearchResult
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.views import terminal

TINY = Run(space_settings={"channels": 4, "cells": 1}, input=8, repeats=1, fit=False)
_SCHEMA = json.loads(micronas("runs", "schema").out)
_VALID = jsonschema.Draft202012Validator(_SCHEMA)
WEIGHTS = {"ntk": 1.0, "linear-regions": 1.0}


def searched() -> Outcome:
    outcome = running.search(replace(TINY, search="pruning", limits={"latency": 2.0}, terms=WEIGHTS | {"latency": 0.5}))
    assert outcome.rounds
    assert outcome.limits
    return outcome


def measured() -> Outcome:
    return running.measure(replace(TINY, repeats=2), CELL)


def emulated() -> Outcome:
    return running.measure(TINY, CELL, emulated=True, only=["latency", "sram"])


def disconnected() -> Outcome:
    outcome = running.measure(TINY, DEAD)
    assert outcome.breakdown is None
    assert outcome.indicators["ntk"].value is None
    assert outcome.indicators["sram"].caveat == "disconnected"
    return outcome


def unreachable() -> Outcome:
    """Values that no network reaches, and something in every place."""
    space = NasBench201()
    candidate = Candidate(space, Task(), space.parse(CELL))
    result = SearchResult(candidate, (Compared(candidate, -math.inf, {"ntk": (math.inf, 1.0), "zen": (2.0,)}),))
    found = finalists(result)
    assert found == (Finalist(CELL, None, {"ntk": None, "zen": 2.0}, 0.0),)
    return replace(
        running.measure(TINY, CELL, only=["params"]),
        search="exact",
        measured=0,
        finalists=found,
        rounds=(Round(4, ((0, "none"),), ((1, "skip_connect"), (2, "none"))),),
        limits=(Kept("sram", 1.0, None, "bytes", "SRAM", enforced=False), Kept("latency", 3.0, 2.0, "ms", upper=4.0)),
        notes=("one", "two"),
        indicators={"zen": Reading(1e300, "", Origin(Word.PUBLISHED, "a paper"), "a bound")},
    )


def read_back(outcome: Outcome) -> Outcome:
    return Outcome.from_dict(json.loads(json.dumps(outcome.to_dict(), allow_nan=False)))


def page(outcome: Outcome) -> str:
    out = StringIO()
    terminal.show(outcome, Console(file=out, width=100, color_system=None))
    return out.getvalue()


@pytest.mark.parametrize("make", [searched, measured, emulated, disconnected, unreachable])
def test_an_outcome_reads_back_and_so_does_its_page(make: Callable[[], Outcome]) -> None:
    outcome = make()
    again = read_back(outcome)
    assert again == outcome
    assert page(again) == page(outcome)
    assert outcome.to_dict()["schema"] == SCHEMA
    _VALID.validate(json.loads(json.dumps(results.sealed(outcome))))
    assert outcome.architecture in repr(outcome)
    assert repr(outcome).count("\n") == 1 + len(outcome.indicators)


def test_the_schema_knows_every_key_and_no_other() -> None:
    data = results.sealed(measured())
    assert {*_SCHEMA["properties"]} == {*data}
    for wrong in ({**data, "more": 1}, {**data, "verdict": "maybe"}, {**data, "seed": None}):
        with pytest.raises(jsonschema.ValidationError):
            _VALID.validate(wrong)


def test_every_reading_says_value_unit_word_and_how() -> None:
    data = running.measure(TINY, CELL, only=["latency", "ntk", "params"]).to_dict()
    said = cast(dict[str, dict[str, Any]], data["indicators"])
    assert {name: (one["unit"], one["origin"]) for name, one in said.items()} == {
        "ntk": ("", "computed"),
        "params": ("parameters", "computed"),
        "latency": ("ms", "simulated"),
    }
    assert said["ntk"]["how"] == "on C=3 N=1 32x32x3 -> 10 classes"
    assert said["latency"]["how"].endswith("uncalibrated")
    assert all("caveat" not in one for one in said.values())


def test_a_mean_over_a_saturated_draw_is_flagged() -> None:
    """Draw 0 of this network is a lower bound, draws 1 and 2 are not; so the mean is one too (ADR 0004)."""
    cell = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|"
    for repeats, says in ((1, "a lower bound"), (3, "a lower bound (1 of 3 draws)")):
        reading = running.measure(Run(repeats=repeats), cell, only=["linear-regions"]).indicators["linear-regions"]
        assert reading.caveat.endswith(says)
    assert reading.value is not None
    assert reading.value < 3000


def test_a_limit_that_was_not_measured_is_not_reported() -> None:
    assert running.measure(replace(TINY, limits={"latency": 2.0}), CELL, only=["params"]).limits == ()


def test_a_verdict_is_that_of_the_limit_kept_least() -> None:
    fits, tight, over = (
        Kept("latency", 3.0, 2.0, "ms"),
        Kept("latency", 3.0, 2.9, "ms", upper=3.5),
        Kept("sram", 3.0, 4.0, "bytes"),
    )
    assert [one.verdict for one in (fits, tight, over)] == [Verdict.FITS, Verdict.IF_RIGHT, Verdict.NOT]
    assert Kept("sram", 3.0, 3.0, "bytes").verdict is Verdict.FITS
    assert Kept("sram", 3.0, None, "bytes").verdict is Verdict.NOT
    assert Kept("latency", 3.0, 2.0, "ms", upper=3.0).verdict is Verdict.FITS
    outcome = replace(measured(), limits=())
    assert outcome.verdict is None
    assert replace(outcome, limits=(fits,)).verdict is Verdict.FITS
    assert replace(outcome, limits=(fits, tight)).verdict is Verdict.IF_RIGHT
    assert replace(outcome, limits=(over, fits, tight)).verdict is Verdict.NOT


def test_a_band_of_one_share_as_older_results_have_it_is_read() -> None:
    outcome = measured()
    data = json.loads(json.dumps(outcome.to_dict()))
    data["latency"]["band"] = 0.2
    read = Outcome.from_dict(data).breakdown
    assert read is not None
    assert read.range_ms == pytest.approx((0.8 * read.latency_ms, 1.2 * read.latency_ms))
