"""Once a space is scored, another board or limit is answered without torch, numba or a single measurement."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micronas.cache import cache_dir
from micronas.hardware.indicators.counted import count_space
from micronas.run.run import Run
from micronas.run.setup import set_up
from micronas.search.census import Census, take_census
from micronas.sources import version_of_class
from micronas.store import LAYOUT, ScoreStore, Series

RUN = Run(search="exact")

ASK = """
import json, sys
from micronas.run.run import Run
from micronas.run.running import search

outcome = search(Run(search="exact", limits={"latency": 5000.0}, target="raspberry-pi-pico"))
heavy = [name for name in ("torch", "numba", "scipy", "unicorn") if name in sys.modules]
print(json.dumps({"heavy": heavy, "outcome": outcome.to_dict()}))
"""


def fill(store: ScoreStore, census: Census, run: Run) -> None:
    """Numbers without meaning, as if every network had been scored."""
    chance = np.random.default_rng(0)
    parts = set_up(run)
    for term, seed in product(parts.objective.performance, parts.draws):
        indicator = term.indicator.with_seed(seed)
        series = Series(indicator.name, indicator.fingerprint, version_of_class(type(indicator)))
        values = chance.uniform(10, 2000, len(census)).tolist()
        store.write({series: dict(zip(census.keys(indicator.probe), values, strict=True))})


@pytest.fixture
def census() -> Census:
    return take_census(set_up(RUN).start)


@pytest.fixture
def cache(census: Census, tmp_path: Path) -> Path:
    """A cache folder of its own in which everything was asked before."""
    start = set_up(RUN).start
    for form in ("live", "deployed"):
        count_space(start.space, start.task, form)
    fill(ScoreStore(tmp_path / "scores.sqlite3"), census, RUN)
    shutil.copytree(cache_dir() / "spaces", tmp_path / "spaces")
    return tmp_path


def ask(cache: Path) -> dict[str, Any]:
    environment = os.environ | {"MICRONAS_CACHE": str(cache)}
    command = [sys.executable, "-c", ASK]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["heavy"] == []
    return answer["outcome"]


def test_a_second_question_measures_nothing_and_needs_no_torch(cache: Path, census: Census) -> None:
    outcome = ask(cache)
    assert outcome["latency_ms"] <= 5000
    assert outcome["measurements"] == 2 * RUN.repeats * (len(census) - 1)
    assert outcome["notes"] == []
    assert outcome["indicators"]["ntk"]["value"] == outcome["finalists"][0]["values"]["ntk"]


def test_what_the_store_had_to_say_is_in_the_outcome(cache: Path, census: Census) -> None:
    path = cache / "scores.sqlite3"
    content = bytearray(path.read_bytes())
    content[60:64] = (LAYOUT - 1).to_bytes(4)  # the header's user_version
    path.write_bytes(content)
    (note,) = ask(cache)["notes"]
    assert (
        f"(its layout is {LAYOUT - 1}, this version's is {LAYOUT}); {2 * RUN.repeats * len(census):,} scores were saved"
        in note
    )
