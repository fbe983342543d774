"""Every name a user may type, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from micronas.hardware.boards.profiled import Bench, Progress
from micronas.hardware.indicators.compute import Flops, LiveFlops, Parameters, WeightedLayers
from micronas.hardware.indicators.flash import Flash
from micronas.hardware.indicators.latency import Latency
from micronas.hardware.indicators.memory import Sram, SramTflm
from micronas.indicator import Indicator
from micronas.inputs import Inputs
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.search.exact import ExactSearch
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.search.search import Search
from micronas.spaces.nasbench201.space import NasBench201
from micronas.spaces.space import SearchSpace

__all__ = ["INDICATORS", "SEARCHES", "SPACES", "Means", "Progress"]

SPACES: Mapping[str, Callable[..., SearchSpace]] = {
    "nasbench201": NasBench201,
}
"""Frozen dataclasses; their fields are the settings a run can give."""

SEARCHES: Mapping[str, Callable[..., Search]] = {
    "pruning": PruningSearch,
    "exact": ExactSearch,
    "random": RandomSearch,
}
"""Frozen dataclasses with the fields `seed` (or `seeds`), `repeats`, `watch`; further ones are settings."""


_Proxy = TypeVar("_Proxy", Ntk, Naswot, ZenScore)


@dataclass(frozen=True)
class Means:
    """What indicators are made with.

    Attributes:
        inputs: the pictures untrained networks are shown.
        bench: the board, which times what is asked for.
        batch: images a draw, of indicators that draw a batch; None for each one's own.
    """

    inputs: Inputs
    bench: Bench
    batch: int | None = None

    def with_batch(self, proxy: _Proxy) -> _Proxy:
        """A proxy, with this batch if there is one."""
        return proxy if self.batch is None else replace(proxy, batch=self.batch)


INDICATORS: Mapping[str, Callable[[Means], Indicator]] = {
    "ntk": lambda means: means.with_batch(Ntk(inputs=means.inputs)),
    "linear-regions": lambda means: LinearRegions(inputs=means.inputs),
    "naswot": lambda means: means.with_batch(Naswot(inputs=means.inputs)),
    "zen-score": lambda means: means.with_batch(ZenScore(inputs=means.inputs)),
    "synflow": lambda _: SynFlow(),
    "flops": lambda _: Flops(),
    "live-flops": lambda _: LiveFlops(),
    "params": lambda _: Parameters(),
    "layers": lambda _: WeightedLayers(),
    "latency": lambda means: Latency(means.bench),
    "sram": lambda _: Sram(),
    "sram-tflm": lambda _: SramTflm(),
    "flash": lambda means: Flash(means.bench.target.core.name),
}
"""Any of them can weigh, and any can be limited; `Better` says in which direction it weighs."""
