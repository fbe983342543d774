"""What every test of a search may count on: a score store of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.search import measured
from micronas.store import ScoreStore


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScoreStore:
    """An empty store, which searches take unless they are given another."""
    own = ScoreStore(tmp_path / "scores.sqlite3")
    monkeypatch.setattr(measured, "default_store", lambda: own)
    return own
