"""A run as data: read strictly, refused in one clear line, and repeated to the same answer."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.search.doubles import TINY, Drawn

from micronas import catalog, runs
from micronas.config import MOST_REPEATS, MOST_SEEDS, Run, parse_latency, parse_seeds, read_config, run_from, set_up
from micronas.errors import UserError
from micronas.hardware.compute import LiveFlops
from micronas.indicator import Better
from micronas.run.results import keep, read_back
from micronas.search.exact import ExactSearch
from micronas.search.pruning import PruningSearch

RUN = Run(search="exact", channels=8, ntk_weight=2.0, max_latency_ms=100.0, seeds="0-2", target="nrf5340dk")

# --- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        *(("300ms", 300.0), ("0.3s", 300.0), ("250us", 0.25), ("250 \u00b5s", 0.25), ("250\u03bcs", 0.25)),
        *((" 1.5 s ", 1500.0), ("+3ms", 3.0), ("1e2ms", 100.0), ("1E-1s", 100.0), (".5s", 500.0), ("5.ms", 5.0)),
    ],
)
def test_times_with_a_unit_are_read(text: str, milliseconds: float) -> None:
    assert parse_latency(text) == pytest.approx(milliseconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("300", "'300' has no unit that is known; write us, ms or s, like 300ms"),
        ("300 minutes", "has no unit that is known"),
        ("3MS", "has no unit that is known"),
        ("-3ms", "must be above 0 and finite, not '-3ms'"),
        ("0s", "must be above 0"),
        ("1e999s", "cannot read a time from"),
        ("1e-999s", "must be above 0"),
        *((bad, "cannot read a time from") for bad in ("", "ms", "fast", "nan ms", "1.2.3ms", "1,5s", "3ms 4", "e5ms")),
    ],
)
def test_other_times_are_refused(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_latency(text)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@given(st.one_of(st.text(), st.from_regex(r"\s*[-+]?[0-9.]*(e[-+]?[0-9]{1,4})?\s*(us|ms|s|m)?\s*", fullmatch=True)))
def test_any_text_is_a_time_above_zero_or_refused(text: str) -> None:
    with suppress(UserError):
        assert 0 < parse_latency(text) < math.inf


@given(st.floats(1e-6, 1e9), st.sampled_from([("us", 1e-3), ("ms", 1.0), ("s", 1e3)]))
def test_every_way_to_write_a_number_is_read(number: float, unit: tuple[str, float]) -> None:
    assert parse_latency(f"{number!r}{unit[0]}") == number * unit[1]


# --- seeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", (0, 1, 2, 3, 4)), ("7", (7,)), ("1, 3,5-6", (1, 3, 5, 6)), ("2-2,2,1-3", (2, 1, 3))]
)
def test_seeds_are_read_each_once_in_order(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "4-0", "1,,2", "1.5", "0-4-8", "\u0663", "9" * 5000])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"cannot read seeds from .*; write them like 0-4 or 1,3,5"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-999999999", f"0-{MOST_SEEDS}", "0-600,1000-1600"])
def test_too_many_seeds_are_a_typing_mistake(text: str) -> None:
    with pytest.raises(UserError, match=f"is more than {MOST_SEEDS} seeds"):
        parse_seeds(text)


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,12}(-[0-9]{0,12})?(,[0-9]{1,3}){0,3}", fullmatch=True)))
def test_any_text_is_distinct_seeds_or_refused(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except UserError:
        return
    assert 0 < len(seeds) == len(set(seeds)) <= MOST_SEEDS
    assert min(seeds) >= 0


# --- files --------------------------------------------------------------------------------------


def toml(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_a_run_survives_as_plain_data() -> None:
    for run in (RUN, Run()):
        assert run_from(json.loads(json.dumps(run.to_dict())), "here") == run


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"sede": 1}, "here: unknown key 'sede'; did you mean 'seed'?"),
        ({"seed": "1"}, "here: seed must be of type int, not '1'"),
    ],
)
def test_plain_data_is_read_strictly(data: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        run_from(data, "here")
    assert str(caught.value) == says


def test_paths_of_an_anchored_run_read_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(target="mine.toml", images="photos").anchored()
    assert (run.target, run.images) == (str(tmp_path / "mine.toml"), str(tmp_path / "photos"))
    assert run.anchored() == run
    assert Run().anchored() == Run()


def test_a_toml_file_says_what_differs(tmp_path: Path) -> None:
    path = toml(tmp_path / "run.toml", 'search = "exact"\nchannels = 8\nntk_weight = 2\nflops_weight = 0\n')
    assert read_config(path) == Run(search="exact", channels=8, ntk_weight=2, flops_weight=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("chanels = 8", "unknown key 'chanels'; did you mean 'channels'?"),
        ("qwertz = 8", "unknown key 'qwertz'"),
        ('channels = "8"', "channels must be of type int, not '8'"),
        ("channels = 8.5", "channels must be of type int, not 8.5"),
        ("channels = true", "channels must be of type int, not True"),
        ("ntk_weight = false", "ntk_weight must be of type float, not False"),
        ("max_latency_ms = '300ms'", "max_latency_ms must be of type float | None, not '300ms'"),
        ("search = 1", "search must be of type str, not 1"),
        ("seeds = [0, 1]", "seeds must be of type str | None, not [0, 1]"),
        (f"ntk_weight = 1{'0' * 400}", "ntk_weight is too large a number"),
        ("channels = ", "is not valid TOML"),
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_config(toml(tmp_path / "run.toml", content))
    assert says in str(caught.value)
    assert str(tmp_path / "run.toml") in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            read_config(path)


# --- setting up ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"space": "nasbench202"}, "unknown space 'nasbench202'; did you mean 'nasbench201'?"),
        ({"search": "exactly"}, "unknown search 'exactly'; did you mean 'exact'? there are pruning, exact, random"),
        ({"target": "nucleo-f746zx"}, "nucleo-f746zg"),
        ({"channels": 0}, "at least 1 of channels"),
        ({"input": 30}, "choose a height and width that 4 divides"),
        ({"ntk_weight": -1.0}, "the weight of ntk must be 0 or more, not -1"),
        ({"latency_weight": math.nan}, "the weight of latency must be 0 or more, not nan"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1, not 0"),
        ({"repeats": 10**24}, f"repeats must be at most {MOST_REPEATS}, not 1{'0' * 24}"),
        ({"ntk_weight": 0.0, "regions_weight": 0.0}, "all weights are 0"),
        ({"max_latency_ms": -3.0}, "the limit on latency must be above 0 ms, not -3"),
        ({"images": "/no/such/folder"}, "/no/such/folder"),
        ({"seeds": "0-4", "search": "pruning"}, "several seeds are for --search exact; pruning takes one: --seed"),
        ({"seeds": "four", "search": "exact"}, "cannot read seeds from 'four'"),
    ],
)
def test_bad_values_are_refused_in_one_line(change: dict[str, object], says: str) -> None:
    def use(run: Run) -> None:
        parts = set_up(run)
        parts.space.lower(parts.space.everything(), parts.skeleton)

    with pytest.raises(UserError) as caught:
        use(replace(Run(), **change))  # type: ignore[arg-type]
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_flops_are_a_cost_to_pruning_and_capacity_to_the_exact_search() -> None:
    """ADR 0004: by default 0 and 1."""
    for search, weight, better in (("pruning", 0.0, Better.LOWER), ("exact", 1.0, Better.HIGHER)):
        (flops,) = [
            one for one in set_up(Run(search=search)).objective.hardware if isinstance(one.indicator, LiveFlops)
        ]
        assert (flops.weight, flops.better) == (weight, better)


def test_the_default_weights_are_those_decided_beforehand() -> None:
    objective = set_up(Run(search="exact")).objective
    weights = {one.indicator.name: one.weight for one in (*objective.performance, *objective.hardware)}
    assert weights == {"ntk": 1.0, "linear-regions": 1.0, "live-flops": 1.0, "latency": 0.0}
    assert objective.limits == ()


def test_seeds_and_repeats_reach_the_search() -> None:
    exact, pruning = set_up(RUN), set_up(Run(seed=4, repeats=2))
    assert isinstance(exact.search, ExactSearch)
    assert (exact.search.seeds, exact.search.repeats, exact.draws) == ((0, 1, 2), 3, tuple(range(9)))
    assert isinstance(pruning.search, PruningSearch)
    assert (pruning.search.seed, pruning.search.repeats, pruning.draws) == (4, 2, (8, 9))


# --- repeating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("search", list(catalog.SEARCHES))
def test_a_result_file_alone_repeats_the_search(search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {name: lambda _, name=name: Drawn(name, skeleton=TINY) for name in ("ntk", "linear-regions")}
    monkeypatch.setattr(catalog, "PERFORMANCE_INDICATORS", drawn)
    run = Run(search=search, seed=5, repeats=1, max_latency_ms=150.0, target="nucleo-f446re", latency_weight=0.5)
    first = runs.search(run)
    path = keep(first, tmp_path)
    kept = run_from(read_back(path).run, str(path))
    assert kept == run
    again = runs.search(kept)
    one, other = first.to_dict() | {"seconds": 0}, again.to_dict() | {"seconds": 0}
    assert one == other
    assert json.loads(path.read_text(encoding="utf-8"))["architecture"] == one["architecture"]
    assert runs.search(replace(run, seed=6)).to_dict()["finalists"] != one["finalists"]
