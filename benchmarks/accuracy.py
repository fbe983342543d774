"""How accurate the cells are that the pruning search finds, without a limit and at half their latency.

Accuracies are NAS-Bench-201's (mean CIFAR-10 test accuracy after 200 epochs, published), read from the table after
each search has ended; nothing in the search sees them. Latencies are simulated.

    python benchmarks/accuracy.py [--seeds 10] [--images FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import gzip
from dataclasses import replace
from pathlib import Path
from statistics import mean

from micronas.run.outcome import Outcome
from micronas.run.run import Run
from micronas.run.running import search

TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201_cifar10.csv.gz"


def main() -> None:
    """Search with every seed, then look the answers up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--images", default=None)
    parser.add_argument("--search", default="pruning")
    arguments = parser.parse_args()
    free: list[Outcome] = []
    limited: list[Outcome] = []
    for seed in range(arguments.seeds):
        run = Run(seed=seed, search=arguments.search, images=arguments.images)
        free.append(search(run))
        limited.append(search(replace(run, limits={"latency": latency_ms(free[-1]) / 2})))
        print(f"seed {seed}: {free[-1].seconds:.1f} s and, limited, {limited[-1].seconds:.1f} s", flush=True)
    report(free, limited)


def report(free: list[Outcome], limited: list[Outcome]) -> None:
    """Read the accuracies and print what was found."""
    with gzip.open(TABLE, "rt") as file:
        accuracy = {row["arch"]: float(row["cifar10_test"]) for row in csv.DictReader(file)}

    def reached(one: Outcome) -> float:
        return accuracy[one.architecture]

    print("\nseed  accuracy  latency/ms   limit/ms  accuracy  latency/ms  met")
    for open_one, one in zip(free, limited, strict=True):
        limit = latency_ms(open_one) / 2
        print(
            f"{one.seed:4}  {reached(open_one):8.2f}  {latency_ms(open_one):10.1f}  {limit:9.1f}"
            f"  {reached(one):8.2f}  {latency_ms(one):10.1f}  {'yes' if latency_ms(one) <= limit else 'NO'}"
        )
    met = sum(latency_ms(one) <= latency_ms(open_one) / 2 for open_one, one in zip(free, limited, strict=True))
    print(f"mean accuracy without limit {mean(map(reached, free)):.2f} % (CIFAR-10 test, published)")
    print(f"mean accuracy at half the latency {mean(map(reached, limited)):.2f} %")
    print(f"limit met by {met} of {len(limited)}; latencies: {free[0].indicators['latency'].origin}")


def latency_ms(outcome: Outcome) -> float:
    """Of the cell found, simulated."""
    return outcome.breakdown.latency_ms if outcome.breakdown else float("inf")


if __name__ == "__main__":
    main()
