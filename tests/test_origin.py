"""Where a number comes from is one word, and beside it how."""

from __future__ import annotations

import pytest

from micronas.origin import COMPUTED, Origin, Word


@pytest.mark.parametrize("word", Word)
def test_a_word_stands_alone_or_before_how(word: Word) -> None:
    assert str(Origin(word)) == word.value
    assert str(Origin(word, "kernels 1, uncalibrated")) == f"{word.value}: kernels 1, uncalibrated"


def test_there_are_five_words() -> None:
    assert [*Word] == ["computed", "simulated", "measured", "published", "assumed"]
    assert str(COMPUTED) == "computed"
