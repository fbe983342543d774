"""Emits an `Int8Network` as self-contained C: constants, a static arena, one kernel call a layer.

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

from micronas.deploy.int8 import Int8Network, Quantization
from micronas.errors import UserError
from micronas.hardware.planning.order import ALIGNMENT_BYTES
from micronas.hardware.planning.plan import MemoryPlan, plan_memory
from micronas.mcu.operators import HEADER, KERNELS, Array, Operator, operator
from micronas.mcu.reference import Constants
from micronas.network.graph import Layer
from micronas.network.signature import Kind


@dataclass(frozen=True)
class CModel:
    """The C of one network; `name` prefixes every public symbol and names the files.

    `plan` is where its tensors lie: the array `<name>_arena` has exactly `plan.arena_bytes` bytes. `provenance`
    stands at the head of both files, a line each: what it is of, and what its weights are.
    """

    network: Int8Network
    plan: MemoryPlan
    name: str = "model"
    provenance: tuple[str, ...] = ()

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The generated files, `<name>.h` and `<name>.c`, for whoever has the kernels on the include path."""
        return {f"{self.name}.h": _header(self), f"{self.name}.c": _source(self)}

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
                (folder / name).write_text(text, encoding="ascii")
            for path in (*self.kernel_sources, *sorted(KERNELS.glob("*.h"))):
                (folder / KERNELS.name / path.name).write_bytes(path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror}") from error
        return (folder / f"{self.name}.c", *(folder / KERNELS.name / path.name for path in self.kernel_sources))


def emit(network: Int8Network, name: str = "model", provenance: Sequence[str] = ()) -> CModel:
    """The C of a network whose graph is deployed; its layers are put in the order that needs the least arena.

    Raises:
        UserError: `name` is no C identifier, or one that C, its library or our kernels have for something else.
        NoKernelError: a layer that none of our kernels runs.
    """
    check_name(name)
    return CModel(network, plan_memory(network.graph), name, tuple(provenance))


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
 *     int8_t *input = {name}_input();                    // {NAME}_INPUT_BYTES, height x width x channels
 *     for (int i = 0; i < {NAME}_INPUT_BYTES; i++)
 *         input[i] = {name}_quantize(pixels[i]);         // pixels: the floats the network was calibrated on
 *     const int8_t *output = {name}_run();               // overwrites the input
 *     for (int i = 0; i < {NAME}_OUTPUT_BYTES; i++)
 *         logits[i] = {NAME}_OUTPUT_SCALE * (float)(output[i] - {NAME}_OUTPUT_ZERO_POINT);
 *
 * Compile {name}.c and every .c file in kernels. Not reentrant: all tensors lie in one static arena.
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

/* Working memory: every tensor and every kernel's scratch. */
#define {NAME}_ARENA_BYTES {arena_bytes}

/* Where to write the image; valid until the next run. */
int8_t *{name}_input(void);

/* Runs the network on the image and returns the logits; both are valid until the next run. */
const int8_t *{name}_run(void);

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
    graph, network = model.plan.graph, model.network
    return _HEADER.format(
        name=model.name,
        NAME=model.name.upper(),
        layers=sum(1 for _ in model.steps()),
        provenance=comment_text(model.provenance),
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

/* Where the arena lies is the linker script's business: compile with
 * -D{NAME}_ARENA_SECTION='".arena"' to put it into a section of that name. */
#ifdef {NAME}_ARENA_SECTION
__attribute__((section({NAME}_ARENA_SECTION)))
#endif
static _Alignas({alignment}) int8_t {name}_arena[{NAME}_ARENA_BYTES];

{constants}
int8_t *{name}_input(void) {{
    return {input};
}}

const int8_t *{name}_run(void) {{
{calls}
    return {output};
}}
"""


def comment_text(lines: Sequence[str]) -> str:
    """Lines as they stand in a block comment."""
    return "".join(f" * {_ascii(line)}\n" for line in lines)


def _source(model: CModel, folder: str = "") -> str:
    graph, tensors = model.plan.graph, model.plan.placement.tensors
    return _SOURCE.format(
        name=model.name,
        NAME=model.name.upper(),
        kernels=f"{folder}{HEADER}",
        provenance=comment_text(model.provenance),
        alignment=ALIGNMENT_BYTES,
        constants="".join(_constants(model, number, *step) for number, step in enumerate(model.steps())),
        calls="\n".join(_call(model, number, *step) for number, step in enumerate(model.steps())),
        input=_at(model, tensors[graph.layers[0].name]),
        output=_at(model, tensors[graph.output.name]),
    )


def _at(model: CModel, offset: int) -> str:
    return f"{model.name}_arena + {offset}" if offset else f"{model.name}_arena"


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
    operands = [_at(model, placement.tensors[name]) for name in layer.inputs]
    scratch = "NULL" if layer.name not in placement.scratch else _at(model, placement.scratch[layer.name])
    return call_text(f"layer{number}", kernel, operands, _at(model, placement.tensors[layer.name]), scratch)
