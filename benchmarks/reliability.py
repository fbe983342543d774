"""How far two independent scorings of the space agree, and which term decides: what ADR 0004 chose by. Reads no label.

The space is scored on many draws; these are split at random into two halves of so many draws a score, again and again.
Printed for each way to make a score: Kendall tau between the halves, and how many of the best 50 they share; then, for
the scores of whole seeds, where the answer stands by each term alone, and how many of its best 50 the largest networks
are.

    python benchmarks/reliability.py [--draws 30] [--splits 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats

from micronas.candidate import everything
from micronas.hardware.indicators.compute import LiveFlops
from micronas.indicators import Better, Scores
from micronas.objective import Column, Objective, Term, rank_score, ranks
from micronas.proxies.linear_regions import LinearRegions
from micronas.proxies.ntk import Ntk
from micronas.search.exact import ExactSearch
from micronas.search.search import REPEATS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

TOP = 50
Rule = Callable[[Sequence[Column]], Scores]


def of_log_ranks(columns: Sequence[Column]) -> Scores:
    """Shares whose logarithms are averaged over the draws, instead of their ranks."""
    singles = [[rank_score([Column(row, its.better, its.weight)]) for row in its.values] for its in columns]
    return np.sum([np.mean(rows, axis=0) for rows in singles], axis=0)


def of_mean_values(columns: Sequence[Column]) -> Scores:
    """Values averaged over the draws before they are ranked."""
    return rank_score([Column(its.values.mean(axis=0), its.better, its.weight) for its in columns])


def of_mean_log_values(columns: Sequence[Column]) -> Scores:
    """Logarithms of values averaged over the draws before they are ranked."""
    return rank_score([Column(np.log(its.values).mean(axis=0), its.better, its.weight) for its in columns])


def from_the_best(columns: Sequence[Column]) -> Scores:
    """−Σ ln(mean rank), rank 1 is best."""
    return -np.sum([np.log(its.mean_ranks) for its in columns], axis=0)


def sum_of_ranks(columns: Sequence[Column]) -> Scores:
    """TE-NAS's sum, without logarithms."""
    return -np.sum([its.mean_ranks for its in columns], axis=0)


RULES: Mapping[str, Rule] = {
    "Σ ln(share of mean rank) = the default": rank_score,
    "Σ mean of ln(share)": of_log_ranks,
    "Σ ln(share) of the mean ln(value)": of_mean_log_values,
    "Σ ln(share) of the mean value": of_mean_values,
    "−Σ ln(mean rank from the best)": from_the_best,
    "−Σ mean rank": sum_of_ranks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    objective = Objective((Term(Ntk()), Term(LinearRegions())), (Term(LiveFlops()),))
    search = ExactSearch(tuple(range(arguments.draws)), repeats=1)
    scored, _ = search.score(everything(NasBench201(), Task()), objective)
    columns = [Column(scored.values[one.indicator.name], one.better, 1.0) for one in objective.performance]
    capacity = Column(scored.hardware["live-flops"][None], Better.HIGHER, 1.0)

    def picked(draws: np.ndarray) -> list[Column]:
        return [*(Column(its.values[draws], its.better, 1.0) for its in columns), capacity]

    chance = np.random.default_rng(0)
    orders = [chance.permutation(arguments.draws) for _ in range(arguments.splits)]
    print(f"agreement of two halves, {scored.score.size} networks, mean of {arguments.splits} splits\n")
    print(f"{'draws':>5}  {'score':44}{'tau':>8}{f'of {TOP}':>10}")
    for size in sorted({1, arguments.draws // 2, *(few for few in (3, 5) if 2 * few <= arguments.draws)}):
        for title, rule in RULES.items():
            halves = [[rule(picked(order[half : half + size])) for half in (0, size)] for order in orders]
            taus = [float(np.asarray(stats.kendalltau(*both))[0]) for both in halves]
            shared = [len(best(both[0]) & best(both[1])) / TOP for both in halves]
            print(f"{size:>5}  {title:44}{np.mean(taus):>8.3f}{np.mean(shared):>9.0%}")
    print(f"\nwho decides: position of the answer by each term alone, and the largest {TOP} among its best {TOP}\n")
    print(f"{'draws':>5}  {'score':44}{'seed':>5}{'ntk':>8}{'regions':>9}{'FLOPs':>8}{f'of {TOP}':>8}")
    largest = set(np.argsort(capacity.mean_ranks, kind="stable")[:TOP].tolist())
    for size in (1, REPEATS, arguments.draws // 2):
        for title in ("Σ ln(share of mean rank) = the default", "−Σ ln(mean rank from the best)"):
            for seed in range(min(5, arguments.draws // size)):
                chosen = picked(np.arange(seed * size, (seed + 1) * size))
                score = RULES[title](chosen)
                places = [ranks(its.mean_ranks, Better.LOWER)[score.argmax()] for its in chosen]
                print(f"{size:>5}  {title:44}{seed:>5}{places[0]:>8.0f}{places[1]:>9.0f}{places[2]:>8.0f}", end="")
                print(f"{len(largest & best(score)) / TOP:>7.0%}")


def best(score: Scores) -> set[int]:
    """The networks of the highest scores."""
    return set(np.argsort(-score, kind="stable")[:TOP].tolist())


if __name__ == "__main__":
    main()
