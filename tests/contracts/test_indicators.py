"""Every indicator of the catalog keeps the public laws, in every setting; and points where theory says it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from micronas.catalog import INDICATORS, Means
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.indicators import Indicator, PerformanceIndicator, Scores
from micronas.inputs import Gaussian
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.testing import IndicatorContract
from micronas.testing.indicators import CELLS, DISCONNECTED, SPACE

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
_MEANS = Means(Gaussian(), Bench(load_target("nucleo-f746zg")))
EVERY: Sequence[Indicator] = (
    *SETTINGS,
    *(make(_MEANS) for name, make in INDICATORS.items() if name not in {one.name for one in SETTINGS}),
)


def label(indicator: Indicator) -> str:
    return "-".join([indicator.name, *(str(getattr(indicator, at, "")) for at in ("mode", "backend"))]).strip("-")


for _one in EVERY:
    _class = f"Test_{label(_one).replace('-', '_')}"
    _facts = {
        "indicator": _one,
        "dead_counts": _one.name in ("flops", "params"),
        "disconnected_is_zero": _one.name in ("live-flops", "layers"),
    }
    globals()[_class] = type(_class, (IndicatorContract,), _facts)


# --- directions, where theory says something -----------------------------------------------------

DRAWS = range(20)
CHAIN = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
CONNECTED = (*(cell for cell in CELLS if cell != DISCONNECTED), CHAIN)
EXPRESSIVE = (Naswot(batch=16), ZenScore(batch=8), SynFlow())
"""What a whole network can be asked; linear regions saturate on it, and are asked of a chain on 3x3 pixels."""


def drawn(measured: PerformanceIndicator, cell: str, channels: int, depth: int = 1) -> Scores:
    """The numbers of a cell's reduced network, so wide and so deep, shape (draws,)."""
    probe = replace(measured.probe, input_shape=(16, 16, 3), channels=channels, depth=depth)
    return measured.measure_draws([SPACE.probe(SPACE.parse(cell), probe)], DRAWS)[:, 0]


def steps(one: Scores, other: Scores) -> float:
    """By how many standard errors of the mean `one` lies above `other`, draw by draw."""
    apart = one - other
    return float(apart.mean() / (apart.std(ddof=1) / np.sqrt(len(apart))))


@pytest.mark.parametrize("cell", CONNECTED)
@pytest.mark.parametrize("measured", EXPRESSIVE, ids=label)
def test_wider_and_deeper_networks_express_more_in_every_draw(measured: PerformanceIndicator, cell: str) -> None:
    """Zen-NAS §3.3: the score grows with depth and width; NASWOT's ReLUs and SynFlow's paths grow in number."""
    first, wider, deeper = drawn(measured, cell, 4), drawn(measured, cell, 16), drawn(measured, cell, 4, depth=3)
    assert (measured.better.value * (wider - first) > 0).all()
    assert (measured.better.value * (deeper - first) > 0).all()


def test_wider_and_deeper_chains_have_more_regions_in_every_draw() -> None:
    """On the same nine inputs: n ReLUs of one layer cut them into at most 2^n regions, each later layer cuts those."""
    counted = LinearRegions(samples=1000)
    first, wider, deeper = (
        counted.measure_draws([chain(channels, depth)], DRAWS)[:, 0] for channels, depth in ((1, 1), (2, 1), (1, 3))
    )
    assert (first <= 2**9).all()
    assert (counted.better.value * (wider - first) > 0).all()
    assert (counted.better.value * (deeper - first) > 0).all()


def chain(channels: int, depth: int) -> Graph:
    """Convolutions of 3x3 pixels of one channel, each with its ReLU."""
    draw, at = GraphBuilder((3, 3, 1)), "input"
    for block in range(depth):
        at = draw.relu(f"relu{block}", draw.conv(f"conv{block}", at, channels, 3))
    draw.linear("logits", draw.global_pool("pool", at), 2)
    return draw.graph()


@pytest.mark.parametrize("cell", CONNECTED)
def test_the_kernel_of_a_wider_network_is_better_conditioned(cell: str) -> None:
    """With width the NTK comes to that of an infinite network (Jacot et al., 2018), its spectrum to a fixed one.

    In the mean of ln κ, clearly; not in every draw, for the smallest eigenvalue is noisy: in 90 to 95 % here.
    """
    ntk = Ntk(batch=16)
    assert ntk.better.value * steps(np.log(drawn(ntk, cell, 16)), np.log(drawn(ntk, cell, 4))) > 4


def test_the_kernel_of_a_deeper_chain_is_worse_conditioned() -> None:
    """Of plain chains κ grows with depth (Xiao et al., 2020).

    Of cells with parallel or short ways it need not: of the four here ln κ rises in two and falls in two. Lower is
    better for all that: κ is what bounds the rate of gradient descent, and TE-NAS (§3.1) ranks by it, not by depth.
    """
    ntk = Ntk(batch=16)
    assert ntk.better.value * steps(np.log(drawn(ntk, CHAIN, 4, depth=3)), np.log(drawn(ntk, CHAIN, 4))) < -4
