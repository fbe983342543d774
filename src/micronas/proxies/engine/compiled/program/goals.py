"""What programs are written for: a writer for each goal, and the loop over networks that all of them share.

Networks are executed one after another while their tensors are in the cache. Each is a forward, then what its goal
makes of it. What a later network shares with an earlier one is kept; everything else makes room as soon as nobody
reads it any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

from micronas.network.signature import LEARNED, Kind
from micronas.proxies.engine.compiled.layout import Store
from micronas.proxies.engine.compiled.program.backward import Backward, trained
from micronas.proxies.engine.compiled.program.draft import Draft
from micronas.proxies.engine.compiled.program.forward import Forward
from micronas.proxies.engine.compiled.program.instructions import Op, Program, Response
from micronas.proxies.engine.compiled.program.plan import Plan
from micronas.proxies.engine.values import Member, Merged

Goal = Literal["tangent kernels", "region counts", "patterns", "agreements", "responses"]


_READ_AGAIN = (*LEARNED, Kind.MAX_POOL)
"""Layers whose operand their backward reads."""


class Writer(Protocol):
    """What is written for a goal."""

    forward: Forward

    @property
    def take(self) -> Callable[[int], None] | None:
        """What the goal makes of a value of a network as soon as it is there; it makes room once nobody reads it.

        None where `conclude` reads tensors, which therefore all stay until then.
        """
        ...

    def reads(self, member: Member) -> set[int]:
        """The values of a network that `conclude` reads."""
        ...

    def conclude(self, number: int, member: Member) -> None:
        """What the goal makes of a network, when its forward is written."""
        ...


def write(merged: Merged, store: Store, goal: Goal) -> Program:
    """The program that computes `goal` for every network; networks are numbered as in `merged`."""
    writer = _WRITERS[goal](merged, store)
    forward = writer.forward
    members = [(number, member) for number, member in enumerate(merged.members) if member]
    needed = {number: forward.plan.leading_to(writer.reads(member), member) for number, member in members}
    last_reader = {value: number for number, values in needed.items() for value in values}
    last_reader[0] = len(merged.members)  # the images, which the next draw needs there again
    input_place = forward.materialise(0)
    for number, member in members:
        if writer.take is None:
            forward.compute(needed[number])
        else:
            forward.compute_releasing(
                needed[number], writer.take, {at for at, last in last_reader.items() if last > number}
            )
        writer.conclude(number, member)
        forward.release([value for value in forward.place if last_reader[value] <= number])
    forward.release([0])
    return forward.draft.finished(input_place)


class TangentKernels:
    """A backward of the summed logits, which adds each layer's per-sample weight gradients to the kernel."""

    take = None

    def __init__(self, merged: Merged, store: Store) -> None:
        self.forward = Forward(Draft(Plan(merged), store))
        self._trained = trained(self.forward.plan)

    def reads(self, member: Member) -> set[int]:
        """Operands of layers with weights and of maximum pools, outputs of ReLUs, statistics of batch norms."""
        plan, output = self.forward.plan, member.values[-1]
        found = {at for at in member.values if plan.kinds[at] in (Kind.RELU, Kind.BATCH_NORM)}
        found |= {plan.inputs[at][0] for at in member.values if plan.kinds[at] in _READ_AGAIN}
        return found if plan.kinds[output] in LEARNED else found | {output}  # norms may be computed as its terms

    def conclude(self, number: int, member: Member) -> None:
        """See `Writer`."""
        Backward(self.forward, self._trained, number).write(member)


class Patterns:
    """The signs of all ReLU tensors as one row of bits a sample, which `compare` then compares; None leaves them."""

    def __init__(self, merged: Merged, store: Store, compare: Op | None) -> None:
        self.forward, self._compare = Forward(Draft(Plan(merged), store)), compare
        self._bits = 0

    def reads(self, member: Member) -> set[int]:
        """The ReLUs."""
        return {at for at in member.values if self.forward.plan.kinds[at] is Kind.RELU}

    def take(self, value: int) -> None:
        """The signs of a ReLU."""
        if self.forward.plan.kinds[value] is Kind.RELU:
            self.forward.draft.emit(Op.SIGNS, 0, self.forward.place[value], value, other=self._bits)
            self._bits += math.prod(self.forward.plan.shapes[value])

    def conclude(self, number: int, member: Member) -> None:
        """See `Writer`."""
        draft = self.forward.draft
        if self._compare is not None:
            draft.emit(self._compare, 0, self._bits, member.values[-1], member=number)
        draft.bits = max(draft.bits, self._bits)
        self._bits = 0


class Responses:
    """The features, kept or compared with those kept before, and which batch norms count."""

    take = None

    def __init__(self, merged: Merged, store: Store) -> None:
        ends = [end for member in merged.members if member for end in self.reads(member)]
        self.forward = Forward(Draft(Plan(merged, read_at_end=ends), store))

    def reads(self, member: Member) -> set[int]:
        """The features, and the output: all batch norms lead there."""
        return {member.features, member.values[-1]}

    def conclude(self, number: int, member: Member) -> None:  # noqa: ARG002 - responses follow one another
        """See `Writer`."""
        draft, plan = self.forward.draft, self.forward.plan
        draft.emit(Op.CHANGE, draft.features, self.forward.place[member.features], member.features)
        numbers = {norm: at for at, norm in enumerate(draft.norms)}
        norms = [numbers[value] for value in member.values if plan.kinds[value] is Kind.BATCH_NORM]
        size = draft.store.size(plan.shapes[member.features])
        draft.responses.append(Response(draft.features, size, norms))
        draft.features += size


_WRITERS: dict[Goal, Callable[[Merged, Store], Writer]] = {
    "tangent kernels": TangentKernels,
    "region counts": partial(Patterns, compare=Op.COUNT),
    "patterns": partial(Patterns, compare=None),
    "agreements": partial(Patterns, compare=Op.AGREE),
    "responses": Responses,
}
