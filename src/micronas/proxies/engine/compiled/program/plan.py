"""Which values of merged networks get a tensor of their own, and which are computed as part of their only reader.

Two kinds never exist by themselves: a convolution that only a batch norm reads, which is one operation with it; and a
term that only a sum reads, which is computed straight into the sum.

    conv -> norm -> + -> relu        conv and norm are one CONV_NORM, which adds to the sum's tensor;
    conv -> norm ---^                two tensors, the sum and the ReLU, instead of six
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from micronas.network.graph import Layer
from micronas.network.signature import LEARNED, SUMS, Kind
from micronas.proxies.engine.values import Member, Merged

_NEVER_FOLDED = (Kind.INPUT, Kind.RELU)  # goals look at these


class Plan:
    """How each value is computed, by the value's number.

    Attributes:
        kinds, shapes: of the values.
        inputs: the values that are read to compute one; for a batch norm with its convolution, the convolution's.
        folded: the terms that are computed straight into a sum.
    """

    def __init__(self, merged: Merged, read_at_end: Iterable[int] = ()) -> None:
        """A plan in which the values `read_at_end`, besides those that others read, get a tensor."""
        self.values = merged.values
        self.kinds = [value.layer.signature.kind for value in self.values]
        self.shapes = [value.layer.signature.out_shape for value in self.values]
        readers = Counter(source for value in self.values for source in value.inputs)
        readers.update(read_at_end)
        self._conv_of = dict(self._norms_with_convolution(readers))
        self.inputs = [self.values[self._conv_of.get(at, at)].inputs for at in range(len(self.values))]
        terms = {source for at, kind in enumerate(self.kinds) if kind in SUMS for source in self.inputs[at]}
        self.folded = {term for term in terms if readers[term] == 1 and self.kinds[term] not in _NEVER_FOLDED}

    def _norms_with_convolution(self, readers: Counter[int]) -> Iterable[tuple[int, int]]:
        """(batch norm, convolution) of every norm that alone reads its convolution."""
        for at, value in enumerate(self.values):
            if self.kinds[at] is Kind.BATCH_NORM:
                source = value.inputs[0]
                if self.kinds[source] in LEARNED and readers[source] == 1:
                    yield at, source

    def has_convolution(self, norm: int) -> bool:
        """Whether a batch norm is computed with the convolution it reads."""
        return norm in self._conv_of

    def layer(self, value: int) -> Layer:
        """The layer that computes a value; for a batch norm with its convolution, the convolution."""
        return self.values[self._conv_of.get(value, value)].layer

    def leading_to(self, read: set[int], member: Member) -> list[int]:
        """The values of a network that must be computed so that these can be read, in order."""
        needed = set(read)
        for at in reversed(member.values):
            if at in needed:
                needed.update(self.inputs[at])
        return [at for at in member.values if at in needed]

    def terms(self, total: int) -> list[tuple[int, float]]:
        """(value, factor) of the operands of a sum; sums that only it reads are dissolved."""
        share, terms = self.share(total), list[tuple[int, float]]()
        for source in self.inputs[total]:
            if source in self.folded and self.kinds[source] in SUMS:
                terms += [(term, share * factor) for term, factor in self.terms(source)]
            else:
                terms.append((source, share))
        return terms

    def share(self, total: int) -> float:
        """What an operand counts for in a sum: 1, in a mean less."""
        return 1.0 / self.values[total].layer.signature.operands if self.kinds[total] is Kind.MEAN else 1.0
