"""One forward of many networks in torch, and what their ReLUs, features and batch norms say of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from micronas.network.graph import Layer
from micronas.network.signature import Kind, Signature
from micronas.proxies.engine.tensors.schedule import Index, Schedule, Step, by_step
from micronas.torch_network import average_pool, sides
from micronas.weights import Draw, draw_bias

Weights = dict[tuple[str, Signature], Tensor]

EPSILON = 1e-5  # torch's batch norm
_BITS = 48  # neurons to a word, beside which a number of a sample has room


@dataclass(frozen=True)
class Forward:
    """One chunk of networks for one draw. Tensors of a step are (rows, samples, channels, height, width)."""

    schedule: Schedule
    images: Tensor
    seed: int
    draw: Draw
    weights: Weights

    def index(self, rows: Index) -> Tensor:
        """Rows as a tensor on the device."""
        return torch.from_numpy(rows).to(self.images.device, non_blocking=True)

    def rows(self, tensor: Tensor, rows: Index) -> Tensor:
        """These rows of a tensor; the tensor itself if they are all of them in order."""
        return tensor if _all_in_order(tensor, rows) else tensor[self.index(rows)]

    def add_rows(self, tensor: Tensor, rows: Index, addend: Tensor) -> None:
        """tensor[rows] += addend, in place; a row may occur several times."""
        if _all_in_order(tensor, rows):
            tensor += addend
        else:  # not index_add_, which adds in another order every time on CUDA
            for once in _without_repeats(rows):
                tensor[self.index(rows[once])] += self.rows(addend, once)

    # --- forward ---------------------------------------------------------------------------------

    @property
    def tensors(self) -> list[Tensor]:
        """The values of every step."""
        return self._forward[0]

    @property
    def inverse_deviations(self) -> dict[int, Tensor]:
        """1/σ of every batch-norm step, (rows, 1, channels, 1, 1)."""
        return self._forward[1]

    @property
    def variances(self) -> dict[int, Tensor]:
        """σ² of every batch-norm step, (rows, 1, channels, 1, 1)."""
        return self._forward[2]

    @cached_property
    def _forward(self) -> tuple[list[Tensor], dict[int, Tensor], dict[int, Tensor]]:
        tensors: list[Tensor] = []
        deviations: dict[int, Tensor] = {}
        variances: dict[int, Tensor] = {}
        for at, step in enumerate(self.schedule.steps):
            if step.kind is Kind.INPUT:
                tensors.append(self.images[None])
            elif step.kind in (Kind.ADD, Kind.MEAN):
                tensors.append(self._sum(step, tensors))
            else:
                value = self.operand(tensors, step.values)
                if step.kind is Kind.BATCH_NORM:
                    variances[at], mean = torch.var_mean(value, dim=(1, 3, 4), correction=0, keepdim=True)
                    deviations[at] = (variances[at] + EPSILON).rsqrt()
                    tensors.append((value - mean) * deviations[at])
                else:
                    result = self.apply(step.layer, value.flatten(0, 1))
                    tensors.append(result.unflatten(0, value.shape[:2]))
        return tensors, deviations, variances

    def operand(self, tensors: list[Tensor], values: Index, position: int = 0) -> Tensor:
        """The operands at one position of these values, one below the other."""
        places = self.schedule.place[self.schedule.operands[values, position]]
        sources = list(by_step(places))
        if len(sources) == 1:
            return self.rows(tensors[places[0, 0]], places[:, 1])
        gathered = tensors[places[0, 0]].new_empty((len(values), *tensors[places[0, 0]].shape[1:]))
        for step, chosen in sources:
            gathered[self.index(chosen)] = self.rows(tensors[step], places[chosen, 1])
        return gathered

    def _sum(self, step: Step, tensors: list[Tensor]) -> Tensor:
        height, width, channels = step.layer.signature.out_shape
        total = self.images.new_zeros((len(step.values), len(self.images), channels, height, width))
        for position, rows in self.schedule.positions(step.values):
            self.add_rows(total, rows, self.operand(tensors, step.values[rows], position))
        return total * self.shares(step.values) if step.kind is Kind.MEAN else total

    def shares(self, values: Index) -> Tensor:
        """1 / operands of each MEAN, ready to multiply with."""
        operands = np.array([self.schedule.merged.values[value].layer.signature.operands for value in values])
        return torch.from_numpy(1 / operands).to(self.images)[:, None, None, None, None]

    def weight(self, layer: Layer) -> Tensor:
        """The weights of a layer, on the device."""
        key = (layer.name, layer.signature)
        if key not in self.weights:
            self.weights[key] = torch.from_numpy(self.draw(self.seed, layer)).to(self.images)
        return self.weights[key]

    def apply(self, layer: Layer, value: Tensor) -> Tensor:
        """An operation on one operand, (rows x samples, channels, height, width)."""
        signature = layer.signature
        match signature.kind:
            case Kind.RELU:
                return F.relu(value)
            case Kind.CONV | Kind.DEPTHWISE:
                padded = F.pad(value, sides(signature))
                return F.conv2d(padded, self.weight(layer), stride=signature.stride, groups=groups(signature))
            case Kind.LINEAR:
                bias = draw_bias(self.seed, layer)
                assert bias is not None
                logits = F.linear(value.flatten(1), self.weight(layer), torch.from_numpy(bias).to(value))
                return logits[:, :, None, None]
            case Kind.AVG_POOL:
                return average_pool(value, signature)
            case Kind.MAX_POOL:
                padded = F.pad(value, sides(signature), value=float("-inf"))
                return F.max_pool2d(padded, signature.kernel, signature.stride)
            case Kind.GLOBAL_POOL:
                return value.mean((2, 3), keepdim=True)
            case Kind.PAD:
                return F.pad(value, sides(signature))
            case Kind.INPUT | Kind.ADD | Kind.MEAN | Kind.BATCH_NORM:
                raise AssertionError(f"{signature} is no operation on one operand")

    # --- responses -------------------------------------------------------------------------------

    def responses(self, moved: Forward) -> Tensor:
        """Of every connected network, how far its features are from `moved`'s, and Σ ln variance, (networks, 2)."""
        found = torch.zeros((len(self.schedule.connected), 2), dtype=torch.float64, device=self.images.device)
        places = self.schedule.place[self.schedule.features]
        for step, networks in by_step(places):
            rows = places[networks, 1]
            change = self.rows(self.tensors[step], rows) - self.rows(moved.tensors[step], rows)
            found[self.index(networks), 0] = change.double().flatten(2).norm(dim=2).mean(1)
        for step, networks, rows in self._owners(Kind.BATCH_NORM):
            variance = self.rows(self.variances[step], rows).double().flatten(1).mean(1)
            found[self.index(networks), 1] += variance.log()
        return found

    def _owners(self, kind: Kind) -> Iterator[tuple[int, Index, Index]]:
        """For every step of a kind, the networks that have it, and their rows there; no network twice at once."""
        for at, step in enumerate(self.schedule.steps):
            if step.kind is kind:
                owners = [
                    (network, row)
                    for network, values in enumerate(self.schedule.members)
                    for row in self.schedule.place[values, 1][self.schedule.place[values, 0] == at]
                ]
                networks, rows = np.array(owners).T
                for once in _without_repeats(networks):  # a name may hold two values of one network
                    yield at, networks[once], rows[once]

    # --- patterns --------------------------------------------------------------------------------

    def _signs(self) -> Iterator[tuple[Index, Tensor]]:
        """For every ReLU step: the networks that have it, and its signs there, (networks, samples, neurons)."""
        for step, networks, rows in self._owners(Kind.RELU):
            yield networks, self.rows(self.tensors[step], rows).flatten(2) > 0

    def region_counts(self) -> Tensor:
        """Of every connected network, how many samples differ in some sign.

        Samples alike so far have the same number; each word of signs splits them further.
        """
        samples = len(self.images)
        numbers = torch.zeros((len(self.schedule.connected), samples), dtype=torch.int64, device=self.images.device)
        for networks, signs in self._signs():
            index = self.index(networks)
            for word in signs.split(_BITS, dim=2):
                powers = 2 ** torch.arange(word.shape[2], device=word.device)
                codes = (numbers[index] << _BITS) + (word * powers).sum(2)
                ordered, order = codes.sort(dim=1)
                rank = F.pad((ordered[:, 1:] != ordered[:, :-1]).cumsum(1), (1, 0))
                numbers[index] = torch.empty_like(rank).scatter_(1, order, rank)
        return numbers.amax(1) + 1

    def patterns(self) -> Tensor:
        """The signs of the only network, eight to a byte, (samples, bytes)."""
        signs = torch.cat([each[0] for _, each in self._signs()], dim=1)
        eights = F.pad(signs, (0, -signs.shape[1] % 8)).unflatten(1, (-1, 8)).to(torch.uint8)
        return (eights << torch.arange(8, dtype=torch.uint8, device=signs.device)).sum(2, dtype=torch.uint8)

    def agreements(self) -> Tensor:
        """Of every connected network, in how many signs each two samples agree, (networks, samples, samples)."""
        samples = len(self.images)
        total = torch.zeros(
            (len(self.schedule.connected), samples, samples), dtype=torch.float64, device=self.images.device
        )
        for networks, signs in self._signs():
            plus_minus = 2 * signs.double() - 1
            total[self.index(networks)] += (plus_minus @ plus_minus.transpose(1, 2) + signs.shape[2]) / 2
        return total


def groups(signature: Signature) -> int:
    """Of a convolution, as torch counts them."""
    return signature.in_shape[2] if signature.kind is Kind.DEPTHWISE else 1


def _all_in_order(tensor: Tensor, rows: Index) -> bool:
    return len(rows) == len(tensor) and bool((rows[1:] > rows[:-1]).all())


def _without_repeats(numbers: Index) -> Iterator[Index]:
    """Positions of the numbers, ascending, in as many parts as are needed for no number to occur twice in one."""
    left = np.arange(len(numbers))
    while len(left):
        first = np.sort(np.unique(numbers[left], return_index=True)[1])
        yield left[first]
        left = np.delete(left, first)
