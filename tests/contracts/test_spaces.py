"""Every search space of the catalog keeps the public laws, and so do one with open numbers and one far too large."""

from __future__ import annotations

from tests.spaces.chain import Chain

from micronas.catalog import SPACES
from micronas.spaces.nasbench201.space import NasBench201
from micronas.testing import SpaceContract


class TestNasBench201(SpaceContract):
    space = NasBench201()


class TestOpenNumbers(SpaceContract):
    space = NasBench201(channels=(4, 8), cells=(1, 3), stages=(2, 3), stem_stride=(1, 2), input=(16, 32))


class TestChain(SpaceContract):
    space = Chain()


def test_every_space_of_the_catalog_is_held_to_them() -> None:
    assert {*SPACES} == {TestNasBench201.space.name}
