"""Merged networks as one list of instructions over a single arena: what the compiled kernels execute.

Networks are executed one after another, forward and backward, while their tensors are in the cache. What a later
network shares with an earlier one is kept; everything else makes room as soon as nobody reads it any more.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from micronas.network.graph import Kind, Shape
from micronas.proxies.engine.layout import Store
from micronas.proxies.engine.values import LEARNED, Merged, Network

COLUMNS = 9
"""Numbers in an instruction: op, target, source, other, adds, geometry, weight, statistics, network."""

Goal = Literal["tangent kernels", "region counts", "agreements", "responses"]


class Op(IntEnum):
    """What an instruction does.

    Whatever is written is scaled by the coefficient, and added to what is there (`adds`) or put in its place.
    "other" is a second tensor to read. Backward operations read a gradient at "source" and write one at "target".
    """

    COPY = 0
    CONV = 1  # depthwise and linear layers too; of an average pool, the sum over each window
    CONV_NORM = 2  # a convolution and the batch norm that reads it
    NORM = 3
    RELU = 4
    SHARES = 5  # divides each pixel by what the window of an average pool covers there
    MAX_POOL = 6
    GLOBAL_POOL = 7
    PAD = 8
    SLOPES = 9  # kernel of the network += that of a layer's per-sample weight gradients; other: the layer's input
    CONV_BACK = 10
    NORM_BACK = 11
    RELU_BACK = 12  # other: the ReLU's output
    MAX_POOL_BACK = 13  # other: the pool's input
    GLOBAL_POOL_BACK = 14
    PAD_BACK = 15
    FILL = 16  # the coefficient everywhere
    SIGNS = 17  # bits "other", "other" + 1, ... of every sample: where source is positive
    COUNT = 18  # regions of the network: how many samples differ in their first "source" bits
    AGREE = 19  # kernel of the network: in how many of the first "source" bits each two samples agree
    CHANGE = 20  # features at "target" = what lies at source - what they are


_FORWARD = {
    Kind.CONV: Op.CONV,
    Kind.DEPTHWISE: Op.CONV,
    Kind.LINEAR: Op.CONV,
    Kind.BATCH_NORM: Op.NORM,
    Kind.RELU: Op.RELU,
    Kind.AVG_POOL: Op.SHARES,
    Kind.MAX_POOL: Op.MAX_POOL,
    Kind.GLOBAL_POOL: Op.GLOBAL_POOL,
    Kind.PAD: Op.PAD,
}
_BACKWARD = {
    Kind.BATCH_NORM: Op.NORM_BACK,
    Kind.RELU: Op.RELU_BACK,
    Kind.MAX_POOL: Op.MAX_POOL_BACK,
    Kind.GLOBAL_POOL: Op.GLOBAL_POOL_BACK,
    Kind.PAD: Op.PAD_BACK,
}
_SUMS = (Kind.ADD, Kind.MEAN)
_WEIGHTED = (*LEARNED, Kind.AVG_POOL)


class Response(NamedTuple):
    """Where the features of a network lie, from `place` on, and which of the batch norms are its own."""

    place: int
    size: int
    norms: list[int]


class Program(NamedTuple):
    """Instructions, (instructions, COLUMNS), with a coefficient each, and all that they refer to.

    One program serves every draw: `weights`, (draws, weights), has a row for each. `norms` are where the statistics
    of each batch norm begin.
    """

    instructions: npt.NDArray[np.int64]
    coefficients: npt.NDArray[np.floating]
    geometries: npt.NDArray[np.int64]
    weights: npt.NDArray[np.floating]
    input_place: int
    arena_size: int
    scratch_size: int
    statistics: int
    bits: int
    features: int
    norms: npt.NDArray[np.int64]
    responses: list[Response]  # of the connected networks


class _Gradient(NamedTuple):
    """`scale` times what lies at a place of the arena, which several values may share."""

    shape: Shape
    place: int
    scale: float


class _Part(NamedTuple):
    """One summand of a gradient that is still to be computed: an operation of a reader on its own gradient."""

    op: Op
    of: _Gradient
    reader: int
    other: int = 0
    statistics: int = -1


def write(merged: Merged, store: Store, goal: Goal) -> Program:
    """The program that computes `goal` for every network; networks are numbered as in `merged`."""
    return _Writer(merged, store, goal).program()


class _Writer:
    def __init__(self, merged: Merged, store: Store, goal: Goal) -> None:
        self.values, self.networks, self.store = merged.values, merged.networks, store
        self.goal: Goal = goal
        self.code, self.coefficients = array("q"), array("d")
        self.layers: dict[int, tuple[int, int]] = {}  # (geometry, weight) of the layer that computes a value
        self.place: dict[int, int] = {}  # of the values that lie in the arena at this point of the program
        self.statistics: dict[int, int] = {}  # where the 1/σ and σ² of each batch norm are
        self.statistics_size = self.bits = self.features = 0
        self.responses: list[Response] = []
        self.kinds = [value.layer.signature.kind for value in self.values]
        self.shapes = [value.layer.signature.out_shape for value in self.values]
        self.readers = Counter(source for value in self.values for source in value.inputs)
        if goal == "responses":  # read at the end too
            for network in self.networks:
                self.readers.update((network.features, network.values[-1]) if network else ())
        # A batch norm that alone reads a convolution is computed with it; the convolution's own value never exists.
        self.conv_of = {
            at: value.inputs[0]
            for at, value in enumerate(self.values)
            if self.kinds[at] is Kind.BATCH_NORM
            and self.kinds[value.inputs[0]] in LEARNED
            and self.readers[value.inputs[0]] == 1
        }
        self.inputs = [self.values[self.conv_of.get(at, at)].inputs for at in range(len(self.values))]
        # A value that is read once, by a sum, is computed straight into that sum.
        alone = {source for at, kind in enumerate(self.kinds) if kind in _SUMS for source in self.inputs[at]}
        kept = (Kind.INPUT, Kind.RELU)
        self.folded = {at for at in alone if self.readers[at] == 1 and self.kinds[at] not in kept}
        self.trained: list[bool] = []  # whether weights lie at or below a value: else its gradient is of no use
        for at, kind in enumerate(self.kinds):
            self.trained.append(kind in LEARNED or any(self.trained[source] for source in self.values[at].inputs))

    def program(self) -> Program:
        connected = [(at, network) for at, network in enumerate(self.networks) if network is not None]
        needed = [self._needed(network) for _, network in connected]
        last = {value: at for (at, _), its in zip(connected, needed, strict=True) for value in its}
        input_place = self._materialise(0)
        last[0] = len(self.networks)
        for (at, network), its in zip(connected, needed, strict=True):
            self._forward(its)
            if self.goal == "tangent kernels":
                self._backward(at, network)
            elif self.goal == "responses":
                self._response(network, its)
            else:
                self._patterns(at, network)
            for value in [value for value in self.place if last[value] <= at]:
                self.store.give_back(self.shapes[value], self.place.pop(value))
        self.store.give_back(self.shapes[0], input_place)
        return Program(
            np.frombuffer(self.code, np.int64).reshape(-1, COLUMNS),
            np.frombuffer(self.coefficients).astype(self.store.dtype),
            self.store.geometries(),
            self.store.weights(),
            input_place,
            self.store.arena_size,
            self.store.scratch_size,
            self.statistics_size,
            self.bits,
            self.features,
            np.array(list(self.statistics.values()), np.int64),
            self.responses,
        )

    def _emit(
        self,
        op: Op,
        target: int,
        source: int,
        value: int,
        other: int = 0,
        adds: bool = False,
        scale: float = 1.0,
        statistics: int = -1,
        network: int = 0,
    ) -> None:
        """Write one instruction for the layer of a value; of a norm with its convolution, the convolution's."""
        found = self.layers.get(value)
        if found is None:
            layer = self.values[self.conv_of.get(value, value)].layer
            weighted = layer.signature.kind in _WEIGHTED
            found = self.store.geometry(layer.signature), self.store.weight(layer) if weighted else 0
            self.layers[value] = found
        self.code.extend((op, target, source, other, adds, *found, statistics, network))
        self.coefficients.append(scale)

    def _needed(self, network: Network) -> list[int]:
        """The values to be computed for a network, in order: what its goal reads, and what leads there."""
        tangent, output = self.goal == "tangent kernels", network.values[-1]
        summed = tangent and self.kinds[output] not in LEARNED  # may be where a batch norm is computed
        needed = {output} if self.goal == "responses" or summed else set[int]()
        for at in reversed(network.values):
            kind = self.kinds[at]
            if kind is Kind.RELU or (tangent and kind is Kind.BATCH_NORM):
                needed.add(at)
            elif tangent and (kind in LEARNED or kind is Kind.MAX_POOL):
                needed.add(self.inputs[at][0])
            if at in needed:
                needed.update(self.inputs[at])
        return [at for at in network.values if at in needed]

    # --- forward ----------------------------------------------------------------------------------

    def _forward(self, needed: Sequence[int]) -> None:
        """Compute the values of a network that no earlier one has left behind."""
        for at in needed:
            if at in self.place or at in self.folded:
                continue
            place = self._materialise(at)
            if self.kinds[at] not in _SUMS:
                self._compute(at, place)
                continue
            for number, (term, scale) in enumerate(self._terms(at)):
                if term in self.folded:
                    self._compute(term, place, adds=number > 0, scale=scale)
                else:
                    self._emit(Op.COPY, place, self.place[term], at, adds=number > 0, scale=scale)

    def _materialise(self, value: int) -> int:
        if value not in self.place:
            self.place[value] = self.store.take(self.shapes[value])
        return self.place[value]

    def _terms(self, total: int) -> list[tuple[int, float]]:
        """(value, factor) of the operands of a sum; sums that only it reads are dissolved."""
        share, terms = self._share(total), list[tuple[int, float]]()
        for source in self.inputs[total]:
            if source in self.folded and self.kinds[source] in _SUMS:
                terms += [(term, share * scale) for term, scale in self._terms(source)]
            else:
                terms.append((source, share))
        return terms

    def _share(self, total: int) -> float:
        signature = self.values[total].layer.signature
        return 1.0 / signature.operands if signature.kind is Kind.MEAN else 1.0

    def _compute(self, value: int, place: int, adds: bool = False, scale: float = 1.0) -> None:
        op, source = _FORWARD[self.kinds[value]], self.place[self.inputs[value][0]]
        if op is Op.SHARES:
            sums = self.store.take(self.shapes[value])
            self._emit(Op.CONV, sums, source, value)
            self._emit(Op.SHARES, place, sums, value, adds=adds, scale=scale)
            self.store.give_back(self.shapes[value], sums)
            return
        statistics = self._statistics(value) if op is Op.NORM else -1
        op = Op.CONV_NORM if value in self.conv_of else op
        self._emit(op, place, source, value, adds=adds, scale=scale, statistics=statistics)

    def _statistics(self, norm: int) -> int:
        if norm not in self.statistics:
            self.statistics[norm] = self.statistics_size
            self.statistics_size += self.shapes[norm][2]
        return self.statistics[norm]

    # --- backward ---------------------------------------------------------------------------------

    def _backward(self, number: int, network: Network) -> None:
        """One backward of the summed logits; the gradient of a value is computed when all its readers are done."""
        self.parts: dict[int, list[_Part]] = defaultdict(list)
        self.held = Counter[tuple[Shape, int]]()  # parts still to be computed from each gradient
        output = network.values[-1]
        ones = _Gradient(self.shapes[output], self.store.take(self.shapes[output]), 1.0)
        self._emit(Op.FILL, ones.place, 0, output)
        self._pass_down(number, output, ones)
        for value in reversed(network.values[:-1]):
            if value in self.parts:
                self._pass_down(number, value, self._gradient(value, self.parts.pop(value)))

    def _gradient(self, value: int, parts: list[_Part]) -> _Gradient:
        """The sum of the parts of a value's gradient; nothing is computed if it is another's, scaled."""
        first, shape = parts[0], self.shapes[value]
        if len(parts) == 1 and first.op is Op.COPY:
            self.held[first.of.shape, first.of.place] -= 1
            return first.of
        in_place = len(parts) == 1 and first.op in (Op.RELU_BACK, Op.NORM_BACK)
        in_place = in_place and self.held[first.of.shape, first.of.place] == 1
        place = first.of.place if in_place else self.store.take(shape)
        for number, (op, of, reader, other, statistics) in enumerate(parts):
            self._emit(op, place, of.place, reader, other, number > 0, of.scale, statistics)
            self.held[of.shape, of.place] -= 1
            if not in_place:
                self._give_back(of)
        return _Gradient(shape, place, 1.0)

    def _give_back(self, gradient: _Gradient) -> None:
        if not self.held[gradient.shape, gradient.place]:
            self.store.give_back(gradient.shape, gradient.place)

    def _pass_down(self, number: int, value: int, gradient: _Gradient) -> None:
        """Use the gradient of a value for its layer's weights, and leave its operands their parts."""
        kind, inputs = self.kinds[self.conv_of.get(value, value)], self.inputs[value]
        statistics = self.statistics.get(value, -1)
        if kind in _SUMS:
            scaled = gradient._replace(scale=gradient.scale * self._share(value))
            for source in inputs:
                self._leave(source, _Part(Op.COPY, scaled, value))
        elif kind in LEARNED:
            read = self.place[inputs[0]]
            self._emit(Op.SLOPES, 0, gradient.place, value, read, False, gradient.scale, statistics, number)
            self._leave(inputs[0], _Part(Op.CONV_BACK, gradient, value, 0, statistics))
        elif kind is Kind.AVG_POOL:
            shares = _Gradient(gradient.shape, self.store.take(gradient.shape), 1.0)
            self._emit(Op.SHARES, shares.place, gradient.place, value, scale=gradient.scale)
            self._leave(inputs[0], _Part(Op.CONV_BACK, shares, value))
            self._give_back(shares)
        else:
            other = {Kind.RELU: value, Kind.MAX_POOL: inputs[0]}.get(kind, -1)
            self._leave(inputs[0], _Part(_BACKWARD[kind], gradient, value, self.place.get(other, 0), statistics))
        self._give_back(gradient)

    def _leave(self, value: int, part: _Part) -> None:
        if self.trained[value]:
            self.parts[value].append(part)
            self.held[part.of.shape, part.of.place] += 1

    # --- patterns ---------------------------------------------------------------------------------

    def _patterns(self, number: int, network: Network) -> None:
        """Collect the signs of all ReLU tensors, then compare samples."""
        bits = 0
        for value in network.values:
            if self.kinds[value] is Kind.RELU:
                self._emit(Op.SIGNS, 0, self.place[value], value, other=bits)
                height, width, channels = self.shapes[value]
                bits += height * width * channels
        op = Op.COUNT if self.goal == "region counts" else Op.AGREE
        self._emit(op, 0, bits, network.values[-1], network=number)
        self.bits = max(self.bits, bits)

    # --- responses --------------------------------------------------------------------------------

    def _response(self, network: Network, needed: Sequence[int]) -> None:
        """Keep the features, or their change, and remember which batch norms count."""
        self._emit(Op.CHANGE, self.features, self.place[network.features], network.features)
        numbers = {norm: at for at, norm in enumerate(self.statistics)}
        norms = [numbers[value] for value in needed if self.kinds[value] is Kind.BATCH_NORM]
        size = self.store.size(self.shapes[network.features])
        self.responses.append(Response(self.features, size, norms))
        self.features += size
