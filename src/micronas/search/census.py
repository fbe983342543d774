"""Every distinct network of a space: its representative, its live key, and which architectures it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from micronas.cache import cache_dir, keep_arrays, kept_arrays
from micronas.choices import Choices
from micronas.network.identity import DISCONNECTED, live_key
from micronas.search.search import Watch, unwatched
from micronas.spaces.space import SearchSpace, Skeleton
from micronas.store import code_version

_PROBE = Skeleton((8, 8, 3), classes=2, channels=4, cells=1, stages=1)
"""Where live keys are taken: equal cells are equal in every skeleton."""


@dataclass(frozen=True)
class Census:
    """The networks of a space that is small enough to enumerate.

    Attributes:
        space: the space.
        members: for each architecture, in the order of `everything().completions()`, the number of its network.
        first: for each network, the position of its representative among the architectures.
        keys: for each network its live key.
    """

    space: SearchSpace
    members: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        """How many distinct networks there are, a disconnected one included."""
        return len(self.keys)

    @cached_property
    def connected(self) -> npt.NDArray[np.bool_]:
        """Whether each network has a path from input to output, shape (networks,)."""
        return np.array([key != DISCONNECTED for key in self.keys])

    def representative(self, network: int) -> Choices:
        """The architecture that stands for a network."""
        return self.space.everything().completion(int(self.first[network]))

    def architectures(self) -> Iterator[Choices]:
        """Every architecture, in the order of `members`."""
        return self.space.everything().completions()


def take_census(space: SearchSpace, watch: Watch = unwatched) -> Census:
    """The census of a space, from the cache if this code took it before (counting takes seconds)."""
    path = cache_dir() / f"census-{space.name}-{code_version()}.arrays"
    if kept := kept_arrays(path):
        return Census(space, kept["members"], kept["first"], tuple(kept["keys"].tolist()))
    census = _count(space, watch)
    keep_arrays(path, {"members": census.members, "first": census.first, "keys": np.array(census.keys)})
    return census


def _count(space: SearchSpace, watch: Watch) -> Census:
    everything = list(space.everything().completions())
    position = {choices: at for at, choices in enumerate(everything)}
    firsts: list[int] = []
    for done, choices in enumerate(everything):
        if done % 100 == 0:
            watch(done, len(everything), "telling networks apart")
        firsts.append(position[space.canonical(choices)])
    first, members = np.unique(firsts, return_inverse=True)
    keys = tuple(live_key(space.lower(everything[int(at)], _PROBE)) for at in first)
    return Census(space, members, first, keys)
