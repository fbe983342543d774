"""Which indicators are known while decisions are open: of whole spaces as they are of single networks."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from micronas.budget import budget_of, priced
from micronas.cache import cache_dir
from micronas.candidate import everything
from micronas.catalog import INDICATORS, Means
from micronas.errors import UserError
from micronas.hardware.boards.profiled import Bench
from micronas.hardware.boards.target import load_target
from micronas.inputs import Gaussian
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task
from micronas.testing.doubles import Drawn, Weight

UNTRAINED = ("ntk", "linear-regions", "naswot", "zen-score", "synflow")
OF_WHOLE_SPACES = ("flops", "live-flops", "params", "layers", "latency", "sram", "flash")
START = everything(NasBench201(channels=(4,), cells=(1,), stages=(1,)), Task((4, 4, 3), 2))


def means() -> Means:
    return Means(Gaussian(), Bench(load_target("nucleo-f746zg")))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is timed here is kept for nobody else."""
    for name in ("toolchain", "spaces"):
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(cache_dir() / name)
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))


def test_who_knows_what() -> None:
    its = means()
    made = {name: make(its) for name, make in INDICATORS.items()}
    assert tuple(name for name, one in made.items() if budget_of(one)) == OF_WHOLE_SPACES
    assert {name for name, one in made.items() if priced(one)} == {*OF_WHOLE_SPACES, "sram-tflm"}
    assert {name for name, one in made.items() if not priced(one)} == {*UNTRAINED}
    assert priced(Drawn()) is budget_of(Drawn()) is None
    assert budget_of(Weight()) == Weight()


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_WHOLE_SPACES)
def test_the_numbers_of_a_whole_space_are_those_of_its_networks(name: str) -> None:
    indicator = INDICATORS[name](means())
    budget = budget_of(indicator)
    assert budget is not None
    values = budget.of_all(START)
    assert values.shape == (15625,)
    for at in random.Random(0).sample(range(15625), 60):
        one = START.of(START.choices.completion(at))
        if not one.is_connected:
            assert values[at] == math.inf
        else:
            assert values[at] == pytest.approx(indicator.measure(one.graph), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_WHOLE_SPACES)
def test_the_numbers_of_a_part_are_those_of_its_completions_and_spoil_none_of_the_whole(name: str) -> None:
    part = START.of(Choices((("none", "nor_conv_1x1"), *START.choices.alive[1:5], ("avg_pool_3x3", "skip_connect"))))
    budget = budget_of(INDICATORS[name](means()))
    assert budget is not None
    values = budget.of_all(part)
    whole = budget.of_all(START)
    place = {choices: at for at, choices in enumerate(START.choices.completions())}
    places = [place[choices] for choices in part.choices.completions()]
    assert len(whole) == 15625
    assert values.tolist() == whole[places].tolist()


@pytest.mark.parametrize("name", OF_WHOLE_SPACES)
def test_of_a_space_too_large_to_enumerate_nothing_is_known_at_once(name: str) -> None:
    large = everything(NasBench201(channels=tuple(range(4, 264, 4))), Task())
    budget = budget_of(INDICATORS[name](means()))
    assert budget is not None
    with pytest.raises(UserError, match="too large to enumerate, 1,015,625 networks"):
        budget.of_all(large)
