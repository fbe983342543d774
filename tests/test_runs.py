"""What a result file remembers besides the answer: what it was made from."""

from dataclasses import replace
from pathlib import Path

from micronas import runs
from micronas.config import Run
from micronas.outcome import Outcome

CELL = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def measured() -> Outcome:
    return runs.measure(Run(), CELL, only=["latency"])


def test_nothing_differs_from_a_result_just_written(tmp_path: Path) -> None:
    outcome = measured()
    assert runs.differences(runs.keep(outcome, tmp_path), outcome) == []


def test_other_images_another_table_and_another_answer_are_said(tmp_path: Path) -> None:
    outcome = measured()
    path = runs.keep(outcome, tmp_path)
    other = replace(outcome, made_from=dict.fromkeys(outcome.made_from, "0"))
    assert [line.split(" changed")[0] for line in runs.differences(path, other)] == ["the images", "the latency table"]
    nearby = outcome.architecture.fixed(0, "nor_conv_3x3")
    assert CELL in runs.differences(path, replace(outcome, architecture=nearby))[0]


def test_a_mean_over_a_saturated_draw_is_flagged() -> None:
    """Draw 0 of this network is a lower bound, draws 1 and 2 are not; so the mean is one too (ADR 0004)."""
    cell = "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|"
    for repeats, says in ((1, "a lower bound"), (3, "a lower bound (1 of 3 draws)")):
        reading = runs.measure(Run(repeats=repeats), cell, only=["linear-regions"]).indicators["linear-regions"]
        assert reading.caveat.endswith(says)
    assert reading.value is not None
    assert reading.value < 3000
