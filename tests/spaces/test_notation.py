"""The notation that a space has unless it brings its own: options parted by spaces."""

from __future__ import annotations

import pytest
from tests.spaces.chain import Chain

from micronas.spaces.space import ArchitectureError

CHAIN = Chain(stages=1, depths=(1,), widths=(8, 16), kernels=(3, 5), expansions=(2, 3, 4))
"""Decisions: width, depth (one option), kernel, expansion."""


def test_what_is_written_is_read() -> None:
    for choices in CHAIN.everything().completions():
        assert CHAIN.parse(CHAIN.format(choices)) == choices


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("16 1 3", "an architecture of chain has 4 options parted by spaces, not 3; e.g. 8 1 3 2"),
        ("16 1 3 2 2", "has 4 options parted by spaces, not 5"),
        ("", "has 4 options parted by spaces, not 0"),
        ("12 1 3 2", "option 1 of chain: unknown '12'; there are 8, 16"),
        ("166 1 3 2", "option 1 of chain: unknown '166'; did you mean '16'? there are 8, 16"),
        ("16 1 7 2", "option 3 of chain: unknown '7'; there are 3, 5"),
        ("16 1 3 x", "option 4 of chain: unknown 'x'; there are 2, 3, 4"),
        ("16 2 3 2", "option 2 of chain: unknown '2'; there are 1"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        CHAIN.parse(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
