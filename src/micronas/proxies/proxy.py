"""What every proxy has in common: draws of images and weights, their settings, and the engine that answers.

A proxy is its formula; it restates nothing of this.
"""

from __future__ import annotations

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
from micronas.proxies.engine.room import memory_for, together

Raw = npt.NDArray[np.float64]
"""What scores are made of, shape (draws, graphs, …); what follows is the proxy's."""


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
        """What the scores are made of, (seeds, graphs, …). Graphs of different input shapes are measured apart."""
        engine, samples = choose(self.backend, self.device, self.precision), getattr(self, self.size)
        shapes = [graph.input_shape for graph in graphs]
        found: dict[int, Raw] = {}
        for shape in dict.fromkeys(shapes):
            alike = [at for at, its in enumerate(shapes) if its == shape]
            with memory_for(self.name, samples, shape):
                shown = [
                    self.shown(engine, [graphs[at] for at in alike], self._batches(shape, some), some)
                    for some in together(seeds, samples, shape)
                ]
            found |= zip(alike, np.moveaxis(np.concatenate(shown), 1, 0), strict=True)
        return np.stack([found[at] for at in range(len(graphs))], axis=1)

    def _batches(self, shape: Shape, seeds: Sequence[int]) -> Images:
        return np.stack([self.batch_of(shape, seed) for seed in seeds])
