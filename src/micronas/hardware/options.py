"""What one option on one decision adds to a network: its plain layers, and what the hardware runs for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from micronas.choices import Choices
from micronas.network.deployed import deploy
from micronas.network.graph import Graph, Kind, Layer, Signature
from micronas.spaces.space import SearchSpace, Skeleton


@lru_cache(maxsize=4096)
def option_layers(space: SearchSpace, skeleton: Skeleton, decision: int, option: str) -> tuple[Layer, ...]:
    """The plain layers that are there only because of this option, at every place of the cell, in running order.

    Options that draw nothing of their own (`none`, `skip_connect`) have none.
    """
    rivals = [other for other in space.everything().alive[decision] if other != option]
    shared = {layer.name for rival in rivals for layer in _with(space, skeleton, decision, rival)}
    return tuple(layer for layer in _with(space, skeleton, decision, option) if layer.name not in shared)


@lru_cache(maxsize=4096)
def option_signatures(space: SearchSpace, skeleton: Skeleton, decision: int, option: str) -> tuple[Signature, ...]:
    """What the hardware runs for that option alone.

    Its layers as they are deployed (batch norm folded; a ReLU clamps on reading, for in general
    others read the same tensor), and for each place where it hands a value to a sum, one binary
    add. So a skip costs its add, and an option that hands on nothing costs nothing.
    """
    own = option_layers(space, skeleton, decision, option)
    ran = [layer.signature for part in _pieces(own) for layer in deploy(part).operations]
    return (*ran, *_joins(space, skeleton, decision, option))


@lru_cache(maxsize=256)
def _with(space: SearchSpace, skeleton: Skeleton, decision: int, option: str) -> Graph:
    """The plain network with that option on the decision and the first option on every other one."""
    alive = [(options[0],) for options in space.everything().alive]
    alive[decision] = (option,)
    return space.lower(Choices(tuple(alive)), skeleton)


def _joins(space: SearchSpace, skeleton: Skeleton, decision: int, option: str) -> list[Signature]:
    """A binary add for every sum that has an operand more than with the option that hands it the fewest."""
    sums = [
        {layer.name: layer.signature for layer in _with(space, skeleton, decision, each) if _is_sum(layer)}
        for each in space.everything().alive[decision]
    ]
    fewest = {name: min(one[name].operands for one in sums if name in one) for one in sums for name in one}
    mine = next(one for one, each in zip(sums, space.everything().alive[decision], strict=True) if each == option)
    return [
        Signature(Kind.ADD, signature.in_shape, signature.out_shape, operands=2)
        for name, signature in mine.items()
        for _ in range(signature.operands - fewest[name])
    ]


def _is_sum(layer: Layer) -> bool:
    return layer.signature.kind is Kind.ADD


def _pieces(layers: Sequence[Layer]) -> list[Graph]:
    """The connected parts of the option's layers as graphs of their own, one for each place of the cell.

    Each reads an input that stands for the tensor it reads in the network.
    """
    pieces: list[list[Layer]] = []
    home: dict[str, list[Layer]] = {}
    for layer in layers:
        piece = next((home[name] for name in layer.inputs if name in home), None)
        if piece is None:
            piece = [Layer(layer.inputs[0], Signature(Kind.INPUT, layer.signature.in_shape, layer.signature.in_shape))]
            pieces.append(piece)
        piece.append(layer)
        home[layer.name] = piece
    return [Graph(tuple(piece)) for piece in pieces]
