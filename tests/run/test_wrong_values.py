"""Whatever a program gives in the place of a value of a run is refused in one line, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import micronas
from micronas.errors import UserError
from micronas.run.run import Run


def tensor() -> Any:
    import torch

    return torch.zeros(2, 3, 8, 8, requires_grad=True)


WRONG: dict[str, list[Any]] = {
    "images": [
        tensor,
        np.zeros((2, 8, 8, 3)),
        {},
        [],
        (),
        [[1], [2, 3]],
        np.array([1, "a"], object),
        b"x",
        "",
        "\0",
        "a\0b",
    ],
    "target": [3, "\0.toml", "\ud800.toml", "x" * 300 + ".toml", "x" * 5000, "/", Path("/none")],
    "seed": [10**5000, -1, 1.5, True, "1", 2**63],
    "limits": [{"latency": 10**400}, {"latency": True}, {"latency": float("nan")}, {"latency": -1}, [1], {1: 2}],
    "terms": [{1: 2}, {"ntk": "1"}, {"ntk": -1}, {"ntk": 0}, {"ntk": float("inf")}, {"none": 1}, "ntk"],
    "seeds": ["9" * 5000, "a", 3, "1-0", ""],
    "input": ["9" * 5000, 10**30, -5, 0, "8x", "8x8x8x8", "\u0663", True, 2.5],
    "classes": [0, 10**12, 10**30, "2"],
    "batch": [0, -5, 10**15, "2"],
    "repeats": [0, 10**6, "2"],
    "reserve_sram": [-1, 10**15, True],
    "space_settings": [
        {"cells": 10**15},
        {"channels": 10**9},
        {"channels": []},
        {"channels": [True]},
        {"odd": 1},
        {1: 1},
    ],
    "search_settings": [{"samples": -1}, {"samples": "x"}, 3],
    "max_latency": [5, "\ud800", "9" * 5000, "1e999s"],
    "expressivity": [3, [], "x" * 5000],
    "limit": [3, [3], ["latency"], "latency=", {"latency": 1}],
    "front": [3, None, {}, "latency"],
    "run": [3, {}, "run"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values], ids=lambda _: ""
)
def test_a_wrong_value_is_one_line(name: str, value: Any) -> None:
    with pytest.raises(UserError) as caught:
        cast(Any, micronas.find)(**{"search": "pruning", name: value() if callable(value) else value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("images", ["x" * 300, "\udce9", "/none"])
def test_images_that_cannot_be_there_are_one_line(images: str) -> None:
    with pytest.raises(UserError, match="image"):
        micronas.find(images=images)


@pytest.mark.parametrize("architecture", [3, None, b"x", [1], "", "\ud800", "|" * 9999])
def test_an_architecture_is_a_text(architecture: Any) -> None:
    with pytest.raises(UserError):
        micronas.measure(Run(), architecture)
