"""How the kernels are compiled, and where they are kept once they are.

One function is called from Python, `execute` in `machine.py`; everything else is a part that is compiled into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import config
from numba.extending import intrinsic as typed_intrinsic

from micronas.cache import cache_dir

# numba's types are half unknown, and what `intrinsic` decorates is called with one argument less.
intrinsic: Any = typed_intrinsic
_njit: Any = njit
_settings: Any = config

_FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums may be reordered; infinities and NaN stay what they are
_OPTIONS: Any = {"nogil": True, "fastmath": _FAST, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled when first called, without the interpreter's lock, and kept in the cache where that can be written."""
    before, _settings.CACHE_DIR = _settings.CACHE_DIR, _settings.CACHE_DIR or str(_folder())
    try:
        return _njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder to write to
        return _njit(**_OPTIONS)(function)
    finally:
        _settings.CACHE_DIR = before


def _folder() -> Path:
    """Where compiled code is kept: a folder of its own for each state of the engine's sources.

    numba's cache alone follows only the file of the function that is called, not those that are compiled into it.
    """
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    state = hashlib.blake2b(b"".join(source.read_bytes() for source in sources), digest_size=8)
    return cache_dir() / "numba" / state.hexdigest()


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that only compiled ones call: part of what `execute` is compiled to.

    Compiling takes seconds, so these avoid what numba is slow at: array expressions, assignments to slices, numpy's
    own functions, and literal arguments, each of which makes a version of its own.
    """
    return _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)


@intrinsic
def keep_apart(_: Any) -> Any:
    """Keeps LLVM from copying the function this stands in into its callers: half the time of compiling."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate
