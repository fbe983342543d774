"""A chain of inverted bottlenecks: two thousand million networks, written from the docstrings of the package alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph
from micronas.spaces.decisions import Choices
from micronas.spaces.space import OpenDecisions, SearchSpace
from micronas.task import Task


@dataclass(frozen=True)
class Chain(SearchSpace):
    """Stages of blocks that expand, filter each channel alone and project (Sandler et al., 2018).

    Every stage decides its width and its depth, and each of its blocks a kernel and an expansion, which do not matter
    where the depth ends before the block.
    """

    widths: tuple[int, ...] = (8, 16)
    depths: tuple[int, ...] = (1, 2, 3)
    kernels: tuple[int, ...] = (3, 5)
    expansions: tuple[int, ...] = (2, 3, 4)
    stages: int = 3

    @property
    def name(self) -> str:
        """What a user types."""
        return "chain"

    @property
    def decisions(self) -> Mapping[str, tuple[int, ...]]:
        """The options of each decision by its name."""
        found: dict[str, tuple[int, ...]] = {}
        for stage in range(1, self.stages + 1):
            found |= {f"stage{stage}.width": self.widths, f"stage{stage}.depth": self.depths}
            for block in range(1, max(self.depths) + 1):
                at = f"stage{stage}.block{block}"
                found |= {f"{at}.kernel": self.kernels, f"{at}.expansion": self.expansions}
        return found

    def everything(self) -> Choices:
        """All options alive."""
        return Choices(tuple(tuple(map(str, options)) for options in self.decisions.values()))

    def lower(self, choices: Choices, task: Task) -> Graph:
        """The network of these choices; nothing of it can be left open."""
        alive = dict(zip(self.decisions, choices.alive, strict=True))
        if open_decisions := [name for name, options in alive.items() if len(options) > 1]:
            raise OpenDecisions(self.name, open_decisions)
        said = {name: int(option) for name, (option,) in alive.items()}
        draw = GraphBuilder(task.input_shape)
        at = draw.relu("stem.relu", draw.batch_norm("stem.bn", draw.conv("stem.conv", "input", 8, kernel=3, stride=2)))
        for stage in range(1, self.stages + 1):
            for block in range(1, said[f"stage{stage}.depth"] + 1):
                at = _block(draw, at, f"stage{stage}.block{block}", said, said[f"stage{stage}.width"])
        draw.linear("head.linear", draw.global_pool("head.pool", at), task.classes)
        return draw.graph()

    def canonical(self, choices: Choices) -> Choices:
        """The first options wherever a block is not there."""
        said = dict(zip(self.decisions, (option for (option,) in choices.alive), strict=True))
        for name in said:
            stage, _, setting = name.partition(".block")
            if setting and int(setting[0]) > int(said[f"{stage}.depth"]):
                said[name] = str(self.decisions[name][0])
        return Choices(tuple((option,) for option in said.values()))


def _block(draw: GraphBuilder, source: str, name: str, said: Mapping[str, int], width: int) -> str:
    """One inverted bottleneck; the first of a stage halves the resolution."""
    channels, stride = draw.shape(source)[2], 2 if name.endswith("block1") else 1
    wide = draw.conv(f"{name}.expand", source, channels * said[f"{name}.expansion"])
    wide = draw.relu(f"{name}.expand.relu", draw.batch_norm(f"{name}.expand.bn", wide))
    deep = draw.depthwise(f"{name}.filter", wide, said[f"{name}.kernel"], stride)
    deep = draw.relu(f"{name}.filter.relu", draw.batch_norm(f"{name}.filter.bn", deep))
    made = draw.batch_norm(f"{name}.project.bn", draw.conv(f"{name}.project", deep, width))
    shape = draw.shape(made)
    return draw.add(f"{name}.add", (source, made), shape) if draw.shape(source) == shape else made
