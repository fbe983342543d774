"""Every name a user may type, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from micronas.hardware.compute import Flops, Layers, LiveFlops, Parameters
from micronas.hardware.flash import Flash
from micronas.hardware.latency import Latency
from micronas.hardware.memory import Sram, SramTflm
from micronas.hardware.target import Target
from micronas.indicator import Indicator, PerformanceIndicator
from micronas.inputs import Inputs
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot
from micronas.proxies.ntk import Ntk
from micronas.proxies.synflow import SynFlow
from micronas.proxies.zen import ZenScore
from micronas.search.exact import ExactSearch
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.search.search import Search, Watch
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import SearchSpace, Skeleton

SPACES: Mapping[str, SearchSpace] = {
    "nasbench201": NasBench201(),
}

MakeSearch = Callable[[SearchSpace, Skeleton, tuple[int, ...], int, Watch], Search]
"""(space, deployed skeleton, seeds, repeats, watch) -> search. Only the exact search takes several seeds."""

SEARCHES: Mapping[str, MakeSearch] = {
    "pruning": lambda space, skeleton, seeds, repeats, watch: PruningSearch(space, skeleton, seeds[0], repeats, watch),
    "exact": ExactSearch,
    "random": lambda space, skeleton, seeds, repeats, watch: RandomSearch(
        space, skeleton, seeds[0], repeats, watch=watch
    ),
}

PERFORMANCE_INDICATORS: Mapping[str, Callable[[Inputs], PerformanceIndicator]] = {
    "ntk": lambda inputs: Ntk(inputs=inputs),
    "linear-regions": lambda inputs: LinearRegions(inputs=inputs),
    "naswot": lambda inputs: Naswot(inputs=inputs),
    "zen-score": lambda inputs: ZenScore(inputs=inputs),
    "synflow": lambda _: SynFlow(),
}

COUNTS: Mapping[str, Indicator] = {
    "flops": Flops(),
    "live-flops": LiveFlops(),
    "params": Parameters(),
    "layers": Layers(),
}

HARDWARE_INDICATORS: Mapping[str, Callable[[Target], Indicator]] = {
    "latency": Latency,
    "sram": lambda _: Sram(),
    "sram-tflm": lambda _: SramTflm(),
    "flash": lambda target: Flash(target.core.name),
}
