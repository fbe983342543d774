"""No indicator needs more than two gigabytes for a network that a microcontroller could run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.networks import lowered

from micronas.errors import UserError
from micronas.network.signature import Shape
from micronas.proxies.engine import room
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.naswot import Naswot

ROOT = Path(__file__).parents[2]

MEASURE = """
import json, pathlib, sys
from micronas.candidate import Candidate
from micronas.catalog import INDICATORS, Means
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.inputs import Gaussian
from micronas.run.run import Run
from micronas.run.setup import space_of, task_of

name, size, channels, cells, cell = json.loads(sys.argv[1])
run = Run(space_settings={"channels": channels, "cells": cells}, input=size)
space = space_of(run)
graph = Candidate(space, task_of(run), space.parse(cell)).graph
flops = INDICATORS["flops"](Means(Gaussian(), Bench(load_target(run.target)))).measure(graph)
INDICATORS[name](Means(Gaussian(), Bench(load_target(run.target)))).measure(graph)
status = pathlib.Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
print(json.dumps([flops / 1e6, int(status.partition("VmHWM:")[2].split()[0]) / 1024]))
"""

DENSE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
LIGHT = "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|"
NETWORKS = {"32x32": (32, 16, 3, DENSE), "96x96, deep": (96, 4, 12, LIGHT)}
OTHERS = ("ntk", "naswot", "zen-score", "synflow")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is told in another way")
@pytest.mark.parametrize(
    ("name", "network"),
    [*(("linear-regions", network) for network in NETWORKS), *((name, "96x96, deep") for name in OTHERS)],
)
def test_two_gigabytes_are_enough(name: str, network: str) -> None:
    asked = json.dumps([name, *NETWORKS[network]])
    command = [sys.executable, "-c", MEASURE, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    mmacs, megabytes = json.loads(done.stdout.splitlines()[-1])
    assert 30 < mmacs < 66
    assert megabytes <= 2000


class Scarce(LinearRegions):
    """There is no memory for its images."""

    def batch_of(self, shape: Shape, seed: int) -> np.ndarray:
        raise MemoryError(shape, seed)


def test_no_memory_is_one_line() -> None:
    graph = lowered(channels=4, cells=1, input_shape=(8, 8, 3))
    with pytest.raises(UserError, match="linear-regions found no memory for 3000 samples of 8x8x3; a smaller input"):
        Scarce().measure(graph)


@pytest.mark.parametrize(
    ("samples", "shape", "expected"),
    [
        (2, (8, 8, 1), [[0, 1, 2]]),
        (3000, (96, 96, 3), [[0], [1], [2]]),
        (2**12, (64, 64, 2), [[0, 1], [2]]),
        (2**12, (64, 64, 4), [[0], [1], [2]]),
    ],
)
def test_as_many_draws_are_shown_together_as_half_a_gigabyte_holds(
    samples: int, shape: Shape, expected: list[list[int]]
) -> None:
    assert room.together([0, 1, 2], samples, shape) == expected


@pytest.mark.parametrize("proxy_", [LinearRegions(samples=50), Naswot(batch=4)], ids=lambda its: its.name)
def test_draws_one_after_the_other_are_what_they_are_together(
    proxy_: LinearRegions | Naswot, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = [lowered(channels=4, cells=cells, input_shape=(8, 8, 3)) for cells in (1, 2)]
    together = proxy_.raw(graphs, [0, 1, 2])
    monkeypatch.setattr(room, "_IMAGES", 1)
    np.testing.assert_array_equal(proxy_.raw(graphs, [0, 1, 2]), together)
