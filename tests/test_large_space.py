"""A space of two thousand million networks, written by somebody else: measured, searched, built and run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.spaces.chain import Chain

from micronas.cache import cache_dir
from micronas.candidate import Candidate, everything
from micronas.catalog import INDICATORS, Means
from micronas.deploy.c import emit
from micronas.deploy.emulate import emulate
from micronas.deploy.quantize import random_network
from micronas.errors import UserError
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.compute import Flops
from micronas.hardware.indicators.latency import Latency
from micronas.hardware.indicators.memory import Sram
from micronas.indicators import untrained_of
from micronas.inputs import Gaussian
from micronas.network.deployed import deploy
from micronas.objective import Limit, Objective, Term, Unreachable
from micronas.proxies.ntk import Ntk
from micronas.search.exact import ExactSearch
from micronas.search.limits import Limits
from micronas.search.pruning import PruningSearch
from micronas.search.random import RandomSearch
from micronas.task import Probe, Task
from micronas.testing.doubles import Drawn

TASK = Task((16, 16, 3), classes=4)
START = everything(Chain(), TASK)
SHALLOW = START.of(START.space.parse("8 1 3 2 3 2 3 2 16 1 5 3 3 2 3 2 16 1 3 4 3 2 3 2"))
BOARD = "nucleo-f746zg"
UNTRAINED = Drawn(probe=Probe((16, 16, 3), classes=4))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and scores of this test's own; what was compiled is that of the whole run."""
    for name in ("toolchain", "numba"):
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(cache_dir() / name)
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))


def bench() -> Bench:
    return Bench(load_target(BOARD))


def in_one_line(error: UserError) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_it_is_far_too_large_to_enumerate() -> None:
    assert START.space.size == (2 * 3 * 6**3) ** 3 == 2_176_782_336
    assert not START.is_small


def test_every_indicator_measures_it() -> None:
    """Those of untrained networks on the network itself, for a space asks for no smaller one unless it says so."""
    means = Means(Gaussian(), bench())
    for make in INDICATORS.values():
        indicator = make(means)
        untrained = untrained_of(indicator)
        graph = SHALLOW.probe(untrained.probe) if untrained else SHALLOW.graph
        assert math.isfinite(indicator.measure(graph)), indicator.name


def test_random_search_finds_the_best_of_what_it_draws() -> None:
    ntk = Ntk(batch=8, probe=Probe((16, 16, 3), classes=4))
    found = RandomSearch(samples=4, repeats=2).run(START, Objective((Term(ntk),), (Term(Sram(), 0.1),)))
    assert len(found.finalists) == 4
    assert found.candidate.cheapest_form == found.candidate
    means = [one.means["ntk"] for one in found.finalists]
    drawn = [
        [ntk.with_seed(seed).measure(one.candidate.probe(ntk.probe)) for seed in (0, 1)] for one in found.finalists
    ]
    assert means == pytest.approx(np.mean(drawn, axis=1).tolist(), rel=1e-5)


def test_random_search_keeps_a_latency_limit_with_operations_timed_on_demand() -> None:
    board = bench()
    latency = Latency(board)
    before = len(board.target.latency.milliseconds)
    limit = Limit(latency, 1.5 * latency.measure(SHALLOW.graph))
    found = RandomSearch(samples=6, repeats=1).run(START, Objective((Term(UNTRAINED),), (), (limit,)))
    assert len(found.finalists) == 6
    assert all(latency.measure(one.candidate.graph) <= limit.at_most for one in found.finalists)
    assert len(board.target.latency.milliseconds) > before
    assert len(load_target(BOARD).latency.milliseconds) == len(board.target.latency.milliseconds)  # kept for the user


def test_random_search_says_when_it_chose_among_fewer_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micronas.search.random.MOST_DRAWN", 200)
    flops = Flops()
    least = (
        Limits(START, (), lambda indicator, many: indicator.measure_many([one.graph for one in many]))
        .cheapest(START, Limit(flops, 1.0))
        .value
    )
    objective = Objective((Term(UNTRAINED),), (), (Limit(flops, least),))
    found = RandomSearch(samples=6, repeats=1).run(START, objective)
    assert [flops.measure(one.candidate.graph) for one in found.finalists] == [least]
    (note,) = found.notes
    assert note.startswith("1 of 6 networks were scored: ")
    assert "among 200 drawn of 2,176,782,336" in note
    assert RandomSearch(samples=6, repeats=1).run(START, Objective((Term(UNTRAINED),))).notes == ()


def test_several_limits_are_met_by_one_witness() -> None:
    board = bench()
    indicators = {name: INDICATORS[name](Means(Gaussian(), board)) for name in ("params", "flops", "sram")}
    asked = tuple(Limit(one, 1.2 * one.measure(SHALLOW.graph)) for one in indicators.values())

    def values(indicator: object, many: object) -> np.ndarray:
        return indicator.measure_many([one.graph for one in many])  # type: ignore[attr-defined]

    limits = Limits(START, asked, values)
    assert limits.allows(START)
    (witness,) = limits.witnesses()
    for limit in asked:
        assert limit.indicator.measure(witness.graph) <= limit.at_most
    least = limits.cheapest(START, asked[0])
    assert not least.is_proven
    assert least.value == pytest.approx(indicators["params"].measure(least.candidate.graph))
    assert least.value <= asked[0].at_most
    with pytest.raises(Unreachable, match=r"no architecture was found.*2,176,782,336 networks, too many to prove"):
        Limits(START, (Limit(indicators["params"], 10.0),), values).check(START)


def test_pruning_says_which_decisions_it_cannot_take_before_it_measures() -> None:
    asked = Drawn(probe=UNTRAINED.probe)
    with pytest.raises(UserError) as caught:
        PruningSearch().run(START, Objective((Term(asked),)))
    assert in_one_line(caught.value) == (
        f"pruning cannot take {', '.join(Chain().decisions)} of chain, whose options cannot lie side by side; "
        "search by exact or random"
    )
    assert asked.asked == []


def test_exact_search_says_how_many_networks_there_are_before_it_measures() -> None:
    asked = Drawn(probe=UNTRAINED.probe)
    with pytest.raises(UserError) as caught:
        ExactSearch().run(START, Objective((Term(asked),)))
    assert (
        in_one_line(caught.value)
        == "chain is too large to enumerate, 2,176,782,336 networks; at most 1,000,000 would do"
    )
    assert asked.asked == []


def test_blocks_beyond_the_depth_do_not_matter() -> None:
    other = START.of(START.space.parse("8 1 3 2 5 4 5 3 16 1 5 3 5 3 5 4 16 1 3 4 5 4 5 4"))
    assert other.choices != SHALLOW.choices
    assert other.graph == SHALLOW.graph
    assert other.canonical == SHALLOW == SHALLOW.canonical


def test_the_emitted_c_computes_what_the_reference_does() -> None:
    deepest = START.of(START.space.sample(START.space.size - 1))
    for candidate in (SHALLOW, deepest):
        found = emulate(candidate.graph, load_target(BOARD))
        assert found.matches_reference
        assert found.arena_bytes == Sram().measure(candidate.graph)
        assert any(".c" in name for name in emit(random_network(deploy(candidate.graph))).files)


@dataclass(frozen=True)
class Small(Chain):
    """The same with few enough networks for a table and a census."""

    depths: tuple[int, ...] = (1, 2)
    expansions: tuple[int, ...] = (2,)
    stages: int = 2


def test_a_small_chain_is_searched_through_and_its_answer_is_proven() -> None:
    start = everything(Small(), TASK)
    assert start.is_small
    performance = (Term(UNTRAINED),)
    free = ExactSearch(repeats=1).run(start, Objective(performance)).candidate
    flops = INDICATORS["flops"](Means(Gaussian(), bench()))
    every = {one.canonical: flops.measure(one.graph) for one in start.completions()}
    limit = Limit(flops, float(np.median([*every.values()])))
    found = ExactSearch(repeats=1).run(start, Objective(performance, (), (limit,)))
    assert every[found.candidate] <= limit.at_most
    assert _score(found.candidate) == min(_score(one) for one, its in every.items() if its <= limit.at_most)
    assert _score(free) == min(map(_score, every))
    randomly = RandomSearch(samples=1000, repeats=1).run(start, Objective(performance, (), (limit,)))
    assert randomly.candidate == found.candidate


def _score(candidate: Candidate) -> float:
    return UNTRAINED.measure(candidate.probe(UNTRAINED.probe))


WARM = """
from tests.test_large_space import *

test_every_indicator_measures_it()
"""
"""A first run compiles the engine, which takes more than any network does; what it compiled is kept."""

WHOLE = """
import json, pathlib
from tests.test_large_space import *

test_every_indicator_measures_it()
test_random_search_finds_the_best_of_what_it_draws()
test_random_search_keeps_a_latency_limit_with_operations_timed_on_demand()
test_the_emitted_c_computes_what_the_reference_does()
status = pathlib.Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is told in another way")
def test_all_of_it_fits_half_a_gigabyte() -> None:
    for script in (WARM, WHOLE):
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) <= 500
