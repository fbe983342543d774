"""The forward of one network after another, as instructions: what every goal begins with."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from micronas.network.signature import SUMS, Kind
from micronas.proxies.engine.compiled.program.draft import Draft
from micronas.proxies.engine.compiled.program.instructions import Op


def _op(kind: Kind) -> Op:
    """What computes a layer from its operand."""
    match kind:
        case Kind.CONV | Kind.DEPTHWISE | Kind.LINEAR:
            return Op.CONV
        case Kind.BATCH_NORM:
            return Op.NORM
        case Kind.RELU:
            return Op.RELU
        case Kind.AVG_POOL:
            return Op.SHARES
        case Kind.MAX_POOL:
            return Op.MAX_POOL
        case Kind.GLOBAL_POOL:
            return Op.GLOBAL_POOL
        case Kind.PAD:
            return Op.PAD
        case Kind.INPUT | Kind.ADD | Kind.MEAN:
            return Op.COPY


_OPS = {kind: _op(kind) for kind in Kind}


class Forward:
    """Writes what computes values, and knows where they lie in the arena at this point of the program."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.plan, self.store = draft, draft.plan, draft.store
        self.place: dict[int, int] = {}

    def materialise(self, value: int) -> int:
        """The place of a value's tensor, which it is given if it has none yet."""
        if value not in self.place:
            self.place[value] = self.store.take(self.plan.shapes[value])
        return self.place[value]

    def release(self, values: Iterable[int]) -> None:
        """Let others have the places of values that nobody reads any more."""
        for value in values:
            self.store.give_back(self.plan.shapes[value], self.place.pop(value))

    def compute(self, needed: Iterable[int]) -> None:
        """Compute the values of a network, in order, that no earlier network has left behind."""
        for value in needed:
            self._compute_one(value)

    def compute_releasing(self, needed: Sequence[int], take: Callable[[int], None], later: Container[int]) -> None:
        """The same, each value taken as soon as it is there; what nobody reads any more, now or `later`, makes room.

        So thousands of samples of a network need room for what is alive at once, not for all that it computes.
        """
        last_read = {operand: at for at, value in enumerate(needed) for operand in self._operands(value)}
        for at, value in enumerate(needed):
            self._compute_one(value)
            take(value)
            done = {value, *self._operands(value)}.intersection(self.place)
            self.release([each for each in done if last_read.get(each, at) <= at and each not in later])

    def _compute_one(self, value: int) -> None:
        """A value, unless it is there already or is computed straight into a sum."""
        if value in self.place or value in self.plan.folded:
            return
        place = self.materialise(value)
        if self.plan.kinds[value] in SUMS:
            self._add_up(value, place)
        else:
            self._compute(value, place)

    def _operands(self, value: int) -> list[int]:
        """The values whose tensors are read to compute one, be it by itself or straight into a sum."""
        if self.plan.kinds[value] not in SUMS:
            return [self.plan.inputs[value][0]] if self.plan.inputs[value] else []
        terms = [term for term, _ in self.plan.terms(value)]
        return [self.plan.inputs[term][0] if term in self.plan.folded else term for term in terms]

    def _add_up(self, total: int, place: int) -> None:
        for number, (term, factor) in enumerate(self.plan.terms(total)):
            if term in self.plan.folded:
                self._compute(term, place, adds=number > 0, scale=factor)
            else:
                self.draft.emit(Op.COPY, place, self.place[term], total, adds=number > 0, scale=factor)

    def _compute(self, value: int, place: int, adds: bool = False, scale: float = 1.0) -> None:
        op, source = _OPS[self.plan.kinds[value]], self.place[self.plan.inputs[value][0]]
        if op is Op.SHARES:
            self._average(value, source, place, adds, scale)
            return
        if op is Op.NORM:
            self.draft.keep_statistics(value)
            op = Op.CONV_NORM if self.plan.has_convolution(value) else op
        self.draft.emit(op, place, source, value, adds=adds, scale=scale)

    def _average(self, value: int, source: int, place: int, adds: bool, scale: float) -> None:
        """An average pool: the sum over each window, then its share by pixel."""
        sums = self.store.take(self.plan.shapes[value])
        self.draft.emit(Op.CONV, sums, source, value)
        self.draft.emit(Op.SHARES, place, sums, value, adds=adds, scale=scale)
        self.store.give_back(self.plan.shapes[value], sums)
