"""Compiled kernels are kept on disk: those of other sources are other kernels."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from micronas.proxies.engine import vectors
from micronas.proxies.engine.kernels import execute

SOURCES = Path(vectors.__file__).parent


def compiled_into(dispatcher: Any, found: dict[str, Path]) -> dict[str, Path]:
    """The file of every function that is compiled into this one, by name."""
    function: FunctionType = dispatcher.py_func
    found[function.__qualname__] = Path(inspect.getfile(function))
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if isinstance(called, Dispatcher) and called.py_func.__qualname__ not in found:
            compiled_into(called, found)
    return found


def test_a_change_of_any_source_is_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """By itself numba would follow only the file of `execute`."""
    compiled = {path.name: path.parent for path in compiled_into(execute, {}).values()}
    assert compiled.keys() > {"kernels.py", "convolutions.py", "norms.py", "planes.py"}
    assert set(compiled.values()) == {SOURCES}
    shutil.copytree(SOURCES, tmp_path / "engine")
    monkeypatch.setattr(vectors, "__file__", str(tmp_path / "engine" / "vectors.py"))
    folders = [vectors._folder()]
    for path in sorted(SOURCES.glob("*.py")):
        with (tmp_path / "engine" / path.name).open("a") as source:
            source.write("# another state\n")
        folders.append(vectors._folder())
    assert len(set(folders)) == len(folders)
