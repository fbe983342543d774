"""What is found out about a space once: kept on disk, and made while nobody collects garbage."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from micronas.cache import Arrays
from micronas.spaces.kept import kept
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own."""
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))


@pytest.mark.parametrize("collected", [True, False])
def test_it_is_made_once_and_the_collector_is_left_as_it_was(collected: bool) -> None:
    made: list[bool] = []

    def make() -> Arrays:
        made.append(gc.isenabled())
        return {"bytes": np.arange(3)}

    was_on = gc.isenabled()
    try:
        (gc.enable if collected else gc.disable)()
        for _ in range(2):
            assert kept(NasBench201(), Task(), "of a test", __name__, make)["bytes"].tolist() == [0, 1, 2]
            assert gc.isenabled() is collected
    finally:
        (gc.enable if was_on else gc.disable)()
    assert made == [False]


def test_the_collector_is_back_when_it_cannot_be_made() -> None:
    def make() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(NasBench201(), Task(), "of a test", __name__, make)
    assert gc.isenabled()
