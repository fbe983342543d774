"""Merged networks in steps: what one call of an operation computes for all that have it there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Layer
from micronas.network.signature import Kind, Signature
from micronas.proxies.engine.values import Merged, Value

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """Values with one name and signature, computed by one call. Sums differ in operands from row to row."""

    layer: Layer
    values: Index

    @property
    def kind(self) -> Kind:
        """Of the layer."""
        return self.layer.signature.kind


@dataclass(frozen=True)
class Schedule:
    """The steps of one chunk of networks, and where each value lies in them; the same for every draw."""

    merged: Merged

    @cached_property
    def connected(self) -> Index:
        """Which graphs have a network."""
        return np.array([at for at, member in enumerate(self.merged.members) if member is not None], np.int64)

    @cached_property
    def members(self) -> list[Index]:
        """The values of every connected network."""
        return [np.array(member.values) for member in self.merged.members if member is not None]

    @cached_property
    def features(self) -> Index:
        """The last feature map of every connected network."""
        return np.array([member.features for member in self.merged.members if member is not None], np.int64)

    @cached_property
    def steps(self) -> list[Step]:
        """Values by (name, signature) in an order in which inputs come first."""
        return [Step(self.merged.values[rows[0]].layer, np.array(rows)) for rows in _ordered(self.merged.values)]

    @cached_property
    def place(self) -> Index:
        """(step, row) of every value, (values, 2)."""
        place = np.empty((len(self.merged.values), 2), np.int64)
        for at, step in enumerate(self.steps):
            place[step.values, 0], place[step.values, 1] = at, np.arange(len(step.values))
        return place

    @cached_property
    def operands(self) -> Index:
        """The inputs of every value, (values, most inputs); -1 where it has fewer."""
        most = max(len(value.inputs) for value in self.merged.values)
        return np.array([value.inputs + (-1,) * (most - len(value.inputs)) for value in self.merged.values], np.int64)

    def positions(self, values: Index) -> Iterator[tuple[int, Index]]:
        """Every position of an operand, with which of the values have one there."""
        for position in range(self.operands.shape[1]):
            rows = np.flatnonzero(self.operands[values, position] >= 0)
            if len(rows):
                yield position, rows


def by_step(places: Index) -> Iterator[tuple[int, Index]]:
    """The steps that occur among places (step, row), each with the positions where it does."""
    for step in np.flatnonzero(np.bincount(places[:, 0])):
        yield int(step), np.flatnonzero(places[:, 0] == step)


def _ordered(values: list[Value]) -> list[list[int]]:
    """Values in groups that one call computes, inputs first.

    A group waits until all its members can run. Where groups wait for one another (networks that use one name
    at different depths), the one with most members ready runs those.
    """
    groups: dict[tuple[str, Signature], list[int]] = defaultdict(list)
    alike = {signature: replace(signature, operands=1) for signature in {value.layer.signature for value in values}}
    for at, value in enumerate(values):
        groups[value.layer.name, alike[value.layer.signature]].append(at)
    waiting = list(groups.values())  # from here on a group is its number
    group = {at: number for number, rows in enumerate(waiting) for at in rows}
    size = [len(rows) for rows in waiting]
    readers: list[list[int]] = [[] for _ in values]
    missing = [len(value.inputs) for value in values]
    for at, value in enumerate(values):
        for source in value.inputs:
            readers[source].append(at)
    ready: dict[int, list[int]] = defaultdict(list)
    for at, count in enumerate(missing):
        if not count:
            ready[group[at]].append(at)
    schedule: list[list[int]] = []
    while ready:
        whole = (number for number, rows in ready.items() if len(rows) == size[number])
        chosen = next(whole, None)
        chosen = max(ready, key=lambda number: len(ready[number])) if chosen is None else chosen
        rows = sorted(ready.pop(chosen))
        size[chosen] -= len(rows)
        schedule.append(rows)
        for row in rows:
            for reader in readers[row]:
                missing[reader] -= 1
                if not missing[reader]:
                    ready[group[reader]].append(reader)
    return schedule
