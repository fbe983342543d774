"""The Zen-score against two forwards of each network, and its formula on one small enough to work out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.proxies.oracles import random_cell, reduced, zen_score
from tests.proxies.test_ntk import BACKENDS, DEAD, DISCONNECTED, _chain, _zoo, lower

from micronas.errors import UserError
from micronas.inputs import Gaussian
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.network.signature import Shape
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.engine.compiled import numba_backend
from micronas.proxies.zen import ZenScore
from micronas.weights import generator


def assert_oracle(graphs: list[Graph], zen: ZenScore, tolerance: float = 1e-11) -> None:
    for graph, score in zip(graphs, zen.measure_many(graphs), strict=True):
        try:
            assert score == pytest.approx(zen_score(live(graph), zen.batch, zen.seed, zen.step), abs=tolerance)
        except Disconnected:
            assert score == -np.inf


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are merged into one program, as they are where there are many."""
    monkeypatch.setattr(numba_backend, "_cores", lambda: 1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("backend", BACKENDS)
class TestScore:
    def test_random_cells_dead_cells_and_supernets(self, backend: BackendName):
        chance = random.Random(3)
        choices = [random_cell(chance, open_decisions=at % 3 == 0) for at in range(30)]
        graphs = [*map(lower, choices), lower(DEAD), lower(DISCONNECTED), lower()]
        assert_oracle(graphs, ZenScore(batch=5, seed=3, precision="float64", backend=backend))
        assert_oracle(graphs, ZenScore(batch=20, seed=1, step=0.3, precision="float64", backend=backend))

    def test_float32_differs_by_less_than_is_said(self, backend: BackendName):
        chance = random.Random(4)
        graphs = [reduced(random_cell(chance)) for _ in range(10)]
        assert_oracle(graphs, ZenScore(backend=backend), 1e-5)

    def test_every_kind_of_layer_in_any_order(self, backend: BackendName):
        graphs = [_zoo(), _chain("abc"), _chain("bca"), lower(DEAD), _chain("cab")]
        assert_oracle(graphs, ZenScore(batch=5, precision="float64", backend=backend))

    def test_networks_that_are_a_part_of_others(self, backend: BackendName):
        """Features are the output where nothing pools, though another network adds it up, or normalises it at once."""
        assert_oracle(_prefixes() + _pooled_prefixes(), ZenScore(batch=5, precision="float64", backend=backend))

    def test_two_batch_norms_of_one_tensor_are_one(self, backend: BackendName):
        twice, once = GraphBuilder((4, 4, 2)), GraphBuilder((4, 4, 2))
        first, second = (twice.batch_norm(name, "input") for name in ("first", "second"))
        twice.relu("relu", twice.conv("conv", twice.add("add", (first, second), (4, 4, 2)), 3))
        first = once.batch_norm("first", "input")
        once.relu("relu", once.conv("conv", once.add("add", (first, first), (4, 4, 2)), 3))
        scores = ZenScore(batch=5, precision="float64", backend=backend).measure_many([twice.graph(), once.graph()])
        assert scores[0] == scores[1] == pytest.approx(zen_score(once.graph(), 5, 0))

    def test_constant_is_worst(self, backend: BackendName):
        graph = lower(DEAD)
        for precision in ("float32", "float64"):
            zen = ZenScore(batch=4, precision=precision, backend=backend)
            assert zen.measure(graph) > -np.inf
            unmoved = ZenScore(batch=4, precision=precision, backend=backend, step=1e-300)
            flat = ZenScore(batch=4, precision=precision, backend=backend, inputs=_Black())
            assert unmoved.measure(graph) == flat.measure(graph) == -np.inf

    def test_what_no_number_holds_is_worst(self, backend: BackendName):
        draw = GraphBuilder((1, 1, 64))
        at = "input"
        for number in range(50):
            at = draw.conv(f"conv{number}", at, 64)
        draw.batch_norm("bn", at)
        single, double = (ZenScore(batch=4, precision=p, backend=backend) for p in ("float32", "float64"))
        assert single.measure(draw.graph()) == -np.inf
        assert double.measure(draw.graph()) > 50


class _Black(Gaussian):
    def batch(self, shape: Shape, count: int, seed: int) -> np.ndarray:
        return np.zeros_like(super().batch(shape, count, seed))


def _prefixes() -> list[Graph]:
    """A network without a pool, cut off after its convolution, its batch norm, and not at all."""
    graphs: list[Graph] = []
    for length in (3, 1, 2):
        draw = GraphBuilder((4, 4, 3))
        at = draw.conv("conv", "input", 3, kernel=3)
        if length > 1:
            at = draw.batch_norm("bn", at)
        if length > 2:
            draw.add("add", (at, draw.batch_norm("other-bn", draw.conv("other", "input", 3))), (4, 4, 3))
        graphs.append(draw.graph())
    return graphs


def _pooled_prefixes() -> list[Graph]:
    """The same behind a pool."""
    graphs: list[Graph] = []
    for whole in (False, True):
        draw = GraphBuilder((4, 4, 3))
        pool = draw.global_pool("pool", draw.batch_norm("bn", draw.conv("conv", "input", 3, kernel=3)))
        at = draw.batch_norm("late", draw.conv("fully", pool, 3))
        if whole:
            draw.add("add", (at, draw.batch_norm("later", draw.conv("other", pool, 3))), (1, 1, 3))
        graphs.append(draw.graph())
    return graphs


def test_by_hand():
    draw = GraphBuilder((4, 4, 2))
    draw.linear("linear", draw.global_pool("pool", draw.batch_norm("bn", draw.conv("conv", "input", 3))), 3)
    weight = generator(2, "conv normal").standard_normal((3, 2, 1, 1))[:, :, 0, 0]
    images = Gaussian().batch((4, 4, 2), 5, 2)
    noise = generator(2, "zen noise").standard_normal(images.shape)

    def forward(batch: np.ndarray) -> tuple[np.ndarray, float]:
        out = np.einsum("oi,nihw->nohw", weight, batch)
        mean, variance = out.mean((0, 2, 3), keepdims=True), out.var((0, 2, 3), keepdims=True)
        return (out - mean) / np.sqrt(variance + 1e-5), float(variance.mean())

    (before, variance), (after, _) = forward(images), forward(images + 0.01 * noise)
    distance = np.sqrt(((before - after) ** 2).sum((1, 2, 3))).mean()
    expected = np.log(distance) + np.log(np.sqrt(variance))
    assert ZenScore(batch=5, seed=2, precision="float64").measure(draw.graph()) == pytest.approx(expected, abs=1e-12)


def test_a_convolution_more_carries_more():
    more = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    assert ZenScore(batch=4).measure(lower(more)) > ZenScore(batch=4).measure(lower(DEAD))


def test_what_numbers_depend_on_is_in_the_fingerprint():
    different = ZenScore(), ZenScore(precision="float64"), ZenScore(step=0.1), ZenScore(batch=8), ZenScore(seed=1)
    assert len({zen.fingerprint for zen in different}) == len(different)
    assert ZenScore(backend="torch").fingerprint == ZenScore().fingerprint


def test_nonsense_is_refused():
    with pytest.raises(UserError, match="2 images"):
        ZenScore(batch=1)
    with pytest.raises(UserError, match="above 0"):
        ZenScore(step=0)
