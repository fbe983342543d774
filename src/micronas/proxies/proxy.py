"""What every proxy has in common: draws of images and weights, their settings, and the engine that answers.

A proxy is its formula; it restates nothing of this.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from micronas.errors import UserError
from micronas.indicators import Scores, Untrained
from micronas.inputs import Array, Gaussian, Inputs
from micronas.network.graph import Graph
from micronas.network.signature import Shape
from micronas.proxies.engine.backend import Backend, BackendName, Device, Images, Precision
from micronas.proxies.engine.choose import choose

Raw = npt.NDArray[np.float64]
"""What scores are made of, shape (draws, graphs, …); what follows is the proxy's."""


_PIXELS = 2**26
"""Numbers that the images of the draws taken together may hold (half a gigabyte); one draw may hold more."""


@dataclass(frozen=True, kw_only=True)
class Proxy(Untrained):
    """A performance indicator that shows networks a batch of images; batch norm has the statistics of the batch.

    Attributes:
        inputs: where images come from. Noise (the default) needs no data and ranks about as well as pictures; take
            your own where they look unlike any photograph, such as spectrograms.
        precision: "float32" to rank; "float64" to compare with a paper or another engine digit by digit, at twice the
            cost.
        device: "cpu"; "cuda" for thousands of networks, or for networks as large as they are deployed.
        backend: "auto" takes the compiled engine on a CPU and torch elsewhere. "numba" and "torch" are for finding out
            which of them is wrong; all agree, to 1e-10 in float64.
    """

    inputs: Inputs = field(default_factory=Gaussian)
    precision: Precision = "float32"
    device: Device = "cpu"
    backend: BackendName = "auto"

    size = "batch"
    """The field that says how many images a draw has."""
    settings = "batch {batch}"
    """Of the fingerprint what is the proxy's own, with the names of its fields."""

    def __post_init__(self) -> None:
        if getattr(self, self.size) < 2:
            raise UserError(f"{self.name} needs at least 2 images, not {getattr(self, self.size)}")

    @property
    def fingerprint(self) -> str:
        """Everything its numbers depend on but the network and the code."""
        settings = self.settings.format(**vars(self))
        return f"{settings}, {self.precision}, seed {self.seed}, {self.images_digest}"

    @property
    def images_digest(self) -> str:
        """Of the images of the draw on the probe."""
        return self.inputs.batch_digest(getattr(self, self.size), self.seed)

    def batch_of(self, shape: Shape, seed: int) -> Array:
        """The images of one draw, (samples, channels, height, width)."""
        return self.inputs.batch(shape, getattr(self, self.size), seed)

    @abstractmethod
    def shown(self, engine: Backend, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Raw:
        """What networks of one input shape make of a batch for each draw, shape (draws, graphs, …)."""

    @abstractmethod
    def scored(self, raw: Raw) -> Scores:
        """The formula: what was shown as a number for each network and draw, (draws, graphs, …) -> (draws, graphs)."""

    def measure_draws(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Scores:
        """The number of each network for each draw, shape (seeds, graphs)."""
        return self.scored(self.raw(graphs, seeds)) if graphs else np.empty((len(seeds), 0))

    def raw(self, graphs: Sequence[Graph], seeds: Sequence[int]) -> Raw:
        """What the scores are made of, (seeds, graphs, …). Graphs of different input shapes are measured apart.

        Raises:
            UserError: there is no memory for that.
        """
        engine = choose(self.backend, self.device, self.precision)
        shapes = [graph.input_shape for graph in graphs]
        found: dict[int, Raw] = {}
        for shape in dict.fromkeys(shapes):
            alike = [at for at, its in enumerate(shapes) if its == shape]
            draws = max(1, _PIXELS // (getattr(self, self.size) * math.prod(shape)))
            those = [graphs[at] for at in alike]
            try:
                shown = [self._shown(engine, those, shape, some) for some in _parts(seeds, draws)]
            except MemoryError as error:
                raise UserError(
                    f"{self.name} found no memory for {getattr(self, self.size)} samples of "
                    f"{'x'.join(map(str, shape))}; a smaller input, fewer channels or less of {self.size!r} needs less"
                ) from error
            found |= zip(alike, np.moveaxis(np.concatenate(shown), 1, 0), strict=True)
        return np.stack([found[at] for at in range(len(graphs))], axis=1)

    def _shown(self, engine: Backend, graphs: Sequence[Graph], shape: Shape, seeds: Sequence[int]) -> Raw:
        first, *others = (self.batch_of(shape, seed) for seed in seeds)
        return self.shown(engine, graphs, np.stack([first, *others]) if others else first[None], seeds)


def _parts(seeds: Sequence[int], size: int) -> list[Sequence[int]]:
    """The seeds, in order, no more than `size` together."""
    return [seeds[at : at + size] for at in range(0, len(seeds), size)]
