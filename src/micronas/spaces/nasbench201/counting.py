"""What a network of cells is made of, and how often, found on one cell: all cells of a network are alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from micronas.network.graph import Layer, Layers
from micronas.network.segments import Part, segments
from micronas.network.signature import Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import CELLS, cell_drawer, without_dead_edges
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.space import FORMS, Form
from micronas.task import Task

_CELL = "stage1.cell1."


def counts(cell: Choices, skeleton: Skeleton, task: Task, form: Form) -> Counter[Signature]:
    """As counting the layers of the whole network, and ten times quicker; see `parts`.

    Raises:
        Disconnected: no path leads from the input to the output, so nothing is live.
    """
    found: Counter[Signature] = Counter()
    for part, times in parts(cell, skeleton, task, form).items():
        for signature in part.signatures:
            found[signature] += times
    return found


def parts(cell: Choices, skeleton: Skeleton, task: Task, form: Form = "deployed") -> Counter[Part]:
    """As cutting the whole network where one tensor is live; in other forms than the deployed a layer is a part.

    No form of a network looks at shapes, and no part reaches over the ends of a cell. So the smallest network (one
    stage of one cell) shows what remains of a cell and of the head; the supernet's layers of the same names tell their
    shapes in the other stages; each cell counts `skeleton.cells` times. A cell that is nothing but the tensor it reads
    is looked at in the whole network, for then the head reads what is before it; so is one without a stem, for then
    the first cell reads the image.

    Raises:
        Disconnected: as `counts`.
    """
    return _parts(cell if form == "plain" else without_dead_edges(cell), skeleton, task, form).copy()


@lru_cache(maxsize=20_000)
def _parts(cell: Choices, skeleton: Skeleton, task: Task, form: Form) -> Counter[Part]:
    smallest = replace(skeleton, cells=1, stages=1)
    pieces = _pieces(FORMS[form](smallest.lower(cell_drawer(cell), task)), form)
    if not skeleton.stem or not any(piece[-1].name.startswith(_CELL) for piece in pieces):
        return Counter(map(Part.of, _pieces(FORMS[form](skeleton.lower(cell_drawer(cell), task)), form)))
    places = _places(skeleton, task, form)
    found = places.frame.copy()
    for piece in pieces:
        for part, times in places.of(piece):
            found[part] += times
    return found


def _pieces(network: Layers, form: Form) -> Sequence[tuple[Layer, ...]]:
    return segments(network) if form == "deployed" else [(layer,) for layer in network]


@cache
def _places(skeleton: Skeleton, task: Task, form: Form) -> _Places:
    one_each = replace(skeleton, cells=1)
    supernet = one_each.lower(cell_drawer(CELLS), task)
    dense = Choices((("nor_conv_3x3",),) * len(CELLS.alive))
    pieces = _pieces(FORMS[form](one_each.lower(cell_drawer(dense), task)), form)
    frame = Counter(Part.of(piece) for piece in pieces if not piece[-1].name.startswith(("stage", "head.")))
    return _Places(skeleton, {layer.name: layer.signature for layer in supernet}, frame)


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the parts of the smallest network stand in the full one.

    Attributes:
        skeleton: of the full network.
        shapes: the plain layers of one cell a stage, all options drawn, by name.
        frame: the stem and what lies between the stages: the same whatever the cell.
    """

    skeleton: Skeleton
    shapes: Mapping[str, Signature]
    frame: Counter[Part]
    _known: dict[Part, tuple[tuple[Part, int], ...]] = field(default_factory=dict)

    def of(self, piece: Sequence[Layer]) -> Sequence[tuple[Part, int]]:
        """What a part of the smallest network is in the full one, and how often: of a cell, in every stage."""
        name, part = piece[-1].name, Part.of(piece)
        if name.startswith("head."):
            return [(self._shaped(part, [layer.name for layer in piece]), 1)]
        if not name.startswith(_CELL):
            return []
        if part not in self._known:  # layers of a cell that are alike in one stage are alike in all
            own = [layer.name.removeprefix(_CELL) for layer in piece]
            stages = range(1, self.skeleton.stages + 1)
            found = (self._shaped(part, [f"stage{stage}.cell1.{each}" for each in own]) for stage in stages)
            self._known[part] = tuple((each, self.skeleton.cells) for each in found)
        return self._known[part]

    def _shaped(self, part: Part, names: Sequence[str]) -> Part:
        """The operations with the shapes and windows of the plain layers of those names."""
        steps = zip(part.steps, names, strict=True)
        return Part(tuple([(_shaped(its, self.shapes[name]), reads) for (its, reads), name in steps]))


@lru_cache(maxsize=10_000)
def _shaped(its: Signature, like: Signature) -> Signature:
    return replace(
        its,
        in_shape=like.in_shape,
        out_shape=like.out_shape,
        kernel=like.kernel,
        stride=like.stride,
        padding=like.padding,
    )
