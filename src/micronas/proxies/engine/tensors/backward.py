"""One backward of many networks in torch, gradients of samples and of networks apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from micronas.network.graph import Layer
from micronas.network.signature import LEARNED, Kind, Signature
from micronas.proxies.engine.tensors.forward import Forward, groups
from micronas.proxies.engine.tensors.schedule import Index, by_step
from micronas.torch_network import sides


class Backward:
    """One backward of the summed logits for every network of a forward, batch statistics frozen.

    A gradient belongs to a (network, value); those of one step are rows of one tensor, in the order of their keys.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward, self.schedule = forward, forward.schedule
        networks = np.repeat(np.arange(len(self.schedule.members)), [len(values) for values in self.schedule.members])
        values = np.concatenate([*self.schedule.members, np.empty(0, np.int64)])
        self.keys = [np.empty(0, np.int64)] * len(self.schedule.steps)  # network * all values + value, ascending
        for step, chosen in by_step(self.schedule.place[values]):
            self.keys[step] = np.sort((networks * len(self.schedule.place) + values)[chosen])
        self.gradients: dict[int, Tensor] = {}
        samples = len(forward.images)
        self.total = forward.images.new_zeros((len(self.schedule.members), samples, samples))

    def kernels(self) -> Tensor:
        """Σ over layers of G Gᵀ, with G the per-sample weight gradients, (networks, samples, samples)."""
        if not len(self.total):
            return self.total
        outputs = np.array([values[-1] for values in self.schedule.members])
        for step, rows in self._rows_of(np.arange(len(outputs)), outputs):
            self._gradient(step)[self.forward.index(rows[1])] = 1.0  # of the sum of the logits by each logit
        for at in reversed(range(len(self.schedule.steps))):
            if at in self.gradients:
                self._step(at, self.gradients.pop(at))
        return self.total

    def _rows_of(self, networks: Index, values: Index) -> Iterator[tuple[int, tuple[Index, Index]]]:
        """By step: (which of the pairs lie there, the rows of their gradients)."""
        for step, chosen in by_step(self.schedule.place[values]):
            keys = networks[chosen] * len(self.schedule.place) + values[chosen]
            yield step, (chosen, np.searchsorted(self.keys[step], keys))

    def _gradient(self, step: int) -> Tensor:
        if step not in self.gradients:
            shape = (len(self.keys[step]), *self.forward.tensors[step].shape[1:])
            self.gradients[step] = self.forward.images.new_zeros(shape)
        return self.gradients[step]

    def _step(self, at: int, gradient: Tensor) -> None:
        forward, schedule, step = self.forward, self.schedule, self.schedule.steps[at]
        networks, values = np.divmod(self.keys[at], len(schedule.place))
        rows = schedule.place[values, 1]
        if step.kind is Kind.INPUT:
            return
        if step.kind in (Kind.ADD, Kind.MEAN):
            if step.kind is Kind.MEAN:
                gradient = gradient * forward.shares(values)
            for position, having in schedule.positions(values):
                self._pass_down(networks[having], values[having], position, forward.rows(gradient, having))
            return
        if step.kind is Kind.BATCH_NORM:
            below = gradient * forward.rows(forward.inverse_deviations[at], rows)
        elif step.kind is Kind.RELU:
            below = gradient * (forward.rows(forward.tensors[at], rows) > 0)
        else:
            operand = forward.operand(forward.tensors, values)
            if step.kind in LEARNED:
                slopes = _weight_slopes(step.layer.signature, operand, gradient)
                forward.add_rows(self.total, networks, slopes @ slopes.transpose(1, 2))
            source = schedule.merged.values[int(schedule.operands[values[0], 0])].layer.signature.kind
            if source is Kind.INPUT:
                return
            below = self._below(step.layer, operand, gradient)
        self._pass_down(networks, values, 0, below)

    def _pass_down(self, networks: Index, values: Index, position: int, gradient: Tensor) -> None:
        """Add gradients to those of the operands at one position."""
        for step, (chosen, rows) in self._rows_of(networks, self.schedule.operands[values, position]):
            self.forward.add_rows(self._gradient(step), rows, self.forward.rows(gradient, chosen))

    def _below(self, layer: Layer, operand: Tensor, gradient: Tensor) -> Tensor:
        """The gradient by the operand of a step."""
        signature = layer.signature
        if signature.kind in (Kind.CONV, Kind.DEPTHWISE):
            return _conv_back(signature, self.forward.weight(layer), gradient.flatten(0, 1)).unflatten(
                0, operand.shape[:2]
            )
        with torch.enable_grad():
            leaf = operand.flatten(0, 1).detach().requires_grad_()
            output = self.forward.apply(layer, leaf)
        (found,) = torch.autograd.grad(output, leaf, gradient.flatten(0, 1))
        return found.unflatten(0, operand.shape[:2])


def _conv_back(signature: Signature, weight: Tensor, gradient: Tensor) -> Tensor:
    """The transpose of a convolution: on its padded operand, whose padding is then cut off."""
    missing = [
        axis.size + axis.before + axis.after - ((axis.out - 1) * axis.stride + axis.kernel) for axis in signature.axes
    ]
    padded = F.conv_transpose2d(
        gradient, weight, stride=signature.stride, output_padding=tuple(missing), groups=groups(signature)
    )
    rows, columns = (slice(axis.before, axis.before + axis.size) for axis in signature.axes)
    return padded[:, :, rows, columns]


def _weight_slopes(signature: Signature, operand: Tensor, gradient: Tensor) -> Tensor:
    """Per-sample gradients by the weights, (rows, samples, weights)."""
    rows = operand.shape[:2]
    value, slope = operand.flatten(0, 1), gradient.flatten(0, 1)
    if signature.kind is Kind.LINEAR:
        return (slope.flatten(1)[:, :, None] * value.flatten(1)[:, None, :]).flatten(1).unflatten(0, rows)
    if {*signature.kernel, *signature.stride} == {1} and sides(signature) == (0, 0, 0, 0):
        patches = value.flatten(2)
    else:
        patches = F.unfold(F.pad(value, sides(signature)), signature.kernel, stride=signature.stride)
    slope = slope.flatten(2)
    if signature.kind is Kind.DEPTHWISE:
        by_channel = patches.unflatten(1, (slope.shape[1], -1))
        return (by_channel * slope[:, :, None]).sum(3).flatten(1).unflatten(0, rows)
    return torch.bmm(slope, patches.transpose(1, 2)).flatten(1).unflatten(0, rows)
