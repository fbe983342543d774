"""Seconds to profile a board and to estimate latencies, against summing each deployed network layer by layer.

    python benchmarks/latency.py [--board nucleo-f746zg] [--sample 300]

Every latency is simulated. The baseline `one by one` lowers, deploys and sums each architecture; both ways must agree
on the sample, or the run fails. Caches are a folder of this run's own, so that first times are first times.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable

import numpy as np

from micronas.candidate import everything
from micronas.hardware.boards.bands import Band
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.profiled import profile
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.counted import CountedSpace, count_space
from micronas.hardware.indicators.latency import Latency
from micronas.network.live import Disconnected
from micronas.objective import Limit
from micronas.search.limits import Limits
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

START = everything(NasBench201(), Task())


def timed(work: Callable[[], object], repeats: int = 1) -> float:
    """Seconds of one call, the best of `repeats`."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def profiling(target: Target, counted: CountedSpace) -> None:
    """Seconds for the default skeleton, the compiler's cache empty and full."""
    for label in ("compiling too", "compiled"):
        seconds = timed(lambda: profile(target, counted.operations))
        print(f"profile {len(counted.operations)} operations, {label:22} {seconds:7.2f} s")


def estimating(target: Target, counted: CountedSpace, sample: int) -> None:
    """Whole space and single architectures by counts, against one by one."""
    every = list(START.completions())
    rows = random.Random(0).sample(range(len(every)), sample)
    latency = Latency(target)
    slow: list[float] = []

    def one_by_one() -> None:
        slow[:] = [latency.measure(every[row].graph) for row in rows]

    each = timed(one_by_one) / sample
    costs = latency.of_all(START)
    assert np.allclose(costs[rows], slow, rtol=1e-12), "the two ways disagree"
    whole = timed(lambda: latency.of_all(START), 5)
    limit = Limit(latency, at_most=1e9)
    limits = Limits(START, (limit,), lambda indicator, many: indicator.measure_many([one.graph for one in many]))
    limits.cheapest(START, limit)  # fills the table
    operations, table = set(counted.operations), target.latency

    def summed(row: int) -> float:
        return sum(times * table[its] for its, times in counted.counts(row).items() if its in operations)

    single = timed(lambda: [summed(row) for row in rows], 5) / sample
    lowest = timed(lambda: [limits.cheapest(START, limit) for _ in range(100)]) / 100
    print(f"one by one, an architecture                  {each * 1e3:7.3f} ms")
    print(f"counted, an architecture                     {single * 1e3:7.3f} ms  {each / single:8.0f}x")
    print(
        f"counted, all {len(every):,}                          {whole * 1e3:7.3f} ms  {each * len(every) / whole:8.0f}x"
    )
    print(f"cheapest completion of the whole space       {lowest * 1e3:7.3f} ms")
    print(f"checksum of the sample: {np.sum(np.array(slow)[np.isfinite(slow)]):.6f} ms, both ways")


def bands(target: Target, counted: CountedSpace) -> None:
    """Between which bands those of the space lie."""
    latency = Latency(target)
    rows = random.Random(1).sample(range(len(counted.connected)), 200)
    every = list(START.completions())
    found: list[Band] = []
    for row in rows:
        try:
            if band := latency.breakdown(every[row].graph).band:
                found.append(band)
        except Disconnected:
            continue
    least, most = (chosen(found, key=lambda band: band.high) for chosen in (min, max))
    print(f"bands of {len(found)} random cells: {least.low:.2f} to {least.high:.2f}, {most.low:.2f} to {most.high:.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--board", default="nucleo-f746zg")
    arguments.add_argument("--sample", type=int, default=300)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MICRONAS_CACHE"] = folder
        target = load_target(chosen.board)
        print(f"{target.title}: {target.latency.origin}")
        first, kept = (timed(lambda: count_space.__wrapped__(START.space, START.task)) for _ in range(2))
        print(f"count the space, first time                  {first * 1e3:7.0f} ms; kept on disk, {kept * 1e3:.0f} ms")
        counted = count_space(START.space, START.task)
        estimating(target, counted, chosen.sample)
        bands(target, counted)
        profiling(target, counted)


if __name__ == "__main__":
    main()
