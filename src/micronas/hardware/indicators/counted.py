"""A whole space at once: how often each architecture has each layer, and so any sum over them on any board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from micronas.cache import Arrays
from micronas.candidate import Candidate
from micronas.hardware.boards.table import FIELDS, decode, encode
from micronas.indicators import Scores
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.segments import Part
from micronas.network.signature import Kind, Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.kept import kept
from micronas.spaces.space import Form, SearchSpace, check_small
from micronas.task import Task

Index = npt.NDArray[np.int32]


Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Counted(Generic[Thing]):
    """What the networks of all architectures of a space are made of, and how often.

    `rows`, `columns` and `times` say, entry by entry: this architecture has this thing that often.

    Attributes:
        things: all that any of them has.
        rows: (entries,), the architecture, by its place among the completions of `everything()`; ascending.
        columns: (entries,), the thing, by its place in `things`.
        times: (entries,).
        connected: (architectures,), False where no path leads to the output, and nothing is counted.
    """

    things: tuple[Thing, ...]
    rows: Index
    columns: Index
    times: Index
    connected: npt.NDArray[np.bool_]

    def counts(self, architecture: int) -> Counter[Thing]:
        """How often one architecture has each thing."""
        entries = slice(*self._starts[architecture : architecture + 2])
        pairs = zip(self.columns[entries].tolist(), self.times[entries].tolist(), strict=True)
        return Counter({self.things[column]: times for column, times in pairs})

    @cached_property
    def _starts(self) -> npt.NDArray[np.intp]:
        return np.searchsorted(self.rows, np.arange(len(self.connected) + 1))


@dataclass(frozen=True)
class CountedSpace(Counted[Signature]):
    """The layers of every architecture of a space for a task, in one form of their networks: images included."""

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """Every layer's that any architecture has."""
        return self.things

    @property
    def operations(self) -> tuple[Signature, ...]:
        """The signatures that run: all but images."""
        return tuple(signature for signature in self.things if signature.kind is not Kind.INPUT)

    def total(self, cost: Callable[[Signature], float]) -> Scores:
        """A cost added up over all that each architecture has, shape (architectures,); +infinity where disconnected."""
        costs = np.array([cost(signature) for signature in self.things], dtype=np.float64)
        sums = np.bincount(self.rows, self.times * costs[self.columns], minlength=len(self.connected))
        return np.where(self.connected, sums, np.inf)

    def having(self, wanted: Callable[[Signature], bool]) -> npt.NDArray[np.bool_]:
        """Whether each architecture has a layer of this sort, shape (architectures,)."""
        chosen = np.array([wanted(signature) for signature in self.things], dtype=np.bool_)
        found = np.zeros(len(self.connected), dtype=np.bool_)
        found[self.rows[chosen[self.columns]]] = True
        return found


@lru_cache(maxsize=8)
def count_space(space: SearchSpace, task: Task, form: Form = "deployed") -> CountedSpace:
    """The layers of every architecture; kept on disk by space, task, form and the code that makes them.

    Raises:
        UserError: the space is too large to enumerate.
    """
    check_small(space)

    def counted() -> CountedSpace:
        return layers_of(count_parts(space, task)) if form == "deployed" else _counted_layers(space, task, form)

    return _unpacked(kept(space, task, f"{form} layers", __name__, lambda: _packed(counted())))


@lru_cache(maxsize=1)
def count_parts(space: SearchSpace, task: Task) -> Counted[Part]:
    """The parts of every architecture's deployed network, cut where one tensor is live; not kept on disk.

    Raises:
        UserError: the space is too large to enumerate.
    """
    check_small(space)
    return Counted(*_count(space, lambda choices: space.parts(choices, task)))


def layers_of(counted: Counted[Part]) -> CountedSpace:
    """The layers of the same networks."""
    column: dict[Signature, int] = {}
    layers = [[column.setdefault(its, len(column)) for its in part.signatures] for part in counted.things]
    lengths = np.array([len(each) for each in layers])[counted.columns]  # layers that each entry stands for
    columns = np.array([column for part in cast(list[int], counted.columns.tolist()) for column in layers[part]])
    found, place = np.unique(np.repeat(counted.rows, lengths) * len(column) + columns, return_inverse=True)
    times = np.bincount(place, np.repeat(counted.times, lengths)).astype(np.int32)
    rows, columns = np.divmod(found.astype(np.int32), np.int32(len(column)))
    return CountedSpace(tuple(column), rows, columns, times, counted.connected)


def part_of(whole: Scores, start: Candidate) -> Scores:
    """Of a number for every architecture of a space those of what an open candidate may become, (completions,)."""
    every = start.space.everything()
    if start.choices == every:
        return whole
    pairs = zip(every.alive, start.choices.alive, strict=True)
    block = np.ix_(*([options.index(option) for option in alive] for options, alive in pairs))
    return whole.reshape([len(options) for options in every.alive])[block].ravel()


def network_signatures(graph: Graph) -> tuple[Signature, ...]:
    """Every operation that one network runs, each once.

    Raises:
        Disconnected: it runs nothing.
    """
    return tuple(dict.fromkeys(layer.signature for layer in deploy(graph).operations))


def _counted_layers(space: SearchSpace, task: Task, form: Form) -> CountedSpace:
    return CountedSpace(*_count(space, lambda choices: space.counts(choices, task, form)))


def _count(
    space: SearchSpace, of: Callable[[Choices], Counter[Thing]]
) -> tuple[tuple[Thing, ...], Index, Index, Index, npt.NDArray[np.bool_]]:
    """The attributes of `Counted`, architecture by architecture."""
    everything = space.everything()
    column: dict[Thing, int] = {}
    entries: list[tuple[int, int, int]] = []
    connected = np.zeros(everything.size, dtype=np.bool_)
    for row, choices in enumerate(everything.completions()):
        try:
            found = of(choices)
        except Disconnected:
            continue
        connected[row] = True
        entries.extend((row, column.setdefault(thing, len(column)), times) for thing, times in found.items())
    rows, columns, times = np.array(entries, dtype=np.int32).reshape(-1, 3).T
    return tuple(column), rows, columns, times, connected


# --- on disk ------------------------------------------------------------------------------------


def _packed(counted: CountedSpace) -> Arrays:
    return {
        "signatures": np.array([encode(signature) for signature in counted.signatures]),
        "entries": np.stack([counted.rows, counted.columns, counted.times]),
        "connected": counted.connected,
    }


def _unpacked(arrays: Arrays) -> CountedSpace:
    rows, columns, times = arrays["entries"]
    return CountedSpace(_decode_all(arrays["signatures"].tolist()), rows, columns, times, arrays["connected"])


def _decode_all(table: Iterable[Iterable[str]]) -> tuple[Signature, ...]:
    return tuple(decode(dict(zip(FIELDS, words, strict=True))) for words in table)
