"""A result is held against its own schema: whatever a library of JSON Schema refuses is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tools.fuzz.mangling import mangled_json
from tools.fuzz.readers import READERS

from micronas.errors import UserError
from micronas.run.results import read_back, seal
from micronas.run.schema import check, of_results

LIBRARY = jsonschema.Draft202012Validator(dict(of_results()))


def refuses(data: Any) -> bool:
    try:
        check(data, of_results())
    except (KeyError, ValueError):
        return True
    return False


@pytest.mark.parametrize("seed", range(60))
def test_what_a_library_refuses_is_refused(seed: int) -> None:
    chance = random.Random(seed)
    for text in READERS["result"].true():
        data = mangled_json(text.decode(), chance)
        if not LIBRARY.is_valid(data):
            assert refuses(data)


def test_what_we_write_is_taken() -> None:
    for text in READERS["result"].true():
        assert not refuses(json.loads(text))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("seed",), True, "seed is True, not of type integer"),
        (("seed",), -1, "not at least 0"),
        (("seed",), 1.5, "not of type integer"),
        (("seconds",), 10**400, "not at most 1e+100"),
        (("target",), 3, "target is 3, not of type string"),
        (("limits", 0, "at_most"), 0, "limits[0].at_most is 0, not above 0"),
        (("limits", 0, "verdict"), "maybe", "not one of fits"),
        (("latency", "layers", 0, "milliseconds"), "1", "latency.layers[0].milliseconds is '1'"),
        (("latency", "layers", 0, "layer"), None, "latency.layers[0].layer is None"),
        (("indicators", "latency", "value"), "1", "indicators.latency.value is '1'"),
        (("made_from", "the images"), 1, "made_from.the images is 1"),
        (("more",), 1, "unknown key 'more'"),
        (("run", "seed"), "1", "seed of a run must be a whole number"),
        (("run", "odd"), 1, "unknown key 'odd'"),
        (("run", "limits"), {"latency": True}, "limits of a run must be"),
        (("drawing",), "|", "drawing is '|'"),
        (("drawing", 0), 1, "drawing[0] is 1"),
    ],
)
def test_an_edit_with_a_true_checksum_is_one_line(
    path: tuple[Any, ...], value: object, says: str, tmp_path: Path
) -> None:
    data = json.loads(READERS["result"].true()[1])
    holder: Any = data
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    (tmp_path / "result.json").write_text(json.dumps(seal(data)), encoding="utf-8")
    with pytest.raises(UserError, match=r"result\.json") as caught:
        read_back(tmp_path / "result.json")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
