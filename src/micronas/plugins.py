"""Plug-ins: spaces, indicators, searches and boards that other distributions bring, found by their entry points.

Nothing of a plug-in is imported before it is asked for by name, and a broken one costs whoever asks for it one line.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from micronas.errors import UserError

GROUPS: Mapping[str, str] = {
    "space": "micronas.spaces",
    "indicator": "micronas.indicators",
    "search": "micronas.searches",
    "board": "micronas.boards",
}
"""The group of entry points of each family."""


class PluginError(UserError):
    """A plug-in that cannot be used; the message names it, its distribution and what is wrong."""


@dataclass(frozen=True)
class Plugin:
    """What another distribution brings under a name.

    Attributes:
        family: one of `GROUPS`.
        name: what a user types; of boards what the distribution calls them together.
        distribution, version: where it is from.
        entry: what to import.
    """

    family: str
    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def __str__(self) -> str:
        """`indicator mine of micronas-mine 1.2`."""
        return f"{self.family} {self.name} of {self.distribution} {self.version}"

    def load(self) -> Any:
        """The object itself.

        Raises:
            PluginError: importing it failed, whatever way.
        """
        try:
            return self.entry.load()
        except Exception as error:
            raise self.broken(error) from error

    def folder(self) -> Path:
        """Where the files of a package lie, without importing it.

        Raises:
            PluginError: there is no such package.
        """
        try:
            spec = find_spec(self.entry.module)
        except Exception as error:
            raise self.broken(error) from error
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            raise self.broken(f"there is no package {self.entry.module}")
        return Path(places[0])

    def broken(self, why: object) -> PluginError:
        """The one line that it costs."""
        reason = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else str(why)
        return PluginError(f"the {self} is broken: {' '.join(reason.split())}")


@cache
def plugins(family: str) -> Mapping[str, Plugin]:
    """Every plug-in of a family by its name, in alphabetical order; of two with one name the first distribution's."""
    found: dict[str, Plugin] = {}
    for entry in entry_points(group=GROUPS[family]):
        dist = entry.dist
        name, version = (dist.name, dist.version) if dist else ("an unknown distribution", "?")
        one = Plugin(family, entry.name, name, version, entry)
        if entry.name not in found or name < found[entry.name].distribution:
            found[entry.name] = one
    return dict(sorted(found.items()))


def check_members(made: object, protocol: type, what: str) -> None:
    """Refuse an object that lacks members of a protocol, all of them at once.

    Raises:
        PluginError: it does; says of each what it must be.
    """
    lacking = [words for name, member in _members(protocol) if (words := _fault(made, name, member))]
    if lacking:
        raise PluginError(f"{what} is no {protocol.__name__}: it lacks {'; '.join(lacking)}")


def _members(protocol: type) -> Iterator[tuple[str, Any]]:
    """What a class of that protocol must have: the members without a body of their own."""
    known: set[str] = set()
    for base in protocol.__mro__:
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in known and _is_open(member):
                known.add(name)
                yield name, member


def _is_open(member: Any) -> bool:
    function = member.fget if isinstance(member, property) else member
    return inspect.isfunction(function) and inspect.getsource(function).rstrip().endswith("...")


def _fault(made: object, name: str, member: Any) -> str:
    """What is wrong with one member, "" if nothing."""
    function: Any = member.fget if isinstance(member, property) else member
    returns = function.__annotations__.get("return", "")
    first = (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
    wanted = f"({returns}: {first[:1].lower()}{first[1:]})"
    try:
        value = getattr(made, name)
    except AttributeError:
        shape = "" if isinstance(member, property) else str(inspect.signature(function)).partition(" ->")[0]
        return f"{name}{shape.replace('(self, ', '(').replace('(self)', '()')} {wanted}"
    if not isinstance(member, property):
        return "" if callable(value) else f"a method {name} {wanted}"
    kind = {"str": str}.get(returns, function.__globals__.get(returns))
    right = not isinstance(kind, type) or isinstance(value, kind)
    return "" if right else f"a right {name} {wanted}, for {value!r} is none"
