"""How fast a whole space is scored: NTK (batch 32) and linear regions of NAS-Bench-201's 5,260 graphs.

    python benchmarks/space.py                  # compiled, all cores; one draw, and three in one pass
    python benchmarks/space.py --device cuda    # torch on a GPU

Prints seconds by part (one draw and several take turns, the fastest turn counts), checksums against the other engine on
a sample in float64, and the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from micronas.indicators import Scores
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import ONE_CELL, REDUCED

SPACE = NasBench201()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backend", choices=("auto", "numba", "torch"), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--limit", type=int, help="only so many networks")
    options = parser.parse_args()
    start = time.perf_counter()
    cells = sorted({SPACE.canonical(cell) for cell in SPACE.everything().completions()}, key=SPACE.format)
    cells = cells[: options.limit]
    print(f"  {f'list {len(cells)} networks':36s} {time.perf_counter() - start:8.2f} s", flush=True)
    ntk = Ntk(device=options.device, backend=options.backend)
    regions = LinearRegions(device=options.device, backend=options.backend)
    warm_up = score(cells[:3], ntk, regions, [0])
    print(f"  {'compile or warm up':36s} {sum(warm_up.seconds):8.2f} s", flush=True)
    seeds = range(options.seed, options.seed + options.draws)
    turns = [[score(cells, ntk, regions, some) for some in (seeds[:1], seeds)] for _ in range(options.turns)]
    one, several = (min(column, key=lambda turn: sum(turn.seconds)) for column in zip(*turns, strict=True))
    compare(one, several)
    for seed, kappa, count in zip(seeds, several.kappas, several.counts, strict=True):
        finite = kappa[np.isfinite(kappa)]
        print(f"  draw {seed}: {len(kappa) - len(finite)} infinite; kappa geometric mean", end=" ")
        print(f"{np.exp(np.log(finite).mean()):.4f}; regions mean {count.mean():.3f}")
    check(cells, one, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  peak memory {peak:.2f} GiB", end="")
    if "torch" in sys.modules and options.device == "cuda":
        import torch

        print(f", of the device {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB", end="")
    print()


class Scored(NamedTuple):
    """κ and regions of all networks, (draws, networks), and the seconds that PARTS took."""

    kappas: Scores
    counts: Scores
    seconds: list[float]


PARTS = ("draw their graphs, both reduced", "ntk", "regions")


def score(cells: Sequence[Choices], ntk: Ntk, regions: LinearRegions, seeds: Sequence[int]) -> Scored:
    """All draws in one pass, timed."""
    clock = [time.perf_counter()]
    graphs, small = ([SPACE.probe(cell, probe) for cell in cells] for probe in (REDUCED, ONE_CELL))
    clock.append(time.perf_counter())
    kappas = ntk.measure_draws(graphs, seeds)
    clock.append(time.perf_counter())
    counts = regions.raw(small, seeds)
    clock.append(time.perf_counter())
    return Scored(kappas, counts, [after - before for before, after in pairwise(clock)])


def compare(one: Scored, several: Scored) -> None:
    """Print the seconds of one draw beside those of several, which must hold the same numbers."""
    assert (several.kappas[:1] == one.kappas).all()
    assert (several.counts[:1] == one.counts).all()
    print(f"  {'seconds':36s} {'1 draw':>8s} {f'{len(several.kappas)} draws':>8s} {'ratio':>6s}")
    for title, parts in (
        *((part, slice(at, at + 1)) for at, part in enumerate(PARTS)),
        ("ntk + regions", slice(1, 3)),
        ("all", slice(3)),
    ):
        alone, together = sum(one.seconds[parts]), sum(several.seconds[parts])
        print(f"  {title:36s} {alone:8.2f} {together:8.2f} {together / alone:6.2f}")


def check(cells: Sequence[Choices], scored: Scored, seed: int) -> None:
    """A sample of the first draw in float64 by torch on the CPU."""
    sample = np.random.default_rng(0).permutation(len(cells))[:12]
    ntk, regions = Ntk(precision="float64", backend="torch"), LinearRegions(precision="float64", backend="torch")
    exact = score([cells[at] for at in sample], ntk, regions, [seed])
    finite = np.isfinite(exact.kappas)
    error = np.abs(scored.kappas[:, sample][finite] / exact.kappas[finite] - 1).max()
    off = np.abs(scored.counts[:, sample] - exact.counts).max()
    print(f"  {len(sample)} of them in float64 by torch: kappa within {error:.1e}, regions within {off:.0f}")


if __name__ == "__main__":
    main()
