"""What a user takes home: a network's C with all that builds and checks it, or the image for a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from micronas.cache import atomic_write
from micronas.deploy.c import CModel, array_text, comment_text, emit
from micronas.deploy.int8 import logits
from micronas.deploy.quantize import random_images, random_network
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.mcu.reference import Int8
from micronas.network.deployed import deploy
from micronas.network.graph import Graph


def export_c(
    graph: Graph, folder: Path, name: str, seed: int, provenance: Sequence[str], *, scratch_apart: bool = False
) -> tuple[Path, ...]:
    """Write a network's C, its kernels, a test picture with its logits, and a CMakeLists.txt; returns the files.

    `scratch_apart`: see `emit`.

    Raises:
        Disconnected: no path leads from the network's input to its output.
        UserError: the name is taken, or the folder cannot be written.
    """
    model = emit(random_network(deploy(graph), seed), name, provenance, scratch_apart=scratch_apart)
    picture = model.network.input.quantize(random_images(graph, 1, seed + 1)[0])
    sources = model.write(folder)
    more = {
        f"{name}_selftest.h": _selftest_header(model),
        f"{name}_selftest.c": _selftest(model, picture),
        "CMakeLists.txt": _cmake(model),
    }
    for file, text in more.items():
        _write(folder / file, text)
    return (folder / f"{name}.h", *sources, *(folder / file for file in more))


def export_firmware(
    graph: Graph, folder: Path, target: Target, seed: int, provenance: Sequence[str]
) -> tuple[Path, ...]:
    """Write the image that answers over a board's serial port: as .elf for a debugger, as .bin for its drive.

    Raises:
        Disconnected: no path leads from the network's input to its output.
        UserError: there is no start-up code for the board, the arena does not fit it, or no compiler.
    """
    from micronas.deploy.emulate import default_toolchain  # only here: the C alone needs no compiler
    from micronas.deploy.firmware import Chip, build_serial

    firmware = build_serial(_model(graph, seed, provenance), Chip.of(target), default_toolchain())
    written = {f"{target.name}.elf": firmware.elf.read_bytes(), f"{target.name}.bin": firmware.binary()}
    for file, content in written.items():
        _write(folder / file, content)
    _write(folder / f"{target.name}.txt", "".join(f"{line}\n" for line in provenance))
    return tuple(folder / file for file in (*written, f"{target.name}.txt"))


def export_emulated(
    graph: Graph, folder: Path, target: Target, seed: int, provenance: Sequence[str]
) -> tuple[Path, ...]:
    """Write a network's C, and the image that `emulate` runs: no clock is set in it, so it is for no board.

    Raises:
        Disconnected: no path leads from the network's input to its output.
        UserError: the arena does not fit the board, no compiler, or the folder cannot be written.
    """
    from micronas.deploy.emulate import default_toolchain
    from micronas.deploy.firmware import Chip, build_once

    model = _model(graph, seed, provenance)
    picture = model.network.input.quantize(random_images(graph, 1, seed + 1)[0])
    firmware = build_once(model, picture, Chip.of(target), default_toolchain())
    elf = folder / f"{target.name}-for-the-emulator.elf"
    _write(elf, firmware.elf.read_bytes())
    return (*export_c(graph, folder, "model", seed, provenance), elf)


def _model(graph: Graph, seed: int, provenance: Sequence[str]) -> CModel:
    """Of an image, where the firmware knows it by this name."""
    return emit(random_network(deploy(graph), seed), "model", provenance)


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _selftest_header(model: CModel) -> str:
    return _SELFTEST_HEADER.format(name=model.name, NAME=model.name.upper(), provenance=comment_text(model.provenance))


def _selftest(model: CModel, picture: Int8) -> str:
    return _SELFTEST.format(
        name=model.name,
        NAME=model.name.upper(),
        provenance=comment_text(model.provenance),
        picture=array_text(f"{model.name}_test_picture", picture),
        logits=array_text(f"{model.name}_test_logits", logits(model.network, picture)),
    )


def _cmake(model: CModel) -> str:
    lines = "".join(f"# {line}\n" for line in model.provenance)
    kernels = "".join(f"    kernels/{path.name}\n" for path in model.kernel_sources)
    return _CMAKE.format(name=model.name, provenance=lines, kernels=kernels)


_SELFTEST_HEADER = """\
/* {name}_selftest: whether {name} computes on this chip what it computed where it was made. Generated by micronas.
{provenance} */
#ifndef {NAME}_SELFTEST_H
#define {NAME}_SELFTEST_H

#include "{name}.h"

#ifdef __cplusplus
extern "C" {{
#endif

/* Runs the network on a test picture: how many logits differ from the integer reference's, 0 if all is well. */
int {name}_selftest_in(int8_t *arena, int8_t *scratch);

/* The same in the memory of {name}_memory.c. */
static inline int {name}_selftest(void) {{
    return {name}_selftest_in({name}_arena, {name}_scratch);
}}

#ifdef __cplusplus
}}
#endif

#endif
"""

_SELFTEST = """\
/* {name}_selftest: a test picture and its logits. Generated by micronas; do not edit.
{provenance} */
#include "{name}_selftest.h"

{picture}
{logits}
int {name}_selftest_in(int8_t *arena, int8_t *scratch) {{
    int8_t *input = {name}_input(arena);
    for (int i = 0; i < {NAME}_INPUT_BYTES; i++)
        input[i] = {name}_test_picture[i];
    const int8_t *output = {name}_run(arena, scratch);
    int different = 0;
    for (int i = 0; i < {NAME}_OUTPUT_BYTES; i++)
        different += output[i] != {name}_test_logits[i];
    return different;
}}
"""

_CMAKE = """\
# A library of {name}: add_subdirectory(...), then target_link_libraries(yours {name}). Generated by micronas.
{provenance}cmake_minimum_required(VERSION 3.13)
project({name} C)

add_library({name} STATIC
    {name}.c
    {name}_memory.c
    {name}_selftest.c
{kernels})
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties({name} PROPERTIES C_STANDARD 11)
target_compile_options({name} PRIVATE -O3)
"""
