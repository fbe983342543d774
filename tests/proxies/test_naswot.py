"""NASWOT against the Hamming distances of all pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.proxies.oracles import SPACE, random_cell, signs
from tests.proxies.test_ntk import BACKENDS, DEAD, DISCONNECTED, lower

from micronas.errors import UserError
from micronas.inputs import Gaussian
from micronas.network.live import Disconnected, live
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.naswot import Naswot
from micronas.spaces.space import Skeleton

SMALL = Skeleton(input_shape=(8, 8, 3), channels=3, cells=1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_count_agreeing_neurons_of_distinct_tensors(backend: BackendName):
    chance = random.Random(2)
    graphs = [SPACE.lower(random_cell(chance, open_decisions=at % 2 == 0), SMALL) for at in range(8)]
    images = Gaussian().batch((8, 8, 3), 7, 1)
    kernels = Naswot(batch=7, seed=1, precision="float64", backend=backend).kernels(graphs)
    for graph, kernel in zip(graphs, kernels, strict=True):
        try:
            pattern = signs(live(graph), images, 1)
        except Disconnected:
            assert not kernel.any()
            continue
        # Two ReLU layers of one tensor are one tensor: their columns repeat, and are counted once.
        expected = np.array([[(a == b).sum() for b in pattern] for a in pattern])
        if kernel[0, 0] == expected[0, 0]:
            assert (kernel == expected).all()
        else:
            assert kernel[0, 0] < expected[0, 0]
            assert (kernel <= expected).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_score_is_the_log_determinant(backend: BackendName):
    graph = lower(DEAD)
    pattern = signs(live(graph), Gaussian().batch((8, 8, 3), 7, 0), 0)
    distinct = np.unique(pattern, axis=1)
    measured = Naswot(batch=7, precision="float64", backend=backend)
    kernel = measured.kernels([graph])[0]
    assert distinct.shape[1] <= kernel[0, 0] <= pattern.shape[1]
    assert measured.measure(graph) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_engines_agree_exactly():
    chance = random.Random(9)
    graphs = [SPACE.lower(random_cell(chance, open_decisions=True), SMALL) for _ in range(5)]
    first, second = (Naswot(batch=9, precision="float64", backend=name).kernels(graphs) for name in BACKENDS)
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
