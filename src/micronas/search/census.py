"""Every distinct network of a small space: its representative, and which architectures it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from micronas.cache import Arrays
from micronas.candidate import Candidate
from micronas.hardware.indicators.counted import count_space
from micronas.network.identity import weights_key
from micronas.search.search import Watch, unwatched
from micronas.spaces.kept import kept
from micronas.spaces.space import check_small
from micronas.task import Probe

_SEEN = 100
"""Networks between two words of how far it is."""


@dataclass(frozen=True)
class Census:
    """The networks of a space that is small enough to enumerate.

    Attributes:
        start: all of the space, for a task.
        members: for each architecture, in the order of `start.completions()`, the number of its network.
        first: for each network, the position of its representative among the architectures.
        connected: whether each network has a path from input to output, shape (networks,).
    """

    start: Candidate
    members: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    connected: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """How many distinct networks there are, a disconnected one included."""
        return len(self.first)

    def representative(self, network: int) -> Candidate:
        """The architecture that stands for a network."""
        return self.start.of(self.start.choices.completion(int(self.first[network])))

    def architectures(self) -> Iterator[Candidate]:
        """Every architecture, in the order of `members`."""
        return self.start.completions()

    def keys(self, probe: Probe, watch: Watch = unwatched) -> tuple[str, ...]:
        """By what the reduced network of each is known to the score store (`weights_key`); kept on disk."""

        def make() -> Arrays:
            found: list[str] = []
            for network in range(len(self)):
                if network % _SEEN == 0:
                    watch(network, len(self), "drawing reduced networks")
                found.append(weights_key(self.representative(network).probe(probe)))
            return {"keys": np.array(found)}

        return tuple(kept(self.start.space, self.start.task, f"keys {probe!r}", __name__, make)["keys"].tolist())


def check_countable(start: Candidate) -> None:
    """For whoever is about to take a census.

    Raises:
        UserError: the space is too large to enumerate, or something of it is struck already.
    """
    check_small(start.space)
    start.check_is_everything("exact search")


def take_census(start: Candidate, watch: Watch = unwatched) -> Census:
    """The census of a space, from the cache if this code took it before (counting takes seconds).

    Raises:
        UserError: as `check_countable`.
    """
    check_countable(start)
    found = kept(start.space, start.task, "census", __name__, lambda: _counted(start, watch))
    return Census(start, found["members"], found["first"], found["connected"])


def _counted(start: Candidate, watch: Watch) -> Arrays:
    everything: list[Candidate] = list(start.completions())
    position = {candidate.choices: at for at, candidate in enumerate(everything)}
    firsts: list[int] = []
    for done, candidate in enumerate(everything):
        if done % _SEEN == 0:
            watch(done, len(everything), "telling networks apart")
        firsts.append(position[candidate.canonical.choices])
    first, members = np.unique(firsts, return_inverse=True)
    connected = count_space(start.space, start.task).connected[first]
    return {"first": first, "members": members, "connected": connected}
