"""A program while it is written: its instructions so far, and how much room they will need."""

from __future__ import annotations

from array import array

import numpy as np

from micronas.network.signature import LEARNED, Kind
from micronas.proxies.engine.compiled.layout import Store
from micronas.proxies.engine.compiled.program.instructions import COLUMNS, Op, Program, Response
from micronas.proxies.engine.compiled.program.plan import Plan

_WEIGHTED = (*LEARNED, Kind.AVG_POOL)


class Draft:
    """What `Program` says of its parts holds here too; `norms` are by the number of the batch norm's value."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.norms: dict[int, int] = {}
        self.statistics = self.bits = self.features = 0
        self.responses: list[Response] = []
        self._code, self._coefficients = array("q"), array("d")
        self._layers: dict[int, tuple[int, int, int]] = {}  # (geometry, weight, statistics) by value

    def emit(
        self,
        op: Op,
        target: int,
        source: int,
        value: int,
        other: int = 0,
        adds: bool = False,
        scale: float = 1.0,
        member: int = 0,
    ) -> None:
        """Write one instruction of the layer that computes a value, and with that value's statistics."""
        found = self._layers.get(value)
        if found is None:
            found = self._layers[value] = self._layer(value)
        self._code.extend((op, target, source, other, adds, *found, member))
        self._coefficients.append(scale)

    def _layer(self, value: int) -> tuple[int, int, int]:
        layer = self.plan.layer(value)
        weight = self.store.weight(layer) if layer.signature.kind in _WEIGHTED else 0
        return self.store.geometry(layer.signature), weight, self.norms.get(value, -1)

    def keep_statistics(self, norm: int) -> None:
        """Give a batch norm, before anything is written for it, a place for the 1/σ and σ² of its channels."""
        if norm not in self.norms:
            self.norms[norm] = self.statistics
            self.statistics += self.plan.shapes[norm][2]

    def finished(self, input_place: int) -> Program:
        """The program, for images that are laid at `input_place`."""
        return Program(
            np.frombuffer(self._code, np.int64).reshape(-1, len(COLUMNS)),
            np.frombuffer(self._coefficients).astype(self.store.dtype),
            self.store.geometries(),
            self.store.weights(),
            input_place,
            self.store.arena_size,
            self.store.scratch_size,
            self.statistics,
            self.bits,
            self.features,
            np.array(list(self.norms.values()), np.int64),
            self.responses,
        )
