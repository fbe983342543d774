"""Every network of a space once: the known count, its representatives, and a cache that may be absent or damaged."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from tests.search.doubles import TINY, Triangle

from micronas.network.identity import DISCONNECTED, live_key
from micronas.search.census import Census, take_census
from micronas.spaces.nasbench201 import NasBench201
from micronas.spaces.space import Skeleton

SPACE = Triangle()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


def assert_equal(one: Census, other: Census) -> None:
    assert one.keys == other.keys
    assert one.members.tolist() == other.members.tolist()
    assert one.first.tolist() == other.first.tolist()


def test_nasbench201_has_5260_networks_one_of_them_disconnected() -> None:
    """Golden: two independent enumerations of the rule agree."""
    space = NasBench201()
    census = take_census(space)
    assert (len(census), len(census.members), int((~census.connected).sum())) == (5260, 15625, 1)
    assert len(set(census.keys)) == 5260
    everything = list(census.architectures())
    for at in range(0, 15625, 1009):
        network = int(census.members[at])
        assert census.representative(network) == space.canonical(everything[at])
        assert live_key(space.lower(everything[at], Skeleton((8, 8, 3), 2, 4, 1, 1))) == census.keys[network]


def test_small_census_against_brute_force(cache: Path) -> None:
    census = take_census(SPACE)
    keys = [live_key(SPACE.lower(choices, TINY)) for choices in SPACE.everything().completions()]
    classes: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        classes.setdefault(key, []).append(at)
    assert len(census) == len(classes)
    for members in classes.values():
        (network,) = set(census.members[members].tolist())
        assert int(census.first[network]) in members
        assert bool(census.connected[network]) == (keys[members[0]] != DISCONNECTED)


def test_representatives_stand_for_themselves(cache: Path) -> None:
    census = take_census(SPACE)
    everything = list(census.architectures())
    for network in range(len(census)):
        assert everything[int(census.first[network])] == census.representative(network)
        assert SPACE.canonical(census.representative(network)) == census.representative(network)


def test_it_is_counted_once_and_then_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    first = take_census(SPACE, lambda done, total, what: told.append(f"{what}: {done} of {total}"))
    assert told == ["telling networks apart: 0 of 125", "telling networks apart: 100 of 125"]
    monkeypatch.setattr("micronas.search.census._count", None)
    assert_equal(take_census(SPACE), first)


def test_a_damaged_cache_is_counted_anew_wherever_the_damage_is(cache: Path) -> None:
    first = take_census(SPACE)
    (path,) = cache.iterdir()
    sound = path.read_bytes()
    for at in islice(range(len(sound)), 0, None, len(sound) // 12):
        for damaged in (sound[:at], sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :]):
            path.write_bytes(damaged)
            assert_equal(take_census(SPACE), first)
            assert path.read_bytes() == sound


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path / "file"))
    assert len(take_census(SPACE)) > 1
