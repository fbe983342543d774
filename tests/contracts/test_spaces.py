"""The laws of every search space in the catalog."""

from itertools import islice

import pytest

from micronas.catalog import SPACES
from micronas.network.identity import live_key
from micronas.spaces.space import ArchitectureError, SearchSpace, Skeleton

SMALL = Skeleton((8, 8, 3), classes=2, channels=4, cells=1, stages=2)


@pytest.fixture(params=list(SPACES.values()), ids=list(SPACES))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return request.param


def test_format_and_parse_undo_each_other(space: SearchSpace) -> None:
    for choices in islice(space.everything().completions(), 0, None, 97):
        assert space.parse(space.format(choices)) == choices


def test_canonical_keeps_the_network_and_is_idempotent(space: SearchSpace) -> None:
    for choices in islice(space.everything().completions(), 0, None, 97):
        canonical = space.canonical(choices)
        assert space.canonical(canonical) == canonical
        assert live_key(space.lower(canonical, SMALL)) == live_key(space.lower(choices, SMALL))


def test_everything_is_open_and_lowers(space: SearchSpace) -> None:
    everything = space.everything()
    assert not everything.is_decided
    assert len(space.lower(everything, SMALL)) > len(space.lower(next(everything.completions()), SMALL))


def test_a_layer_of_one_name_has_one_signature_throughout_the_space(space: SearchSpace) -> None:
    """So that name and signature identify weights, but for sums, which have none."""
    seen: dict[str, object] = {}
    for choices in islice(space.everything().completions(), 0, None, 97):
        for layer in space.lower(choices, SMALL):
            if layer.signature.weight_shape:
                assert seen.setdefault(layer.name, layer.signature) == layer.signature


def test_nonsense_is_no_architecture(space: SearchSpace) -> None:
    with pytest.raises(ArchitectureError):
        space.parse("nonsense")
