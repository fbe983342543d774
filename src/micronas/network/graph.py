"""A network as the hardware sees it: layers in the order they run.

The waist of the hourglass. Search spaces *lower* to a `Graph`; everything that judges (indicators)
and everything that builds (torch, int8, C) reads only a `Graph`, or a form made of it (`deployed`, `legalised`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from types import MappingProxyType
from typing import TypeVar

from micronas.network.signature import GraphError, Kind, Shape, Signature, size_text, unreadable


@dataclass(frozen=True)
class Layer:
    """One step of a network; its name and signature together identify its weights.

    `inputs` are the names of the layers it reads. `clamp` (deployed layers only): the output is
    clamped at zero, a folded ReLU that costs nothing.
    """

    name: str
    signature: Signature
    inputs: tuple[str, ...] = ()
    clamp: bool = False


@dataclass(frozen=True)
class Layers:
    """Layers in the order they run; the last one is the output. What every form of a network is.

    Raises:
        GraphError: two layers share a name, a layer reads one that does not run before it, or one that makes another
            shape than it reads; or its own numbers do not agree (window, stride and padding with its output).
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if type(self.layers) is not tuple:  # pyright: ignore[reportUnnecessaryComparison]
            raise GraphError(f"a network is a tuple of layers, not a {type(self.layers).__name__}")
        if not self.layers:
            raise GraphError("a network without layers")
        made: dict[str, Shape] = {}
        for layer in self.layers:
            _check_types(layer)
            if layer.name in made:
                raise GraphError(f"two layers are named {layer.name!r}")
            _check(layer, made)
            made[layer.name] = layer.signature.out_shape

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> Layer:
        return self._by_name[name]

    @property
    def input_shape(self) -> Shape:
        """(height, width, channels) of the image."""
        return self.layers[0].signature.out_shape

    @property
    def output(self) -> Layer:
        """The layer whose value the network returns."""
        return self.layers[-1]

    @cached_property
    def _by_name(self) -> Mapping[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def readers(self) -> Mapping[str, tuple[Layer, ...]]:
        """For every layer's name, the layers that read it (twice if twice among its inputs)."""
        readers: dict[str, list[Layer]] = {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for name in layer.inputs:
                readers[name].append(layer)
        return MappingProxyType({name: tuple(found) for name, found in readers.items()})


@dataclass(frozen=True)
class Graph(Layers):
    """A network as it is trained: plain layers, the first of them its only INPUT.

    A network in which no path leads to the output is a graph like any other; `live` tells.

    Raises:
        GraphError: as `Layers`; no INPUT in front, or a second one; a clamp or `relu_in`, which only deployed
            layers have.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_input(self)
        for layer in self.layers:
            if layer.clamp or layer.signature.relu_in:
                raise GraphError(f"layer {layer.name!r} is deployed already (it clamps); a graph has plain layers only")


def check_plain(network: Layers) -> None:
    """Refuse a form that was made of a graph in place of the graph itself.

    Raises:
        GraphError: it is one.
    """
    if not isinstance(network, Graph):
        raise GraphError(f"only a plain graph will do, not a {type(network).__name__}")


_Same = TypeVar("_Same", bound="Layers")


def remade(network: _Same, layers: tuple[Layer, ...]) -> _Same:
    """The same form with the layers that a pass made of its own: they fit as those did, and are not looked at again."""
    made = object.__new__(type(network))
    made.__dict__["layers"] = layers
    return made


def bare(network: Layers) -> Layers:
    """The layers of any form, which fit as they did, as no form in particular."""
    made = object.__new__(Layers)
    made.__dict__["layers"] = network.layers
    return made


def check_one_input(network: Layers) -> None:
    """Refuse layers of which the first is not the only INPUT.

    Raises:
        GraphError: so it is.
    """
    inputs = [layer.name for layer in network if layer.signature.kind is Kind.INPUT]
    if inputs != [network.layers[0].name]:
        wrong = f"{len(inputs)} layers are inputs" if len(inputs) > 1 else f"{network.layers[0].name!r} is no input"
        raise GraphError(f"a network begins with its one input, but {wrong}")


_Form = TypeVar("_Form")
_Of = TypeVar("_Of", bound=Layers)


def once(make: Callable[[_Of], _Form]) -> Callable[[_Of], _Form]:
    """A function of a network that is computed once for each object: what it made lies with the network."""

    @wraps(make)
    def made(network: _Of) -> _Form:
        kept = network.__dict__.setdefault("_forms", {})
        if make not in kept:
            kept[make] = make(network)
        return kept[make]

    return made


# --- what no network can be ---------------------------------------------------------------------


def _check_types(layer: object) -> None:
    """Refuse what is no layer at all, before anything of it is read."""
    if not isinstance(layer, Layer):
        raise GraphError(f"a network is made of layers, not of {layer!r}")
    if type(layer.name) is not str or not layer.name:
        raise GraphError(f"a layer's name is a text, not {layer.name!r}")
    if type(layer.signature) is not Signature:
        raise GraphError(f"layer {layer.name!r} has no signature, but {layer.signature!r}")
    if type(layer.inputs) is not tuple:  # pyright: ignore[reportUnnecessaryComparison]
        raise GraphError(f"the inputs of layer {layer.name!r} are a tuple of names, not {layer.inputs!r}")


def _check(layer: Layer, made: Mapping[str, Shape]) -> None:
    """Refuse a layer that does not fit what it reads, by the shapes made before it."""
    signature = layer.signature
    if signature.fault:
        its = "" if unreadable(signature) else f" ({signature})"
        raise GraphError(f"layer {layer.name!r}{its}: {signature.fault}")
    for name in layer.inputs:
        if type(name) is not str or name not in made:
            raise GraphError(f"layer {layer.name!r} reads {name!r}, which does not run before it")
        if made[name] != signature.in_shape:
            reads, makes = size_text(signature.in_shape), size_text(made[name])
            raise GraphError(f"layer {layer.name!r} reads {reads}, but {name!r} makes {makes}")
    count, operands = len(layer.inputs), signature.operands
    if signature.kind is Kind.MEAN:
        fits = count <= operands
    else:
        fits = count == (0 if signature.kind is Kind.INPUT else operands)
    if not fits:
        raise GraphError(f"layer {layer.name!r} ({signature}) has {operands} operands, but reads {count} layers")
