"""Every network of a space once: the known count, its representatives, and a cache that may be absent or damaged."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from micronas.candidate import everything
from micronas.errors import Notice, UserError
from micronas.network.identity import DISCONNECTED, live_key, weights_key
from micronas.search.census import Census, take_census
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import REDUCED, Task
from micronas.testing.doubles import PROBE, START


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


def assert_equal(one: Census, other: Census) -> None:
    assert one.start == other.start
    assert one.members.tolist() == other.members.tolist()
    assert one.first.tolist() == other.first.tolist()
    assert one.connected.tolist() == other.connected.tolist()


def test_nasbench201_has_5260_networks_one_of_them_disconnected() -> None:
    """Golden: two independent enumerations of the rule agree."""
    start = everything(NasBench201(), Task())
    census = take_census(start)
    assert (len(census), len(census.members), int((~census.connected).sum())) == (5260, 15625, 1)
    architectures = list(census.architectures())
    for at in range(0, 15625, 1009):
        network = int(census.members[at])
        assert census.representative(network) == architectures[at].canonical
        graphs = [one.probe(REDUCED) for one in (architectures[at], census.representative(network))]
        assert live_key(graphs[0]) == live_key(graphs[1])


def test_nasbench201_has_5044_functions_and_each_has_one_cheapest_form() -> None:
    """Golden: an average pool is linear, which makes 216 of the 5,260 networks equal to others as functions."""
    census = take_census(everything(NasBench201(), Task()))
    forms = {census.representative(network): None for network in range(len(census))}
    cheapest = {form.cheapest_form for form in forms}
    assert len(cheapest) == 5044
    assert cheapest <= forms.keys()  # a cheapest form stands for itself
    assert all(form.cheapest_form == form for form in cheapest)


def test_keys_are_those_of_the_reduced_networks_and_tell_networks_apart() -> None:
    census = take_census(everything(NasBench201(), Task()))
    keys = census.keys(REDUCED)
    assert len(keys) == len(set(keys)) == len(census)
    for network in range(0, len(census), 499):
        assert keys[network] == weights_key(census.representative(network).probe(REDUCED))


def test_keys_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    census = take_census(START)
    first = census.keys(PROBE)
    monkeypatch.setattr("micronas.search.census.weights_key", None)
    assert census.keys(PROBE) == first


def test_small_census_against_brute_force(cache: Path) -> None:
    census = take_census(START)
    keys = [live_key(one.graph) for one in START.completions()]
    classes: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        classes.setdefault(key, []).append(at)
    assert len(census) == len(classes)
    for members in classes.values():
        (network,) = set(census.members[members].tolist())
        assert int(census.first[network]) in members
        assert bool(census.connected[network]) == (keys[members[0]] != DISCONNECTED)


def test_representatives_stand_for_themselves(cache: Path) -> None:
    census = take_census(START)
    architectures = list(census.architectures())
    for network in range(len(census)):
        assert architectures[int(census.first[network])] == census.representative(network)
        assert census.representative(network).canonical == census.representative(network)


def test_it_is_counted_once_and_then_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    first = take_census(START, lambda done, total, what: told.append(f"{what}: {done} of {total}"))
    assert told == ["telling networks apart: 0 of 125", "telling networks apart: 100 of 125"]
    monkeypatch.setattr("micronas.search.census._counted", None)
    assert_equal(take_census(START), first)


def test_a_damaged_cache_is_counted_anew_wherever_the_damage_is(cache: Path) -> None:
    first = take_census(START)
    (path,) = (cache / "spaces").iterdir()
    sound = path.read_bytes()
    for at in islice(range(len(sound)), 0, None, len(sound) // 12):
        for damaged in (sound[:at], sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :]):
            path.write_bytes(damaged)
            assert_equal(take_census(START), first)
            assert path.read_bytes() == sound


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "file"))
    with pytest.warns(Notice, match="nothing can be kept in .*; all is computed anew each time"):
        assert len(take_census(START)) > 1


def test_a_space_too_large_to_enumerate_has_none() -> None:
    large = everything(NasBench201(channels=tuple(range(4, 264, 4))), Task())
    with pytest.raises(UserError, match=r"too large to enumerate, 1,015,625 networks; at most 1,000,000 would do"):
        take_census(large)


def test_progress_is_told_every_hundred_networks(cache: Path) -> None:
    told: list[tuple[int, int]] = []
    census = take_census(START)
    census.keys(PROBE, lambda done, total, what: told.append((done, total)) if "reduced" in what else None)
    assert told == [(done, len(census)) for done in range(0, len(census), 100)]
    assert told
