"""The emitted C: logits equal to the integer reference, no warnings, nothing for the sanitizers to find."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.deploy.test_int8 import network_of
from tests.hardware.indicators.test_memory import crossing
from tests.networks import lowered

from micronas.deploy.c import CModel, emit
from micronas.deploy.int8 import Int8Network, logits
from micronas.deploy.quantize import random_images, random_network
from micronas.errors import UserError
from micronas.hardware.indicators.memory import Sram
from micronas.hardware.planning.arena import place
from micronas.hardware.planning.plan import OUR_KERNELS
from micronas.mcu.cores import CORES
from micronas.mcu.operators import NoKernelError
from micronas.network.deployed import Deployed, deploy
from micronas.network.graph import Layer
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import OPERATIONS

MAIN = """
#include "model.h"
#include <stdio.h>
int main(void) {
    while (fread(model_input(model_arena), 1, MODEL_INPUT_BYTES, stdin) == MODEL_INPUT_BYTES) {
        const int8_t *output = model_run(model_arena, model_scratch);
        for (int i = 0; i < MODEL_OUTPUT_BYTES; i++) printf("%d ", output[i]);
        printf("\\n");
    }
    return 0;
}
"""
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
ZIG = (sys.executable, "-m", "ziglang", "cc")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILERS = [
    pytest.param(("gcc", *SANITIZED), marks=pytest.mark.debian("gcc"), id="gcc, sanitizers"),
    pytest.param(("clang", *SANITIZED), marks=pytest.mark.debian("clang"), id="clang, sanitizers"),
]


def awkward() -> Deployed:
    """What cells do not have: 5x5, odd channels, max pool, a wide add, a ReLU of its own, a depthwise stride."""
    image, half, quarter = (12, 12, 3), (6, 6, 5), (3, 3, 5)
    names = ("c1", "c2", "c3", "c4")
    layers = [Layer("input", Signature(Kind.INPUT, image, image))]
    layers += [Layer(n, Signature.square(Kind.CONV, image, half, 5, 2, (1, 2)), ("input",), n == "c2") for n in names]
    layers += [
        Layer("sum", Signature(Kind.ADD, half, half, operands=4), names, clamp=True),
        Layer("depth", Signature.square(Kind.DEPTHWISE, half, quarter, 3, 2, (0, 1), relu_in=True), ("c1",)),
        Layer("max", Signature.square(Kind.MAX_POOL, half, quarter, 2, 2), ("sum",)),
        Layer("relu", Signature(Kind.RELU, quarter, quarter), ("depth",)),
        Layer("both", Signature(Kind.ADD, quarter, quarter, operands=2), ("max", "relu")),
        Layer("pad", Signature.square(Kind.PAD, quarter, (6, 6, 5), padding=(1, 2)), ("both",)),
        Layer("pool", Signature(Kind.GLOBAL_POOL, (6, 6, 5), (1, 1, 5)), ("pad",)),
        Layer("linear", Signature(Kind.LINEAR, (1, 1, 5), (1, 1, 7)), ("pool",)),
    ]
    return Deployed(tuple(layers))


def built(model: CModel, folder: Path, compiler: tuple[str, ...], main: str = MAIN) -> Path:
    sources = model.write(folder)
    (folder / "main.c").write_text(main)
    program = folder / "program"
    command = [*compiler, *STRICT, "-o", str(program), str(folder / "main.c"), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return program


def answers(program: Path, images: list[np.ndarray]) -> list[list[int]]:
    done = subprocess.run([program], input=b"".join(i.tobytes() for i in images), capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 0
    return [[int(number) for number in line.split()] for line in done.stdout.splitlines()]


def saturating(network: Int8Network) -> list[np.ndarray]:
    """Images the network was not calibrated on, extremes included."""
    shape = network.graph.layers[0].signature.out_shape
    drawn = [network.input.quantize(image) for image in random_images(network.graph, 2, seed=77)]
    return [*drawn, np.full(shape, -128, np.int8), np.full(shape, 127, np.int8)]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    "graph", [network_of(), awkward(), deploy(crossing())], ids=["a cell", "awkward layers", "reordered layers"]
)
def test_logits_equal_the_integer_reference(compiler: tuple[str, ...], graph: Deployed, tmp_path: Path) -> None:
    network = random_network(graph)
    images = saturating(network)
    found = answers(built(emit(network), tmp_path, compiler), images)
    assert found == [logits(network, image).tolist() for image in images]


OWN_MEMORY = """
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    int8_t *arenas[2], *scratch = aligned_alloc(MODEL_MEMORY_ALIGNMENT, MODEL_SCRATCH_BYTES ? MODEL_SCRATCH_BYTES : 16);
    for (int i = 0; i < 2; i++) {
        arenas[i] = aligned_alloc(MODEL_MEMORY_ALIGNMENT, MODEL_ARENA_BYTES);
        if (fread(model_input(arenas[i]), 1, MODEL_INPUT_BYTES, stdin) != MODEL_INPUT_BYTES) return 1;
    }
    const int8_t *outputs[2];
    outputs[0] = model_run(arenas[0], scratch);
    outputs[1] = model_run(arenas[1], MODEL_SCRATCH_BYTES ? scratch : NULL);
    for (int n = 0; n < 2; n++) {
        for (int i = 0; i < MODEL_OUTPUT_BYTES; i++) printf("%d ", outputs[n][i]);
        printf("\\n");
    }
    free(arenas[0]);
    free(arenas[1]);
    free(scratch);
    return 0;
}
"""


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("graph", [network_of(), awkward()], ids=["a cell", "awkward layers"])
@pytest.mark.debian("gcc")
def test_the_caller_may_bring_memory(graph: Deployed, apart: bool, tmp_path: Path) -> None:
    """Of exactly the sizes said, for two runs at once, and without the static arrays."""
    network = random_network(graph)
    model = emit(network, scratch_apart=apart)
    within = emit(network).plan.arena_bytes
    assert model.plan.arena_bytes <= within
    assert (model.scratch_bytes > 0) == apart
    sources = [path for path in model.write(tmp_path) if path.name != "model_memory.c"]
    (tmp_path / "main.c").write_text(OWN_MEMORY)
    command = ["gcc", *SANITIZED, "-std=c11", "-o", tmp_path / "program", tmp_path / "main.c", *sources]
    subprocess.run(command, check=True)
    images = saturating(network)[:2]
    assert answers(tmp_path / "program", images) == [logits(network, image).tolist() for image in images]


@pytest.mark.debian("gcc")
def test_scratch_apart_has_a_static_buffer_too(tmp_path: Path) -> None:
    network = random_network(network_of())
    images = saturating(network)
    program = built(emit(network, scratch_apart=True), tmp_path, ("gcc", *SANITIZED))
    assert answers(program, images) == [logits(network, image).tolist() for image in images]


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m0plus"])
@pytest.mark.parametrize("graph", [network_of(), awkward()], ids=["a cell", "awkward layers"])
def test_zig_cross_compiles_without_a_warning(core: str, graph: Deployed, tmp_path: Path) -> None:
    """Only compiled: that the machine code computes the same is what `test_emulate.py` shows."""
    sources = emit(random_network(graph)).write(tmp_path)
    machine = ("-target", CORES[core].zig_target, f"-mcpu={CORES[core].zig_cpu}", "-ffreestanding", "-O1")
    command = [*ZIG, *machine, *STRICT, "-c", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.debian("gcc")
def test_random_cells_run_one_after_the_other_in_one_arena(tmp_path: Path) -> None:
    rng, done = random.Random(11), 0
    while done < 2:
        choices = Choices(tuple((rng.choice(OPERATIONS),) for _ in range(6)))
        try:
            graph = deploy(lowered(choices, channels=4, cells=1, input_shape=(8, 8, 3)))
        except Disconnected:
            continue
        network = random_network(graph, seed=done)
        images = saturating(network)
        program = built(emit(network), tmp_path / str(done), ("gcc", "-O1"))
        assert answers(program, images) == [logits(network, image).tolist() for image in images]
        done += 1


@pytest.mark.debian("gcc")
def test_the_usage_example_in_the_header_compiles_and_runs(tmp_path: Path) -> None:
    network = random_network(network_of())
    model = emit(network)
    comment = model.files["model.h"].split("*/")[0]
    lines = [line.removeprefix(" * ").strip() for line in comment.splitlines() if line.startswith(" *     ")]
    example = "\n".join(lines[1:])
    assert len(lines) <= 10
    image = random_images(network.graph, 1, seed=4)[0]
    pixels = ",".join(f"{value:.9g}f" for value in image.reshape(-1))
    main = f"""#include <stdio.h>
    {lines[0]}
    static const float pixels[] = {{{pixels}}};
    static float logits[MODEL_OUTPUT_BYTES];
    int main(void) {{
    {example}
        for (int i = 0; i < MODEL_OUTPUT_BYTES; i++) printf("%d ", (int)output[i]);
        return 0;
    }}"""
    found = answers(built(model, tmp_path, ("gcc", *SANITIZED), main), [])
    assert found == [logits(network, network.input.quantize(image.astype(np.float32))).tolist()]


def test_it_is_self_contained_and_the_arena_is_the_plans(tmp_path: Path) -> None:
    model = emit(random_network(network_of()), "wing", ["Weights: random */ weights"])
    model.write(tmp_path)
    for path in (*tmp_path.glob("*.[ch]"), *tmp_path.glob("kernels/*")):
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            assert (path.parent / name).exists(), (path.name, name)
        for name in re.findall(r"#include <([^>]+)>", path.read_text()):
            assert name in ("stdint.h", "stddef.h", "arm_acle.h"), (path.name, name)
    assert f"#define WING_ARENA_BYTES {model.plan.arena_bytes}" in (tmp_path / "wing.h").read_text()
    assert all("\n * Weights: random * / weights\n" in (tmp_path / name).read_text() for name in ("wing.h", "wing.c"))


@pytest.mark.debian("gcc")
@pytest.mark.parametrize("name", ["add", "linear", "window", "_model", "Kernels", "a"])
def test_any_identifier_may_name_the_model(name: str, tmp_path: Path) -> None:
    network = random_network(network_of())
    images = [network.input.quantize(image) for image in random_images(network.graph, 1, seed=77)]
    main = MAIN.replace("MODEL", name.upper()).replace("model", name)
    assert answers(built(emit(network, name), tmp_path, ("gcc",), main), images) == [
        logits(network, images[0]).tolist()
    ]


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        *((name, "the C language") for name in ("int", "while", "main", "class", "_Bool", "__x")),
        *((name, "the C library") for name in ("memcpy", "stdint", "string", "math", "malloc", "int8_t")),
        *((name, "our kernels") for name in ("micronas", "micronas_kernels")),
    ],
)
def test_a_name_that_is_taken_is_refused(name: str, owner: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' is a name of {owner}"):
        emit(random_network(network_of()), name)


@pytest.mark.debian("gcc")
def test_two_models_lie_in_one_image(tmp_path: Path) -> None:
    networks = [random_network(network_of(), seed) for seed in (0, 1)]
    names = ("left", "right")
    for network, name in zip(networks, names, strict=True):
        emit(network, name).write(tmp_path)
    body = "".join(f"fread({name}_input({name}_arena), 1, {name.upper()}_INPUT_BYTES, stdin);\n" for name in names)
    body += "".join(f"const int8_t *{name} = {name}_run({name}_arena, {name}_scratch);\n" for name in names)
    for name in names:
        body += f'for (int i = 0; i < {name.upper()}_OUTPUT_BYTES; i++) printf("%d ", {name}[i]);\nputs("");\n'
    headers = '#include "left.h"\n#include "right.h"\n#include <stdio.h>\n'
    (tmp_path / "main.c").write_text(f"{headers}int main(void) {{\n{body}return 0;\n}}\n")
    sources = [*sorted(tmp_path.glob("*.c")), *sorted(tmp_path.glob("kernels/*.c"))]
    subprocess.run(["gcc", "-o", tmp_path / "program", *sources], check=True)
    images = [network.input.quantize(random_images(network.graph, 1, seed=9)[0]) for network in networks]
    expected = [logits(network, image).tolist() for network, image in zip(networks, images, strict=True)]
    assert answers(tmp_path / "program", images) == expected


def test_layers_run_in_the_order_that_needs_the_least_arena() -> None:
    """In the text itself: as given, the two wide tensors would lie side by side."""
    graph = deploy(crossing())
    model = emit(random_network(graph))
    given = place(graph, OUR_KERNELS).arena.size_bytes
    arena = int(re.findall(r"#define MODEL_ARENA_BYTES (\d+)", model.files["model.h"])[0])
    assert arena == Sram().measure(crossing()) < given
    titles = re.findall(r"^/\* (\w+):", model.files["model.c"], flags=re.MULTILINE)[1:]
    assert titles.index("narrow1") == titles.index("wide1") + 1 or titles.index("narrow2") == titles.index("wide2") + 1
    ends = [int(at) for at in re.findall(r"arena \+ (\d+)", model.files["model.c"])]
    assert max(ends) < arena


def test_the_same_network_gives_the_same_text() -> None:
    assert emit(random_network(network_of())).files == emit(random_network(network_of())).files


def test_what_cannot_be_emitted_is_said(tmp_path: Path) -> None:
    network = random_network(network_of())
    with pytest.raises(UserError, match="identifier"):
        emit(network, "my model")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        emit(network).write(tmp_path / "file")
    shape = (2, 2, 4)
    names = tuple(f"c{k}" for k in range(5))
    layers = [Layer("input", Signature(Kind.INPUT, shape, shape))]
    layers += [Layer(n, Signature(Kind.CONV, shape, shape), ("input",)) for n in names]
    layers.append(Layer("sum", Signature(Kind.ADD, shape, shape, operands=5), names))
    with pytest.raises(NoKernelError, match="2 to 4 operands"):
        emit(random_network(Deployed(tuple(layers))))
