"""Emits an `Int8Network` as self-contained C: constants, one kernel call a layer, and memory for whoever brings none.

Nothing is allocated, nothing but `<stdint.h>` and `<stddef.h>` is included. The kernels' sources are
copied into a folder beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from micronas.cache import writing
from micronas.deploy.int8 import Int8Network, Quantization
from micronas.errors import UserError
from micronas.hardware.planning.order import ALIGNMENT_BYTES, aligned
from micronas.hardware.planning.plan import OUR_KERNELS, SCRATCH_APART, MemoryPlan, plan_memory
from micronas.mcu.operators import HEADER, KERNELS, Array, Operator, operator
from micronas.mcu.reference import Constants
from micronas.network.graph import Layer
from micronas.network.signature import Kind


@dataclass(frozen=True)
class CModel:
    """The C of one network; `name` prefixes every public symbol and names the files.

    `plan` is where its tensors lie: an arena has exactly `plan.arena_bytes` bytes. `scratch_bytes` is what the kernels'
    scratch takes apart from it, 0 where it lies within. `provenance` stands at the head of all files, a line each: what
    it is of, and what its weights are.
    """

    network: Int8Network
    plan: MemoryPlan
    name: str = "model"
    provenance: tuple[str, ...] = ()
    scratch_bytes: int = 0

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The generated files, `<name>.h` and two .c, for whoever has the kernels on the include path."""
        memory = _MEMORY.format(**_words(self), alignment=ALIGNMENT_BYTES)
        return {f"{self.name}.h": _header(self), f"{self.name}.c": _source(self), f"{self.name}_memory.c": memory}

    @property
    def kernel_sources(self) -> tuple[Path, ...]:
        """The kernels' C files that the model calls."""
        return tuple(KERNELS / name for name in sorted({kernel.source for _, kernel in self.steps()}))

    def steps(self) -> Iterator[tuple[Layer, Operator]]:
        """The layers that run, in their order, with their kernels."""
        for layer in self.plan.graph:
            if layer.signature.kind is not Kind.INPUT:
                yield layer, operator(layer.signature)

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the generated files, and copy the kernels into `kernels` below; returns the .c files to compile.

        Raises:
            UserError: the folder cannot be written.
        """
        files = {**self.files, f"{self.name}.c": _source(self, f"{KERNELS.name}/")}
        try:
            (folder / KERNELS.name).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                with writing(folder / name):
                    (folder / name).write_text(text, encoding="ascii")
            for path in (*self.kernel_sources, *sorted(KERNELS.glob("*.h"))):
                with writing(folder / KERNELS.name / path.name):
                    (folder / KERNELS.name / path.name).write_bytes(path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot write {error.filename or folder}: {error.strerror}") from error
        own = (folder / name for name in files if name.endswith(".c"))
        return (*own, *(folder / KERNELS.name / path.name for path in self.kernel_sources))


def emit(
    network: Int8Network, name: str = "model", provenance: Sequence[str] = (), *, scratch_apart: bool = False
) -> CModel:
    """The C of a network whose graph is deployed; its layers are put in the order that needs the least arena.

    `scratch_apart`: the kernels' scratch lies in a buffer of its own, which may be in faster memory than the arena;
    else it lies within the arena, where tensors leave room.

    Raises:
        UserError: `name` is no C identifier, or one that C, its library or our kernels have for something else.
        NoKernelError: a layer that none of our kernels runs.
    """
    check_name(name)
    if not scratch_apart:
        return CModel(network, plan_memory(network.graph), name, tuple(provenance))
    scratch = aligned(max(OUR_KERNELS.scratch_bytes(layer.signature) for layer in network.graph))
    return CModel(network, plan_memory(network.graph, SCRATCH_APART), name, tuple(provenance), scratch)


def check_name(name: str) -> None:
    """Refuse what cannot name a model's files and symbols.

    Raises:
        UserError: no C identifier, or one that C, its library or our kernels have for something else.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UserError(f"{name!r} is no C identifier; name the model with letters, digits and _")
    owner = next((owner for owner, names in _TAKEN.items() if names.fullmatch(name)), None)
    if owner:
        raise UserError(f"{name!r} is a name of {owner}; name the model otherwise")


_TAKEN = {
    "the C language": re.compile(
        r"_[A-Z_]\w*|__\w*|auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline"
        r"|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile"
        r"|while|alignas|alignof|asm|bool|true|false|constexpr|nullptr|static_assert|thread_local|typeof|main"
        r"|and|catch|class|compl|delete|explicit|export|friend|mutable|namespace|new|not|operator|or|private|protected"
        r"|public|template|this|throw|try|typeid|typename|using|virtual|xor"
    ),
    "the C library": re.compile(
        r"u?int(8|16|32|64|ptr|max)_t|s?size_t|ptrdiff_t|wchar_t|NULL|abort|abs|assert|atexit|bsearch|calloc|complex|ctype"
        r"|div|errno|exit|exp|fabs|fenv|float|floor|fmax|fmin|free|getenv|inttypes|iso646|labs|ldiv|limits|locale|log|malloc"
        r"|math|mem(chr|cmp|cpy|move|set)|pow|printf|puts|qsort|rand|realloc|round|scanf|setjmp|signal|sin|sqrt|srand|std\w+"
        r"|str\w+|tan|tgmath|threads|time|uchar|wchar|wctype|cos|arm_acle"
    ),
    "our kernels": re.compile(r"micronas\w*"),
}
"""Whose each name is, and with it a file `<name>.h` that would be found in place of theirs."""


# --- model.h ------------------------------------------------------------------------------------

_HEADER = """\
/* {name}: an int8 network of {layers} layers. Generated by micronas; do not edit.
{provenance} *
 * Usage:
 *
 *     #include "{name}.h"
 *
 *     int8_t *input = {name}_input({name}_arena);        // {NAME}_INPUT_BYTES, height x width x channels
 *     for (int i = 0; i < {NAME}_INPUT_BYTES; i++)
 *         input[i] = {name}_quantize(pixels[i]);         // pixels: the floats the network was calibrated on
 *     const int8_t *output = {name}_run({name}_arena, {name}_scratch);   // overwrites the input
 *     for (int i = 0; i < {NAME}_OUTPUT_BYTES; i++)
 *         logits[i] = {NAME}_OUTPUT_SCALE * (float)(output[i] - {NAME}_OUTPUT_ZERO_POINT);
 *
 * Compile {name}.c, {name}_memory.c and every .c file in kernels. Whoever brings memory of their own leaves
 * {name}_memory.c out; with an arena each, several runs may go on at once.
 */
#ifndef {NAME}_H
#define {NAME}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Input: int8, height x width x channels, channels fastest; real = SCALE * (integer - ZERO_POINT). */
#define {NAME}_INPUT_HEIGHT {input_shape[0]}
#define {NAME}_INPUT_WIDTH {input_shape[1]}
#define {NAME}_INPUT_CHANNELS {input_shape[2]}
#define {NAME}_INPUT_BYTES {input_bytes}
#define {NAME}_INPUT_SCALE {input_scale}
#define {NAME}_INPUT_ZERO_POINT {input_zero}

/* Output: int8 logits. */
#define {NAME}_OUTPUT_BYTES {output_bytes}
#define {NAME}_OUTPUT_SCALE {output_scale}
#define {NAME}_OUTPUT_ZERO_POINT {output_zero}

/* Working memory: an arena for {arena_holds}. */
#define {NAME}_ARENA_BYTES {arena_bytes}
#define {NAME}_SCRATCH_BYTES {scratch_bytes}
#define {NAME}_MEMORY_ALIGNMENT {alignment}

/* {name}_memory.c has static ones. */
extern int8_t {name}_arena[{NAME}_ARENA_BYTES];
{scratch_declared}

/* Where to write the image; valid until the next run in this arena. */
int8_t *{name}_input(int8_t *arena);

/* Runs the network on the image in this arena and returns the logits, which are valid until the next run in it.
 * {scratch_said} */
const int8_t *{name}_run(int8_t *arena, int8_t *scratch);

/* The integer that stands for a real value, saturated. */
static inline int8_t {name}_quantize(float real) {{
    const float scaled = real / {NAME}_INPUT_SCALE + (float){NAME}_INPUT_ZERO_POINT;
    const float limited = scaled < -128.0f ? -128.0f : scaled > 127.0f ? 127.0f : scaled;
    return (int8_t)(limited < 0.0f ? limited - 0.5f : limited + 0.5f);
}}

#ifdef __cplusplus
}}
#endif

#endif
"""


def _header(model: CModel) -> str:
    graph, network, apart = model.plan.graph, model.network, model.scratch_bytes > 0
    words = _words(model)
    return _HEADER.format(
        **words,
        layers=sum(1 for _ in model.steps()),
        alignment=ALIGNMENT_BYTES,
        arena_holds="tensors, and scratch for kernels" if apart else "tensors and for kernels' scratch",
        scratch_bytes=model.scratch_bytes,
        scratch_declared=(_SCRATCH if apart else _NO_SCRATCH).format(**words),
        scratch_said=_SCRATCH_SAID if apart else _NO_SCRATCH_SAID,
        input_shape=graph.layers[0].signature.out_shape,
        input_bytes=int(np.prod(graph.layers[0].signature.out_shape)),
        output_bytes=int(np.prod(graph.output.signature.out_shape)),
        arena_bytes=model.plan.arena_bytes,
        **_meaning("input", network.input),
        **_meaning("output", network.output),
    )


def _meaning(prefix: str, tensor: Quantization) -> dict[str, str]:
    zero = f"({tensor.zero_point})" if tensor.zero_point < 0 else str(tensor.zero_point)
    return {f"{prefix}_scale": f"{tensor.scale:.9e}f", f"{prefix}_zero": zero}


# --- model.c ------------------------------------------------------------------------------------

_SOURCE = """\
/* {name}: constants and calls. Generated by micronas; do not edit.
{provenance} */
#include "{name}.h"

#include <stddef.h>

#include "{kernels}"

{constants}
int8_t *{name}_input(int8_t *arena) {{
    return {input};
}}

const int8_t *{name}_run(int8_t *arena, int8_t *scratch) {{
{unused}{calls}
    return {output};
}}
"""


_MEMORY = """\
/* {name}_memory: static memory for {name}, for whoever brings none. Generated by micronas; do not edit.
{provenance} */
#include "{name}.h"

/* Where it lies is the linker script's business: compile with
 * -D{NAME}_ARENA_SECTION='".arena"' to put the arena into a section of that name; so too {NAME}_SCRATCH_SECTION. */
#ifdef {NAME}_ARENA_SECTION
__attribute__((section({NAME}_ARENA_SECTION)))
#endif
_Alignas({alignment}) int8_t {name}_arena[{NAME}_ARENA_BYTES];

#if {NAME}_SCRATCH_BYTES
#ifdef {NAME}_SCRATCH_SECTION
__attribute__((section({NAME}_SCRATCH_SECTION)))
#endif
_Alignas({alignment}) int8_t {name}_scratch[{NAME}_SCRATCH_BYTES];
#endif
"""

_SCRATCH = "extern int8_t {name}_scratch[{NAME}_SCRATCH_BYTES];"
_SCRATCH_SAID = "What is in the scratch does not matter before or after."
_NO_SCRATCH_SAID = "It needs no scratch: NULL will do."
_NO_SCRATCH = "#define {name}_scratch ((int8_t *)0) /* it lies in the arena */"


def _words(model: CModel) -> dict[str, str]:
    """What all files say of a model."""
    return {"name": model.name, "NAME": model.name.upper(), "provenance": comment_text(model.provenance)}


def comment_text(lines: Sequence[str]) -> str:
    """Lines as they stand in a block comment."""
    return "".join(f" * {_ascii(line)}\n" for line in lines)


def _source(model: CModel, folder: str = "") -> str:
    graph, tensors = model.plan.graph, model.plan.placement.tensors
    return _SOURCE.format(
        **_words(model),
        kernels=f"{folder}{HEADER}",
        unused="" if model.scratch_bytes else "    (void)scratch;\n",
        constants="".join(_constants(model, number, *step) for number, step in enumerate(model.steps())),
        calls="\n".join(_call(model, number, *step) for number, step in enumerate(model.steps())),
        input=_at(tensors[graph.layers[0].name]),
        output=_at(tensors[graph.output.name]),
    )


def _at(offset: int) -> str:
    return f"arena + {offset}" if offset else "arena"


def constants_text(name: str, title: str, kernel: Operator, constants: Constants) -> str:
    """The C of one kernel call's constants: arrays `<name>_<field>`, and the parameter struct `name`."""
    arrays: list[str] = []
    fields: list[str] = []
    for field, value in kernel.fields(constants).items():
        if isinstance(value, int):
            fields.append(f"    .{field} = {value},\n")
        else:
            arrays.append(array_text(f"{name}_{field}", value))
            fields.append(f"    .{field} = {name}_{field},\n")
    struct = f"static const {kernel.params} {name} = {{\n{''.join(fields)}}};\n"
    return f"/* {_ascii(title)} */\n{''.join(arrays)}{struct}\n"


def call_text(name: str, kernel: Operator, operands: Sequence[str], output: str, scratch: str) -> str:
    """The C statement that calls a kernel with the struct `name`."""
    source = f"(const int8_t *const[]){{{', '.join(operands)}}}" if kernel.operands > 1 else operands[0]
    return f"    {kernel.symbol}(&{name}, {source}, {output}, {scratch});"


def _ascii(name: str) -> str:
    """A layer's name as it may stand in a comment."""
    return name.encode("ascii", "replace").decode().replace("*/", "* /")


def array_text(name: str, values: Array, *, extern: bool = False) -> str:
    """The C of a constant array; seen by other files if it is `extern`."""
    ctype = "int8_t" if values.dtype == np.int8 else "int32_t"
    rows = "".join(f"    {','.join(map(str, row))},\n" for row in _rows(values.reshape(-1).tolist()))
    declared = f"extern const {ctype} {name}[];\nconst" if extern else "static const"
    return f"{declared} {ctype} {name}[{values.size}] = {{\n{rows}}};\n"


def _rows(values: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), 24):
        yield values[start : start + 24]


def _constants(model: CModel, number: int, layer: Layer, kernel: Operator) -> str:
    title = f"{layer.name}: {layer.signature}"
    return constants_text(f"layer{number}", title, kernel, model.network.constants[layer.name])


def _call(model: CModel, number: int, layer: Layer, kernel: Operator) -> str:
    placement = model.plan.placement
    operands = [_at(placement.tensors[name]) for name in layer.inputs]
    scratch = "NULL"
    if kernel.scratch_bytes:
        scratch = "scratch" if model.scratch_bytes else _at(placement.scratch[layer.name])
    return call_text(f"layer{number}", kernel, operands, _at(placement.tensors[layer.name]), scratch)
