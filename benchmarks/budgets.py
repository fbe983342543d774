"""What exact search finds within 40 latency budgets, and how good that is on CIFAR-10.

Budgets are spaced evenly in their logarithm from the cheapest connected network of NAS-Bench-201 on the board to the
dearest; the board's memory does not limit. Every answer is compared with brute force: the best score among networks
whose latency, measured one by one, keeps the budget. Then accuracies (published table) are read, for the first time:

- hypervolume: the area under the step front of the answers, ln latency x max(0, accuracy - 85), up to the dearest;
- regret: the best accuracy within the budget less the answer's, the mean over the budgets.

    python benchmarks/budgets.py [--ensembles 0-4 5-9] [--target nucleo-f746zg] [--table TABLE.csv.gz --column NAME]
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micronas.candidate import everything
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.latency import Latency
from micronas.indicators import Scores, untrained_of
from micronas.objective import Objective, Term
from micronas.run.reading import parse_seeds
from micronas.run.run import Run
from micronas.run.running import search
from micronas.run.setup import every_indicator, usual_means
from micronas.search.exact import ExactSearch
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201_cifar10.csv.gz"
START = everything(NasBench201(), Task())
BUDGETS, FLOOR = 40, 85.0


@dataclass(frozen=True)
class Answers:
    """Latencies of all connected networks in ms by architecture, the budgets, and what was found within each."""

    networks: Mapping[str, float]
    budgets: Scores
    found: Sequence[str]


def main() -> None:
    """Search, check, and only then read the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensembles", nargs="+", default=["0-4", "5-9"])
    parser.add_argument("--target", default="nucleo-f746zg")
    parser.add_argument("--table", type=Path, default=SHARED)
    parser.add_argument("--column", default="cifar10_test")
    asked = parser.parse_args()
    latency = Latency(Bench(load_target(asked.target)))
    answered = {seeds: answers(seeds, asked.target, latency) for seeds in asked.ensembles}
    print(f"{BUDGETS} budgets, {asked.target}: no network within a budget is better scored than its answer")
    with gzip.open(asked.table, "rt") as file:
        accuracy = {row["arch"]: float(row[asked.column]) for row in csv.DictReader(file)}
    for seeds, its in answered.items():
        reached = np.array([accuracy[text] for text in its.found])
        needs = latency.measure_many([START.of(START.space.parse(text)).graph for text in its.found])
        every, all_ms = np.array([accuracy[text] for text in its.networks]), np.array([*its.networks.values()])
        best = np.array([every[all_ms <= budget].max() for budget in its.budgets])
        volume, most = (hypervolume(*front, all_ms.max()) for front in ((needs, reached), (all_ms, every)))
        regret = float(np.mean(best - reached))
        print(f"seeds {seeds}, {asked.column}: hypervolume {volume:.3f} of {most:.3f}, mean regret {regret:.3f} points")


def answers(seeds: str, target: str, latency: Latency) -> Answers:
    """The best-scored network within each budget. Exits where brute force finds a better one."""
    indicators = {one.name: one for one in every_indicator(usual_means())}
    exact = ExactSearch(parse_seeds(seeds))
    weights = {indicators[name]: weight for name, weight in exact.default_terms.items()}
    untrained = tuple(Term(one, weight) for each, weight in weights.items() if (one := untrained_of(each)))
    counted = tuple(Term(each, weight) for each, weight in weights.items() if not untrained_of(each))
    table, _ = exact.score(START, Objective(untrained, counted))
    candidates = [table.candidate(at) for at in range(len(table.score))]
    ms = latency.measure_many([candidate.graph for candidate in candidates])
    budgets = np.geomspace(ms.min(), ms.max(), BUDGETS)
    budgets[[0, -1]] = ms.min(), ms.max()  # without their rounding
    found: list[str] = []
    for budget in budgets:
        limits = {"latency": float(budget)}
        outcome = search(Run(search="exact", seeds=seeds, limits=limits, fit=False, target=target))
        score, best = outcome.finalists[0].score, table.score[ms <= budget].max()
        if score is None or not np.isclose(score, best, rtol=1e-12):
            raise SystemExit(f"within {budget} ms the best score is {best}, and the answer's is {score}")
        found.append(outcome.architecture)
    return Answers({one.text: float(its) for one, its in zip(candidates, ms, strict=True)}, budgets, found)


def hypervolume(latencies: Scores, accuracies: Scores, dearest: float) -> float:
    """The area under the step front, in ln latency times points above 85 %."""
    order = np.argsort(latencies, kind="stable")
    heights = np.maximum.accumulate(np.maximum(0.0, accuracies[order] - FLOOR))
    edges = np.log([*latencies[order], dearest])
    return float(np.sum(heights * np.diff(edges)))


if __name__ == "__main__":
    main()
