"""How fast a whole space is scored: NTK (batch 32) and linear regions of NAS-Bench-201's 5,260 networks.

    python benchmarks/space.py                  # compiled, all cores
    python benchmarks/space.py --device cuda    # torch on a GPU

Prints seconds by part, checksums against the other engine on a sample in float64, and the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from micronas.proxies.linear_regions import ONE_CELL, LinearRegions
from micronas.proxies.ntk import REDUCED, Ntk
from micronas.spaces.nasbench201 import NasBench201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backend", choices=("auto", "numba", "torch"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many networks")
    options = parser.parse_args()
    space, start = NasBench201(), time.perf_counter()
    cells = sorted({space.canonical(cell) for cell in space.everything().completions()}, key=space.format)
    cells = cells[: options.limit]
    start = lap(f"list {len(cells)} networks", start)
    ntk = Ntk(seed=options.seed, device=options.device, backend=options.backend)
    regions = LinearRegions(seed=options.seed, device=options.device, backend=options.backend)
    graphs = [space.lower(cell, REDUCED) for cell in cells]
    small = [space.lower(cell, ONE_CELL) for cell in cells]
    start = lap("draw their graphs, both skeletons", start)
    ntk.measure_many(graphs[:3])
    regions.measure_many(small[:3])
    start = first = lap("compile or warm up", start)
    kappas = ntk.measure_many(graphs)
    start = lap("ntk", start)
    counts = regions.counts(small)
    start = lap("regions", start)
    print(f"  {'ntk + regions':36s} {start - first:8.2f} s")
    print(f"  {len(cells) - np.isfinite(kappas).sum()} infinite; kappa geometric mean", end=" ")
    print(f"{np.exp(np.log(kappas[np.isfinite(kappas)]).mean()):.4f}; regions mean {counts.mean():.3f}")
    check(graphs, small, kappas, counts, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  peak memory {peak:.2f} GiB", end="")
    if "torch" in sys.modules and options.device == "cuda":
        import torch

        print(f", of the device {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB", end="")
    print()


def lap(what: str, start: float) -> float:
    now = time.perf_counter()
    print(f"  {what:36s} {now - start:8.2f} s", flush=True)
    return now


def check(graphs: list, small: list, kappas: np.ndarray, counts: np.ndarray, seed: int) -> None:
    """A sample in float64 by torch on the CPU."""
    sample = np.random.default_rng(0).permutation(len(graphs))[:12]
    exact = Ntk(seed=seed, precision="float64", backend="torch").measure_many([graphs[at] for at in sample])
    finite = np.isfinite(exact)
    error = np.abs(kappas[sample][finite] / exact[finite] - 1).max()
    expected = LinearRegions(seed=seed, precision="float64", backend="torch").counts([small[at] for at in sample])
    off = np.abs(counts[sample] - expected).max()
    print(f"  {len(sample)} of them in float64 by torch: kappa within {error:.1e}, regions within {off:.0f}")


if __name__ == "__main__":
    main()
