"""Bands stand in one file, and a network's is the mean of its operations' by their milliseconds."""

from __future__ import annotations

import pytest

from micronas.hardware.boards.bands import Band, bands, mean, uncalibrated
from micronas.mcu.cores import CORES
from micronas.network.signature import Kind

PUBLISHED = "published boards ran other code this much slower"


@pytest.mark.parametrize(
    ("core", "kind", "band"),
    [
        ("cortex-m7", Kind.CONV, Band(0.95, 1.25, PUBLISHED)),
        ("cortex-m4", Kind.CONV, Band(1.0, 1.3, PUBLISHED)),
        ("cortex-m33", Kind.DEPTHWISE, Band(1.0, 1.3, PUBLISHED)),
        ("cortex-m0plus", Kind.CONV, Band(0.8, 1.4, "no evidence")),
        *((core, kind, Band(0.8, 1.4, "no evidence")) for core in CORES for kind in (Kind.ADD, Kind.AVG_POOL)),
    ],
)
def test_the_bands_we_begin_with(core: str, kind: Kind, band: Band) -> None:
    assert uncalibrated(core, f"{kind}3x3", kind) == band


def test_every_row_is_of_a_core_and_a_class_and_has_evidence() -> None:
    assert {core for core, _ in bands()} <= {*CORES, "*"}
    assert all(0 < band.low <= band.high and band.evidence for band in bands().values())


def test_a_mean_weighs_by_milliseconds_and_says_whose_evidence_it_is() -> None:
    found = mean([(3.0, Band(1.0, 1.2, "a")), (1.0, Band(0.8, 1.4, "b"))])
    assert (found.low, found.high) == pytest.approx((0.95, 1.25))
    assert found.evidence == "a (75 % of the time), b (25 %)"
    assert mean([(3.0, Band(1.0, 1.2, "a"))] * 2) == Band(1.0, 1.2, "a")
