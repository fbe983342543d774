"""NASWOT against the Hamming distances of all pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.proxies.oracles import agreeing, random_cell, signs
from tests.proxies.test_ntk import BACKENDS, DEAD, DISCONNECTED, lower

from micronas.errors import UserError
from micronas.inputs import Gaussian
from micronas.network.live import Disconnected, live
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.naswot import Naswot


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_and_scores_are_the_definitions(backend: BackendName):
    """Absolute: a kernel off by a factor would rank networks as before."""
    chance = random.Random(2)
    cells = [DEAD, *(random_cell(chance, open_decisions=at % 2 == 0) for at in range(11))]
    graphs = [lower(cell) for cell in cells]
    images, repeated = Gaussian().batch((8, 8, 3), 7, 1), 0
    measured = Naswot(batch=7, seed=1, precision="float64", backend=backend)
    kernels, scores = measured.raw(graphs, [1])[0], measured.measure_many(graphs)
    for graph, kernel, score in zip(graphs, kernels, scores, strict=True):
        try:
            expected = agreeing(live(graph), images, 1)
        except Disconnected:
            assert not kernel.any()
            continue
        assert (kernel == expected).all()
        assert score == pytest.approx(np.linalg.slogdet(expected)[1], rel=1e-9)
        repeated += expected[0, 0] < signs(live(graph), images, 1).shape[1]
    assert repeated >= 3  # networks in which several ReLUs read one tensor


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_image_agrees_with_itself_in_every_relu(backend: BackendName):
    """Counted by hand: of the dead cell only its skip is live, so ReLUs are in the two reductions and at the end."""
    first, second = (8 * 8 * 3) + (4 * 4 * 6), (4 * 4 * 6) + (2 * 2 * 12)
    kernel = Naswot(batch=5, backend=backend).raw([lower(DEAD)], [0])[0, 0]
    assert kernel.diagonal().tolist() == [first + second + 2 * 2 * 12] * 5


def test_engines_agree_exactly():
    chance = random.Random(9)
    graphs = [lower(random_cell(chance, open_decisions=True)) for _ in range(5)]
    first, second = (Naswot(batch=9, precision="float64", backend=name).raw(graphs, [0])[0] for name in BACKENDS)
    assert (first == second).all()


def test_images_that_nothing_tells_apart_are_worst():
    class Same(Gaussian):
        def batch(self, shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
            return np.repeat(super().batch(shape, 1, seed), count, axis=0)

    assert Naswot(batch=4, inputs=Same()).measure(lower(DEAD)) == -np.inf


def test_disconnected_is_worst_and_one_image_is_refused():
    assert Naswot(batch=4).measure(lower(DISCONNECTED)) == -np.inf
    with pytest.raises(UserError, match="at least 2"):
        Naswot(batch=1)
    apart = lower("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    assert np.isfinite(Naswot(batch=2).measure(apart))


def test_a_kernel_is_singular_by_its_smallest_eigenvalue_against_its_largest() -> None:
    diagonals = [(1.0, 2.0, 4.0), (1e-13, 1e-13, 1e3), (1e-20, 1.0, 1.0), (1e-14, 1.0, 1.0), (0.0, 1.0, 2.0)]
    scores = Naswot(batch=3).scored(np.array([np.diag(each) for each in diagonals]))
    assert scores == pytest.approx([np.log(8), -np.inf, -np.inf, np.log(1e-14), -np.inf])
