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

import numpy as np
import pytest
from numba.core import config
from numba.core.dispatcher import Dispatcher
from tests.networks import lowered

from micronas.network.builder import GraphBuilder
from micronas.network.signature import Kind
from micronas.proxies.engine.compiled import compiling, numba_backend, tiles
from micronas.proxies.engine.compiled.layout import Geometry
from micronas.proxies.engine.compiled.machine import execute
from micronas.proxies.engine.compiled.numba_backend import NumbaBackend
from micronas.proxies.engine.compiled.program.instructions import Op
from micronas.proxies.engine.compiled.program.plan import Plan
from micronas.proxies.engine.compiled.vectors import Vectors
from micronas.proxies.engine.values import Merged

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


@pytest.mark.slow
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


def test_what_fails_in_a_thread_fails(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(numba_backend.Pass, "execute", fail)
    images = np.zeros((1, 2, 3, 8, 8))
    with pytest.raises(ZeroDivisionError):
        NumbaBackend("float32").region_counts([lowered(channels=3, cells=1, input_shape=(8, 8, 3))], images, [0])


def doubled(number: float) -> float:
    """Something to compile."""
    return 2 * number


@pytest.mark.parametrize("users", [True, False])
def test_a_cache_that_the_user_has_for_numba_is_used(users: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path) if users else "")
    made = compiling.compiled(doubled)
    assert made(1.5) == 3.0
    assert made._cache.cache_path.startswith(str(tmp_path if users else compiling._folder()))
    assert str(tmp_path if users else "") == compiling._settings.CACHE_DIR


def test_a_convolution_is_computed_with_its_norm_where_nobody_else_reads_it():
    draw = GraphBuilder((8, 8, 3))
    one = draw.batch_norm("one.bn", draw.conv("one", "input", 4))
    two = draw.conv("two", one, 4)
    norm = draw.batch_norm("two.bn", two)
    both = draw.add("sum", (two, norm), draw.shape(two))
    draw.linear("head", draw.global_pool("pool", both), 2)
    merged = Merged.of([draw.graph()])
    plan = Plan(merged)
    norms = {
        value.layer.name: plan.has_convolution(at)
        for at, value in enumerate(merged.values)
        if plan.kinds[at] is Kind.BATCH_NORM
    }
    assert norms == {"one.bn": True, "two.bn": False}


def test_a_sum_of_one_is_what_it_sums():
    draw = GraphBuilder((8, 8, 3))
    conv = draw.conv("conv", "input", 4)
    draw.linear("head", draw.global_pool("pool", draw.add("sum", (conv,), draw.shape(conv))), 2)
    merged = Merged.of([draw.graph()])
    assert [value.layer.name for value in merged.values] == ["input", "conv", "pool", "head"]


@pytest.mark.parametrize(("graphs", "chunk"), [(1, 1), (4, 1), (5, 2), (8, 2), (100, 25), (1000, 32)])
def test_networks_are_parted_so_that_cores_are_busy_and_programs_small(
    graphs: int, chunk: int, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []
    monkeypatch.setattr(numba_backend, "_written", lambda _graphs, chunk, *_: asked.append(chunk) or [])
    one = lowered(channels=3, cells=1, input_shape=(8, 8, 3))
    NumbaBackend("float32").region_counts([one] * graphs, np.zeros((1, 2, 3, 8, 8)), [0])
    assert asked == [chunk]
