"""The optional parts of the installation, and how to add them to this very one."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Extra:
    """An optional part of the installation: what it adds, and the modules that show it is there."""

    name: str
    adds: str
    modules: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Its modules that are not there."""
        return tuple(module for module in self.modules if find_spec(module) is None)


EXTRAS = (
    Extra(
        "mcu",
        "times operations that no bundled table has, runs firmware in an emulator, talks to boards",
        ("ziglang", "unicorn", "elftools", "capstone", "serial"),
    ),
    Extra("frames", "results as data frames: Outcome.to_frame()", ("pandas",)),
)


def how_to_install(extra: str) -> str:
    """The one command that adds an extra to this very installation: to a clone, or to an installed package."""
    here = Path(__file__).parents[2]
    is_clone = Path(__file__).parent.parent.name == "src" and (here / "pyproject.toml").is_file()
    what = f"-e {here}[{extra}]" if is_clone else f"micronas[{extra}]"
    return shlex.join([sys.executable, "-m", "pip", "install", *what.split(maxsplit=1)])
