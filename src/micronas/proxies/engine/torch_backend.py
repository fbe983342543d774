"""The engine in torch, CPU or CUDA: one call of an operation serves all networks that have it there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from micronas.errors import UserError
from micronas.graph import Graph, Kind, Layer, Signature
from micronas.networks import average_pool
from micronas.proxies.engine.backend import Device, Images, Kernels, Precision
from micronas.proxies.engine.values import LEARNED, Merged, Value
from micronas.weights import draw_bias, draw_weight

EPSILON = 1e-5  # torch's batch norm
_BYTES = {"cpu": 2**28, "cuda": 2**34}
"""How much a chunk of networks may hold at once, about."""


@dataclass(frozen=True)
class TorchBackend:
    """Architectures folded into the batch axis; see `Backend`."""

    device: Device
    precision: Precision

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("this torch sees no CUDA device; use --device cpu")

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seed: int) -> Kernels:
        """See `Backend`."""
        kernels = np.full((len(graphs), len(images), len(images)), np.nan)
        for at, run in self._chunks(graphs, images, seed):
            found = run.tangent_kernels().double().cpu().numpy()
            kernels[[index + at for index in run.connected]] = found
        return kernels

    def region_counts(self, graphs: Sequence[Graph], images: Images, seed: int) -> npt.NDArray[np.int64]:
        """See `Backend`."""
        counts = np.zeros(len(graphs), dtype=np.int64)
        for at, run in self._chunks(graphs, images, seed):
            counts[[index + at for index in run.connected]] = list(run.region_counts())
        return counts

    def _chunks(self, graphs: Sequence[Graph], images: Images, seed: int) -> Iterator[tuple[int, _Run]]:
        """Runs of consecutive graphs that fit the memory, each with the number of its first graph."""
        batch = torch.from_numpy(images).to(self.device, getattr(torch, self.precision))
        start, held = 0, 0
        for at, graph in enumerate(graphs):
            bytes_ = 2 * batch.element_size() * len(batch) * sum(_elements(layer.signature) for layer in graph)
            if at > start and held + bytes_ > _BYTES[self.device]:
                yield start, _Run(Merged.of(graphs[start:at]), batch, seed)
                start, held = at, 0
            held += bytes_
        if len(graphs):
            yield start, _Run(Merged.of(graphs[start:]), batch, seed)


def _elements(signature: Signature) -> int:
    height, width, channels = signature.out_shape
    return height * width * channels


@dataclass(frozen=True)
class _Step:
    """Values with one name and signature, computed by one call. `operands` of a sum differ from row to row."""

    layer: Layer
    rows: list[int]


@dataclass(frozen=True)
class _Run:
    """One chunk of networks. Tensors of a step are (rows, samples, channels, height, width)."""

    merged: Merged
    images: Tensor
    seed: int

    @cached_property
    def connected(self) -> list[int]:
        """Which graphs have a network."""
        return [at for at, network in enumerate(self.merged.networks) if network is not None]

    @cached_property
    def steps(self) -> list[_Step]:
        """Values by (name, signature) in an order in which inputs come first."""
        return [_Step(self.merged.values[rows[0]].layer, rows) for rows in _schedule(self.merged.values)]

    @cached_property
    def place(self) -> dict[int, tuple[int, int]]:
        """The (step, row) of every value."""
        return {value: (at, row) for at, step in enumerate(self.steps) for row, value in enumerate(step.rows)}

    # --- forward ---------------------------------------------------------------------------------

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The values of every step."""
        return self._forward[0]

    @cached_property
    def inverse_deviations(self) -> dict[int, Tensor]:
        """1/σ of every batch-norm step, (rows, 1, channels, 1, 1)."""
        return self._forward[1]

    @cached_property
    def _forward(self) -> tuple[list[Tensor], dict[int, Tensor]]:
        tensors: list[Tensor] = []
        deviations: dict[int, Tensor] = {}
        for at, step in enumerate(self.steps):
            signature = step.layer.signature
            if signature.kind is Kind.INPUT:
                tensors.append(self.images[None])
            elif signature.kind in (Kind.ADD, Kind.MEAN):
                tensors.append(self._sum(step, tensors))
            elif signature.kind is Kind.BATCH_NORM:
                value = self._operand(tensors, step.rows, 0)
                variance, mean = torch.var_mean(value, dim=(1, 3, 4), correction=0, keepdim=True)
                deviations[at] = (variance + EPSILON).rsqrt()
                tensors.append((value - mean) * deviations[at])
            else:
                value = self._operand(tensors, step.rows, 0)
                folded = value.flatten(0, 1)
                tensors.append(self._apply(step.layer, folded).unflatten(0, value.shape[:2]))
        return tensors, deviations

    def _operand(self, tensors: list[Tensor], rows: list[int], position: int) -> Tensor:
        """The operands at one position of these values, one below the other."""
        values = self.merged.values
        return self._gather(tensors, [self.place[values[row].inputs[position]] for row in rows])

    def _gather(self, tensors: list[Tensor], places: list[tuple[int, int]]) -> Tensor:
        sources = _by_first(places)
        if len(sources) == 1:
            ((step, (_, rows)),) = sources.items()
            return _rows(tensors[step], rows)
        gathered = tensors[places[0][0]].new_empty((len(places), *tensors[places[0][0]].shape[1:]))
        for step, (targets, rows) in sources.items():
            gathered[self._index(targets)] = _rows(tensors[step], rows)
        return gathered

    def _index(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, device=self.images.device)

    def _sum(self, step: _Step, tensors: list[Tensor]) -> Tensor:
        height, width, channels = step.layer.signature.out_shape
        total = self.images.new_zeros((len(step.rows), len(self.images), channels, height, width))
        values = [self.merged.values[row] for row in step.rows]
        for position in range(max(len(value.inputs) for value in values)):
            having = [row for row, value in enumerate(values) if position < len(value.inputs)]
            operand = self._operand(tensors, [step.rows[row] for row in having], position)
            _add_rows(total, having, operand)
        return total * self._divisors(step) if step.layer.signature.kind is Kind.MEAN else total

    def _divisors(self, step: _Step) -> Tensor:
        operands = [self.merged.values[row].layer.signature.operands for row in step.rows]
        return (1 / self.images.new_tensor(operands))[:, None, None, None, None]

    def _weight(self, layer: Layer) -> Tensor:
        return torch.from_numpy(draw_weight(self.seed, layer)).to(self.images)

    def _apply(self, layer: Layer, value: Tensor) -> Tensor:  # (rows x samples, channels, height, width)
        signature = layer.signature
        match signature.kind:
            case Kind.RELU:
                return F.relu(value)
            case Kind.CONV | Kind.DEPTHWISE:
                padded = F.pad(value, signature.padding * 2)
                return F.conv2d(padded, self._weight(layer), stride=signature.stride, groups=_groups(signature))
            case Kind.LINEAR:
                bias = draw_bias(self.seed, layer)
                assert bias is not None
                logits = F.linear(value.flatten(1), self._weight(layer), torch.from_numpy(bias).to(value))
                return logits[:, :, None, None]
            case Kind.AVG_POOL:
                return average_pool(value, signature)
            case Kind.MAX_POOL:
                padded = F.pad(value, signature.padding * 2, value=float("-inf"))
                return F.max_pool2d(padded, signature.kernel, signature.stride)
            case Kind.GLOBAL_POOL:
                return value.mean((2, 3), keepdim=True)
            case Kind.PAD:
                return F.pad(value, signature.padding * 2)
            case Kind.INPUT | Kind.ADD | Kind.MEAN | Kind.BATCH_NORM:
                raise AssertionError(f"{signature} is no operation on one operand")

    # --- backward --------------------------------------------------------------------------------

    def tangent_kernels(self) -> Tensor:
        """(connected graphs, samples, samples)."""
        return _Backward(self).kernels()

    # --- patterns --------------------------------------------------------------------------------

    def region_counts(self) -> Iterator[int]:
        """Of every connected graph, the number of different rows of its signs."""
        signs = {
            value: tensor[row].flatten(1) > 0
            for step, tensor in zip(self.steps, self.tensors, strict=True)
            if step.layer.signature.kind is Kind.RELU
            for row, value in enumerate(step.rows)
        }
        for at in self.connected:
            network = self.merged.networks[at]
            assert network is not None
            bits = [signs[value] for value in network.values if value in signs]
            if not bits:
                yield 1
                continue
            packed = np.packbits(torch.cat(bits, 1).cpu().numpy(), axis=1)
            yield len(np.unique(np.ascontiguousarray(packed).view(f"V{packed.shape[1]}")))


class _Backward:
    """One backward of the summed logits for every network of a run, batch statistics frozen.

    A gradient belongs to a (network, value); those of one step are rows of one tensor.
    """

    def __init__(self, run: _Run) -> None:
        self.run = run
        networks = [network for network in run.merged.networks if network is not None]
        self.owners: list[list[tuple[int, int]]] = [[] for _ in run.steps]  # (network, row of the forward)
        self.row: dict[tuple[int, int], tuple[int, int]] = {}  # (network, value) -> (step, row of the gradient)
        for at, network in enumerate(networks):
            for value in network.values:
                step, row = run.place[value]
                self.row[at, value] = (step, len(self.owners[step]))
                self.owners[step].append((at, row))
        self.gradients: list[Tensor | None] = [None] * len(run.steps)
        self.outputs = [network.values[-1] for network in networks]
        samples = len(run.images)
        self.total = run.images.new_zeros((len(networks), samples, samples))

    def kernels(self) -> Tensor:
        for at, value in enumerate(self.outputs):
            step, row = self.row[at, value]
            self._gradient(step)[row] = 1.0  # of the sum of the logits by each logit
        for at in reversed(range(len(self.run.steps))):
            gradient, self.gradients[at] = self.gradients[at], None
            if gradient is not None:
                self._step(at, gradient)
        return self.total

    def _gradient(self, step: int) -> Tensor:
        found = self.gradients[step]
        if found is None:
            shape = (len(self.owners[step]), *self.run.tensors[step].shape[1:])
            found = self.gradients[step] = self.run.images.new_zeros(shape)
        return found

    def _step(self, at: int, gradient: Tensor) -> None:
        step, owners = self.run.steps[at], self.owners[at]
        kind = step.layer.signature.kind
        if kind is Kind.INPUT:
            return
        rows = [row for _, row in owners]
        values = [step.rows[row] for row in rows]
        if kind is Kind.MEAN:
            gradient = gradient * _rows(self.run._divisors(step), rows)
        if kind in (Kind.ADD, Kind.MEAN):
            most = max(len(self.run.merged.values[value].inputs) for value in values)
            for position in range(most):
                self._pass_down(owners, values, position, gradient)
            return
        if kind is Kind.BATCH_NORM:
            below = gradient * _rows(self.run.inverse_deviations[at], rows)
        elif kind is Kind.RELU:
            below = gradient * (_rows(self.run.tensors[at], rows) > 0)
        else:
            operand = self.run._operand(self.run.tensors, values, 0)
            if kind in LEARNED:
                networks = self.run._index([network for network, _ in owners])
                per_sample = _weight_gradients(step.layer.signature, operand, gradient)
                self.total[networks] += per_sample @ per_sample.transpose(1, 2)
            if self._is_input(values[0]):
                return
            below = self._input_gradient(step.layer, operand, gradient)
        self._pass_down(owners, values, 0, below)

    def _is_input(self, value: int) -> bool:
        values = self.run.merged.values
        return values[values[value].inputs[0]].layer.signature.kind is Kind.INPUT

    def _pass_down(self, owners: list[tuple[int, int]], values: list[int], position: int, gradient: Tensor) -> None:
        """Add gradients to those of the operands at one position."""
        merged = self.run.merged.values
        having = [row for row, value in enumerate(values) if position < len(merged[value].inputs)]
        places = [self.row[owners[row][0], merged[values[row]].inputs[position]] for row in having]
        for step, (chosen, targets) in _by_first(places).items():
            _add_rows(self._gradient(step), targets, _rows(gradient, [having[at] for at in chosen]))

    def _input_gradient(self, layer: Layer, operand: Tensor, gradient: Tensor) -> Tensor:
        """The gradient by the operand of a step, through autograd of the same operation."""
        with torch.enable_grad():
            leaf = operand.flatten(0, 1).detach().requires_grad_()
            output = self.run._apply(layer, leaf)
        (found,) = torch.autograd.grad(output, leaf, gradient.flatten(0, 1))
        return found.unflatten(0, operand.shape[:2])


def _weight_gradients(signature: Signature, operand: Tensor, gradient: Tensor) -> Tensor:
    """Per-sample gradients by the weights, (rows, samples, weights)."""
    rows = operand.shape[:2]
    value, slope = operand.flatten(0, 1), gradient.flatten(0, 1)
    if signature.kind is Kind.LINEAR:
        return (slope.flatten(1)[:, :, None] * value.flatten(1)[:, None, :]).flatten(1).unflatten(0, rows)
    if signature.kernel == 1 and signature.stride == 1 and signature.padding == (0, 0):
        patches = value.flatten(2)
    else:
        patches = F.unfold(F.pad(value, signature.padding * 2), signature.kernel, stride=signature.stride)
    slope = slope.flatten(2)
    if signature.kind is Kind.DEPTHWISE:
        by_channel = patches.unflatten(1, (slope.shape[1], -1))
        return (by_channel * slope[:, :, None]).sum(3).flatten(1).unflatten(0, rows)
    return torch.bmm(slope, patches.transpose(1, 2)).flatten(1).unflatten(0, rows)


def _groups(signature: Signature) -> int:
    return signature.in_shape[2] if signature.kind is Kind.DEPTHWISE else 1


def _rows(tensor: Tensor, rows: list[int]) -> Tensor:
    """These rows of a tensor; the tensor itself if they are all of them in order."""
    if len(rows) == len(tensor) and rows == list(range(len(rows))):
        return tensor
    return tensor[torch.tensor(rows, device=tensor.device)]


def _add_rows(tensor: Tensor, rows: list[int], addend: Tensor) -> None:
    """tensor[rows] += addend, in place; the rows are different ones."""
    if len(rows) == len(tensor) and rows == list(range(len(rows))):
        tensor += addend
    else:
        tensor[torch.tensor(rows, device=tensor.device)] += addend


def _by_first(places: list[tuple[int, int]]) -> dict[int, tuple[list[int], list[int]]]:
    """Places (step, row) by their step: (their positions in the list, their rows)."""
    found: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for position, (step, row) in enumerate(places):
        found[step][0].append(position)
        found[step][1].append(row)
    return found


def _schedule(values: list[Value]) -> list[list[int]]:
    """Values in groups that one call computes, inputs first.

    A group waits until all its members can run. Where groups wait for one another (networks that use one name
    at different depths), the one with most members ready runs those.
    """
    members: dict[tuple[str, Signature], list[int]] = defaultdict(list)
    for at, value in enumerate(values):
        members[value.layer.name, replace(value.layer.signature, operands=1)].append(at)
    group = {at: key for key, rows in members.items() for at in rows}
    readers: list[list[int]] = [[] for _ in values]
    missing = [len(value.inputs) for value in values]
    for at, value in enumerate(values):
        for source in value.inputs:
            readers[source].append(at)
    ready: dict[tuple[str, Signature], list[int]] = defaultdict(list)
    for at, count in enumerate(missing):
        if not count:
            ready[group[at]].append(at)
    schedule: list[list[int]] = []
    while ready:
        whole = (key for key, rows in ready.items() if len(rows) == len(members[key]))
        chosen = next(whole, None) or max(ready, key=lambda key: len(ready[key]))
        rows = ready.pop(chosen)
        members[chosen] = [at for at in members[chosen] if at not in set(rows)]
        schedule.append(rows)
        for row in rows:
            for reader in readers[row]:
                missing[reader] -= 1
                if not missing[reader]:
                    ready[group[reader]].append(reader)
    return schedule
