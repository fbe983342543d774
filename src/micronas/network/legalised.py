"""A deployed network in TFLite's operators.

conv relu_in    ->  relu -> conv           (one RELU serves all who read the tensor so)
add a b c       ->  add(add(a, b), c)      (a clamp stays with the last)
conv 3x3/2 pad1 ->  pad -> conv, VALID     (unless SAME pads just so)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from micronas.errors import UserError
from micronas.network.deployed import READS_RELU, Deployed
from micronas.network.graph import Layer, Layers, check_one_input, once
from micronas.network.signature import WINDOWED, Axis, GraphError, Kind, Shape, Signature


@dataclass(frozen=True)
class Legalised(Layers):
    """A network in TFLite's operators: made by `legalise`, read by TFLite-Micro's planner and by exporters.

    Raises:
        GraphError: as `Layers`; no INPUT in front; an operand clamped on reading, or an ADD of more than two.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_input(self)
        for layer in self.layers:
            if layer.signature.relu_in or (layer.signature.kind is Kind.ADD and layer.signature.operands != 2):
                raise GraphError(f"layer {layer.name!r} ({layer.signature}) is no operator of TFLite; legalise it")


@once
def legalise(network: Deployed) -> Legalised:
    """A deployed network in the operators of TFLite; its layers keep their names, and some are put before them.

    TFLite has no `relu_in` (a RELU is put before, one for all who read that tensor so), adds two operands at a time
    (left to right; a clamp stays with the last) and pads only as VALID or SAME does (else a PAD is put before a
    convolution).

    Raises:
        UserError: a pool whose padding is not SAME: TFLite cannot leave padding uncounted.
        GraphError: it is not deployed.
    """
    if not isinstance(network, Deployed):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GraphError(f"only a deployed network can be legalised, not a {type(network).__name__}")
    drawn = _TfliteOperators(frozenset(layer.name for layer in network))
    for layer in network:
        drawn.put(layer)
    return Legalised(tuple(drawn.layers))


class _TfliteOperators:
    """Collects the layers of a legalised graph, inventing names that no other layer has."""

    def __init__(self, taken: frozenset[str]) -> None:
        self.layers: list[Layer] = []
        self._taken = set(taken)
        self._rectified: dict[str, str] = {}

    def put(self, layer: Layer) -> None:
        if layer.signature.kind is Kind.ADD:
            layer = self._folded(layer)
        if layer.signature.relu_in:
            source = self._rectify(layer.inputs[0], layer.signature.in_shape)
            layer = replace(layer, inputs=(source,), signature=replace(layer.signature, relu_in=False))
        if layer.signature.kind in WINDOWED and not (_is_valid(layer.signature) or _is_tf_same(layer.signature)):
            layer = self._padded(layer)
        self.layers.append(layer)

    def _name(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def _folded(self, layer: Layer) -> Layer:
        """The last of the binary adds; those before it are put."""
        first, *others, last = layer.inputs
        binary = replace(layer.signature, operands=2)
        for number, operand in enumerate(others, 1):
            self.layers.append(Layer(self._name(f"{layer.name}.sum{number}"), binary, (first, operand)))
            first = self.layers[-1].name
        return replace(layer, inputs=(first, last), signature=binary)

    def _rectify(self, source: str, shape: Shape) -> str:
        if source not in self._rectified:
            self._rectified[source] = self._name(f"{source}.relu")
            self.layers.append(Layer(self._rectified[source], Signature(Kind.RELU, shape, shape), (source,)))
        return self._rectified[source]

    def _padded(self, layer: Layer) -> Layer:
        signature = layer.signature
        if signature.kind not in READS_RELU:
            raise UserError(f"TFLite has no {signature}: it pads pools only as SAME does")
        height, width, channels = signature.in_shape
        grown = (height + sum(signature.padding[0]), width + sum(signature.padding[1]), channels)
        pad = Signature(Kind.PAD, signature.in_shape, grown, padding=signature.padding)
        self.layers.append(Layer(self._name(f"{layer.name}.pad"), pad, layer.inputs))
        valid = replace(signature, in_shape=grown, padding=((0, 0), (0, 0)))
        return replace(layer, inputs=(self.layers[-1].name,), signature=valid)


def _is_valid(signature: Signature) -> bool:
    return signature.padding == ((0, 0), (0, 0))


def _is_tf_same(signature: Signature) -> bool:
    """Whether TensorFlow's SAME pads so, on each axis: by as little as needed, the odd pixel behind."""

    def is_same(axis: Axis) -> bool:
        total = max((axis.out - 1) * axis.stride + axis.kernel - axis.size, 0)
        covers = axis.out == -(-axis.size // axis.stride)
        return covers and (axis.before, axis.after) == (total // 2, total - total // 2)

    return all(map(is_same, signature.axes))
