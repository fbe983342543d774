"""Find the best convolutional network for your microcontroller, in a minute, without training.

The users' face: `find` searches, `measure` judges one architecture, the rest is what they take and give. Everything is
imported when it is first used; inner code imports modules, never this.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from micronas.candidate import Candidate as Candidate
    from micronas.errors import UserError as UserError
    from micronas.face import find as find
    from micronas.face import measure as measure
    from micronas.functions import indicator as indicator
    from micronas.hardware.boards.board import Target as Target
    from micronas.hardware.boards.table import LatencyTable as LatencyTable
    from micronas.hardware.boards.target import load_target as load_target
    from micronas.hardware.boards.target import target_names as target_names
    from micronas.hardware.indicators.counted import count_space as count_space
    from micronas.hardware.indicators.latency import Latency as Latency
    from micronas.network.builder import GraphBuilder as GraphBuilder
    from micronas.network.graph import Graph as Graph
    from micronas.run.outcome import Outcome as Outcome
    from micronas.run.run import Run as Run
    from micronas.spaces.decisions import Choices as Choices
    from micronas.spaces.nasbench201.space import NasBench201 as NasBench201
    from micronas.spaces.space import SearchSpace as SearchSpace
    from micronas.task import Task as Task

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Choices",
    "Graph",
    "GraphBuilder",
    "Latency",
    "LatencyTable",
    "NasBench201",
    "Outcome",
    "Run",
    "SearchSpace",
    "Target",
    "Task",
    "UserError",
    "count_space",
    "find",
    "indicator",
    "load_target",
    "measure",
    "target_names",
]

_HOME = {
    "Candidate": "candidate",
    "Choices": "spaces.decisions",
    "Graph": "network.graph",
    "GraphBuilder": "network.builder",
    "Latency": "hardware.indicators.latency",
    "LatencyTable": "hardware.boards.table",
    "NasBench201": "spaces.nasbench201.space",
    "Outcome": "run.outcome",
    "Run": "run.run",
    "SearchSpace": "spaces.space",
    "Target": "hardware.boards.board",
    "Task": "task",
    "UserError": "errors",
    "find": "face",
    "count_space": "hardware.indicators.counted",
    "indicator": "functions",
    "load_target": "hardware.boards.target",
    "measure": "face",
    "target_names": "hardware.boards.target",
}
"""The module each name lives in."""


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"micronas.{_HOME[name]}"), name)
    raise AttributeError(f"module 'micronas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
