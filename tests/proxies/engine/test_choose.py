"""The compiled engine answers on a CPU, without torch; where it is missing, torch does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.proxies.test_ntk import DEAD, lower

from micronas.errors import UserError
from micronas.proxies.engine.choose import choose
from micronas.proxies.engine.compiled.numba_backend import NumbaBackend
from micronas.proxies.engine.tensors.torch_backend import TorchBackend
from micronas.proxies.ntk import Ntk


def test_the_compiled_engine_is_first_choice_on_a_cpu():
    assert isinstance(choose("auto", "cpu", "float32"), NumbaBackend)
    assert isinstance(choose("torch", "cpu", "float32"), TorchBackend)


def test_without_numba_torch_answers_the_same(monkeypatch: pytest.MonkeyPatch):
    expected = Ntk(batch=4, precision="float64").measure(lower(DEAD))
    monkeypatch.setitem(sys.modules, "micronas.proxies.engine.compiled.numba_backend", None)
    assert isinstance(choose("auto", "cpu", "float32"), TorchBackend)
    assert Ntk(batch=4, precision="float64").measure(lower(DEAD)) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UserError, match="numba cannot be used here"):
        choose("numba", "cpu", "float32")


def test_broken_numba_is_said_and_torch_answers(monkeypatch: pytest.MonkeyPatch):
    def broken(_: NumbaBackend) -> NumbaBackend:
        raise ValueError("no LLVM")

    monkeypatch.setattr(NumbaBackend, "compiled", broken)
    with pytest.warns(UserWarning, match=r"no LLVM.*torch answers"):
        assert isinstance(choose("auto", "cpu", "float32"), TorchBackend)


def test_what_is_not_there_is_said():
    with pytest.raises(UserError, match="cpu only"):
        choose("numba", "cuda", "float32")
    with pytest.raises(UserError, match="devices: cpu, cuda"):
        choose("auto", "tpu", "float32")  # pyright: ignore[reportArgumentType]


def test_no_cuda_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        choose("auto", "cuda", "float32")


def test_the_compiled_engine_needs_no_torch():
    program = """
import sys
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.proxies.zen import ZenScore
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import ONE_CELL, REDUCED
space = NasBench201()
assert Ntk(batch=2).measure(space.probe(space.everything(), REDUCED)) > 1
assert ZenScore(batch=2).measure(space.probe(space.everything(), REDUCED)) > 1
assert LinearRegions(samples=900).measure(space.probe(space.everything(), ONE_CELL)) > 1
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
