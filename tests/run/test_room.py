"""The room a board leaves: the largest contiguous region and the flash, less a reserve that is said."""

from __future__ import annotations

import pytest

from micronas.errors import UserError
from micronas.hardware.boards.target import load_target, target_names
from micronas.run.room import rooms_of

KIB = 1024


@pytest.mark.parametrize("name", target_names())
def test_of_every_board_something_is_left(name: str) -> None:
    target = load_target(name)
    for room, size in zip(rooms_of(target), (max(r.size_bytes for r in target.sram), target.flash_bytes), strict=True):
        assert room.size_bytes == size
        assert 0.875 * size <= room.at_most < size


def test_the_reserve_is_the_smaller_of_a_size_and_an_eighth() -> None:
    """By hand, of a chip of 64 KiB and one of 2 MiB (nucleo-l4r5zi has 384 KiB in one region)."""
    sram, flash = rooms_of(load_target("nucleo-l4r5zi"))
    assert (sram.reserved_bytes, flash.reserved_bytes) == (16 * KIB, 64 * KIB)
    assert str(sram) == "16 of 384 KiB SRAM3"
    given, _ = rooms_of(load_target("nucleo-l4r5zi"), reserve_sram=0)
    assert given.at_most == 384 * KIB


@pytest.mark.parametrize("reserve", [-1, 384 * KIB, 10**9])
def test_a_reserve_that_leaves_nothing_is_refused(reserve: int) -> None:
    with pytest.raises(UserError, match="leaves nothing of SRAM3"):
        rooms_of(load_target("nucleo-l4r5zi"), reserve_sram=reserve)
