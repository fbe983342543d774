"""How often a network of cells has each layer, found on one cell: all cells of a network are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from micronas.network.signature import Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, cell_drawer
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.space import FORMS, Form
from micronas.task import Task

_CELL = "stage1.cell1."


def counts(cell: Choices, skeleton: Skeleton, task: Task, form: Form) -> Counter[Signature]:
    """As counting the layers of the whole network, and ten times quicker.

    No form of a network looks at shapes. So the smallest network (one stage of one cell) shows which layers remain of a
    cell and of the head; the supernet's layers of the same names tell their shapes in the other stages; each cell
    counts `skeleton.cells` times. A cell that is nothing but the tensor it reads is counted plainly, for then the head
    reads what is before it; so is one without a stem, for then the first cell reads the image.

    Raises:
        Disconnected: no path leads from the input to the output, so nothing is live.
    """
    places = _places(skeleton, task, form)
    smallest = replace(skeleton, cells=1, stages=1)
    layers = list(FORMS[form](smallest.lower(cell_drawer(cell), task)))
    if not skeleton.stem or not any(layer.name.startswith(_CELL) for layer in layers):
        return Counter(layer.signature for layer in FORMS[form](skeleton.lower(cell_drawer(cell), task)))
    found = places.frame.copy()
    for layer in layers:
        for signature, times in places.of(layer.name, layer.signature):
            found[signature] += times
    return found


@cache
def _places(skeleton: Skeleton, task: Task, form: Form) -> _Places:
    one_each = replace(skeleton, cells=1)
    supernet = one_each.lower(cell_drawer(CELLS), task)
    return _Places(skeleton, {layer.name: layer.signature for layer in supernet}, _frame(one_each, task, form))


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the layers of the smallest network stand in the full one.

    Attributes:
        skeleton: of the full network.
        shapes: the plain layers of one cell a stage, all options drawn, by name.
        frame: the stem and what lies between the stages: the same whatever the cell.
    """

    skeleton: Skeleton
    shapes: Mapping[str, Signature]
    frame: Counter[Signature]

    @cache  # noqa: B019 (there is one for each skeleton, task and form)
    def of(self, name: str, its: Signature) -> tuple[tuple[Signature, int], ...]:
        """What a layer of the smallest network is in the full one, and how often."""
        if name.startswith(_CELL):
            stages = range(1, self.skeleton.stages + 1)
            names = [f"stage{stage}.cell1.{name.removeprefix(_CELL)}" for stage in stages]
            return tuple((_shaped(its, self.shapes[each]), self.skeleton.cells) for each in names)
        return ((_shaped(its, self.shapes[name]), 1),) if name.startswith("head.") else ()


def _frame(one_each: Skeleton, task: Task, form: Form) -> Counter[Signature]:
    """Taken from a cell in which every edge is a convolution."""
    cell = Choices((("nor_conv_3x3",),) * len(CELLS.alive))
    layers = FORMS[form](one_each.lower(cell_drawer(cell), task))
    return Counter(layer.signature for layer in layers if not layer.name.startswith(("stage", "head.")))


def _shaped(its: Signature, like: Signature) -> Signature:
    """The operation with the shapes and the window of the plain layer of that name."""
    return replace(
        its,
        in_shape=like.in_shape,
        out_shape=like.out_shape,
        kernel=like.kernel,
        stride=like.stride,
        padding=like.padding,
    )
