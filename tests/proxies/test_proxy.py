"""What proxies have in common: fingerprints that stores know, the batch, the draws."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from micronas.catalog import INDICATORS, Means
from micronas.errors import UserError
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.indicators import PerformanceIndicator, untrained_of
from micronas.inputs import Gaussian
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import REDUCED


@pytest.mark.parametrize(
    ("measured", "fingerprint"),
    [
        (Ntk(), "batch 32, frozen, float32, seed 0, gaussian"),
        (Ntk(batch=8, mode="coupled", precision="float64", seed=3), "batch 8, coupled, float64, seed 3, gaussian"),
        (LinearRegions(seed=2), "samples 3000, float32, seed 2, gaussian"),
        (Naswot(), "batch 32, float32, seed 0, gaussian"),
        (ZenScore(step=0.5), "batch 16, step 0.5, float32, seed 0, gaussian"),
        (SynFlow(seed=4), "seed 4"),
    ],
)
def test_a_fingerprint_is_what_stores_know_a_score_by(measured: PerformanceIndicator, fingerprint: str) -> None:
    """Golden: as they were when scores were first kept; another text would measure everything anew."""
    assert measured.fingerprint == fingerprint
    assert measured.with_seed(9).fingerprint == re.sub(r"seed \d", "seed 9", fingerprint)


@pytest.mark.parametrize("make", [lambda: Ntk(batch=1), lambda: Naswot(batch=1), lambda: LinearRegions(samples=1)])
def test_one_image_is_too_few(make: Callable[[], PerformanceIndicator]) -> None:
    with pytest.raises(UserError, match="needs at least 2 images, not 1"):
        make()


def test_a_batch_is_that_of_all_who_draw_one() -> None:
    means = Means(Gaussian(), Bench(load_target("nucleo-f746zg")))
    for batch in (None, 5):
        made = [untrained_of(make(replace(means, batch=batch))) for make in INDICATORS.values()]
        sizes = {one.name: vars(one).get("batch") for one in made if one}
        usual = {"ntk": 32, "linear-regions": None, "naswot": 32, "zen-score": 16, "synflow": None}
        assert sizes == {name: size and (batch or size) for name, size in usual.items()}


def test_graphs_of_two_input_shapes_are_answered_in_their_order() -> None:
    space = NasBench201()
    cell = space.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    large, small = (space.probe(cell, replace(REDUCED, input_shape=(side, side, 3))) for side in (16, 8))
    ntk = Ntk(batch=4)
    alone = [ntk.measure_draws([graph], [0, 1])[:, 0].tolist() for graph in (large, small, large)]
    assert np.allclose(ntk.measure_draws([large, small, large], [0, 1]), np.transpose(alone), rtol=1e-5)
    assert ntk.raw([large, small], [0, 1, 2]).shape == (3, 2, 4, 4)
