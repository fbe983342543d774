"""How well training-free scores rank NAS-Bench-201 on CIFAR-10, beside the plain count of FLOPs.

Kendall tau and Spearman over all connected networks (one representative a network), for each indicator and
combination, each of five seeds and their ensemble, and the accuracy of the top 1 and the mean of the top 10.
Combinations and weights were decided before this was first run (ADR 0004). Accuracies (published table) are read here
only.

    python benchmarks/ranking.py [--seeds 0-4] [--table TABLE.csv.gz --column cifar10_test]
"""

from __future__ import annotations

import argparse
import csv
import gzip
from pathlib import Path

import numpy as np
from scipy import stats

from micronas.catalog import PERFORMANCE_INDICATORS, SPACES
from micronas.config import parse_seeds
from micronas.hardware.compute import Flops, LiveFlops
from micronas.indicator import Better, Scores
from micronas.inputs import Gaussian
from micronas.objective import Column, rank_score
from micronas.search.census import take_census
from micronas.search.scoring import SpaceScores
from micronas.search.search import unwatched
from micronas.spaces.space import Skeleton
from micronas.store import default_store

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201_cifar10.csv.gz"
COMBINATIONS = {
    "ntk + linear-regions": ("ntk", "linear-regions"),
    "ntk + linear-regions + live-flops (the default score)": ("ntk", "linear-regions", "live-flops"),
}


def main() -> None:
    """Score, then read the accuracies, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--table", type=Path, default=SHARED)
    parser.add_argument("--column", default="cifar10_test")
    parser.add_argument("--indicators", default="ntk,linear-regions", help="performance indicators, comma-separated")
    arguments = parser.parse_args()
    seeds, names = parse_seeds(arguments.seeds), arguments.indicators.split(",")
    space = SPACES["nasbench201"]
    census = take_census(space)
    scores = SpaceScores(census, default_store(), unwatched)
    columns: dict[str, tuple[Scores, Better]] = {}
    for name in names:
        indicator = PERFORMANCE_INDICATORS[name](Gaussian())
        columns[name] = (scores.performance(indicator, seeds)[:, census.connected], indicator.better)
    columns["live-flops"] = (scores.hardware(LiveFlops(), Skeleton())[None, census.connected], Better.HIGHER)
    columns["flops (the benchmark's count)"] = (
        scores.hardware(Flops(), Skeleton())[None, census.connected],
        Better.HIGHER,
    )
    with gzip.open(arguments.table, "rt") as file:
        accuracy = {row["arch"]: float(row[arguments.column]) for row in csv.DictReader(file)}
    networks = np.flatnonzero(census.connected)
    truth = np.array([accuracy[space.format(census.representative(int(at)))] for at in networks])
    print(f"{len(networks)} networks, seeds {arguments.seeds}, {arguments.column}\n")
    print(f"{'score':56}{'tau, one seed':>18}{'tau, ensemble':>16}{'rho':>8}{'top 1':>20}{'top 10':>9}")
    for title, parts in {**{name: (name,) for name in columns}, **COMBINATIONS}.items():
        if all(part in columns for part in parts):
            print(row_of(title, [columns[part] for part in parts], truth))


def tau(score: Scores, truth: Scores) -> float:
    """Kendall's tau-b."""
    return float(np.asarray(stats.kendalltau(score, truth))[0])


def row_of(title: str, parts: list[tuple[Scores, Better]], truth: Scores) -> str:
    """One line: single seeds as mean ± deviation, then the ensemble of all."""
    seeds = max(len(values) for values, _ in parts)

    def score(pick: slice) -> Scores:
        return rank_score(
            [Column(values[pick] if len(values) > 1 else values, better, 1.0) for values, better in parts]
        )

    singles = [score(slice(seed, seed + 1)) for seed in range(seeds)]
    taus = [tau(single, truth) for single in singles]
    tops = [truth[single.argmax()] for single in singles]
    ensemble = score(slice(None))
    ten = truth[np.argsort(-ensemble, kind="stable")[:10]].mean()
    spread = f"{np.mean(taus):>10.3f} ± {np.std(taus):.3f}"
    together = f"{tau(ensemble, truth):>16.3f}{float(np.asarray(stats.spearmanr(ensemble, truth))[0]):>8.3f}"
    return f"{title:56}{spread}{together}{np.mean(tops):>8.2f}, all {truth[ensemble.argmax()]:.2f}{ten:>9.2f}"


if __name__ == "__main__":
    main()
