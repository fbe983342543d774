"""Every name a user may type, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from micronas.hardware.compute import Flops, LiveFlops, Parameters
from micronas.hardware.latency import Latency
from micronas.hardware.target import Target
from micronas.indicator import HardwareIndicator, Indicator, PerformanceIndicator
from micronas.inputs import Inputs
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.search.search import Search, Watch
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import SearchSpace, Skeleton

SPACES: Mapping[str, SearchSpace] = {
    "nasbench201": NasBench201(),
}

MakeSearch = Callable[[SearchSpace, Skeleton, int, int, Watch], Search]
"""(space, deployed skeleton, seed, repeats, watch) -> search."""

SEARCHES: Mapping[str, MakeSearch] = {
    "pruning": PruningSearch,
    "random": lambda space, skeleton, seed, _, watch: RandomSearch(space, skeleton, seed, watch=watch),
}

PERFORMANCE_INDICATORS: Mapping[str, Callable[[Inputs], PerformanceIndicator]] = {
    "ntk": lambda inputs: Ntk(inputs=inputs),
    "linear-regions": lambda inputs: LinearRegions(inputs=inputs),
}

COUNTS: Mapping[str, Indicator] = {
    "flops": Flops(),
    "live-flops": LiveFlops(),
    "params": Parameters(),
}

HARDWARE_INDICATORS: Mapping[str, Callable[[Target], HardwareIndicator]] = {
    "latency": Latency,
}
