"""Compiled kernels are kept on disk: those of other sources are other kernels."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from micronas.proxies.engine.compiled import compiling, numba_backend, tiles
from micronas.proxies.engine.compiled.layout import Geometry
from micronas.proxies.engine.compiled.machine import execute
from micronas.proxies.engine.compiled.numba_backend import NumbaBackend
from micronas.proxies.engine.compiled.program.instructions import Op
from micronas.proxies.engine.compiled.vectors import Vectors

SOURCES = Path(compiling.__file__).parent

CONSTANTS = [Path(inspect.getfile(holder)) for holder in (Op, Geometry, Vectors, tiles)]
"""Where kernels find numbers and inner loops, which are compiled into them without being functions of numba's."""


def compiled_into(dispatcher: Any, found: dict[str, Path]) -> dict[str, Path]:
    """The file of every function that is compiled into this one, by name."""
    function: FunctionType = dispatcher.py_func
    found[function.__qualname__] = Path(inspect.getfile(function))
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if isinstance(called, Dispatcher) and called.py_func.__qualname__ not in found:
            compiled_into(called, found)
    return found


@pytest.mark.parametrize("damaged", ["*.nbi", "*.nbc"])
def test_a_damaged_cache_is_compiled_anew(damaged: str, tmp_path: Path):
    NumbaBackend("float32").compiled()  # so that there is something to damage
    shutil.copytree(compiling._folder().parent, tmp_path / "numba")
    files = [*(tmp_path / "numba").rglob(damaged)]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:50])
    program = "from micronas.proxies.engine.choose import choose; print(choose('auto', 'cpu', 'float32'))"
    command = [sys.executable, "-W", "error", "-c", program]
    environment = os.environ | {"MICRONAS_CACHE": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("NumbaBackend(precision='float32', threads=None)\n", "")
    assert any(path.stat().st_size > 50 for path in files)  # of the precision asked for


def test_the_main_thread_is_free_for_ctrl_c_while_kernels_compile(monkeypatch: pytest.MonkeyPatch):
    compiling: list[threading.Thread] = []
    monkeypatch.setattr(numba_backend, "prepare", lambda _: compiling.append(threading.current_thread()))
    NumbaBackend("float32").compiled()
    assert len(compiling) == 1
    assert threading.main_thread() not in compiling


def test_a_change_of_any_source_is_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """By itself numba would follow only the file of `execute`."""
    compiled = {path.relative_to(SOURCES) for path in (*compiled_into(execute, {}).values(), *CONSTANTS)}
    assert compiled > {Path(name) for name in ("machine.py", "convolutions.py", "sweeps.py", "norms.py", "planes.py")}
    shutil.copytree(SOURCES, tmp_path / "engine")
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "engine" / "compiling.py"))
    folders = [compiling._folder()]
    for path in sorted(compiled):
        with (tmp_path / "engine" / path).open("a") as source:
            source.write("# another state\n")
        folders.append(compiling._folder())
    assert len(set(folders)) == len(folders)
