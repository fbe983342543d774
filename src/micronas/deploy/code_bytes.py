"""Measures `hardware/indicators/code_bytes.csv` on built images: `python -m micronas.deploy.code_bytes`.

Images with one kernel more each show what the kernel's code takes, images with many calls what a call adds.
"""

from __future__ import annotations

from functools import cache

from micronas.cache import atomic_write
from micronas.deploy.c import emit
from micronas.deploy.emulate import default_toolchain
from micronas.deploy.firmware import Chip, build_once
from micronas.deploy.quantize import random_images, random_network
from micronas.hardware.indicators.flash import TABLE, constant_bytes
from micronas.mcu.cores import CORES, Core
from micronas.mcu.layout import FLASH, SRAM
from micronas.mcu.operators import operator
from micronas.mcu.toolchain import Toolchain
from micronas.network.deployed import Deployed
from micronas.network.graph import Layer
from micronas.network.signature import Kind, Signature

_SHAPE = (1, 1, 8)
_SMALLEST = (  # all keep their shape, so that they can be put one on the other; what every network has comes first
    Signature.square(Kind.CONV, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Signature(Kind.LINEAR, _SHAPE, _SHAPE),
    Signature(Kind.GLOBAL_POOL, _SHAPE, _SHAPE),
    Signature(Kind.ADD, _SHAPE, _SHAPE, operands=2),
    Signature.square(Kind.AVG_POOL, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Signature.square(Kind.DEPTHWISE, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Signature(Kind.RELU, _SHAPE, _SHAPE),
    Signature.square(Kind.MAX_POOL, _SHAPE, _SHAPE, 3, 1, (1, 1)),
    Signature(Kind.PAD, _SHAPE, _SHAPE),
)
_USES = 9
"""Calls in the larger image: their code is the mean of what the additional ones add."""


def measure_code(core: Core, toolchain: Toolchain, kernels: int = len(_SMALLEST)) -> dict[str, int]:
    """Bytes of each part of an image's code on a core, by the names that `code_bytes.csv` uses.

    A kernel counts what it adds to an image that has those before it: functions of the compiler's runtime that they
    share count once. What is needed before the first kernel counts with `start`. Only the first `kernels` are measured.
    """

    @cache
    def size(*signatures: Signature) -> int:
        return _image_bytes(signatures, core, toolchain) - sum(map(constant_bytes, signatures))

    found: dict[str, int] = {}
    conv, linear = _SMALLEST[:2]
    found["start"] = before = size(conv) + size(linear) - size(conv, linear)
    found["call"] = (size(*[conv] * _USES) - size(conv)) // (_USES - 1)
    for number, signature in enumerate(_SMALLEST[:kernels], 1):
        total = size(*_SMALLEST[:number])
        found[operator(signature).source] = total - before - found["call"]
        before = total
    return found


def _image_bytes(signatures: tuple[Signature, ...], core: Core, toolchain: Toolchain) -> int:
    """Flash of an image that runs these operations one on the other."""
    first = signatures[0].in_shape
    layers = [Layer("input", Signature(Kind.INPUT, first, first))]
    for number, signature in enumerate(signatures):
        source = layers[-1].name
        layers.append(Layer(f"l{number}", signature, (source,) * signature.operands))
    graph = Deployed(tuple(layers))
    network = random_network(graph)
    image = network.input.quantize(random_images(graph, 1, 0)[0])
    return build_once(emit(network), image, Chip("any", core, FLASH, (SRAM,)), toolchain).flash_bytes


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
