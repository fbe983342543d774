"""One compiler cache for the whole run: a core's first build costs seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from micronas.cache import cache_dir
from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.toolchain import Toolchain

HERE = Path(__file__).parent
FUNCTIONS = ("dot", "sixth", "conv3x3", "add", "zigzag", "endless", "undefined")


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """`zig cc` with a cache of this run's own, the same that profiling uses."""
    return Toolchain(cache_dir() / "toolchain")


@pytest.fixture(scope="session")
def program(toolchain: Toolchain) -> Callable[[str], ElfImage]:
    """programs.c for a core, by the core's name."""

    @cache
    def build(core: str) -> ElfImage:
        return ElfImage.read(toolchain.build([HERE / "programs.c"], CORES[core], keep=FUNCTIONS))

    return build


@pytest.fixture(scope="session")
def with_runtime(toolchain: Toolchain) -> ElfImage:
    """programs.c for the M0+, with `divide`, which calls a helper of the compiler's runtime."""
    names = (*FUNCTIONS, "divide")
    defines = {"WITH_RUNTIME": 1}
    return ElfImage.read(toolchain.build([HERE / "programs.c"], CORES["cortex-m0plus"], keep=names, defines=defines))
