"""Every name a user may type, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from micronas.errors import UserError
from micronas.functions import GraphIndicator, PictureIndicator
from micronas.hardware.boards.profiled import Bench, Progress
from micronas.hardware.indicators.compute import Flops, LiveFlops, Parameters, WeightedLayers
from micronas.hardware.indicators.flash import Flash
from micronas.hardware.indicators.latency import Latency
from micronas.hardware.indicators.memory import Sram, SramTflm
from micronas.indicators import Indicator, PerformanceIndicator
from micronas.inputs import Inputs
from micronas.plugins import Plugin, check_members, plugins
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
from micronas.texts import near_to, shown

__all__ = ["INDICATORS", "SEARCHES", "SPACES", "Means", "Progress", "indicator", "names", "search", "space", "used"]

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


def space(name: str, **settings: Any) -> SearchSpace:
    """A space by its name, with these settings.

    Raises:
        UserError: there is none of that name; or it is a plug-in's, and broken.
    """
    return _made(SPACES, "space", name, SearchSpace, **settings)


def search(name: str, **settings: Any) -> Search:
    """A search by its name, as `space`."""
    return _made(SEARCHES, "search", name, Search, **settings)


def indicator(name: str, means: Means) -> Indicator:
    """An indicator by its name; a plug-in may be one, or a function that makes one of `Means`."""
    if name in INDICATORS:
        return INDICATORS[name](means)
    found = plugin("indicator", name, INDICATORS)
    brought = found.load()
    if isinstance(brought, PictureIndicator):
        code = f"{found.distribution} {found.version} {brought.code}"
        made: object = replace(
            brought, code=code, inputs=means.inputs, batch=brought.batch if means.batch is None else means.batch
        )
    elif isinstance(brought, GraphIndicator) or (hasattr(brought, "measure") and not isinstance(brought, type)):
        made = brought
    else:
        made = _called(found, brought, means)
    if isinstance(made, (GraphIndicator, PictureIndicator)):
        origin = replace(made.origin, how=f"{made.origin.how}, {found.distribution} {found.version}")
        made = replace(made, name=name, origin=origin)
    check_members(made, Indicator, f"the {found}")
    if hasattr(made, "measure_draws"):
        check_members(made, PerformanceIndicator, f"the {found}")
    judge = cast(Indicator, made)
    if judge.name != name:
        raise found.broken(f"it calls itself {judge.name!r}; name its entry point so")
    return judge


def fields_of(family: str, name: str) -> Mapping[str, str]:
    """The settings of a space or a search and how they are annotated: its fields, if it is a dataclass."""
    built_in = SPACES if family == "space" else SEARCHES
    kind = built_in[name] if name in built_in else plugin(family, name, built_in).load()
    said = {one.name: one.type for one in fields(kind)} if is_dataclass(kind) else {}
    return {each: its.__name__ if isinstance(its, type) else str(its) for each, its in said.items()}


def names(family: str) -> tuple[str, ...]:
    """All that can be named: what is built in, then plug-ins."""
    return tuple(dict.fromkeys((*_BUILT_IN[family](), *plugins(family))))


def used(family: str, name: str) -> Plugin | None:
    """The plug-in that a name stands for, None if it is built in."""
    return None if name in _BUILT_IN[family]() else plugins(family).get(name)


_BUILT_IN: Mapping[str, Callable[[], Mapping[str, object]]] = {
    "space": lambda: SPACES,
    "search": lambda: SEARCHES,
    "indicator": lambda: INDICATORS,
}


def plugin(family: str, name: str, built_in: Mapping[str, object]) -> Plugin:
    """The plug-in of that name.

    Raises:
        UserError: there is none; names the near one and all there are.
    """
    found = plugins(family)
    if name not in found:
        raise unknown(name, family, (*built_in, *found))
    return found[name]


def unknown(name: str, what: str, known: Iterable[str]) -> UserError:
    """What to say of a name that stands for nothing; the near one, and all there are."""
    listed = [*known]
    near = near_to(name, listed)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {what} {shown(name)}; {hint}there are {', '.join(listed)}")


_Made = TypeVar("_Made")


def _made(
    built_in: Mapping[str, Callable[..., _Made]], family: str, name: str, protocol: type[_Made], **settings: Any
) -> _Made:
    if name in built_in:
        return built_in[name](**settings)
    found = plugin(family, name, built_in)
    made = _called(found, found.load(), **settings)
    check_members(made, protocol, f"the {found}")
    return cast(_Made, made)


def _called(found: Plugin, brought: Any, *given: Any, **settings: Any) -> object:
    try:
        return brought(*given, **settings)
    except UserError:
        raise  # its own words on a setting
    except Exception as error:
        raise found.broken(error) from error
