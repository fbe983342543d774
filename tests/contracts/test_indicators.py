"""Every indicator of the catalog keeps the public laws, in every setting; and points where theory says it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from micronas.catalog import INDICATORS, Means
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.indicators import Indicator, PerformanceIndicator
from micronas.inputs import Gaussian
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.task import Probe
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
