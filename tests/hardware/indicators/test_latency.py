"""Latency is overhead plus the table's figure of every deployed layer; nothing is free, nothing is guessed."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from tests.networks import lowered

from micronas.candidate import everything
from micronas.hardware.boards.bands import CALIBRATED, Band
from micronas.hardware.boards.table import LatencyTable, UntimedOperation
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.latency import Latency
from micronas.network.deployed import Deployed, deploy
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.origin import Word
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

ALL_CONV = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
ALL_POOL = "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
NO_PATH = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"


def flat(overhead_ms: float = 0.0, **changes: object) -> Latency:
    """A board on which every operation takes one millisecond."""
    layers = [layer for text in (ALL_CONV, ALL_POOL) for layer in deploy(lowered(text))]
    ones = {layer.signature: 1.0 for layer in layers if layer.signature.kind is not Kind.INPUT}
    table = LatencyTable("flat", "test", "int8", "1", Word.SIMULATED, overhead_ms, ones)
    return Latency(load_target("nucleo-f746zg").with_latency(replace(table, **changes)))


def test_the_sum_by_hand() -> None:
    # 15 cells of 6 convolutions and 2 sums (of 2 and of 3; node 1 has one operand); stem; 2 reductions of 5; head of 3
    assert flat(0.5).measure(lowered(ALL_CONV)) == 0.5 + 15 * 8 + 1 + 2 * 5 + 3


def test_dead_edges_are_free_and_no_path_is_infinite() -> None:
    skip = DEAD.replace("nor_conv_3x3", "none")
    board = flat()
    assert board.measure(lowered(DEAD)) == board.measure(lowered(skip))
    assert board.measure(lowered(NO_PATH)) == math.inf
    with pytest.raises(Disconnected):
        board.breakdown(lowered(NO_PATH))


def test_an_untimed_operation_is_an_error_not_a_zero() -> None:
    with pytest.raises(UntimedOperation, match="flat has no timing for conv3x3/1 32x32x3->8"):
        flat().measure(lowered(ALL_CONV, channels=8))


def test_the_breakdown_adds_up_every_way() -> None:
    board = Latency(load_target("nucleo-f746zg"))
    graph = lowered(ALL_CONV)
    found = board.breakdown(graph)
    total = pytest.approx(board.measure(graph))
    assert found.latency_ms == total
    for part in (found.by_operation(), found.by_stage()):
        assert sum(part.values()) == total
        assert list(part.values()) == sorted(part.values(), reverse=True)
    assert sum(found.by_layer().values()) + found.overhead_ms == total
    assert set(found.by_stage()) - {"overhead"} == {"stem", "stage1", "reduce1", "stage2", "reduce2", "stage3", "head"}


def test_overhead_is_a_class_of_its_own() -> None:
    assert flat(2.0).breakdown(lowered(ALL_CONV)).by_operation()["overhead"] == 2.0


def test_a_smaller_image_is_copied_sooner() -> None:
    table = flat(2.0, overhead_ms_per_input_byte=1e-4).board.table_of(())
    assert table.overhead_of((32, 32, 3)) == 2.0
    assert table.overhead_of((8, 8, 3)) == pytest.approx(2.0 - 1e-4 * (3072 - 192))
    assert table.overhead_of((64, 64, 1)) == pytest.approx(2.0 + 1e-4 * 1024)
    target = load_target("nucleo-f746zg")
    board = Latency(target)
    graph = lowered(ALL_CONV)
    small = replace(target.latency, milliseconds={layer.signature: 1.0 for layer in network_at_8()})
    found = Latency(target.with_latency(small)).breakdown(lowered(ALL_CONV, input_shape=(8, 8, 3)))
    assert 0 < found.overhead_ms < board.breakdown(graph).overhead_ms / 5


def network_at_8() -> Deployed:
    return deploy(lowered(ALL_CONV, input_shape=(8, 8, 3)))


def test_the_band_of_a_network_is_that_of_its_operations_by_their_time() -> None:
    board = flat(provenance={"core": "cortex-m7"})
    for text in (ALL_CONV, ALL_POOL):
        found = board.breakdown(lowered(text))
        evident = sum(cost.operation.startswith(("conv", "linear", "depthwise")) for cost in found.costs)
        share = evident / len(found.costs)
        assert found.band is not None
        assert found.band.low == pytest.approx(0.95 * share + 0.8 * (1 - share))
        assert found.band.high == pytest.approx(1.25 * share + 1.4 * (1 - share))
        assert found.range_ms == pytest.approx((found.band.low * found.latency_ms, found.band.high * found.latency_ms))
        assert re.search(r"published boards .* \(\d+ %.*\), no evidence|no evidence .*, published", found.band.evidence)


def test_without_a_core_nothing_is_known_of_a_figure() -> None:
    band = flat().breakdown(lowered(ALL_CONV)).band
    assert band == Band(0.8, 1.4, "no evidence")


def test_calibrated_and_measured_tables_state_other_bands() -> None:
    classes = " ".join(f"{layer.signature.operation}=1.0" for layer in deploy(lowered(ALL_POOL)))
    facts = {"calibration": "8 measurements", "calibration_error": "0.05", "calibration_scales": classes}
    calibrated = flat(provenance=facts)
    assert calibrated.breakdown(lowered(ALL_POOL)).band == Band.around(0.05, CALIBRATED)
    assert "uncalibrated" not in calibrated.origin.how
    measured = flat(word=Word.MEASURED).breakdown(lowered(ALL_CONV))
    assert measured.band is None
    assert measured.range_ms == (measured.latency_ms, measured.latency_ms)


def test_what_a_calibration_never_saw_keeps_its_wide_band() -> None:
    graph = lowered(ALL_POOL)
    facts = {"calibration": "8 measurements", "calibration_error": "0.04", "calibration_scales": "*=1.0 conv3x3=1.0"}
    board = flat(provenance=facts)
    seen = sum(layer.signature.kind is Kind.CONV and layer.signature.kernel == (3, 3) for layer in deploy(graph))
    share = 1 - seen / board.measure(graph)
    assert 0.9 < share < 1
    band = board.breakdown(graph).band
    assert band is not None
    error = share * ((1.4 / 0.8) ** 0.5 - 1) + (1 - share) * 0.04
    assert (band.low, band.high) == pytest.approx((1 - error, 1 + error))


def test_no_calibration_promises_better_than_one_percent() -> None:
    classes = " ".join(f"{layer.signature.operation}=1.0" for layer in deploy(lowered(ALL_CONV)))
    facts = {"calibration": "8 measurements", "calibration_error": "0.0001", "calibration_scales": classes}
    assert flat(provenance=facts).breakdown(lowered(ALL_CONV)).band == Band.around(0.01, CALIBRATED)


def test_many_are_measured_as_one_by_one() -> None:
    graphs = [lowered(text, cells=1) for text in (ALL_CONV, ALL_POOL, NO_PATH)]
    board = flat()
    assert board.measure_many(graphs).tolist() == [board.measure(graph) for graph in graphs]


@pytest.mark.parametrize(
    ("signature", "name"),
    [
        (Signature.square(Kind.CONV, (8, 8, 4), (8, 8, 4), kernel=3), "conv3x3"),
        (Signature.square(Kind.AVG_POOL, (8, 8, 4), (4, 4, 4), kernel=2, stride=2), "avg_pool2x2"),
        (Signature(Kind.CONV, (49, 10, 1), (40, 7, 4), kernel=(10, 4)), "conv10x4"),
        (Signature(Kind.ADD, (8, 8, 4), (8, 8, 4), operands=4), "add"),
        (Signature(Kind.LINEAR, (1, 1, 4), (1, 1, 2)), "linear"),
    ],
)
def test_operation_classes_forget_shapes(signature: Signature, name: str) -> None:
    assert signature.operation == name


@pytest.mark.parametrize("word", [Word.SIMULATED, Word.MEASURED])
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_upper_end_of_a_whole_space_is_that_of_its_networks(word: Word, calibrated: bool) -> None:
    """Cells of pools and of convolutions alike, so that both bands are met."""
    start = everything(NasBench201(), Task())
    target = load_target("nucleo-f746zg")
    fitted = {"calibration": "x", "calibration_error": "0.04", "calibration_scales": "conv3x3=1.1 add2=0.9"}
    provenance = {**target.latency.provenance, **(fitted if calibrated else {})}
    board = target.with_latency(replace(target.latency, word=word, provenance=provenance))
    upper, estimate = Latency(board, at_upper_end=True), Latency(board)
    whole = upper.of_all(start)
    for number in random.Random(2).sample(range(start.space.size), 40):
        network = start.space.lower(start.space.sample(number), start.task)
        assert whole[number] == pytest.approx(upper.measure(network), rel=1e-12)
        if math.isfinite(whole[number]):
            assert upper.measure(network) == pytest.approx(estimate.breakdown(network).range_ms[1], rel=1e-12)
    if word is Word.SIMULATED and not calibrated:
        connected = np.isfinite(whole)
        ratios = whole[connected] / estimate.of_all(start)[connected]
        assert 1.25 < ratios.min() < 1.27
        assert 1.29 < ratios.max() < 1.4
