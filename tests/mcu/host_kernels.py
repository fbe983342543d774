"""The kernels built for this machine by its own C compiler and called through ctypes.

Run as a program it compares a library's kernels with the reference on random cases; that is how sanitizers
are put to work: they need a process of their own.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tests.mcu.cases import KINDS, cases

from micronas.mcu.operators import KERNELS, Value, operator
from micronas.mcu.reference import Constants, Int8, run
from micronas.network.signature import Signature

SOURCES = tuple(sorted(KERNELS.glob("*.c")))
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-pedantic", "-Werror")
_GUARD = 64  # bytes around every buffer that a kernel must leave alone
_PATTERN = 0x5A

_libc = ctypes.CDLL(None)
_libc.malloc.restype = ctypes.c_void_p
_libc.malloc.argtypes = [ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]


def build(folder: Path, compiler: str, *flags: str) -> Path:
    """All kernels as one shared library; any warning is an error."""
    library = folder / "kernels.so"
    command = [compiler, *STRICT, "-O2", "-shared", "-fPIC", *flags, *map(str, SOURCES), "-o", str(library)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


class _Memory:
    """Buffers from malloc, for sanitizers to watch, with `guard` bytes of a pattern on both sides."""

    def __init__(self, guard: int) -> None:
        self._guard = guard
        self._buffers: list[tuple[int, int]] = []

    def place(self, data: bytes) -> int:
        padding = bytes([_PATTERN]) * self._guard
        start = _libc.malloc(max(1, len(data) + 2 * self._guard))
        ctypes.memmove(start, padding + data + padding, len(data) + 2 * self._guard)
        self._buffers.append((start, len(data)))
        return start + self._guard

    def release(self) -> bool:
        """Free everything; whether all guards are as they were."""
        padding, intact = bytes([_PATTERN]) * self._guard, True
        for start, size in self._buffers:
            intact &= ctypes.string_at(start, self._guard) == padding
            intact &= ctypes.string_at(start + self._guard + size, self._guard) == padding
            _libc.free(start)
        return intact


def call(
    library: ctypes.CDLL, signature: Signature, constants: Constants, operands: Sequence[Int8], guard: int = _GUARD
) -> Int8:
    """What the C kernel computes; asserts its scratch size and that it writes nothing but output and scratch."""
    kernel, memory = operator(signature), _Memory(guard)
    params = _params(kernel.fields(constants), memory)
    scratch_bytes = getattr(library, f"{kernel.symbol}_scratch_bytes")(ctypes.byref(params))
    assert scratch_bytes == kernel.scratch_bytes, signature
    size = int(np.prod(signature.out_shape))
    output, scratch = memory.place(bytes(size)), memory.place(b"\xa5" * scratch_bytes)
    inputs = [memory.place(operand.tobytes()) for operand in operands]
    source = (ctypes.c_void_p * len(inputs))(*inputs) if kernel.operands > 1 else ctypes.c_void_p(inputs[0])
    getattr(library, kernel.symbol)(ctypes.byref(params), source, ctypes.c_void_p(output), ctypes.c_void_p(scratch))
    result = np.frombuffer(ctypes.string_at(output, size), np.int8).reshape(signature.out_shape)
    assert memory.release(), f"{signature}: wrote beside a buffer"
    return result


def _params(fields: Mapping[str, Value], memory: _Memory) -> ctypes.Structure:
    kinds, values = [], []
    for index, value in enumerate(fields.values()):
        is_number = isinstance(value, int)
        kinds.append((f"field{index}", ctypes.c_int32 if is_number else ctypes.c_void_p))
        values.append(value if is_number else memory.place(np.ascontiguousarray(value).tobytes()))
    return type("Params", (ctypes.Structure,), {"_fields_": kinds})(*values)


def compare(path: Path, count: int, seed: int, guard: int = _GUARD) -> None:
    """Every kernel of a library against the reference on `count` random cases a kind."""
    library = ctypes.CDLL(str(path))
    for kind in KINDS:
        for case in cases(kind, count, seed):
            got = call(library, case.signature, case.constants, case.operands, guard)
            np.testing.assert_array_equal(got, run(case.signature, case.constants, *case.operands), str(case.signature))


if __name__ == "__main__":
    compare(Path(sys.argv[1]), int(sys.argv[2]), seed=1, guard=0)
    print("equal")
