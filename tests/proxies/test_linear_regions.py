"""Linear regions against the comparison of all pairs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.networks import lowered
from tests.proxies.oracles import alone, pairwise_regions, random_cell, signs
from tests.proxies.test_ntk import BACKENDS, DISCONNECTED

from micronas.errors import UserError
from micronas.inputs import Gaussian
from micronas.network.live import Disconnected, live
from micronas.network.signature import Shape
from micronas.proxies.engine import room
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.linear_regions import LinearRegions

ALL_POOLS = "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"


@pytest.mark.parametrize("backend", BACKENDS)
class TestCounts:
    def test_random_cells_dead_cells_and_supernets(self, backend: BackendName):
        chance = random.Random(5)
        choices = [random_cell(chance, open_decisions=at % 3 == 0) for at in range(15)]
        graphs = [*map(alone, choices), alone()]
        regions = LinearRegions(samples=150, seed=4, precision="float64", backend=backend)
        patches = Gaussian().patches((3, 3, 1), 150, 4)
        for graph, count in zip(graphs, regions.raw(graphs, [regions.seed])[0], strict=True):
            try:
                assert count == pairwise_regions(signs(live(graph), patches, 4))
            except Disconnected:
                assert count == 0

    def test_more_neurons_than_a_word(self, backend: BackendName):
        graph = lowered(channels=4, cells=2, stages=2, input_shape=(8, 8, 3))
        patches = np.repeat(Gaussian().patches((8, 8, 3), 20, 0), 2, axis=0)

        class Twice(Gaussian):
            def patches(self, shape: Shape, count: int, seed: int) -> np.ndarray:
                return np.repeat(super().patches(shape, count // 2, seed), 2, axis=0)

        counted = LinearRegions(samples=40, precision="float64", backend=backend, inputs=Twice()).measure_many([graph])
        assert counted == [20] == [pairwise_regions(signs(graph, patches, 0))]

    def test_blocks_have_statistics_of_their_own_and_regions_in_common(
        self, backend: BackendName, monkeypatch: pytest.MonkeyPatch
    ):
        """As for networks too large for all samples at once; the second block repeats some of the first."""
        drawn = Gaussian().patches((3, 3, 1), 40, 4)

        class Again(Gaussian):
            def patches(self, shape: Shape, count: int, seed: int) -> np.ndarray:  # noqa: ARG002
                return np.concatenate([drawn, drawn[:30], drawn[:10]])

        chance, counts = random.Random(6), list[int]()
        for graph in [*(alone(random_cell(chance, open_decisions=at % 3 == 0)) for at in range(12)), alone()]:
            per_sample = room._numbers(graph)
            monkeypatch.setattr(room, "_TENSORS", 40 * per_sample)
            regions = LinearRegions(samples=80, seed=4, precision="float64", backend=backend, inputs=Again())
            (count,) = regions.raw([graph], [regions.seed])[0]
            counts.append(count)
            if not per_sample:
                assert count == 0
                continue
            parts = [signs(live(graph), block, 4) for block in (drawn, np.concatenate([drawn[:30], drawn[:10]]))]
            assert count == pairwise_regions(np.concatenate(parts))
        assert max(counts) > 40  # statistics differ, so do signs of one patch

    def test_blocks_of_one_size_share_what_they_show(self, backend: BackendName, monkeypatch: pytest.MonkeyPatch):
        drawn, graph = Gaussian().patches((3, 3, 1), 40, 4), alone()

        class Same(Gaussian):
            def patches(self, shape: Shape, count: int, seed: int) -> np.ndarray:  # noqa: ARG002
                return np.concatenate([drawn, drawn, drawn])

        monkeypatch.setattr(room, "_TENSORS", 40 * room._numbers(graph))
        blocks = LinearRegions(samples=120, seed=4, backend=backend, inputs=Same()).raw([graph], [4])
        assert blocks[0, 0] == pairwise_regions(signs(graph, drawn, 4))

    def test_float32_counts_nearly_the_same(self, backend: BackendName):
        graphs = [alone(random_cell(random.Random(seed))) for seed in range(10)]
        single, double = (
            LinearRegions(precision=p, backend=backend).measure_many(graphs) for p in ("float32", "float64")
        )
        assert np.abs(single - double).max() <= 3


class TestScore:
    def test_disconnected_is_worst(self):
        assert LinearRegions(samples=20).measure(alone(DISCONNECTED)) == -np.inf

    def test_pools_alone_still_fold_at_the_head(self):
        assert 1 < LinearRegions(samples=500).measure(alone(ALL_POOLS)) < 500

    def test_saturated_is_said(self):
        few, supernet = LinearRegions(samples=5), alone()
        assert few.measure(supernet) == 5
        assert "saturated" in few.caveat(5.0)
        assert not few.caveat(4.0)

    def test_supernet_is_not_saturated(self):
        assert LinearRegions().measure(alone()) < 3000

    def test_one_sample_is_refused(self):
        with pytest.raises(UserError, match="at least 2"):
            LinearRegions(samples=1)
