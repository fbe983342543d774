"""Every distinct network of a space: its representative, its live key, and which architectures it stands for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas.cache import atomic_write, cache_dir
from micronas.choices import Choices
from micronas.deployed import live_key
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
        return np.array([key != "disconnected" for key in self.keys])

    def representative(self, network: int) -> Choices:
        """The architecture that stands for a network."""
        everything = self.space.everything()
        picked = np.unravel_index(int(self.first[network]), tuple(len(options) for options in everything.alive))
        return Choices(tuple((options[at],) for options, at in zip(everything.alive, picked, strict=True)))

    def architectures(self) -> Iterator[Choices]:
        """Every architecture, in the order of `members`."""
        return self.space.everything().completions()


def take_census(space: SearchSpace) -> Census:
    """The census of a space, from the cache if this code took it before (counting takes seconds)."""
    path = cache_dir() / f"census-{space.name}-{code_version()}.npz"
    return _read(space, path) or _keep(_count(space), path)


def _count(space: SearchSpace) -> Census:
    everything = list(space.everything().completions())
    position = {choices: at for at, choices in enumerate(everything)}
    firsts = np.array([position[space.canonical(choices)] for choices in everything])
    first, members = np.unique(firsts, return_inverse=True)
    keys = tuple(live_key(space.lower(everything[int(at)], _PROBE)) for at in first)
    return Census(space, members, first, keys)


def _read(space: SearchSpace, path: Path) -> Census | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            return Census(space, file["members"], file["first"], tuple(file["keys"].tolist()))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None  # absent or damaged: it is only a cache


def _keep(census: Census, path: Path) -> Census:
    content = io.BytesIO()
    np.savez_compressed(content, members=census.members, first=census.first, keys=np.array(census.keys))
    with suppress(OSError):  # a cache that cannot be written costs time, not the answer
        atomic_write(path, content.getvalue())
    return census
