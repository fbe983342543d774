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

Index = npt.NDArray[np.int64]
_Weights = dict[tuple[str, Signature], Tensor]

EPSILON = 1e-5  # torch's batch norm
_BYTES = {"cpu": 2**27, "cuda": 2**33}
"""How much the tensors of a chunk of networks may hold at once, about."""
_BITS = 48  # neurons to a word, beside which a number of a sample has room


@dataclass(frozen=True)
class TorchBackend:
    """Architectures folded into the batch axis, one draw after the other; see `Backend`."""

    device: Device
    precision: Precision

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("this torch sees no CUDA device; use the device cpu")

    def tangent_kernels(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Kernels:
        """See `Backend`."""
        kernels = np.full((len(seeds), len(graphs), *2 * images.shape[1:2]), np.nan)
        with _exact():
            found = [(rows, _Backward(run).kernels()) for rows, run in self._runs(graphs, images, seeds)]
        for rows, each in found:  # copied at the end: until then nothing waits for the device
            kernels[rows] = each.double().cpu().numpy()
        return kernels

    def region_counts(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> npt.NDArray[np.int64]:
        """See `Backend`."""
        counts = np.zeros((len(seeds), len(graphs)), dtype=np.int64)
        with _exact():
            found = [(rows, run.region_counts()) for rows, run in self._runs(graphs, images, seeds)]
        for rows, each in found:
            counts[rows] = each.cpu().numpy()
        return counts

    def agreements(self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]) -> Kernels:
        """See `Backend`."""
        kernels = np.zeros((len(seeds), len(graphs), *2 * images.shape[1:2]))
        with _exact():
            for rows, run in self._runs(graphs, images, seeds):
                kernels[rows] = run.agreements().cpu().numpy()
        return kernels

    def _runs(
        self, graphs: Sequence[Graph], images: Images, seeds: Sequence[int]
    ) -> Iterator[tuple[tuple[int, Index], _Run]]:
        """Every draw of every chunk, each with its draw and the numbers of its connected graphs."""
        draws = [
            (torch.from_numpy(batch).to(self.device, getattr(torch, self.precision)), seed, _Weights())
            for batch, seed in zip(images, seeds, strict=True)
        ]
        for chunk in self._chunks(graphs, images.shape[1]):
            merged = Merged.of(graphs[chunk])
            for number, draw in enumerate(draws):
                run = _Run(merged, *draw)
                yield (number, chunk.start + run.connected), run

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


@dataclass(frozen=True)
class _Step:
    """Values with one name and signature, computed by one call. Sums differ in operands from row to row."""

    layer: Layer
    values: Index

    @property
    def kind(self) -> Kind:
        return self.layer.signature.kind


@dataclass(frozen=True)
class _Run:
    """One chunk of networks. Tensors of a step are (rows, samples, channels, height, width)."""

    merged: Merged
    images: Tensor
    seed: int
    weights: _Weights

    @cached_property
    def connected(self) -> Index:
        """Which graphs have a network."""
        return np.array([at for at, network in enumerate(self.merged.networks) if network is not None], np.int64)

    @cached_property
    def members(self) -> list[Index]:
        """The values of every connected network."""
        return [np.array(network.values) for network in self.merged.networks if network is not None]

    @cached_property
    def steps(self) -> list[_Step]:
        """Values by (name, signature) in an order in which inputs come first."""
        return [_Step(self.merged.values[rows[0]].layer, np.array(rows)) for rows in _schedule(self.merged.values)]

    @cached_property
    def place(self) -> Index:
        """(step, row) of every value, (values, 2)."""
        place = np.empty((len(self.merged.values), 2), np.int64)
        for at, step in enumerate(self.steps):
            place[step.values, 0], place[step.values, 1] = at, np.arange(len(step.values))
        return place

    @cached_property
    def operands(self) -> Index:
        """The inputs of every value, (values, most inputs); -1 where it has fewer."""
        most = max(len(value.inputs) for value in self.merged.values)
        return np.array([value.inputs + (-1,) * (most - len(value.inputs)) for value in self.merged.values], np.int64)

    def index(self, rows: Index) -> Tensor:
        """Rows as a tensor on the device."""
        return torch.from_numpy(rows).to(self.images.device, non_blocking=True)

    def rows(self, tensor: Tensor, rows: Index) -> Tensor:
        """These rows of a tensor; the tensor itself if they are all of them in order."""
        return tensor if _all_in_order(tensor, rows) else tensor[self.index(rows)]

    def add_rows(self, tensor: Tensor, rows: Index, addend: Tensor) -> None:
        """tensor[rows] += addend, in place; no row occurs twice."""
        if _all_in_order(tensor, rows):
            tensor += addend
        else:
            tensor[self.index(rows)] += addend

    # --- forward ---------------------------------------------------------------------------------

    @property
    def tensors(self) -> list[Tensor]:
        """The values of every step."""
        return self._forward[0]

    @property
    def inverse_deviations(self) -> dict[int, Tensor]:
        """1/σ of every batch-norm step, (rows, 1, channels, 1, 1)."""
        return self._forward[1]

    @cached_property
    def _forward(self) -> tuple[list[Tensor], dict[int, Tensor]]:
        tensors: list[Tensor] = []
        deviations: dict[int, Tensor] = {}
        for at, step in enumerate(self.steps):
            if step.kind is Kind.INPUT:
                tensors.append(self.images[None])
            elif step.kind in (Kind.ADD, Kind.MEAN):
                tensors.append(self._sum(step, tensors))
            else:
                value = self.operand(tensors, step.values)
                if step.kind is Kind.BATCH_NORM:
                    variance, mean = torch.var_mean(value, dim=(1, 3, 4), correction=0, keepdim=True)
                    deviations[at] = (variance + EPSILON).rsqrt()
                    tensors.append((value - mean) * deviations[at])
                else:
                    result = self.apply(step.layer, value.flatten(0, 1))
                    tensors.append(result.unflatten(0, value.shape[:2]))
        return tensors, deviations

    def operand(self, tensors: list[Tensor], values: Index, position: int = 0) -> Tensor:
        """The operands at one position of these values, one below the other."""
        places = self.place[self.operands[values, position]]
        sources = list(_by_step(places))
        if len(sources) == 1:
            return self.rows(tensors[places[0, 0]], places[:, 1])
        gathered = tensors[places[0, 0]].new_empty((len(values), *tensors[places[0, 0]].shape[1:]))
        for step, chosen in sources:
            gathered[self.index(chosen)] = self.rows(tensors[step], places[chosen, 1])
        return gathered

    def _sum(self, step: _Step, tensors: list[Tensor]) -> Tensor:
        height, width, channels = step.layer.signature.out_shape
        total = self.images.new_zeros((len(step.values), len(self.images), channels, height, width))
        for position, rows in self.positions(step.values):
            self.add_rows(total, rows, self.operand(tensors, step.values[rows], position))
        return total * self.shares(step.values) if step.kind is Kind.MEAN else total

    def positions(self, values: Index) -> Iterator[tuple[int, Index]]:
        """Every position of an operand, with which of the values have one there."""
        for position in range(self.operands.shape[1]):
            rows = np.flatnonzero(self.operands[values, position] >= 0)
            if len(rows):
                yield position, rows

    def shares(self, values: Index) -> Tensor:
        """1 / operands of each MEAN, ready to multiply with."""
        operands = np.array([self.merged.values[value].layer.signature.operands for value in values])
        return torch.from_numpy(1 / operands).to(self.images)[:, None, None, None, None]

    def weight(self, layer: Layer) -> Tensor:
        """The weights of a layer, on the device."""
        key = (layer.name, layer.signature)
        if key not in self.weights:
            self.weights[key] = torch.from_numpy(draw_weight(self.seed, layer)).to(self.images)
        return self.weights[key]

    def apply(self, layer: Layer, value: Tensor) -> Tensor:
        """An operation on one operand, (rows x samples, channels, height, width)."""
        signature = layer.signature
        match signature.kind:
            case Kind.RELU:
                return F.relu(value)
            case Kind.CONV | Kind.DEPTHWISE:
                padded = F.pad(value, signature.padding * 2)
                return F.conv2d(padded, self.weight(layer), stride=signature.stride, groups=_groups(signature))
            case Kind.LINEAR:
                bias = draw_bias(self.seed, layer)
                assert bias is not None
                logits = F.linear(value.flatten(1), self.weight(layer), torch.from_numpy(bias).to(value))
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

    # --- patterns --------------------------------------------------------------------------------

    def _signs(self) -> Iterator[tuple[Index, Tensor]]:
        """For every ReLU step: the networks that have it, and its signs there, (networks, samples, neurons)."""
        for at, step in enumerate(self.steps):
            if step.kind is Kind.RELU:
                owners = [
                    (network, row)
                    for network, values in enumerate(self.members)
                    for row in self.place[values, 1][self.place[values, 0] == at]
                ]
                for once in _without_repeats(owners):  # a name may hold two values of one network
                    networks, rows = np.array(once).T
                    yield networks, self.rows(self.tensors[at], rows).flatten(2) > 0

    def region_counts(self) -> Tensor:
        """Of every connected network, how many samples differ in some sign.

        Samples alike so far have the same number; each word of signs splits them further.
        """
        samples = len(self.images)
        numbers = torch.zeros((len(self.connected), samples), dtype=torch.int64, device=self.images.device)
        for networks, signs in self._signs():
            index = self.index(networks)
            for word in signs.split(_BITS, dim=2):
                powers = 2 ** torch.arange(word.shape[2], device=word.device)
                codes = (numbers[index] << _BITS) + (word * powers).sum(2)
                ordered, order = codes.sort(dim=1)
                rank = F.pad((ordered[:, 1:] != ordered[:, :-1]).cumsum(1), (1, 0))
                numbers[index] = torch.empty_like(rank).scatter_(1, order, rank)
        return numbers.amax(1) + 1

    def agreements(self) -> Tensor:
        """Of every connected network, in how many signs each two samples agree, (networks, samples, samples)."""
        samples = len(self.images)
        total = torch.zeros((len(self.connected), samples, samples), dtype=torch.float64, device=self.images.device)
        for networks, signs in self._signs():
            plus_minus = 2 * signs.double() - 1
            total[self.index(networks)] += (plus_minus @ plus_minus.transpose(1, 2) + signs.shape[2]) / 2
        return total


class _Backward:
    """One backward of the summed logits for every network of a run, batch statistics frozen.

    A gradient belongs to a (network, value); those of one step are rows of one tensor, in the order of their keys.
    """

    def __init__(self, run: _Run) -> None:
        self.run = run
        networks = np.repeat(np.arange(len(run.members)), [len(values) for values in run.members])
        values = np.concatenate([*run.members, np.empty(0, np.int64)])
        self.keys = [np.empty(0, np.int64)] * len(run.steps)  # network * all values + value, ascending
        by_step = np.argsort(run.place[values, 0], kind="stable")
        for step, chosen in _by_step(run.place[values][by_step]):
            self.keys[step] = np.sort((networks * len(run.place) + values)[by_step][chosen])
        self.gradients: dict[int, Tensor] = {}
        samples = len(run.images)
        self.total = run.images.new_zeros((len(run.members), samples, samples))

    def kernels(self) -> Tensor:
        """Σ over layers of G Gᵀ, with G the per-sample weight gradients, (networks, samples, samples)."""
        if not len(self.total):
            return self.total
        outputs = np.array([values[-1] for values in self.run.members])
        for step, rows in self._rows_of(np.arange(len(outputs)), outputs):
            self._gradient(step)[self.run.index(rows[1])] = 1.0  # of the sum of the logits by each logit
        for at in reversed(range(len(self.run.steps))):
            if at in self.gradients:
                self._step(at, self.gradients.pop(at))
        return self.total

    def _rows_of(self, networks: Index, values: Index) -> Iterator[tuple[int, tuple[Index, Index]]]:
        """By step: (which of the pairs lie there, the rows of their gradients)."""
        for step, chosen in _by_step(self.run.place[values]):
            keys = networks[chosen] * len(self.run.place) + values[chosen]
            yield step, (chosen, np.searchsorted(self.keys[step], keys))

    def _gradient(self, step: int) -> Tensor:
        if step not in self.gradients:
            shape = (len(self.keys[step]), *self.run.tensors[step].shape[1:])
            self.gradients[step] = self.run.images.new_zeros(shape)
        return self.gradients[step]

    def _step(self, at: int, gradient: Tensor) -> None:
        run, step = self.run, self.run.steps[at]
        networks, values = np.divmod(self.keys[at], len(run.place))
        rows = run.place[values, 1]
        if step.kind is Kind.INPUT:
            return
        if step.kind in (Kind.ADD, Kind.MEAN):
            if step.kind is Kind.MEAN:
                gradient = gradient * run.shares(values)
            for position, having in run.positions(values):
                self._pass_down(networks[having], values[having], position, run.rows(gradient, having))
            return
        if step.kind is Kind.BATCH_NORM:
            below = gradient * run.rows(run.inverse_deviations[at], rows)
        elif step.kind is Kind.RELU:
            below = gradient * (run.rows(run.tensors[at], rows) > 0)
        else:
            operand = run.operand(run.tensors, values)
            if step.kind in LEARNED:
                slopes = _weight_slopes(step.layer.signature, operand, gradient)
                run.add_rows(self.total, networks, slopes @ slopes.transpose(1, 2))
            source = run.merged.values[int(run.operands[values[0], 0])].layer.signature.kind
            if source is Kind.INPUT:
                return
            below = self._below(step.layer, operand, gradient)
        self._pass_down(networks, values, 0, below)

    def _pass_down(self, networks: Index, values: Index, position: int, gradient: Tensor) -> None:
        """Add gradients to those of the operands at one position."""
        for step, (chosen, rows) in self._rows_of(networks, self.run.operands[values, position]):
            self.run.add_rows(self._gradient(step), rows, self.run.rows(gradient, chosen))

    def _below(self, layer: Layer, operand: Tensor, gradient: Tensor) -> Tensor:
        """The gradient by the operand of a step."""
        signature = layer.signature
        if signature.kind in (Kind.CONV, Kind.DEPTHWISE):
            return _conv_back(signature, self.run.weight(layer), gradient.flatten(0, 1)).unflatten(0, operand.shape[:2])
        with torch.enable_grad():
            leaf = operand.flatten(0, 1).detach().requires_grad_()
            output = self.run.apply(layer, leaf)
        (found,) = torch.autograd.grad(output, leaf, gradient.flatten(0, 1))
        return found.unflatten(0, operand.shape[:2])


def _conv_back(signature: Signature, weight: Tensor, gradient: Tensor) -> Tensor:
    """The transpose of a convolution: on its padded operand, whose padding is then cut off."""
    before, after = signature.padding
    (height, width), stride = signature.in_shape[:2], signature.stride
    missing = [
        size + before + after - ((out - 1) * stride + signature.kernel)
        for size, out in zip((height, width), signature.out_shape[:2], strict=True)
    ]
    padded = F.conv_transpose2d(
        gradient, weight, stride=stride, output_padding=tuple(missing), groups=_groups(signature)
    )
    return padded[:, :, before : before + height, before : before + width]


def _weight_slopes(signature: Signature, operand: Tensor, gradient: Tensor) -> Tensor:
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


def _all_in_order(tensor: Tensor, rows: Index) -> bool:
    return len(rows) == len(tensor) and bool((rows[1:] > rows[:-1]).all())


def _by_step(places: Index) -> Iterator[tuple[int, Index]]:
    """The steps that occur among places (step, row), each with the positions where it does."""
    for step in np.flatnonzero(np.bincount(places[:, 0])):
        yield int(step), np.flatnonzero(places[:, 0] == step)


def _without_repeats(owners: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The pairs in as many parts as are needed for no network to occur twice in one."""
    while owners:
        first = {network: (network, row) for network, row in reversed(owners)}
        yield sorted(first.values())
        owners = [owner for owner in owners if first[owner[0]] != owner]


def _schedule(values: list[Value]) -> list[list[int]]:
    """Values in groups that one call computes, inputs first.

    A group waits until all its members can run. Where groups wait for one another (networks that use one name
    at different depths), the one with most members ready runs those.
    """
    groups: dict[tuple[str, Signature], list[int]] = defaultdict(list)
    alike = {signature: replace(signature, operands=1) for signature in {value.layer.signature for value in values}}
    for at, value in enumerate(values):
        groups[value.layer.name, alike[value.layer.signature]].append(at)
    waiting = list(groups.values())  # from here on a group is its number
    group = {at: number for number, rows in enumerate(waiting) for at in rows}
    size = [len(rows) for rows in waiting]
    readers: list[list[int]] = [[] for _ in values]
    missing = [len(value.inputs) for value in values]
    for at, value in enumerate(values):
        for source in value.inputs:
            readers[source].append(at)
    ready: dict[int, list[int]] = defaultdict(list)
    for at, count in enumerate(missing):
        if not count:
            ready[group[at]].append(at)
    schedule: list[list[int]] = []
    while ready:
        whole = (number for number, rows in ready.items() if len(rows) == size[number])
        chosen = next(whole, None)
        chosen = max(ready, key=lambda number: len(ready[number])) if chosen is None else chosen
        rows = sorted(ready.pop(chosen))
        size[chosen] -= len(rows)
        schedule.append(rows)
        for row in rows:
            for reader in readers[row]:
                missing[reader] -= 1
                if not missing[reader]:
                    ready[group[reader]].append(reader)
    return schedule
