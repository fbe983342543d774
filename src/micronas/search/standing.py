"""Where an answer stands among all networks of a space, and what its limits keep out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from micronas.candidate import Candidate
from micronas.indicators import Scores
from micronas.objective import Limit

MORE = 1.1
"""What a limit is multiplied with to see what a little more of it would buy."""


@dataclass(frozen=True)
class Ranked:
    """A network by its place among all connected ones, 1 for the best score, and what it needs of each limit."""

    candidate: Candidate
    rank: int
    needs: Mapping[str, float]


@dataclass(frozen=True)
class Standing:
    """Where an answer stands.

    Attributes:
        rank: of the answer.
        networks: how many connected ones there are.
        fitting: how many of them keep all limits; None if some limit is known of whole networks only.
        best: the best of all, whatever it needs.
        runners_up: what would be taken if the answer were not there, best first.
        without: by limit, the best network if that limit alone were dropped.
        more: by limit, the best network if that limit alone were `MORE` times as high.
    """

    rank: int
    networks: int
    fitting: int | None
    best: Ranked
    runners_up: tuple[Ranked, ...]
    without: Mapping[str, Ranked]
    more: Mapping[str, Ranked]


def stand(
    ranked: Sequence[int],
    found: Sequence[int],
    needs: Mapping[str, Scores],
    limits: Sequence[Limit],
    candidate: Callable[[int], Candidate],
) -> Standing:
    """The standing of `found[0]`, the rest being its runners-up.

    Args:
        ranked: every connected network, best first.
        found: of them the best that keep all limits.
        needs: what each needs of those limits that are known of all, shape (networks,) each.
        limits: all limits.
        candidate: the network at a position.
    """
    rank = {at: number for number, at in enumerate(ranked, 1)}
    at_most = {limit.indicator.name: limit.at_most for limit in limits}
    is_known = all(name in needs for name in at_most)

    def placed(at: int) -> Ranked:
        return Ranked(candidate(at), rank[at], {name: float(values[at]) for name, values in needs.items()})

    def kept(raised: str = "", factor: float = 1.0) -> npt.NDArray[np.bool_]:
        keeps = np.ones(len(ranked), dtype=np.bool_)
        for name, most in at_most.items():
            keeps &= needs[name] <= (most * factor if name == raised else most)
        return keeps

    def best_if(factor: float) -> dict[str, Ranked]:
        if not is_known:
            return {}
        masks = ((name, kept(name, factor)) for name in at_most)
        return {name: placed(next(at for at in ranked if keeps[at])) for name, keeps in masks}

    return Standing(
        rank=rank[found[0]],
        networks=len(ranked),
        fitting=int(kept().sum()) if is_known else None,
        best=placed(ranked[0]),
        runners_up=tuple(placed(at) for at in found[1:]),
        without=best_if(float("inf")),
        more=best_if(MORE),
    )
