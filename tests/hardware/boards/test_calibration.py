"""Calibration recovers what a board does to the figures, shrugs off outliers, and refuses what is too little."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.networks import lowered

from micronas.hardware.boards.calibration import Calibration, CalibrationError, Measurement, fit, read_measurements
from micronas.hardware.boards.regression import Vector
from micronas.hardware.boards.sheet import TableError
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.counted import count_space
from micronas.hardware.indicators.latency import Latency
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.signature import Signature
from micronas.spaces.nasbench201.cell import CELLS, write_cell
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

TARGET = load_target("nucleo-f746zg")
TABLE = TARGET.latency
KNOWN = tuple(TABLE.milliseconds)
TRUTH = {"conv3x3": 1.25, "conv1x1": 1.1, "avg_pool3x3": 1.6, "add": 0.8}
OVERHEAD_MS = 3.0


def true_ms(counts: Mapping[Signature, int], is_network: bool) -> float:
    parts = sum(times * TABLE[one] * TRUTH.get(one.operation, 1.2) for one, times in counts.items())
    return parts + OVERHEAD_MS * is_network


def measured_operations(noise: float = 0.0, seed: int = 0) -> list[Measurement]:
    chance = random.Random(seed)
    return [
        Measurement(str(one), 1, {one: 1}, False, true_ms({one: 1}, False) * chance.lognormvariate(0, noise))
        for one in KNOWN
    ]


def counts_of(text: str) -> dict[Signature, int]:
    counts: dict[Signature, int] = {}
    for layer in deploy(lowered(text)).operations:
        counts[layer.signature] = counts.get(layer.signature, 0) + 1
    return counts


def measured_networks(number: int, noise: float = 0.0, seed: int = 0) -> list[Measurement]:
    chance = random.Random(seed)
    counted = count_space(NasBench201(), Task())
    chosen = chance.sample([row for row in range(15625) if counted.connected[row]], number)
    every = list(CELLS.completions())
    found: list[Measurement] = []
    for row in chosen:
        name = write_cell(every[row])
        ms = true_ms(counts_of(name), True) * chance.lognormvariate(0, noise)
        found.append(Measurement(name, 1, counts_of(name), True, ms))
    return found


def worst_network_error(calibration: Calibration, number: int = 40) -> float:
    latency = Latency(TARGET.with_latency(calibration.applied_to(TABLE)))
    errors = [
        abs(latency.measure(lowered(one.name)) / one.milliseconds - 1) for one in measured_networks(number, seed=99)
    ]
    return max(errors)


def test_measurements_that_nothing_predicts_are_refused() -> None:
    chosen = zip(measured_operations()[:6], (-9, 6, 0, 9, -5, 3), strict=True)
    wild = [Measurement(one.name, 1, one.counts, False, 10.0**power) for one, power in chosen]
    with pytest.raises(CalibrationError, match="do not predict each other"):
        fit(TABLE, wild)


def test_without_noise_the_truth_is_recovered_but_for_the_draw_to_a_common_scale() -> None:
    found = fit(TABLE, [*measured_operations(), *measured_networks(8)])
    for name, scale in TRUTH.items():
        assert found.scales[name] == pytest.approx(scale, rel=0.02)
    assert found.overhead_ms == pytest.approx(OVERHEAD_MS, rel=0.1)
    assert found.typical_error < 0.01
    assert worst_network_error(found) < 0.01


def test_with_noise_networks_are_predicted_better_than_before() -> None:
    found = fit(TABLE, [*measured_operations(0.05), *measured_networks(8, 0.05)])
    before = Calibration({}, 1.0, TABLE.overhead_ms, (0.0,), "micronas", "")
    assert worst_network_error(found) < 0.07
    assert worst_network_error(before) > 0.15
    assert 0.005 < found.typical_error < 0.15


def test_a_few_outliers_change_little_and_are_named() -> None:
    clean = [*measured_operations(0.02), *measured_networks(6, 0.02)]
    spoiled = list(clean)
    for at, factor in ((1, 10.0), (9, 0.1), (20, 4.0)):
        one = clean[at]
        spoiled[at] = Measurement("spoiled", at, one.counts, False, one.milliseconds * factor)
    spoiled[-1] = Measurement("spoiled", 99, clean[-1].counts, True, clean[-1].milliseconds * 3)
    spoiled_names = {f"spoiled (line {at})" for at in (1, 9, 20, 99)}
    right, wrong = fit(TABLE, clean), fit(TABLE, spoiled)
    assert set(wrong.outliers) >= spoiled_names
    assert worst_network_error(wrong) < 0.05
    for name in TRUTH:
        assert wrong.scales[name] == pytest.approx(right.scales[name], rel=0.08)
    assert all(wrong.outliers[name] > 0.5 for name in spoiled_names)
    assert wrong.band < 0.1


def test_plain_least_squares_would_not_stand_those_outliers() -> None:
    """The robust weights matter: the same data through ordinary least squares is far off."""
    clean = measured_operations()
    parts = np.array([[TABLE[next(iter(one.counts))]] for one in clean])
    spoiled = np.array([one.milliseconds for one in clean])
    spoiled[KNOWN.index(max(KNOWN, key=lambda one: TABLE[one]))] *= 10
    plain = np.linalg.lstsq(parts, spoiled, rcond=None)[0].item()
    assert plain > 2


def test_networks_alone_calibrate_too() -> None:
    found = fit(TABLE, measured_networks(12, 0.01))
    assert worst_network_error(found) < 0.06


def test_too_few_rows_are_refused_and_four_are_enough_for_a_common_scale() -> None:
    with pytest.raises(CalibrationError, match="at least 4 measurements, not 3"):
        fit(TABLE, measured_operations()[:3])
    four = [
        Measurement(one.name, 1, one.counts, False, 1.3 * TABLE[next(iter(one.counts))])
        for one in measured_operations()[:4]
    ]
    found = fit(TABLE, four)
    assert found.common == pytest.approx(1.3, rel=1e-3)
    assert found.scales["conv3x3"] == pytest.approx(1.3, rel=1e-3)


def test_measurements_that_contradict_each_other_are_refused() -> None:
    one = measured_operations()[0]
    wild = [Measurement(one.name, 1, one.counts, False, factor * one.milliseconds) for factor in (1, 1, 1, 40, 1600)]
    with pytest.raises(CalibrationError, match="only 3 of 5 measurements fit each other"):
        fit(TABLE, wild)


def test_overhead_is_never_negative() -> None:
    cheaper = [
        Measurement(one.name, 1, one.counts, True, 0.9 * (one.milliseconds - OVERHEAD_MS) - 2)
        for one in measured_networks(8)
    ]
    assert fit(TABLE, [*measured_operations(), *cheaper]).overhead_ms == 0.0


def test_operations_alone_leave_the_simulated_overhead() -> None:
    found = fit(TABLE, measured_operations(0.02))
    for shape in ((8, 8, 3), (64, 64, 3)):
        assert found.applied_to(TABLE).overhead_of(shape) == TABLE.overhead_of(shape) > 0


def test_a_fitted_overhead_is_a_constant_and_can_be_undone() -> None:
    found = fit(TABLE, [*measured_operations(), *measured_networks(8)]).applied_to(TABLE)
    assert found.overhead_of((8, 8, 3)) == found.overhead_of((64, 64, 3)) == found.overhead_ms
    kept = Calibration.of(found)
    assert kept is not None
    assert kept.removed_from(found).overhead_of((8, 8, 3)) == TABLE.overhead_of((8, 8, 3))


def test_a_calibrated_table_says_so_and_can_be_undone() -> None:
    found = fit(TABLE, measured_operations(0.05), runtime="toy 2")
    table = found.applied_to(TABLE)
    assert table.is_calibrated
    assert (table.runtime, table.word) == ("toy 2", TABLE.word)
    assert str(table.origin).startswith("simulated: toy 2")
    assert f"calibrated ({len(KNOWN)} measurements, " in table.origin.how
    assert "median leave-one-out error" in table.origin.how
    assert "uncalibrated" not in table.origin.how
    again = Calibration.of(table)
    assert again is not None
    assert (again.scales, again.common, again.overhead_ms) == (found.scales, found.common, found.overhead_ms)
    assert again.band == pytest.approx(found.band, abs=1e-5)
    raw = again.removed_from(table)
    assert (raw.runtime, raw.overhead_ms, raw.provenance) == (TABLE.runtime, TABLE.overhead_ms, TABLE.provenance)
    assert [raw[one] for one in KNOWN] == pytest.approx([TABLE[one] for one in KNOWN])


def test_the_band_of_a_calibrated_latency_is_its_leave_one_out_error() -> None:
    found = fit(TABLE, measured_operations(0.05))
    latency = Latency(TARGET.with_latency(found.applied_to(TABLE)))
    breakdown = latency.breakdown(lowered(measured_networks(1)[0].name))
    assert breakdown.band is not None
    assert (breakdown.band.low, breakdown.band.high) == pytest.approx((1 - found.band, 1 + found.band), abs=1e-5)


# --- never worse than what it replaces ----------------------------------------------------------


def one_of(signature: Signature, factor: float = 1.0, line: int = 1) -> Measurement:
    return Measurement(str(signature), line, {signature: 1}, False, factor * TABLE[signature])


def test_rows_of_one_signature_are_one_measurement() -> None:
    others = [one_of(signature, 1.2) for signature in KNOWN[1:7]]
    once, often = (fit(TABLE, [one_of(KNOWN[0], 1.2), *others, *[one_of(KNOWN[0], 1.2)] * more]) for more in (0, 9))
    assert (once.scales, once.common, once.errors) == (often.scales, often.common, often.errors)
    with pytest.raises(CalibrationError, match="rows of one operation are one measurement: these are 1"):
        fit(TABLE, [one_of(KNOWN[0], factor) for factor in (1.19, 1.2, 1.21) * 4])


def test_one_row_of_many_classes_neither_widens_the_band_nor_is_an_outlier() -> None:
    """Six sensible rows, each of its own class: none is predicted by the others, and none is wrong."""
    firsts = {one.operation: one for one in reversed(KNOWN)}
    factors = (1.1, 1.35, 0.95, 1.2, 1.4, 1.15)
    found = fit(TABLE, [one_of(one, factor) for one, factor in zip(firsts.values(), factors, strict=False)])
    assert not found.outliers
    assert found.band < 0.15
    for name, factor in zip(firsts, factors, strict=False):
        assert found.scales[name] == pytest.approx(factor, rel=0.12)


def test_nothing_within_fifteen_percent_is_an_outlier() -> None:
    chosen = [one for one in KNOWN if one.operation == "conv3x3"]
    factors = [1.2] * (len(chosen) - 1) + [1.2 * 1.14]
    assert not fit(TABLE, [one_of(*each) for each in zip(chosen, factors, strict=True)]).outliers
    factors[-1] = 1.2 * 1.3
    assert len(fit(TABLE, [one_of(*each) for each in zip(chosen, factors, strict=True)]).outliers) == 1


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1000.0, "microseconds"), (1e-3, "seconds"), (216_000.0, "cycles"), (0.19, "microseconds, sec")],
)
def test_a_scale_that_is_no_boards_is_a_slip_of_the_unit(factor: float, unit: str) -> None:
    rows = [one_of(signature, factor) for signature in KNOWN]
    with pytest.raises(CalibrationError, match=f"probably a slip of the unit: {unit}.*--force believes it"):
        fit(TABLE, rows)
    assert fit(TABLE, rows, force=True).common == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize("factor", [0.21, 19.0])
def test_a_scale_that_a_runtime_may_have_is_believed(factor: float) -> None:
    assert fit(TABLE, [one_of(signature, factor) for signature in KNOWN]).common == pytest.approx(factor, rel=1e-3)


def test_a_band_wider_than_before_is_not_to_be_used() -> None:
    chance = random.Random(1)
    rows = [one_of(signature, chance.lognormvariate(0, 0.4)) for signature in KNOWN[:12]]
    found = fit(TABLE, rows)
    assert found.uncalibrated is not None
    assert 2 * found.band > found.uncalibrated.width
    assert re.search(r"predict each other within \d+% only, and uncalibrated figures", found.doubt)
    assert fit(TABLE, measured_operations(0.02)).doubt == ""


@pytest.mark.parametrize("factor", [0.5, 1.4, 10.0])
def test_a_network_found_wrong_stays_within_its_row(factor: float) -> None:
    clean, networks = measured_operations(0.02), measured_networks(2)
    wrong = replace(networks[0], milliseconds=factor * networks[0].milliseconds)
    alone, beside = fit(TABLE, clean), fit(TABLE, [*clean, wrong])
    assert [*beside.outliers] == [f"{wrong.name} (line 1)"]
    assert (beside.overhead_ms, beside.scales) == (alone.overhead_ms, alone.scales)


def better_and_worst(boards: int, rows: int, **other: float) -> tuple[float, float]:
    """Of random boards: the share on which calibration has the smaller median error, and by how much it was worst."""
    made = [errors_on_a_board(np.random.default_rng(seed), rows, **other) for seed in range(boards)]
    return sum(after < before for after, before in made) / boards, max(after - before for after, before in made)


def errors_on_a_board(
    chance: np.random.Generator,
    rows: int,
    noise: float = 0.03,
    spread: float = 0.08,
    low: float = 0.9,
    high: float = 1.4,
) -> tuple[float, float]:
    """Median error over 50 networks of calibrated and of uncalibrated figures.

    Rows are distinct operations, drawn evenly from the default space: a tenth of all draws of six has no conv3x3.
    """
    counted = count_space(NasBench201(), Task())
    names = sorted({one.operation for one in KNOWN})
    scale = chance.uniform(math.log(low), math.log(high))
    truth = dict(zip(names, np.exp(scale + chance.normal(0, spread, len(names))), strict=True))
    chosen = [KNOWN[at] for at in chance.choice(len(KNOWN), min(rows, len(KNOWN)), replace=False)]
    found = fit(TABLE, [one_of(one, truth[one.operation] * math.exp(chance.normal(0, noise))) for one in chosen])

    def total(scale_of: Callable[[Signature], float]) -> Vector:
        return counted.total(lambda its: TABLE[its] * scale_of(its) if its in TABLE.milliseconds else 0.0)[networks]

    networks = chance.choice(np.flatnonzero(counted.connected), 50, replace=False)
    right = total(lambda its: truth[its.operation])
    after, before = total(found.scale), total(lambda _: 1.0)
    return float(np.median(abs(after / right - 1))), float(np.median(abs(before / right - 1)))


def test_calibration_makes_figures_better_on_nearly_all_boards() -> None:
    share, worst = better_and_worst(40, 12)
    assert share >= 0.95
    assert worst <= 0.03


@pytest.mark.slow
def test_calibration_makes_figures_better_on_two_hundred_boards() -> None:
    """All counts of rows taken together; six alone reach 94.5 %, for some of them hold no conv3x3 (ADR 22)."""
    found = {rows: better_and_worst(200, rows) for rows in (6, 12, 30)}
    assert np.mean([share for share, _ in found.values()]) >= 0.95
    assert min(share for share, _ in found.values()) >= 0.93
    assert max(worst for _, worst in found.values()) <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("rows", [6, 12, 30])
def test_noisier_boards_that_lie_farther_apart(rows: int) -> None:
    share, _ = better_and_worst(200, rows, noise=0.10, spread=0.15, low=0.5, high=2.0)
    assert share >= 0.9


# --- the file -----------------------------------------------------------------------------------

NETWORK = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def network_of(text: str, numbers: Mapping[str, int]) -> Graph:
    size = numbers.get("input", 32)
    return lowered(
        text, numbers.get("channels", 16), numbers.get("cells", 5), 3, (size, size, 3), numbers.get("classes", 10)
    )


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "measured.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_operations_and_networks_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, f"# my board\nname,milliseconds,cells\nadd2 32x32x16,1.5,\n{NETWORK},80,1\n")
    add, network = read_measurements(path, network_of, KNOWN)
    assert (add.is_network, add.milliseconds, [str(one) for one in add.counts]) == (False, 1.5, ["add2 32x32x16"])
    assert network.is_network
    assert (
        sum(network.counts.values()) == 3 * 4 + 1 + 2 * 5 + 3
    )  # three convolutions and one sum in each of three cells


def test_a_measured_table_is_read_as_measurements(tmp_path: Path) -> None:
    found = read_measurements(write(tmp_path, TABLE.dump()), network_of, ())
    assert {next(iter(one.counts)): one.milliseconds for one in found} == pytest.approx(TABLE.milliseconds)
    assert fit(TABLE, found).common == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,ms\nadd2 32x32x16,1\n", "line 1: no column 'milliseconds'"),
        ("# micronas latency table 1\nkind,milliseconds\n", "line 1: a table of an older format"),
        ("name,milliseconds\nadd2 32x32x16,fast\n", "line 2: milliseconds must be a number"),
        (
            "name,milliseconds\nadd2 9x9x9,1\n",
            "line 2: 'add2 9x9x9' is no operation the board was profiled for, and no architecture: ",
        ),
        (
            "name,milliseconds\n|nor_conv_3x3~0|,1\n",
            "line 2: .* and no architecture: an architecture of nasbench201 has 3 nodes",
        ),
        (f"name,milliseconds,cells\n{NETWORK},1,many\n", "line 2: cells must be a whole number"),
        ("name,milliseconds\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,1\n", "line 2: .*has no path"),
        ("", "no column names in it"),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TableError, match=complaint) as failure:
        read_measurements(write(tmp_path, text), network_of, KNOWN)
    assert "measured.csv" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"cannot read .*none\.csv: No such file"):
        read_measurements(tmp_path / "none.csv", network_of, KNOWN)
