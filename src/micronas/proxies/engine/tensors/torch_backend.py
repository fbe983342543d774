"""The engine in torch, CPU or CUDA: one call of an operation serves all networks that have it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from micronas.errors import UserError
from micronas.network.graph import Graph
from micronas.network.signature import Signature
from micronas.proxies.engine.backend import Device, Grams, Images, Patterns, Precision, Responses
from micronas.proxies.engine.tensors.backward import Backward
from micronas.proxies.engine.tensors.forward import Forward, Weights
from micronas.proxies.engine.tensors.schedule import Index, Schedule
from micronas.proxies.engine.values import Merged
from micronas.weights import Draw, draw_weight

_BYTES = {"cpu": 2**27, "cuda": 2**33}
"""How much the tensors of a chunk of networks may hold at once, about."""


@dataclass(frozen=True)
class TorchBackend:
    """Architectures folded into the batch axis, one draw after the other; see `Backend`."""

    device: Device
    precision: Precision

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("this torch sees no CUDA device; use the device cpu")

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """See `Backend`."""
        kernels = np.full((len(seeds), len(graphs), *2 * images.shape[1:2]), np.nan)
        with _exact():
            found = [(rows, Backward(forward).kernels()) for rows, forward in self._forwards(graphs, images, seeds)]
        for rows, each in found:  # copied at the end: until then nothing waits for the device
            kernels[rows] = each.double().cpu().numpy()
        return kernels

    def region_counts(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> npt.NDArray[np.int64]:
        """See `Backend`."""
        counts = np.zeros((len(seeds), len(graphs)), dtype=np.int64)
        with _exact():
            found = [(rows, forward.region_counts()) for rows, forward in self._forwards(graphs, images, seeds)]
        for rows, each in found:
            counts[rows] = each.cpu().numpy()
        return counts

    def patterns(self, graph: Graph, images: Images, seeds: Sequence[int]) -> Patterns:
        """See `Backend`."""
        with _exact():
            return np.stack([each.patterns().cpu().numpy() for _, each in self._forwards([graph], images, seeds)])

    def agreements(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Grams:
        """See `Backend`."""
        kernels = np.zeros((len(seeds), len(graphs), *2 * images.shape[1:2]))
        with _exact():
            for rows, forward in self._forwards(graphs, images, seeds):
                kernels[rows] = forward.agreements().cpu().numpy()
        return kernels

    def responses(
        self, graphs: Sequence[Graph], images: Images, moved: Images, seeds: Sequence[int], draw: Draw
    ) -> Responses:
        """See `Backend`."""
        found = np.zeros((len(seeds), len(graphs), 2))
        with _exact():
            for rows, forward in self._forwards(graphs, images, seeds, draw):
                there = replace(forward, images=torch.from_numpy(moved[rows[0]]).to(forward.images))
                found[rows] = forward.responses(there).cpu().numpy()
        return found

    def _forwards(
        self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int], draw: Draw = draw_weight
    ) -> Iterator[tuple[tuple[int, Index], Forward]]:
        """Every draw of every chunk, each with its draw and the numbers of its connected graphs."""
        draws = [
            (torch.from_numpy(batch).to(self.device, getattr(torch, self.precision)), seed, draw, Weights())
            for batch, seed in zip(images, seeds, strict=True)
        ]
        for chunk in self._chunks(graphs, images.shape[1]):
            schedule = Schedule(Merged.of(graphs[chunk]))
            for number, its in enumerate(draws):
                yield (number, chunk.start + schedule.connected), Forward(schedule, *its)

    def _chunks(self, graphs: Sequence[Graph], samples: int) -> Iterator[slice]:
        """Consecutive graphs that fit the memory."""
        itemsize, start, held = getattr(torch, self.precision).itemsize, 0, 0
        for at, graph in enumerate(graphs):
            bytes_ = itemsize * samples * sum(_elements(layer.signature) for layer in graph)
            if at > start and held + bytes_ > _BYTES[self.device]:
                yield slice(start, at)
                start, held = at, 0
            held += bytes_
        if graphs:
            yield slice(start, len(graphs))


def _exact():
    """No 10-bit products (TF32), no algorithm that adds in another order every time; restored afterwards."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def _elements(signature: Signature) -> int:
    height, width, channels = signature.out_shape
    return height * width * channels
