"""What one option of one decision adds to a network: its plain layers, and what the hardware runs for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from micronas.candidate import Candidate
from micronas.network.deployed import fused
from micronas.network.graph import Graph, Layer, Layers
from micronas.network.signature import SUMS, Kind, Signature
from micronas.spaces.decisions import Choices

_Named = tuple[str, Signature]


@lru_cache(maxsize=4096)
def own_layers(start: Candidate, decision: int, option: str) -> tuple[Layer, ...]:
    """The plain layers that are there because of this option, in running order: those not there whatever the option.

    A layer is the same only by name *and* signature: of a width, all layers whose shape it decides are its own; of a
    depth, all blocks that a depth of the fewest lacks. Sums that merely have other operands are nobody's own. Options
    that draw nothing (`none`, `skip_connect`) have none.
    """
    options = start.space.everything().alive[decision]
    nets = [{_named(layer) for layer in _with(start, decision, each)} for each in options]
    common = nets[0].intersection(*nets[1:])
    return tuple(layer for layer in _with(start, decision, option) if _named(layer) not in common)


@lru_cache(maxsize=4096)
def own_operations(start: Candidate, decision: int, option: str) -> tuple[Signature, ...]:
    """What the hardware runs for that option alone.

    Its layers as they are deployed (batch norm folded; a ReLU clamps on reading, for in general
    others read the same tensor), and for each place where it hands a value to a sum, one binary
    add. So a skip costs its add, and an option that hands on nothing costs nothing.
    """
    pieces = _pieces(own_layers(start, decision, option))
    ran = [layer.signature for piece in pieces for layer in fused(piece) if layer.signature.kind is not Kind.INPUT]
    return (*ran, *_joins(start, decision, option))


@lru_cache(maxsize=256)
def _with(start: Candidate, decision: int, option: str) -> Graph:
    """The plain network with that option on the decision and the first option on every other one."""
    alive = [(options[0],) for options in start.space.everything().alive]
    alive[decision] = (option,)
    return start.of(Choices(tuple(alive))).graph


def _named(layer: Layer) -> _Named:
    """What a layer is known by; a sum however many operands it has."""
    signature = layer.signature
    return layer.name, replace(signature, operands=1) if signature.kind in SUMS else signature


def _joins(start: Candidate, decision: int, option: str) -> list[Signature]:
    """A binary add for every sum that has an operand more than with the option that hands it the fewest."""
    options = start.space.everything().alive[decision]
    sums = [
        {_named(layer): layer.signature for layer in _with(start, decision, each) if layer.signature.kind is Kind.ADD}
        for each in options
    ]
    everywhere = {*sums[0]}.intersection(*sums[1:])
    fewest = {named: min(one[named].operands for one in sums) for named in everywhere}
    mine = sums[options.index(option)]
    return [
        replace(signature, operands=2)
        for named, signature in mine.items()
        if named in everywhere
        for _ in range(signature.operands - fewest[named])
    ]


def _pieces(layers: Sequence[Layer]) -> Iterable[Layers]:
    """The connected parts of the option's layers, one for each place where it stands.

    Each begins with inputs that stand for the tensors it reads in the network.
    """
    home: dict[str, int] = {}
    pieces: dict[int, list[Layer]] = {}
    for number, layer in enumerate(layers):
        joined = sorted({home[name] for name in layer.inputs if name in home})
        piece = [each for at in joined for each in pieces.pop(at)] + [layer]
        pieces[number] = piece
        home |= dict.fromkeys((each.name for each in piece), number)
    return (_closed(piece) for piece in pieces.values())


def _closed(piece: Sequence[Layer]) -> Layers:
    """A piece with an input for every tensor that it does not make itself."""
    made = {layer.name for layer in piece}
    read = {name: layer.signature.in_shape for layer in piece for name in layer.inputs if name not in made}
    inputs = [Layer(name, Signature(Kind.INPUT, shape, shape)) for name, shape in read.items()]
    return Layers((*inputs, *piece))
