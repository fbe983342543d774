"""The kernels built for this machine by its own C compiler and called through ctypes."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micronas.graph import Signature
from micronas.mcu.operators import KERNELS, Value, operator
from micronas.mcu.reference import Constants, Int8

SOURCES = tuple(sorted(KERNELS.glob("*.c")))
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic", "-Werror")
GUARD = 64
"""Bytes around output and scratch that a kernel must leave alone."""


def build(folder: Path, compiler: str, *flags: str) -> ctypes.CDLL:
    """All kernels as one shared library."""
    library = folder / "kernels.so"
    command = [compiler, *STRICT, "-O2", "-shared", "-fPIC", *flags, *map(str, SOURCES), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def call(library: ctypes.CDLL, signature: Signature, constants: Constants, operands: Sequence[Int8]) -> Int8:
    """What the C kernel computes; asserts its scratch size and that it writes nothing but its output and scratch."""
    kernel = operator(signature)
    params = _params(kernel.fields(constants))
    scratch_bytes = getattr(library, f"{kernel.symbol}_scratch_bytes")(ctypes.byref(params))
    assert scratch_bytes == kernel.scratch_bytes, signature
    output, scratch = _Guarded.of(int(np.prod(signature.out_shape))), _Guarded.of(scratch_bytes)
    pointers = [np.ascontiguousarray(operand).ctypes.data_as(ctypes.c_void_p) for operand in operands]
    source = (ctypes.c_void_p * len(pointers))(*pointers) if kernel.operands > 1 else pointers[0]
    getattr(library, kernel.symbol)(ctypes.byref(params), source, output.pointer, scratch.pointer)
    assert output.is_intact, f"{signature}: wrote beside its output"
    assert scratch.is_intact, f"{signature}: wrote beside its scratch"
    return output.content.reshape(signature.out_shape)


def _params(fields: Mapping[str, Value]) -> ctypes.Structure:
    kinds = [(f"f{i}", ctypes.c_int32 if isinstance(v, int) else ctypes.c_void_p) for i, v in enumerate(fields.values())]
    arrays = [value if isinstance(value, int) else np.ascontiguousarray(value) for value in fields.values()]
    values = [value if isinstance(value, int) else value.ctypes.data for value in arrays]
    structure = type("Params", (ctypes.Structure,), {"_fields_": kinds, "arrays": arrays})
    return structure(*values)


@dataclass(frozen=True)
class _Guarded:
    memory: Int8

    @staticmethod
    def of(size: int) -> _Guarded:
        return _Guarded(np.full(size + 2 * GUARD, 0x5A, np.int8))

    @property
    def pointer(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self.memory.ctypes.data + GUARD)

    @property
    def content(self) -> Int8:
        return self.memory[GUARD:-GUARD].copy()

    @property
    def is_intact(self) -> bool:
        return bool(np.all(self.memory[:GUARD] == 0x5A) and np.all(self.memory[-GUARD:] == 0x5A))
