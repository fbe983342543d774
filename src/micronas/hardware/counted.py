"""A whole space at once: how often each architecture runs each operation, and so its latency on any board."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from micronas import choices as choices_module
from micronas.cache import Arrays, cache_dir, keep_arrays, kept_arrays
from micronas.choices import Choices
from micronas.errors import UserError
from micronas.hardware.table import FIELDS, PICOSECONDS, LatencyTable, decode, encode
from micronas.indicator import Scores
from micronas.network import deployed as deployed_module
from micronas.network import graph as graph_module
from micronas.network import live as live_module
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Layer, Shape, Signature
from micronas.network.live import Disconnected
from micronas.spaces import space as space_module
from micronas.spaces.space import SearchSpace, Skeleton

LARGEST = 1_000_000
"""Spaces with more strings than this are not enumerated."""

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class CountedSpace:
    """Operations of every architecture of a space in one skeleton.

    Attributes:
        everything: all options alive; architectures come in the order of its `completions()`.
        signatures: every operation that any of them runs.
        counts: (architectures, signatures), how often each architecture runs each operation.
        connected: (architectures,), False where no path leads to the output.
        input_shape: of the image; the overhead depends on it.
    """

    everything: Choices
    signatures: tuple[Signature, ...]
    counts: Counts
    connected: npt.NDArray[np.bool_]
    input_shape: Shape

    def latency_ms(self, table: LatencyTable) -> Scores:
        """Milliseconds of every architecture, shape (architectures,); +infinity where disconnected.

        Raises:
            UntimedOperation: the table lacks an operation that one of them runs.
        """
        return np.round(table.overhead_of(self.input_shape) + self.total(table.__getitem__), PICOSECONDS)

    def total(self, cost: Callable[[Signature], float]) -> Scores:
        """A cost summed over all that each architecture runs, shape (architectures,); +infinity where disconnected."""
        costs = np.array([cost(signature) for signature in self.signatures])
        return np.where(self.connected, self._counts @ costs, np.inf)

    @cached_property
    def _counts(self) -> Scores:
        return self.counts.astype(np.float64)  # BLAS multiplies floats only


@lru_cache(maxsize=8)
def count_space(space: SearchSpace, skeleton: Skeleton) -> CountedSpace:
    """The operations of every architecture; kept on disk by space, skeleton and the code that lowers them.

    Raises:
        UserError: the space is too large to enumerate.
    """
    everything = space.everything()
    if math.prod(len(options) for options in everything.alive) > LARGEST:
        raise UserError(f"{space.name} has more than {LARGEST:,} strings; it cannot be counted as a whole")
    path = cache_dir() / "counts" / f"{_key(space, skeleton)}.arrays"
    if kept := kept_arrays(path):
        return _unpacked(everything, kept, skeleton)
    counted = _count(space, skeleton)
    keep_arrays(path, _packed(counted))
    return counted


def network_signatures(graph: Graph) -> tuple[Signature, ...]:
    """Every operation that one network runs, each once.

    Raises:
        Disconnected: it runs nothing.
    """
    return tuple(dict.fromkeys(layer.signature for layer in deploy(graph).operations))


# --- counting -----------------------------------------------------------------------------------


def _count(space: SearchSpace, skeleton: Skeleton) -> CountedSpace:
    everything = space.everything()
    total = math.prod(len(options) for options in everything.alive)
    count = _counter(space, skeleton)
    column: dict[Signature, int] = {}
    sparse: list[tuple[int, int, int]] = []
    connected = np.zeros(total, dtype=np.bool_)
    for row, choices in enumerate(everything.completions()):
        try:
            found = count(choices)
        except Disconnected:
            continue
        connected[row] = True
        sparse.extend((row, column.setdefault(signature, len(column)), times) for signature, times in found.items())
    counts = np.zeros((total, len(column)), dtype=np.int32)
    rows, columns, times = np.array(sparse, dtype=np.int64).reshape(-1, 3).T
    counts[rows, columns] = times
    return CountedSpace(everything, tuple(column), counts, connected, skeleton.input_shape)


_Count = Callable[[Choices], Counter[Signature]]


def _counter(space: SearchSpace, skeleton: Skeleton) -> _Count:
    """The fast way to count where it is exact for this space, else the plain one."""

    def plainly(choices: Choices) -> Counter[Signature]:
        layers = deploy(space.lower(choices, skeleton))
        return Counter(layer.signature for layer in layers.operations)

    if not skeleton.stem:  # the first cell then reads the image, and differs from the others
        return plainly
    by_cell = _CellCounter(space, skeleton, plainly)
    return by_cell.count if all(_agree(by_cell.count, plainly, each) for each in _samples(space)) else plainly


def _agree(fast: _Count, slow: _Count, choices: Choices) -> bool:
    try:
        return fast(choices) == slow(choices)
    except Disconnected:
        return True
    except KeyError:  # a layer that the supernet does not name
        return False


def _samples(space: SearchSpace) -> Iterator[Choices]:
    """An architecture of every option everywhere, and every second decision otherwise."""
    alive = space.everything().alive
    for first, second in product(range(max(map(len, alive))), repeat=2):
        chosen = [options[(second if at % 2 else first) % len(options)] for at, options in enumerate(alive)]
        yield Choices(tuple((option,) for option in chosen))


class _CellCounter:
    """Deploys one cell and multiplies: `deployed` never looks at shapes, and all cells of a network are alike.

    So the smallest network (one stage of one cell) shows which layers remain of a cell and of the head; the
    supernet's layers of the same names tell their shapes in the other stages; cells count `skeleton.cells` times.
    A cell that is nothing but the tensor it reads is counted plainly, for then the head reads what is before it.
    """

    def __init__(self, space: SearchSpace, skeleton: Skeleton, plainly: _Count) -> None:
        self._space = space
        self._skeleton = skeleton
        self._plainly = plainly
        self._smallest = replace(skeleton, cells=1, stages=1)
        self._shapes = {layer.name: layer.signature for layer in space.lower(space.everything(), self._one_each)}
        self._places = lru_cache(maxsize=None)(self._find_places)

    def count(self, choices: Choices) -> Counter[Signature]:
        layers = deploy(self._space.lower(choices, self._smallest)).operations
        if not any(layer.name.startswith(_CELL) for layer in layers):
            return self._plainly(choices)
        found = self._frame.copy()
        for layer in layers:
            for signature, times in self._places(layer.name, layer.signature):
                found[signature] += times
        return found

    @property
    def _one_each(self) -> Skeleton:
        return replace(self._skeleton, cells=1)

    def _find_places(self, name: str, deployed_as: Signature) -> tuple[tuple[Signature, int], ...]:
        """Where a layer of the smallest network stands in the full one, and how often."""
        if name.startswith(_CELL):
            stages = range(1, self._skeleton.stages + 1)
            names = [f"stage{stage}.cell1.{name.removeprefix(_CELL)}" for stage in stages]
            return tuple((_shaped(deployed_as, self._shapes[each]), self._skeleton.cells) for each in names)
        return ((_shaped(deployed_as, self._shapes[name]), 1),) if name.startswith("head.") else ()

    @cached_property
    def _frame(self) -> Counter[Signature]:
        """The stem and what lies between the stages: the same whatever the cell, so taken from any that does something.

        Raises:
            KeyError: none does.
        """
        for choices in _samples(self._space):
            try:
                layers = deploy(self._space.lower(choices, self._one_each))
            except Disconnected:
                continue
            if any(layer.name.startswith(_CELL) for layer in layers):
                return Counter(layer.signature for layer in layers.operations if _is_frame(layer))
        raise KeyError("no sample has a cell")


_CELL = "stage1.cell1."


def _is_frame(layer: Layer) -> bool:
    return not layer.name.startswith(("stage", "head."))


def _shaped(deployed_as: Signature, like: Signature) -> Signature:
    """The deployed operation with the shapes of the plain layer of that name."""
    return replace(
        deployed_as,
        in_shape=like.in_shape,
        out_shape=like.out_shape,
        kernel=like.kernel,
        stride=like.stride,
        padding=like.padding,
    )


# --- on disk ------------------------------------------------------------------------------------


def _key(space: SearchSpace, skeleton: Skeleton) -> str:
    """Names a space, a skeleton and the code that lowers and deploys them."""
    digest = blake2b(f"{space.name} {skeleton!r}".encode(), digest_size=12)
    for part in (graph_module, live_module, choices_module, deployed_module, space_module, type(space)):
        digest.update(Path(inspect.getfile(part)).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return f"{space.name}-{digest.hexdigest()}"


def _packed(counted: CountedSpace) -> Arrays:
    return {
        "signatures": np.array([encode(signature) for signature in counted.signatures]),
        "counts": counted.counts,
        "connected": counted.connected,
    }


def _unpacked(everything: Choices, kept: Arrays, skeleton: Skeleton) -> CountedSpace:
    signatures = _decode_all(kept["signatures"].tolist())
    return CountedSpace(everything, signatures, kept["counts"], kept["connected"], skeleton.input_shape)


def _decode_all(table: Iterable[Iterable[str]]) -> tuple[Signature, ...]:
    return tuple(decode(dict(zip(FIELDS, words, strict=True))) for words in table)
