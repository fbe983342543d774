"""The laws every indicator keeps: all of the catalog, and those that come in several settings in small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from micronas.catalog import Means
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.indicator import Better, Indicator, PerformanceIndicator, untrained_of
from micronas.inputs import Gaussian
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.legalised import legalise
from micronas.network.signature import GraphError
from micronas.origin import Origin
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.run.setup import every_indicator
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Probe, Task

SETTINGS: Sequence[PerformanceIndicator] = (
    Ntk(batch=6, backend="torch"),
    Ntk(batch=6),
    Ntk(batch=6, mode="coupled"),
    LinearRegions(backend="torch"),
    LinearRegions(),
    Naswot(batch=6, backend="torch"),
    Naswot(batch=6),
    ZenScore(batch=4, backend="torch"),
    ZenScore(batch=4),
    SynFlow(),
)
INDICATORS = (
    *SETTINGS,
    *(
        one
        for one in every_indicator(Means(Gaussian(), Bench(load_target("nucleo-f746zg"))))
        if one.name not in {its.name for its in SETTINGS}
    ),
)
PERFORMANCE: Sequence[PerformanceIndicator] = tuple(one for one in map(untrained_of, INDICATORS) if one is not None)
COUNTS_WHAT_IS_DEAD = {"flops", "params"}
"""Indicators that score a disconnected network for what it is: its layers are there, and cost."""
SCORES_NOTHING_AS_ZERO = {"live-flops", "layers"}

SPACE, TASK = NasBench201(cells=(1,)), Task()
DISCONNECTED = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    DISCONNECTED,
    "|avg_pool_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
)


def lower(indicator: Indicator, *cells: str) -> list[Graph]:
    """On the reduced network the indicator is meant for, if it names one."""
    untrained = untrained_of(indicator)
    parsed = map(SPACE.parse, cells)
    return [SPACE.probe(cell, untrained.probe) if untrained else SPACE.lower(cell, TASK) for cell in parsed]


def label(indicator: Indicator) -> str:
    return "-".join([indicator.name, *(str(getattr(indicator, at, "")) for at in ("mode", "backend"))]).strip("-")


@pytest.fixture(params=INDICATORS, ids=label)
def indicator(request: pytest.FixtureRequest) -> Indicator:
    return request.param


def test_names_and_units_are_text_and_there_is_a_direction(indicator: Indicator):
    assert indicator.name
    assert indicator.name == indicator.name.lower().strip()
    assert isinstance(indicator.unit, str)
    assert isinstance(indicator.better, Better)
    assert isinstance(indicator.origin, Origin)


def test_deterministic(indicator: Indicator):
    first, second = indicator.measure_many(lower(indicator, *CELLS)), indicator.measure_many(lower(indicator, *CELLS))
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float64


def test_many_answer_as_one_by_one(indicator: Indicator):
    many = indicator.measure_many(lower(indicator, *CELLS))
    np.testing.assert_allclose(many, [indicator.measure(graph) for graph in lower(indicator, *CELLS)], rtol=1e-5)


@pytest.mark.parametrize("measured", PERFORMANCE, ids=label)
def test_draws_answer_as_one_by_one(measured: PerformanceIndicator):
    """To the last bit: how networks are merged does not depend on how many draws there are."""
    graphs, seeds = lower(measured, *CELLS), (5, 0, 2)
    draws = measured.measure_draws(graphs, seeds)
    assert draws.tolist() == [measured.with_seed(seed).measure_many(graphs).tolist() for seed in seeds]
    assert len(set(map(tuple, draws.tolist()))) == len(seeds)
    assert measured.measure_draws([], seeds).shape == (3, 0)


def test_order_and_company_do_not_matter(indicator: Indicator):
    forward, backward = (
        indicator.measure_many(lower(indicator, *CELLS)),
        indicator.measure_many(lower(indicator, *CELLS[::-1])),
    )
    np.testing.assert_allclose(forward, backward[::-1], rtol=1e-5)


def test_nothing_to_measure(indicator: Indicator):
    assert indicator.measure_many([]).shape == (0,)


def test_disconnected_has_a_defined_value_and_never_nan(indicator: Indicator):
    score = indicator.measure(*lower(indicator, DISCONNECTED))
    if indicator.name in COUNTS_WHAT_IS_DEAD:
        assert score > 0
    elif indicator.name in SCORES_NOTHING_AS_ZERO:
        assert score == 0
    else:
        assert score == indicator.better.worst


def test_dead_edges_change_nothing_that_reaches_the_output(indicator: Indicator):
    if indicator.name in COUNTS_WHAT_IS_DEAD:
        pytest.skip("counts the plain graph, dead edges included")
    dead = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    without = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    measured = indicator.measure_many(lower(indicator, dead, without))
    np.testing.assert_allclose(measured[0], measured[1], rtol=1e-5)


def test_finite_for_every_connected_network(indicator: Indicator):
    assert np.isfinite(indicator.measure_many(lower(indicator, *CELLS))[[0, 2, 3]]).all()


def test_only_a_plain_graph_is_judged(indicator: Indicator) -> None:
    (graph,) = lower(indicator, CELLS[0])
    for form in (deploy(graph), legalise(deploy(graph))):
        with pytest.raises(GraphError, match=f"only a plain graph will do, not a {type(form).__name__}"):
            indicator.measure(form)  # pyright: ignore[reportArgumentType]


# --- directions, where theory says something -----------------------------------------------------

DRAWS = range(10)
CHAIN = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
CONNECTED = (*(cell for cell in CELLS if cell != DISCONNECTED), CHAIN)
DIRECTED = (Ntk(batch=16), LinearRegions(samples=1000), Naswot(batch=16), ZenScore(batch=8), SynFlow())


def better_in(measured: PerformanceIndicator, cell: str, one: Probe, other: Probe) -> float:
    """In which share of ten draws the cell's network by one probe is better than by the other, in its direction."""
    graphs = [SPACE.probe(SPACE.parse(cell), probe) for probe in (one, other)]
    first, second = (measured.measure_draws([graph], DRAWS)[:, 0] for graph in graphs)
    return float(np.mean(measured.better.value * (first - second) > 0))


def sized(measured: PerformanceIndicator, channels: int, depth: int = 1) -> Probe:
    """The indicator's probe, small, with so many channels and cells; a cell alone reads as many channels."""
    if measured.probe.whole:
        return replace(measured.probe, input_shape=(16, 16, 3), channels=channels, depth=depth)
    return replace(measured.probe, input_shape=(3, 3, channels), channels=channels)


@pytest.mark.parametrize("cell", CONNECTED)
@pytest.mark.parametrize("measured", DIRECTED, ids=label)
def test_a_wider_network_is_better(measured: PerformanceIndicator, cell: str) -> None:
    """More neurons cut space into more regions; the NTK's spectrum narrows with width (Lee et al., 2019).

    In nine of ten draws or more, but for the NTK, whose smallest eigenvalue is noisy: in most.
    """
    narrow, wide = (4, 12) if measured.probe.whole else (1, 2)
    share = better_in(measured, cell, sized(measured, wide), sized(measured, narrow))
    assert share >= (0.7 if measured.name == "ntk" else 0.9)


@pytest.mark.parametrize("cell", CONNECTED)
@pytest.mark.parametrize(
    "measured", [one for one in DIRECTED if one.name in ("naswot", "zen-score", "synflow")], ids=label
)
def test_a_deeper_network_expresses_more(measured: PerformanceIndicator, cell: str) -> None:
    """Zen-NAS §3.3: the score grows with depth; every further layer adds ReLUs to NASWOT's and weights to SynFlow's."""
    assert better_in(measured, cell, sized(measured, 4, depth=3), sized(measured, 4)) == 1.0


def test_a_deeper_chain_trains_worse() -> None:
    """Without skips the NTK's condition number grows with depth (Xiao et al., 2020); with them it need not."""
    ntk = Ntk(batch=16)
    assert better_in(ntk, CHAIN, sized(ntk, 4), sized(ntk, 4, depth=3)) >= 0.9
