"""The NTK against per-sample backwards of one retained forward."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tests.networks import lowered
from tests.proxies.oracles import jacobian, random_cell, reduced, tangent_kernel

from micronas.errors import UserError
from micronas.inputs import Gaussian
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.network.live import live
from micronas.proxies.engine.backend import BackendName
from micronas.proxies.engine.compiled import numba_backend
from micronas.proxies.engine.compiled.layout import Store
from micronas.proxies.engine.compiled.program.goals import Goal, write
from micronas.proxies.engine.compiled.program.instructions import Program
from micronas.proxies.engine.values import Merged
from micronas.proxies.ntk import Ntk, condition_numbers
from micronas.spaces.decisions import NONE, Choices
from micronas.spaces.nasbench201.cell import CELLS
from micronas.torch_network import TorchNetwork

THREE = (NONE, "skip_connect", "avg_pool_3x3")
DEAD = "|none~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
DISCONNECTED = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"
BACKENDS: tuple[BackendName, ...] = ("numba", "torch")


def lower(cell: str | Choices = CELLS) -> Graph:
    return lowered(cell, channels=3, cells=1, input_shape=(8, 8, 3))


def assert_oracle(graphs: list[Graph], ntk: Ntk, tolerance: float) -> None:
    for graph, kernel in zip(graphs, ntk.raw(graphs, [ntk.seed])[0], strict=True):
        images = ntk.inputs.batch(graph.layers[0].signature.out_shape, ntk.batch, ntk.seed)
        expected = tangent_kernel(graph, images, ntk.seed)
        assert np.abs(kernel - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("backend", BACKENDS)
class TestKernel:
    def test_random_cells_dead_cells_and_supernets(self, backend: BackendName):
        chance = random.Random(0)
        choices = [random_cell(chance, open_decisions=at % 2 == 1) for at in range(12)]
        graphs = [*map(lower, choices), lower(DEAD), lower()]
        connected = [graph for graph in graphs if np.isfinite(Ntk(batch=2, backend=backend).measure(graph))]
        assert len(connected) >= 12
        assert_oracle(connected, Ntk(batch=6, seed=3, precision="float64", backend=backend), 1e-10)

    def test_supernets_whose_means_share_a_step_and_an_operand(self, backend: BackendName):
        """A tensor is named after the network that made it first, so two of another network may go by one name."""
        conv = ("nor_conv_1x1", "nor_conv_3x3")
        first = (NONE, *conv), THREE, THREE, ("skip_connect", *conv), (NONE, "skip_connect", conv[0]), THREE[2:]
        everything = (NONE, "skip_connect", *conv, "avg_pool_3x3")
        last = (NONE, "skip_connect", conv[1]), (NONE, conv[0])
        second = everything, (NONE, conv[0], "avg_pool_3x3"), THREE[:2], THREE, *last
        graphs = [lower(Choices(alive)) for alive in (first, second)]
        assert_oracle(graphs, Ntk(batch=9, precision="float64", backend=backend), 1e-10)

    @pytest.mark.parametrize("pooled", [False, True])
    def test_a_network_that_ends_in_a_sum_of_batch_norms(self, backend: BackendName, pooled: bool):
        draw = GraphBuilder((4, 4, 3))
        source = draw.relu("relu", draw.conv("conv", "input", 3, kernel=3))
        parts = tuple(draw.batch_norm(f"bn{at}", draw.conv(f"conv{at}", source, 3)) for at in range(2))
        total = draw.add("add", parts, (4, 4, 3))
        if pooled:
            draw.global_pool("pool", total)
        assert_oracle([draw.graph()], Ntk(batch=5, precision="float64", backend=backend), 1e-10)

    def test_reduced_skeleton_batch_32(self, backend: BackendName):
        graphs = [reduced()]
        assert_oracle(graphs, Ntk(precision="float64", backend=backend), 1e-10)
        assert_oracle(graphs, Ntk(precision="float32", backend=backend), 1e-4)

    @pytest.mark.parametrize("cells", [1, 2])
    def test_other_skeletons(self, backend: BackendName, cells: int):
        cell = random_cell(random.Random(cells), open_decisions=True)
        graphs = [lowered(cell, 4 + cells, cells, 2, (12, 8, 1), classes=3)]
        assert_oracle(graphs, Ntk(batch=19, precision="float64", backend=backend), 1e-10)

    def test_networks_of_different_shapes_and_orders(self, backend: BackendName):
        """Networks that use the same names at different depths merge all the same."""
        chain = [_chain("abc"), _chain("bca"), _chain("cab"), lower(DEAD)]
        assert_oracle(chain, Ntk(batch=5, precision="float64", backend=backend), 1e-10)

    def test_every_kind_of_layer(self, backend: BackendName):
        assert_oracle([_zoo()], Ntk(batch=5, precision="float64", backend=backend), 1e-10)


def _chain(order: str) -> Graph:
    draw = GraphBuilder((6, 6, 3))
    at = "input"
    for name in order:
        at = draw.relu(f"{name}.relu", draw.batch_norm(f"{name}.bn", draw.conv(name, at, 3, kernel=3)))
    draw.linear("linear", draw.global_pool("pool", at), 4)
    return draw.graph()


def _zoo() -> Graph:
    """A 5x5 and a strided convolution, uneven padding, a depthwise layer, both pools, a value summed twice."""
    from dataclasses import replace

    from micronas.network.graph import Layer
    from micronas.network.signature import Kind, Signature

    conv5 = Signature.square(Kind.CONV, (9, 9, 2), (5, 5, 4), 5, 2, (2, 2))
    uneven = Signature.square(Kind.CONV, (5, 5, 4), (3, 3, 4), 3, 2, (1, 1))
    same = Signature.square(Kind.CONV, (9, 9, 2), (5, 5, 4), 3, 2, (1, 1))
    depthwise = Signature.square(Kind.DEPTHWISE, (5, 5, 4), (5, 5, 4), 3, 1, (1, 1))
    relu = Signature(Kind.RELU, (5, 5, 4), (5, 5, 4))
    return Graph(
        (
            Layer("input", Signature(Kind.INPUT, (9, 9, 2), (9, 9, 2))),
            Layer("conv5", conv5, ("input",)),
            Layer("same", same, ("input",)),
            Layer("sum", Signature(Kind.ADD, (5, 5, 4), (5, 5, 4), operands=3), ("conv5", "same", "conv5")),
            Layer("bn", replace(relu, kind=Kind.BATCH_NORM), ("sum",)),
            Layer("relu", relu, ("bn",)),
            Layer("depthwise", depthwise, ("relu",)),
            Layer("max", Signature.square(Kind.MAX_POOL, (5, 5, 4), (5, 5, 4), 3, 1, (1, 1)), ("depthwise",)),
            Layer("mean", Signature(Kind.MEAN, (5, 5, 4), (5, 5, 4), operands=4), ("max", "relu", "sum")),
            Layer("avg", Signature.square(Kind.AVG_POOL, (5, 5, 4), (5, 5, 4), 3, 1, (0, 2)), ("mean",)),
            Layer("pad", Signature.square(Kind.PAD, (5, 5, 4), (6, 6, 4), padding=(1, 0)), ("avg",)),
            Layer("cut", Signature.square(Kind.AVG_POOL, (6, 6, 4), (5, 5, 4), 2, 1), ("pad",)),
            Layer("uneven", uneven, ("cut",)),
            Layer("pool", Signature(Kind.GLOBAL_POOL, (3, 3, 4), (1, 1, 4)), ("uneven",)),
            Layer("linear", Signature(Kind.LINEAR, (1, 1, 4), (1, 1, 3)), ("pool",)),
        )
    )


class TestScore:
    def test_condition_number_is_that_of_the_kernel(self):
        ntk, graph = Ntk(batch=8, precision="float64"), lower(DEAD)
        eigenvalues = np.linalg.eigvalsh(tangent_kernel(graph, ntk.inputs.batch((8, 8, 3), 8, 0), 0))
        assert ntk.measure(graph) == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-8)

    def test_disconnected_is_infinite(self):
        assert list(Ntk(batch=4).measure_many([lower(DISCONNECTED), lower(DEAD)]) == np.inf) == [True, False]
        assert np.isnan(Ntk(batch=4).raw([lower(DISCONNECTED)], [0])).all()

    def test_singular_is_infinite(self):
        """More samples than weights leave eigenvalues that are zero but for rounding."""
        draw = GraphBuilder((4, 4, 1))
        draw.linear("linear", draw.global_pool("pool", draw.conv("conv", "input", 2)), 2)
        for precision in ("float32", "float64"):
            assert Ntk(batch=8, precision=precision).measure(draw.graph()) == np.inf

    def test_threshold_is_the_numerical_rank(self):
        kernels = np.stack([np.diag([1.0, 1.0]), np.diag([1e-9, 1.0]), np.diag([0.0, 1.0]), np.diag([-1e-20, 1.0])])
        assert list(condition_numbers(kernels, 1e-10)) == [1.0, pytest.approx(1e9), np.inf, np.inf]
        assert list(condition_numbers(kernels, 1e-7)) == [1.0, np.inf, np.inf, np.inf]

    def test_seed_changes_weights_and_inputs(self):
        graph = lower(DEAD)
        assert Ntk(batch=4, seed=1).measure(graph) != Ntk(batch=4, seed=2).measure(graph)

    def test_global_seeds_are_not_touched(self):
        before = torch.random.get_rng_state(), np.random.get_state(legacy=False)
        Ntk(batch=4).measure(lower(DEAD))
        assert torch.equal(before[0], torch.random.get_rng_state())
        assert str(before[1]) == str(np.random.get_state(legacy=False))

    @pytest.mark.parametrize("wrong", [{"batch": 1}, {"mode": "both"}])
    def test_wrong_settings_say_so(self, wrong: dict):
        with pytest.raises(UserError):
            Ntk(**wrong)

    def test_unknown_engine_says_so(self):
        with pytest.raises(UserError, match="numba"):
            Ntk(backend="jax").measure(lower(DEAD))  # pyright: ignore[reportArgumentType]


class TestDraws:
    def test_a_program_is_written_once_for_all_draws(self, monkeypatch: pytest.MonkeyPatch):
        written: list[Merged] = []

        def counted(merged: Merged, store: Store, goal: Goal) -> Program:
            written.append(merged)
            return write(merged, store, goal)

        monkeypatch.setattr(numba_backend, "write", counted)
        graphs = [lower(random_cell(random.Random(seed))) for seed in range(40)]
        Ntk(batch=4, backend="numba").measure_draws(graphs, [0])
        once = len(written)
        Ntk(batch=4, backend="numba").measure_draws(graphs, [0, 1, 2, 3])
        assert 1 <= once == len(written) - once

    @pytest.mark.parametrize("threads", [1, 3])
    def test_each_draw_has_its_own_weights_and_images_on_any_number_of_threads(self, threads: int):
        graphs = [lower(DEAD), lower(DISCONNECTED), lower()]
        images, seeds = np.stack([Gaussian().batch((8, 8, 3), 5, seed) for seed in (7, 8)]), [3, 4]
        kernels = numba_backend.NumbaBackend("float64", threads).tangent_kernels(graphs, images, seeds)
        for draw in (0, 1):
            for graph, kernel in zip(graphs[::2], kernels[draw, ::2], strict=True):
                np.testing.assert_allclose(kernel, tangent_kernel(graph, images[draw], seeds[draw]), rtol=1e-8)
        assert np.isnan(kernels[:, 1]).all()

    def test_the_number_of_threads_changes_no_bit(self):
        graphs = [lower(random_cell(random.Random(seed), open_decisions=True)) for seed in range(24)]
        images = Gaussian().batch((8, 8, 3), 6, 0)[None]
        first, *others = (
            numba_backend.NumbaBackend("float32", threads).tangent_kernels(graphs, images, [0]) for threads in (1, 2, 9)
        )
        for other in others:
            np.testing.assert_array_equal(other, first)


class TestCoupled:
    def test_is_the_jacobian_of_the_network_in_train_mode(self):
        ntk, graph = Ntk(batch=5, mode="coupled", precision="float64"), lower(DEAD)
        rows = jacobian(TorchNetwork(live(graph), 0, torch.float64), Gaussian().batch((8, 8, 3), 5, 0))
        np.testing.assert_allclose(ntk.raw([graph], [ntk.seed])[0][0], (rows @ rows.T).numpy(), rtol=1e-9)

    def test_is_another_quantity_than_frozen(self):
        graph = lower(DEAD)
        assert Ntk(batch=5, mode="coupled").measure(graph) != pytest.approx(Ntk(batch=5).measure(graph), rel=0.1)

    def test_disconnected_is_infinite(self):
        assert Ntk(batch=5, mode="coupled").measure(lower(DISCONNECTED)) == np.inf


def test_singular_is_by_the_size_of_the_batch_not_by_how_many_kernels_there_are():
    epsilon = float(np.finfo(np.float32).eps)
    kernels = np.broadcast_to(np.diag([1.0, 3 * epsilon]), (1, 100, 2, 2))
    np.testing.assert_allclose(condition_numbers(kernels, epsilon), np.full((1, 100), 1 / (3 * epsilon)))
    assert np.isinf(condition_numbers(np.diag([1.0, 1.9 * epsilon]), epsilon))
