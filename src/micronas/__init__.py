"""Find the best convolutional network for your microcontroller, in a minute, without training.

The users' face: `find` searches, `measure` judges one architecture, the rest is what they take and give. Everything is
imported when it is first used; inner code imports modules, never this.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from micronas.config import Run as Run
    from micronas.errors import UserError as UserError
    from micronas.hardware.counted import count_space as count_space
    from micronas.hardware.latency import Latency as Latency
    from micronas.hardware.table import LatencyTable as LatencyTable
    from micronas.hardware.target import Target as Target
    from micronas.hardware.target import load_target as load_target
    from micronas.hardware.target import target_names as target_names
    from micronas.network.graph import Graph as Graph
    from micronas.run.outcome import Outcome as Outcome
    from micronas.runs import measure as measure
    from micronas.runs import search as find
    from micronas.spaces.nasbench201 import NasBench201 as NasBench201
    from micronas.spaces.space import Skeleton as Skeleton

__version__ = "0.1.0"

__all__ = [
    "Graph",
    "Latency",
    "LatencyTable",
    "NasBench201",
    "Outcome",
    "Run",
    "Skeleton",
    "Target",
    "UserError",
    "count_space",
    "find",
    "load_target",
    "measure",
    "target_names",
]

_HOME = {
    "Graph": "network.graph",
    "Latency": "hardware.latency",
    "LatencyTable": "hardware.table",
    "NasBench201": "spaces.nasbench201",
    "Outcome": "run.outcome",
    "Run": "config",
    "Skeleton": "spaces.space",
    "Target": "hardware.target",
    "UserError": "errors",
    "count_space": "hardware.counted",
    "load_target": "hardware.target",
    "measure": "runs",
    "target_names": "hardware.target",
}
"""The module each name lives in; `find` is `runs.search`, for `micronas.search` is the package of the searches."""


def __getattr__(name: str) -> object:
    if name == "find":
        return import_module("micronas.runs").search
    if name in _HOME:
        return getattr(import_module(f"micronas.{_HOME[name]}"), name)
    raise AttributeError(f"module 'micronas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
