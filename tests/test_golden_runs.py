"""Every command and search answers what is kept of it: what moves an answer says so in `tests/golden/runs.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.golden.runs import KEPT, SCENARIOS, Scenario, Where, answer, compare, differences

EXACT = 1e-9
"""Relative, of a float; integers and text are the same to the letter. Float64 of other processors differs by 1e-15."""

FLOAT32 = {"ntk": 1e-2, "linear-regions": 1e-3, "naswot": 1e-3, "zen-score": 1e-5, "score": 1e-2}
"""Relative, of what is made of compiled float32 code: on another processor fast-math adds in another order.

What the indicators promise of that precision: κ within 1 %, linear regions within 0.1 %, Zen within 6e-6. NASWOT counts
signs as linear regions do. The exact search's scores are logs of ranks, and networks alike in κ change places. Code
for a processor without FMA or AVX differs from what is kept by at most 0.4 % in κ, 0.1 % in a score, 5e-8 in Zen, and
in no architecture.
"""


def kept() -> dict[str, Any]:
    return json.loads(KEPT.read_text(encoding="utf-8"))


def tolerance(where: Where) -> float:
    return FLOAT32.get(re.sub(r"\[\d+\]$", "", where[-1]), EXACT)


SLOW = (
    *("exact", "exact within a limit", "exact by weights", "scores", "what fits by default", "what fits a small board"),
    "pruning as a file says",
)
"""Scenarios that measure for seconds, most of them a whole space with the real batch."""


def scenarios() -> Iterator[Any]:
    for scenario in SCENARIOS:
        marks = [pytest.mark.slow] if scenario.name in SLOW else []
        yield pytest.param(scenario, id=scenario.name, marks=marks)


@pytest.mark.parametrize("scenario", [*scenarios()])
def test_the_answer_is_the_kept_one(scenario: Scenario) -> None:
    assert list(differences(kept()[scenario.name], answer(scenario), tolerance)) == []


def test_every_kept_answer_has_its_scenario() -> None:
    assert kept().keys() == {scenario.name for scenario in SCENARIOS}


def test_a_value_that_moved_in_its_last_bit_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text('{"run": {"values": {"ntk": 0.3}, "rounds": [1, 2], "gone": null}}', encoding="utf-8")
    after.write_text('{"run": {"values": {"ntk": 0.30000000000000004}, "rounds": [1, 3]}}', encoding="utf-8")
    assert compare(before, after, tolerance=0.0) == 1
    assert capsys.readouterr().out.splitlines() == [
        "run: gone: null -> absent",
        "run: rounds / 1: 2 -> 3",
        "run: values / ntk: 0.3 -> 0.30000000000000004",
    ]
    assert compare(before, before, tolerance=0.0) == 0
    assert compare(before, after, tolerance=1e-9) == 1
    assert "ntk" not in capsys.readouterr().out
