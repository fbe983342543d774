"""Measures the code sizes in `hardware/code_bytes.csv` on built images: `python -m micronas.deploy.code_bytes`.

An image of one use of a kernel, and one of two, part the kernel's own code from what each call adds.
"""

from __future__ import annotations

from micronas.cache import atomic_write
from micronas.deploy.c import emit
from micronas.deploy.emulate import default_toolchain
from micronas.deploy.firmware import Board, build_once
from micronas.deploy.quantize import random_images, random_network
from micronas.graph import Graph, Kind, Layer, Signature
from micronas.hardware.flash import TABLE, constant_bytes
from micronas.mcu.cores import CORES, Core
from micronas.mcu.layout import FLASH, SRAM
from micronas.mcu.operators import operator
from micronas.mcu.toolchain import Toolchain

_SHAPE = (4, 4, 8)
_SMALLEST = {  # all keep their shape, so that they can be put one on the other
    Kind.CONV: Signature(Kind.CONV, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Kind.DEPTHWISE: Signature(Kind.DEPTHWISE, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Kind.LINEAR: Signature(Kind.LINEAR, (1, 1, 128), (1, 1, 128)),
    Kind.AVG_POOL: Signature(Kind.AVG_POOL, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Kind.MAX_POOL: Signature(Kind.MAX_POOL, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Kind.GLOBAL_POOL: Signature(Kind.GLOBAL_POOL, (1, 1, 8), (1, 1, 8)),
    Kind.ADD: Signature(Kind.ADD, _SHAPE, _SHAPE, operands=2),
    Kind.RELU: Signature(Kind.RELU, _SHAPE, _SHAPE),
    Kind.PAD: Signature(Kind.PAD, _SHAPE, _SHAPE),
}
_USES = 9
"""Calls in the larger image: their code is the mean of what the additional ones add."""


def measure_code(core: Core, toolchain: Toolchain) -> dict[str, int]:
    """Bytes of each part of an image's code on a core, by the names that `code_bytes.csv` uses."""

    def size(*signatures: Signature) -> int:
        return _image_bytes(signatures, core, toolchain) - sum(map(constant_bytes, signatures))

    found: dict[str, int] = {}
    once = {kind: size(signature) for kind, signature in _SMALLEST.items()}
    both = size(_SMALLEST[Kind.CONV], _SMALLEST[Kind.ADD])
    found["start"] = once[Kind.CONV] + once[Kind.ADD] - both
    for kind, signature in _SMALLEST.items():
        source = operator(signature).source
        call = (size(*[signature] * _USES) - once[kind]) // (_USES - 1)
        found[f"call {source}"] = call
        found[source] = once[kind] - found["start"] - call
    return found


def _image_bytes(signatures: tuple[Signature, ...], core: Core, toolchain: Toolchain) -> int:
    """Flash of an image that runs these operations one on the other."""
    first = signatures[0].in_shape
    layers = [Layer("input", Signature(Kind.INPUT, first, first))]
    for number, signature in enumerate(signatures):
        source = layers[-1].name
        layers.append(Layer(f"l{number}", signature, (source,) * signature.operands))
    graph = Graph(tuple(layers))
    network = random_network(graph)
    image = network.input.quantize(random_images(graph, 1, 0)[0])
    return build_once(emit(network), image, Board("any", core, FLASH, (SRAM,)), toolchain).flash_bytes


def main() -> None:
    """Measure every core anew."""
    toolchain = default_toolchain()
    lines = ["core,part,bytes"]
    for core in CORES.values():
        lines += [f"{core.name},{part},{size}" for part, size in measure_code(core, toolchain).items()]
        print(core.name, "done", flush=True)
    atomic_write(TABLE, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
