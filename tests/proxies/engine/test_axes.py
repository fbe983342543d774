"""Both engines on windows that differ by axis, against per-sample backwards and comparisons of all pairs in torch."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.proxies.oracles import pairwise_regions, signs, tangent_kernel, zen_score
from tests.proxies.test_ntk import BACKENDS

from micronas.inputs import Gaussian
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph, Layer
from micronas.network.signature import Kind, Padding, Pair, Signature
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.engine.choose import choose
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.zen import ZenScore


def keyword_spotter() -> Graph:
    """As small as they come: a tall stem, thin windows behind it, pools by axis."""
    draw = GraphBuilder((15, 8, 2))
    at = draw.conv("stem", "input", 3, kernel=(10, 4), stride=2, padding=(4, 1))
    at = draw.relu("relu", draw.batch_norm("bn", at))
    at = draw.depthwise("tall", at, kernel=(3, 1))
    at = draw.avg_pool("avg", at, kernel=(2, 3), stride=(2, 1), padding=(1, 1))
    at = draw.relu("relu2", draw.batch_norm("bn2", draw.conv("skips rows", at, 4, kernel=(1, 3), stride=(2, 1))))
    at = draw.max_pool("max", at, kernel=(1, 3), stride=(1, 2), padding=(0, 1))
    draw.linear("linear", draw.global_pool("pool", at), 3)
    return draw.graph()


class Drawing:
    """A chain of layers, each with any window that fits."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        shape = (chance.randint(5, 9), chance.randint(5, 9), chance.randint(1, 3))
        self.layers = [Layer("input", Signature(Kind.INPUT, shape, shape))]

    def put(self, kind: Kind, channels: int | None = None, **window: object) -> None:
        shape = self.layers[-1].signature.out_shape
        made = (*shape[:2], channels or shape[2])
        signature = Signature(kind, shape, made, **window)  # pyright: ignore[reportArgumentType]
        if kind not in (Kind.BATCH_NORM, Kind.RELU):
            rows, columns = (axis.windows for axis in signature.axes)
            signature = Signature(kind, shape, (rows, columns, made[2]), **window)  # pyright: ignore[reportArgumentType]
        self.layers.append(Layer(f"{kind}{len(self.layers)}", signature, (self.layers[-1].name,)))

    def window(self, kind: Kind, channels: int | None = None) -> None:
        def along(size: int) -> tuple[int, int, Pair]:
            kernel = self.chance.randint(1, min(4, size))
            return kernel, self.chance.randint(1, 3), (self.chance.randrange(kernel), self.chance.randrange(kernel))

        rows, columns = (along(size) for size in self.layers[-1].signature.out_shape[:2])
        padding: Padding = rows[2], columns[2]
        self.put(kind, channels, kernel=(rows[0], columns[0]), stride=(rows[1], columns[1]), padding=padding)

    def graph(self) -> Graph:
        shape = self.layers[-1].signature.out_shape
        self.layers.append(Layer("mean", Signature(Kind.GLOBAL_POOL, shape, (1, 1, shape[2])), (self.layers[-1].name,)))
        last = Signature(Kind.LINEAR, (1, 1, shape[2]), (1, 1, 3))
        return Graph((*self.layers, Layer("linear", last, ("mean",))))


def any_windows(seed: int) -> Graph:
    drawing = Drawing(random.Random(seed))
    drawing.window(Kind.CONV, 3)
    drawing.put(Kind.BATCH_NORM)
    drawing.put(Kind.RELU)
    for kind in drawing.chance.sample((Kind.CONV, Kind.DEPTHWISE, Kind.AVG_POOL, Kind.MAX_POOL), 3):
        drawing.put(Kind.PAD, padding=((seed % 3, 1), (2, seed % 2)))
        drawing.window(kind, 4 if kind is Kind.CONV else None)
    drawing.put(Kind.RELU)
    return drawing.graph()


GRAPHS = [keyword_spotter(), *map(any_windows, range(24))]


def test_the_windows_drawn_differ_by_axis_in_all_there_is():
    seen = [layer.signature for graph in GRAPHS for layer in graph if layer.signature.kind is not Kind.PAD]
    for kind in (Kind.CONV, Kind.DEPTHWISE, Kind.AVG_POOL, Kind.MAX_POOL):
        windows = [signature for signature in seen if signature.kind is kind]
        assert any(signature.kernel[0] != signature.kernel[1] for signature in windows)
        assert any(signature.stride[0] != signature.stride[1] for signature in windows)
        assert any(signature.padding[0] != signature.padding[1] for signature in windows)
        assert any(signature.kernel[0] < signature.stride[0] for signature in windows)  # rows that nobody reads


@pytest.mark.parametrize("backend", BACKENDS)
class TestByAxis:
    def test_tangent_kernels(self, backend: BackendName):
        """Also one by one: the border around tensors is then as narrow as the one network allows."""
        ntk = Ntk(batch=5, seed=2, precision="float64", backend=backend)
        for graph, together in zip(GRAPHS, ntk.raw(GRAPHS, [ntk.seed])[0], strict=True):
            expected = tangent_kernel(graph, ntk.inputs.batch(graph.input_shape, 5, 2), 2)
            for kernel in (together, ntk.raw([graph], [ntk.seed])[0][0]):
                assert np.abs(kernel - expected).max() <= 1e-10 * np.abs(expected).max(), graph

    def test_region_counts(self, backend: BackendName):
        regions = LinearRegions(samples=60, seed=1, precision="float64", backend=backend)
        for graph, count in zip(GRAPHS, regions.raw(GRAPHS, [regions.seed])[0], strict=True):
            assert count == pairwise_regions(signs(graph, Gaussian().patches(graph.input_shape, 60, 1), 1))

    def test_agreements(self, backend: BackendName):
        measured = Naswot(batch=6, seed=4, precision="float64", backend=backend)
        for graph, kernel in zip(GRAPHS, measured.raw(GRAPHS, [measured.seed])[0], strict=True):
            pattern = signs(graph, Gaussian().batch(graph.input_shape, 6, 4), 4)
            np.testing.assert_array_equal(kernel, [[(a == b).sum() for b in pattern] for a in pattern])

    def test_responses(self, backend: BackendName):
        graph = keyword_spotter()
        score = ZenScore(batch=5, seed=3, precision="float64", backend=backend).measure(graph)
        assert score == pytest.approx(zen_score(graph, 5, 3), abs=1e-11)


def test_what_is_padded_is_zero_though_other_numbers_lay_there() -> None:
    """The larger image takes the place of a wide one that nobody reads any more."""
    shape, wide, narrow, padded = (5, 5, 2), (5, 5, 16), (5, 5, 3), (7, 7, 3)
    layers = [Layer("input", Signature(Kind.INPUT, shape, shape))]
    layers.append(Layer("expand", Signature.square(Kind.CONV, shape, wide, 3, 1, (1, 1)), ("input",)))
    layers.append(Layer("relu", Signature(Kind.RELU, wide, wide), ("expand",)))
    layers.append(Layer("project", Signature.square(Kind.CONV, wide, narrow, 3, 1, (1, 1)), ("relu",)))
    layers.append(Layer("pad", Signature.square(Kind.PAD, narrow, padded, padding=(1, 1)), ("project",)))
    layers.append(Layer("relu2", Signature(Kind.RELU, padded, padded), ("pad",)))
    layers.append(Layer("pool", Signature(Kind.GLOBAL_POOL, padded, (1, 1, 3)), ("relu2",)))
    layers.append(Layer("linear", Signature(Kind.LINEAR, (1, 1, 3), (1, 1, 3)), ("pool",)))
    graph, images = Graph(tuple(layers)), Gaussian().batch(shape, 6, 0)[None]
    fast, slow = (choose(name, "cpu", "float64").agreements([graph], images, [0]) for name in ("numba", "torch"))
    np.testing.assert_array_equal(fast, slow)
