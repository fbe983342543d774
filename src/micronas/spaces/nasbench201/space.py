"""NAS-Bench-201 as a search space: the cell, and as many of its skeleton's numbers as are open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from micronas.drawing import draw_cell
from micronas.errors import UserError
from micronas.network.graph import Graph
from micronas.network.segments import Part
from micronas.network.signature import Signature
from micronas.spaces.decisions import NONE, Choices
from micronas.spaces.nasbench201 import counting
from micronas.spaces.nasbench201.cell import (
    CELLS,
    EDGES,
    NODES,
    SKIP,
    cell_drawer,
    cell_edges,
    cheapest_form,
    options_of,
    read_cell,
    representative,
    without_dead_edges,
    write_cell,
)
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.spaces.space import ArchitectureError, Form, OpenDecisions, SearchSpace
from micronas.task import Probe, Task
from micronas.texts import shown


@dataclass(frozen=True)
class NasBench201(SearchSpace):
    """A cell of four feature maps, every later one the sum of an operation of each earlier one, in a skeleton.

    The cell alone: 15,625 strings, 5,260 graphs (equal for every weight assignment), one of them disconnected; as real
    functions 5,044, for an average pool is linear.

    Every number of the skeleton is a tuple of options. One option is no decision, and goes without saying in the
    notation; of several one is decided with the cell, and written behind it: `|…|+|…|+|…| C=8 N=3`.

    Attributes:
        channels: C, channels of the first stage.
        cells: N, cells per stage.
        stages: how many stages.
        stem_stride: of the stem's convolution.
        input: height and width of the square image the network reads, whatever the task's; () for the task's own.

    Raises:
        UserError: options that are no such tuple.
    """

    channels: tuple[int, ...] = (16,)
    cells: tuple[int, ...] = (5,)
    stages: tuple[int, ...] = (3,)
    stem_stride: tuple[int, ...] = (1,)
    input: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, options in vars(self).items():
            if not (_are_options(options) or (name == "input" and options == ())):
                raise UserError(
                    f"{name} of {self.name} must be a tuple of different whole numbers of at least 1, "
                    f"not {shown(options)}"
                )

    @property
    def name(self) -> str:
        """What a user types."""
        return "nasbench201"

    def everything(self) -> Choices:
        """All five operations on all six edges, then the numbers of the skeleton that are open."""
        numbers = tuple(tuple(map(str, options)) for options in self._open.values())
        return Choices((*CELLS.alive, *numbers))

    def parse(self, text: str) -> Choices:
        """Read `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, and behind it the open numbers like ` C=8 N=3`.

        Raises:
            ArchitectureError: no cell, an unknown number, or one that is not among the options.
        """
        said: dict[str, str] = dict(re.findall(r"\b(\w+)=(\w+)", text))
        cell = read_cell(re.sub(r"\s\w+=\w+", "", text))
        if strange := [name for name in said if name not in self._open]:
            raise ArchitectureError(f"{strange[0]} is not open here; {_listed(self._open)}")
        for name, options in self._open.items():
            if said.get(name) not in [*map(str, options)]:
                what = f"no {name}" if name not in said else f"{name}={said[name]}"
                raise ArchitectureError(f"{shown(text)} has {what}; {_listed(self._open)}")
        return Choices((*cell.alive, *((said[name],) for name in self._open)))

    def format(self, choices: Choices) -> str:
        """Write an architecture: the benchmark's notation, then the open numbers."""
        numbers = (f" {name}={number}" for name, number in self._said(choices).items())
        return write_cell(_cell(choices)) + "".join(numbers)

    def canonical(self, choices: Choices) -> Choices:
        """The cheapest deployed member of the cell's live class, in the same skeleton."""
        return Choices((*representative(_cell(choices)).alive, *choices.alive[len(EDGES) :]))

    def cheapest_form(self, choices: Choices) -> Choices:
        """The cheapest deployed cell of the same function, in the same skeleton."""
        return Choices((*cheapest_form(_cell(choices)).alive, *choices.alive[len(EDGES) :]))

    def lower(self, choices: Choices, task: Task) -> Graph:
        """The network of these choices; node sums under `…nodeI`, operations under `…edgeIJ.OPERATION`."""
        return self.skeleton(choices).lower(cell_drawer(_cell(choices)), self.seen(choices, task))

    def probe(self, choices: Choices, probe: Probe) -> Graph:
        """The cell in a reduced skeleton of as many stages; or alone, reading the image."""
        channels = self._number("C", choices) if probe.channels is None else probe.channels
        if not probe.whole:
            skeleton = Skeleton(channels, cells=1, stages=1, stem=False)
        else:
            cells = self._number("N", choices) if probe.depth is None else probe.depth
            skeleton = Skeleton(channels, cells, self._number("S", choices))
        return skeleton.lower(cell_drawer(_cell(choices)), probe.task)

    def counts(self, choices: Choices, task: Task, form: Form) -> Counter[Signature]:
        """Counted on one cell, and multiplied."""
        skeleton, seen = self.skeleton(choices), self.seen(choices, task)
        return counting.counts(_cell(choices), skeleton, seen, form)

    def parts(self, choices: Choices, task: Task) -> Counter[Part]:
        """Cut on one cell, and multiplied."""
        return counting.parts(_cell(choices), self.skeleton(choices), self.seen(choices, task))

    def is_empty(self, choices: Choices) -> bool:
        """Whether nothing but skip connections leads to the cell's output."""
        return {*options_of(without_dead_edges(_cell(choices)))} <= {NONE, SKIP}

    def smaller(self, task: Task) -> Iterator[tuple[str, NasBench201, Task]]:
        """Fewer channels or cells, a stem that strides, smaller pictures; of what is no decision already."""
        for name, options in (("channels", self.channels), ("cells", self.cells), ("stem_stride", self.stem_stride)):
            powers = [2**power for power in range(1, options[0].bit_length())]
            numbers = [options[0] // power for power in powers] if name != "stem_stride" else [2, 4]
            for number in numbers if len(options) == 1 else ():
                if number != options[0]:
                    yield f"--{name.replace('_', '-')} {number}", replace(self, **{name: (number,)}), task
        height, width, channels = task.input_shape
        while not self.input and height % 2 == 0 and width % 2 == 0 and min(height, width) > 1:
            height, width = height // 2, width // 2
            yield f"--input {height}x{width}x{channels}", self, replace(task, input_shape=(height, width, channels))

    def describe(self, choices: Choices, task: Task) -> str:
        """`C=16 N=5 32x32x3 -> 10 classes`."""
        return f"{self.skeleton(choices)} {self.seen(choices, task)}"

    def drawing(self, choices: Choices) -> str:
        """The cell's nodes on a line, its edges between and below them."""
        return draw_cell(cell_edges(_cell(choices)), NODES)

    def skeleton(self, choices: Choices) -> Skeleton:
        """What the cell stands in.

        Raises:
            OpenDecisions: a number of it is not decided.
        """
        open_numbers = [
            name for name, alive in zip(self._open, choices.alive[len(EDGES) :], strict=True) if len(alive) > 1
        ]
        if open_numbers:
            raise OpenDecisions(self.name, open_numbers)
        channels, cells, stages, stem_stride = (self._number(name, choices) for name in ("C", "N", "S", "stem"))
        return Skeleton(channels, cells, stages, stem_stride)

    def seen(self, choices: Choices, task: Task) -> Task:
        """The task with the image at the size that this network reads."""
        if not self.input:
            return task
        size = self._number("input", choices)
        return Task((size, size, task.input_shape[2]), task.classes)

    @cached_property
    def _numbers(self) -> Mapping[str, tuple[int, ...]]:
        """The options of every number by its name in the notation."""
        numbers = {"C": self.channels, "N": self.cells, "S": self.stages, "stem": self.stem_stride}
        return numbers | ({"input": self.input} if self.input else {})

    @cached_property
    def _open(self) -> Mapping[str, tuple[int, ...]]:
        """Those of them that are to be decided, in the order of the decisions behind the edges'."""
        return {name: options for name, options in self._numbers.items() if len(options) > 1}

    def _said(self, choices: Choices) -> Mapping[str, str]:
        """The open numbers of an architecture, as they are written."""
        return dict(zip(self._open, (number for (number,) in choices.alive[len(EDGES) :]), strict=True))

    def _number(self, name: str, choices: Choices) -> int:
        """One number of the skeleton.

        Raises:
            OpenDecisions: it is not decided.
        """
        if name not in self._open:
            return self._numbers[name][0]
        alive = choices.alive[len(EDGES) + [*self._open].index(name)]
        if len(alive) > 1:
            raise OpenDecisions(self.name, [name])
        return int(next(iter(alive)))


def _are_options(options: Any) -> bool:
    if type(options) is not tuple or not all(type(number) is int and number >= 1 for number in cast(Any, options)):
        return False
    return 0 < len(cast(Any, options)) == len({*cast(Any, options)})


def _cell(choices: Choices) -> Choices:
    return Choices(choices.alive[: len(EDGES)])


def _listed(numbers: Mapping[str, tuple[int, ...]]) -> str:
    if not numbers:
        return "an architecture here is a cell and nothing else"
    options = "; ".join(f"{name}={', '.join(map(str, those))}" for name, those in numbers.items())
    return f"write these numbers behind the cell: {options}"
