"""Indicators made of a plain function: of a graph, or of an untrained network and images."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

import numpy as np

from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.indicators import Better, Scores, Untrained
from micronas.inputs import Gaussian, Inputs
from micronas.network.graph import Graph
from micronas.network.live import Disconnected, live
from micronas.origin import Origin, Word
from micronas.sources import version_of
from micronas.spaces.decisions import Removal

_DRAWN = 8
"""Networks that the price of an option is the mean of."""


@dataclass(frozen=True)
class GraphIndicator:
    """An indicator of the network as it is deployed: `function(graph)`, of the layers that matter to the output.

    A disconnected network is `better.worst`, and the function is not asked. The price of an option, which pruning
    weighs, is what it adds in the mean of a few drawn networks to the cheapest option of its decision.
    """

    function: Callable[[Graph], float]
    name: str
    unit: str
    better: Better
    origin: Origin

    def measure(self, graph: Graph) -> float:
        """The number of one network."""
        try:
            return _number(self.name, self.function(live(graph)))
        except Disconnected:
            return self.better.worst

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """The number of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """What each option adds, shape (removals,)."""
        return np.array([self._price(start, removal) for removal in removals], dtype=np.float64)

    def _price(self, start: Candidate, removal: Removal) -> float:
        options = start.space.everything().alive[removal.decision]
        means = {option: _mean(self, start, removal.decision, option) for option in options}
        return means[removal.option] - min(means.values())


@lru_cache(maxsize=4096)
def _mean(indicator: GraphIndicator, start: Candidate, decision: int, option: str) -> float:
    """Of a few connected networks with that option; the others' are the same whatever the option."""
    everything, chance = start.space.everything(), random.Random(decision)
    found: list[float] = []
    for _ in range(4 * _DRAWN):
        drawn = everything.completion(chance.randrange(everything.size))
        value = indicator.measure(start.of(drawn.fixed(decision, option)).graph)
        found += [value] if np.isfinite(value) else []
        if len(found) == _DRAWN:
            break
    return float(np.mean(found)) if found else 0.0


@dataclass(frozen=True, kw_only=True)
class PictureIndicator(Untrained):
    """A performance indicator: `function(module, images)`, draw by draw and network by network.

    `module` is the torch network of the probe in train mode, its weights drawn by (seed, layer name); `images` a tensor
    (batch, channels, height, width) of float32. A disconnected network is `better.worst`.

    Attributes:
        code: the version of what the function is written in; a store of scores forgets those of another.
        batch, inputs: as of the proxies.
    """

    function: Callable[[Any, Any], float]
    name: str
    unit: str
    better: Better
    origin: Origin
    code: str
    batch: int = 32
    inputs: Inputs = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise UserError(f"{self.name} needs at least 2 images, not {self.batch}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code of micronas."""
        return f"{self.code}, batch {self.batch}, seed {self.seed}, {self.inputs.batch_digest(self.batch, self.seed)}"

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The number of each network for each draw, shape (seeds, graphs)."""
        numbers = [[self._of(graph, seed) for graph in graphs] for seed in seeds]
        return np.array(numbers, dtype=np.float64).reshape(len(seeds), len(graphs))

    def _of(self, graph: Graph, seed: int) -> float:
        from micronas.torch_network import TorchNetwork, tensor_of

        try:
            network = TorchNetwork(live(graph), seed)
        except Disconnected:
            return self.better.worst
        images = self.inputs.batch(graph.input_shape, self.batch, seed)
        return _number(self.name, self.function(network.train(), tensor_of(images)))


@overload
def indicator(
    function: Callable[[Any], float], *, name: str = ..., unit: str = ..., better: str | Better = ...
) -> GraphIndicator: ...
@overload
def indicator(
    function: Callable[[Any, Any], float], *, name: str = ..., unit: str = ..., better: str | Better = ...
) -> PictureIndicator: ...


def indicator(
    function: Callable[..., float], *, name: str = "", unit: str = "", better: str | Better = Better.LOWER
) -> GraphIndicator | PictureIndicator:
    """An indicator of a function of a graph, or of a torch module and images: whatever it is given, it is asked for.

    `function(graph)` judges networks as they are deployed and `function(module, images)` untrained ones on a probe; see
    `GraphIndicator` and `PictureIndicator`. What it returns is a number, not NaN.

    Args:
        function: takes one argument or two.
        name: what a user types; by default the function's, with hyphens.
        unit: of the number, "" if it has none.
        better: "lower" or "higher".

    Raises:
        UserError: a function of other arguments, or a direction that is none.
    """
    if better not in ("lower", "higher", Better.LOWER, Better.HIGHER):
        raise UserError(f"better must be 'lower' or 'higher', not {better!r}")
    direction = Better[better.upper()] if isinstance(better, str) else better
    called = name or getattr(function, "__name__", "function").replace("_", "-").lower()
    module = getattr(function, "__module__", None) or "no module"
    origin = Origin(Word.COMPUTED, f"{getattr(function, '__qualname__', called)} of {module}")
    try:
        takes = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    except (TypeError, ValueError) as error:
        raise UserError(f"{function!r} is no function that an indicator can be made of: {error}") from error
    match len(takes):
        case 1:
            return GraphIndicator(function, called, unit, direction, origin)
        case 2:
            code = f"{module} {version_of(module)}"
            return PictureIndicator(
                function=function, name=called, unit=unit, better=direction, origin=origin, code=code
            )
        case _:
            raise UserError(
                f"an indicator is made of function(graph) or function(module, images); {called} takes {len(takes)}"
            )


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} must return a number, not {value!r:.80}") from error
    if number != number:  # noqa: PLR0124 (NaN)
        raise UserError(f"{name} returned NaN; return infinity for what is worst")
    return number
