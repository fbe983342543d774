"""How well training-free scores rank NAS-Bench-201 on CIFAR-10, beside the plain count of FLOPs.

For each indicator and combination: Kendall tau of single seeds and of their ensemble, over all connected networks (one
representative each) and over all connected architectures (a network counts as often as it is written); Spearman's rho
of the ensemble; the accuracy of the top 1 (mean over the seeds, and of the ensemble) and the mean of the ensemble's top
10. Accuracies (published table) are read here only, after everything is scored. ADR 0004 says what was decided before.

    python benchmarks/ranking.py [--seeds 0-4] [--repeats 3] [--table TABLE.csv.gz --column cifar10_test]
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from micronas.candidate import everything
from micronas.catalog import INDICATORS
from micronas.hardware.indicators.compute import Flops, LiveFlops
from micronas.indicators import Better, Scores, untrained_of
from micronas.objective import Column, Objective, Term, rank_score, ranks
from micronas.run.reading import parse_seeds
from micronas.run.setup import look_up, usual_means
from micronas.search.exact import ExactSearch, ScoreTable
from micronas.search.search import REPEATS
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "nasbench201_cifar10.csv.gz"
START = everything(NasBench201(), Task())


@dataclass(frozen=True)
class Truth:
    """Accuracies of the connected networks, and of every connected architecture with the network it is."""

    networks: Scores
    architectures: Scores
    network_of: np.ndarray


@dataclass(frozen=True)
class Ranking:
    """A way to score: its columns, and how they become one number, of some of the draws."""

    title: str
    columns: Sequence[Column]
    from_the_best: bool = False

    def score(self, draws: slice) -> Scores:
        """Higher is better, shape (networks,); a column of one row is the same in every draw."""
        chosen = [
            Column(column.values[draws] if len(column.values) > 1 else column.values, column.better, column.weight)
            for column in self.columns
        ]
        if self.from_the_best:
            return -np.sum([np.log(column.mean_ranks) for column in chosen], axis=0)
        return rank_score(chosen)


def main() -> None:
    """Score, then read the accuracies, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="draws for each seed")
    parser.add_argument("--table", type=Path, default=SHARED)
    parser.add_argument("--column", default="cifar10_test")
    parser.add_argument("--indicators", default="ntk,linear-regions", help="performance indicators, comma-separated")
    arguments = parser.parse_args()
    seeds = parse_seeds(arguments.seeds)
    named = [look_up(INDICATORS, name, "indicator")(usual_means()) for name in arguments.indicators.split(",")]
    terms = [Term(one) for one in map(untrained_of, named) if one is not None]
    counts = Term(LiveFlops()), Term(Flops())
    scored, _ = ExactSearch(seeds, arguments.repeats).score(START, Objective(tuple(terms), counts))
    truth = read_truth(arguments.table, arguments.column, scored)
    print(f"{len(truth.networks)} networks, {len(truth.architectures)} architectures, {arguments.column};", end=" ")
    print(f"seeds {arguments.seeds} of {arguments.repeats} draws each\n")
    print(f"{'':54}{'tau, networks':>22}{'tau, architectures':>24}{'rho':>8}{'top 1':>16}{'top 10':>9}")
    print(f"{'score':54}{'one seed':>14}{'all':>8}{'one seed':>16}{'all':>8}{'all':>8}{'one':>8}{'all':>8}{'all':>9}")
    for ranking in rankings(scored, terms):
        print(row_of(ranking, len(seeds), arguments.repeats, truth))


def read_truth(path: Path, column: str, scored: ScoreTable) -> Truth:
    """The accuracy of everything that was scored."""
    with gzip.open(path, "rt") as file:
        accuracy = {row["arch"]: float(row[column]) for row in csv.DictReader(file)}
    census = scored.census
    connected = census.connected[census.members]
    every = np.array([accuracy[one.text] for one in census.architectures()])
    numbered = np.cumsum(census.connected) - 1
    return Truth(every[census.first[census.connected]], every[connected], numbered[census.members[connected]])


def rankings(scored: ScoreTable, terms: Sequence[Term]) -> Iterator[Ranking]:
    """Each indicator alone, the trainability term with each of the others, and with live FLOPs."""
    of = {one.indicator.name: Column(scored.values[one.indicator.name], one.better, 1.0) for one in terms}
    live, plain = (Column(scored.hardware[name][None], Better.HIGHER, 1.0) for name in ("live-flops", "flops"))
    yield Ranking("FLOPs alone (live edges)", [live])
    yield Ranking("FLOPs alone (all edges, as the benchmark counts)", [plain])
    for name, column in of.items():
        yield Ranking(name, [column])
    for name, column in of.items():
        if name != "ntk" and "ntk" in of:
            both, default = [of["ntk"], column], " = the default" if name in ExactSearch().default_terms else ""
            yield Ranking(f"ntk + {name}", both)
            yield Ranking(f"ntk + {name} + live-flops{default}", [*both, live])
            yield Ranking("  the same, −Σ ln(rank from the best)", [*both, live], from_the_best=True)


def row_of(ranking: Ranking, seeds: int, repeats: int, truth: Truth) -> str:
    """One line: single seeds as mean ± deviation, then the ensemble of all."""
    singles = [ranking.score(slice(seed * repeats, (seed + 1) * repeats)) for seed in range(seeds)]
    together = ranking.score(slice(None))
    cells = [f"{ranking.title:54}"]
    for accuracy, chosen in ((truth.networks, slice(None)), (truth.architectures, truth.network_of)):
        taus = [tau(single[chosen], accuracy) for single in singles]
        cells.append(f"{f'{np.mean(taus):.3f} ± {np.std(taus):.3f}':>16}{tau(together[chosen], accuracy):>8.3f}")
    rho = float(np.asarray(stats.spearmanr(together, truth.networks))[0])
    top = np.mean([top_1(single, truth) for single in singles])
    ten = truth.networks[np.argsort(-together, kind="stable")[:10]].mean()
    return "".join(cells) + f"{rho:>8.3f}{top:>8.2f}{top_1(together, truth):>8.2f}{ten:>9.2f}"


def tau(score: Scores, accuracy: Scores) -> float:
    """Kendall's tau-b."""
    return float(np.asarray(stats.kendalltau(score, accuracy))[0])


def top_1(score: Scores, truth: Truth) -> float:
    """The accuracy of the best; of several equally good ones, their mean."""
    return float(truth.networks[ranks(score, Better.HIGHER) == ranks(score, Better.HIGHER).min()].mean())


if __name__ == "__main__":
    main()
