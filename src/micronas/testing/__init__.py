"""Laws for plug-ins, as classes of tests to inherit: `class TestMine(SearchContract)`. Needs pytest."""

try:
    import pytest as pytest
except ImportError as error:  # it is no dependency: only whoever writes tests needs it
    raise ImportError("micronas.testing needs pytest: pip install pytest") from error

from micronas.testing.boards import BoardContract as BoardContract
from micronas.testing.indicators import IndicatorContract as IndicatorContract
from micronas.testing.searches import SearchContract as SearchContract
from micronas.testing.spaces import SpaceContract as SpaceContract

__all__ = ["BoardContract", "IndicatorContract", "SearchContract", "SpaceContract"]
