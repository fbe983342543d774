"""The backward of one network, as instructions: the gradients of its summed logits, batch statistics held constant.

Gradients are computed from the output to the input. One that several readers contribute to is the sum of a part from
each, and is computed when the last of them has left its part. Nothing is computed for a copy (an operand of a sum has
the sum's gradient, scaled), nor below the lowest weights, where nobody asks for a gradient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from micronas.network.signature import LEARNED, SUMS, Kind, Shape
from micronas.proxies.engine.compiled.program.forward import Forward
from micronas.proxies.engine.compiled.program.instructions import Op
from micronas.proxies.engine.compiled.program.plan import Plan
from micronas.proxies.engine.values import Member


def _op(kind: Kind) -> Op:
    """What computes the gradient of a layer's operand from that of its result."""
    match kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR | Kind.AVG_POOL:
            return Op.CONV_BACK
        case Kind.BATCH_NORM:
            return Op.NORM_BACK
        case Kind.RELU:
            return Op.RELU_BACK
        case Kind.MAX_POOL:
            return Op.MAX_POOL_BACK
        case Kind.GLOBAL_POOL:
            return Op.GLOBAL_POOL_BACK
        case Kind.PAD:
            return Op.PAD_BACK
        case Kind.INPUT | Kind.ADD | Kind.MEAN:
            return Op.COPY


_OPS = {kind: _op(kind) for kind in Kind}
_IN_PLACE = (Op.RELU_BACK, Op.NORM_BACK)  # number by number, so that target may be source


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


def trained(plan: Plan) -> list[bool]:
    """Of each value, whether weights lie at or below it: else its gradient is of no use."""
    found: list[bool] = []
    for kind, value in zip(plan.kinds, plan.values, strict=True):
        found.append(kind in LEARNED or any(found[source] for source in value.inputs))
    return found


class Backward:
    """Writes one network's backward, to be called once, after its forward."""

    def __init__(self, forward: Forward, trained: Sequence[bool], number: int) -> None:
        self._draft, self._plan, self._store = forward.draft, forward.plan, forward.store
        self._place, self._trained, self._number = forward.place, trained, number
        self._parts: dict[int, list[_Part]] = defaultdict(list)
        self._held = Counter[int]()  # how many parts are still to be computed from what lies at a place

    def write(self, member: Member) -> None:
        """From the output down, every value after its readers."""
        *below, output = member.values
        shape = self._plan.shapes[output]
        ones = _Gradient(shape, self._store.take(shape), 1.0)
        self._draft.emit(Op.FILL, ones.place, 0, output)
        self._pass_down(output, ones)
        for value in reversed(below):
            if value in self._parts:
                self._pass_down(value, self._gradient(value, self._parts.pop(value)))

    def _gradient(self, value: int, parts: list[_Part]) -> _Gradient:
        """The sum of its parts; a gradient that is another's, scaled, stays where that lies."""
        first, alone, shape = parts[0], len(parts) == 1, self._plan.shapes[value]
        if alone and first.op is Op.COPY:
            self._held[first.of.place] -= 1
            return first.of
        in_place = alone and first.op in _IN_PLACE and self._held[first.of.place] == 1
        place = first.of.place if in_place else self._store.take(shape)
        for number, (op, of, reader) in enumerate(parts):
            other = self._besides(op, reader)
            self._draft.emit(op, place, of.place, reader, other, adds=number > 0, scale=of.scale)
            self._held[of.place] -= 1
            if not in_place:
                self._release(of)
        return _Gradient(shape, place, 1.0)

    def _besides(self, op: Op, reader: int) -> int:
        """What a part's operation reads besides the gradient: the ReLU's output, the maximum pool's input."""
        if op is Op.RELU_BACK:
            return self._place[reader]
        return self._place[self._plan.inputs[reader][0]] if op is Op.MAX_POOL_BACK else 0

    def _pass_down(self, value: int, gradient: _Gradient) -> None:
        """Use a value's gradient for its layer's weights, and leave its operands their parts."""
        kind, inputs = self._plan.layer(value).signature.kind, self._plan.inputs[value]
        if kind in SUMS:
            scaled = gradient._replace(scale=gradient.scale * self._plan.share(value))
            for source in inputs:
                self._leave(source, _Part(_OPS[kind], scaled, value))
        elif kind in LEARNED:
            read, scale = self._place[inputs[0]], gradient.scale
            self._draft.emit(Op.SLOPES, 0, gradient.place, value, read, scale=scale, member=self._number)
            self._leave(inputs[0], _Part(_OPS[kind], gradient, value))
        elif kind is Kind.AVG_POOL:
            self._spread(value, gradient)
        else:
            self._leave(inputs[0], _Part(_OPS[kind], gradient, value))
        self._release(gradient)

    def _spread(self, pool: int, gradient: _Gradient) -> None:
        """Of an average pool: the gradient's shares by pixel, then their sum over the windows that read a pixel."""
        shares = gradient._replace(place=self._store.take(gradient.shape), scale=1.0)
        self._draft.emit(Op.SHARES, shares.place, gradient.place, pool, scale=gradient.scale)
        self._leave(self._plan.inputs[pool][0], _Part(Op.CONV_BACK, shares, pool))
        self._release(shares)

    def _leave(self, value: int, part: _Part) -> None:
        if self._trained[value]:
            self._parts[value].append(part)
            self._held[part.of.place] += 1

    def _release(self, gradient: _Gradient) -> None:
        """Let others have a gradient's place, unless parts are still to be computed from it."""
        if not self._held[gradient.place]:
            self._store.give_back(gradient.shape, gradient.place)
