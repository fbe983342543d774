"""About two dozen runs of every command and search in a normal form: run them in two checkouts to see what moved.

    PYTHONPATH=src:. python -m tests.golden.runs out.json
    PYTHONPATH=src:. python -m tests.golden.runs --compare before.json after.json

The normal form holds answers alone: architectures, numbers, and digests of emitted C. Nothing in it follows the layout
of a result file or a page; where a layout changes, the extractor of that command changes with it, and the answers stay.
"""

from __future__ import annotations

import argparse
import atexit
import csv
import hashlib
import io
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from micronas.cache import cache_dir
from micronas.cli import main
from micronas.hardware.boards.table import decode

KEPT = Path(__file__).with_suffix(".json")
"""The answers that `tests/test_golden_runs.py` holds every change to."""

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
POOLED = "|avg_pool_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
PARTLY_DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"
DISCONNECTED = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"

SMALL = ("--channels", "4", "--cells", "1")
ONE_DRAW = ("--repeats", "1")

Normal = Any
"""Plain data: dicts, lists, text, numbers, None."""


@dataclass(frozen=True)
class Ended:
    """A command that came to its end: its exit code, what it printed, and the folder it wrote to."""

    code: int
    printed: str
    complaint: str
    folder: Path

    @property
    def data(self) -> Any:
        """The JSON that a command printed."""
        assert self.code == 0, self.complaint
        return json.loads(self.printed)


@dataclass(frozen=True)
class Scenario:
    """One run: `answer` makes its normal form, and may write to the folder it is given.

    `warm`: may use scores that earlier scenarios stored. Its answer is the same without, but takes longer.
    """

    name: str
    answer: Callable[[Path], Normal]
    warm: bool = False


# --- what commands read -------------------------------------------------------------------------


def _pictures(folder: Path) -> Path:
    """A folder of forty small pictures: stripes of any direction and colour, no two alike."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rows, columns, channels = np.mgrid[0:40, 0:36, 0:3]
    for number in range(40):
        pixels = rows * (3 + number) + columns * (7 + 5 * number % 11) + channels * 53 * number + rows * columns // 9
        Image.fromarray((pixels % 256).astype(np.uint8)).save(pictures / f"{number:02}.png")
    return pictures


def _config(folder: Path) -> Path:
    path = folder / "run.toml"
    lines = (
        *('target = "nucleo-f446re"', "classes = 100", "seed = 3", "repeats = 2", "limits = { latency = 90 }"),
        *("[space_settings]", "channels = 8", "cells = 2"),
        *("[terms]", "ntk = 2.0", "linear-regions = 0.5", "latency = 0.25"),
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _measurements(folder: Path) -> Path:
    path = folder / "measurements.csv"
    lines = (
        "name,milliseconds",
        *("conv3x3/1 32x32x16,11.1", "conv3x3/1 16x16x32,9.9", "conv3x3/1 8x8x64,9.2", "conv1x1/1 32x32x16,2.3"),
        *("conv1x1/1 16x16x32,1.61", "conv1x1/1 8x8x64,1.35", "add2 32x32x16,0.71", "add2 16x16x32,0.37"),
        *("avg_pool3x3/1 32x32x16,3.2", "avg_pool3x3/1 16x16x32,1.38", "avg_pool3x3/1 8x8x64,2.9"),
        *(f"{CELL},337", f"{POOLED},262"),
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


_FILES: Mapping[str, Callable[[Path], Path]] = {
    "PICTURES": _pictures,
    "CONFIG": _config,
    "MEASUREMENTS": _measurements,
    "RUNS": lambda folder: folder / "runs",
    "OUT": lambda folder: folder / "out.csv",
}
"""Words of a command line that stand for a path in the scenario's folder, and what makes the file there."""


def command(extract: Callable[[Ended], Normal], *arguments: str) -> Callable[[Path], Normal]:
    """What `extract` makes of one command line; words in `_FILES` become paths."""

    def answer(folder: Path) -> Normal:
        words = [str(_FILES[word](folder)) if word in _FILES else word for word in arguments]
        printed, complaint = io.StringIO(), io.StringIO()
        with redirect_stdout(printed), redirect_stderr(complaint):
            code = main(words)
        return extract(Ended(code, printed.getvalue(), complaint.getvalue(), folder))

    return answer


# --- what commands answer: the only place that knows today's layouts ---------------------------


def judged(ended: Ended) -> Normal:
    """An architecture with its values, where its latency goes, its limits, and its emulation."""
    data = ended.data
    return {
        "architecture": data["architecture"],
        "values": {name: one["value"] for name, one in data["indicators"].items()},
        "too little": [one["indicator"] for one in data["limits"] if one["verdict"] == "does not fit"],
        **_latency(data["latency"]),
        **_emulated(data),
    }


def _latency(data: Any) -> Normal:
    names = ("range_ms", "overhead_ms", "by_operation_ms", "by_stage_ms")
    if not data:
        return {"range_ms": None}
    by_layer = {layer["layer"]: layer["milliseconds"] for layer in data["layers"]}
    return {name: data[name] for name in names} | {"by_layer_ms": by_layer}


def _emulated(data: Any) -> Normal:
    if not data["emulation"]:
        return {}
    emulation = data["emulation"]
    names = ("cycles", "instructions", "arena_bytes", "stack_bytes", "statics_bytes", "sram_bytes", "flash_bytes")
    names += ("logits", "matches_reference", "cycles_by_cause")
    return {"emulated": {"latency_ms": data["emulated_latency_ms"]} | {name: emulation[name] for name in names}}


def found(ended: Ended) -> Normal:
    """The same of a search's answer, with its finalists and rounds; the file that was kept says what was printed."""
    data = ended.data
    (kept,) = (ended.folder / "runs").glob("*/result.json")
    assert json.loads(kept.read_text(encoding="utf-8")) == data, "what is kept is not what was printed"
    enforced = [limit for limit in data["limits"] if limit["enforced"]]
    limits = [{name: limit[name] for name in ("indicator", "at_most", "reached")} for limit in enforced]
    finalists = [{name: one[name] for name in ("architecture", "score", "values")} for one in data["finalists"]]
    factors = [one["hardware_factor"] for one in data["finalists"]]
    rounds = [{name: one[name] for name in ("candidates", "struck", "skipped")} for one in data["rounds"]]
    more = {"measurements": data["measurements"], "limits": limits, "finalists": finalists, "rounds": rounds}
    return judged(ended) | more | {"hardware_factors": factors}


def nearest(ended: Ended) -> Normal:
    """Of a limit out of reach: the exit code, the nearest architecture and what it needs."""
    told = re.search(r"the cheapest, (\S+), needs latency ([0-9.e+-]+) ms", ended.complaint)
    assert told, ended.complaint
    return {"exit code": ended.code, "architecture": told[1], "values": {"latency": float(told[2])}}


def scored(ended: Ended) -> Normal:
    """Of a table of scores: its columns with their sums and empty cells, and 200 rows spread over it."""
    assert ended.code == 0, ended.complaint
    header, *rows = csv.reader((ended.folder / "out.csv").read_text(encoding="utf-8").splitlines())
    columns = {name: [row[at] for row in rows] for at, name in enumerate(header) if at}
    finite = {
        name: [value for cell in cells if (value := _number(cell)) is not None] for name, cells in columns.items()
    }
    return {
        "columns": header,
        "rows": len(rows),
        "finite": {name: len(values) for name, values in finite.items()},
        "sums": {name: math.fsum(values) for name, values in finite.items()},
        "sample": [
            {"architecture": row[0], "values": dict(zip(header[1:], map(_number, row[1:]), strict=True))}
            for row in (rows[number * (len(rows) - 1) // 199] for number in range(200))
        ],
    }


def _number(cell: str) -> float | None:
    return float(cell) if cell and math.isfinite(float(cell)) else None


def timed(ended: Ended) -> Normal:
    """Of a profile: the time of every operation."""
    data = ended.data
    return {name: data[name] for name in ("overhead_ms", "latency_ms", "untimed")}


def calibrated(ended: Ended) -> Normal:
    """Of a calibration: what was fitted, how well, and the scaled table."""
    names = ("measurements", "scales", "common_scale", "overhead_ms", "median_error", "band", "outliers")
    lines = (ended.folder / "out.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    table = {str(decode(row)): float(row["milliseconds"]) for row in rows}
    return {name: ended.data[name] for name in names} | {"table": table}


def boards(ended: Ended) -> Normal:
    """Every board's core, clock and memory."""
    return {
        one["name"]: {name: one[name] for name in ("core", "clock_hz", "sram_bytes", "flash_bytes")}
        for one in ended.data
    }


def judges(ended: Ended) -> Normal:
    """Every indicator's unit and direction."""
    return {one["name"]: {"unit": one["unit"], "better": one["better"]} for one in ended.data}


# --- the scenarios ------------------------------------------------------------------------------


def search(*arguments: str) -> Callable[[Path], Normal]:
    return command(found, "search", *arguments, "--runs", "RUNS", "--json")


def pruning(*arguments: str) -> Callable[[Path], Normal]:
    """The paper's search, without the board's memory."""
    return search("--search", "pruning", "--no-fit", *arguments)


def exact(*arguments: str) -> Callable[[Path], Normal]:
    """The exact search, without the board's memory."""
    return search("--search", "exact", "--no-fit", *arguments)


def measure(architecture: str, *arguments: str) -> Callable[[Path], Normal]:
    return command(judged, "measure", architecture, *arguments, "--json")


def repeats(*arguments: str) -> Callable[[Path], Normal]:
    """Whether a search answers the same twice; what it answers may change."""

    def answer(folder: Path) -> Normal:
        folders = [folder / "first", folder / "second"]
        for each in folders:
            each.mkdir()
        first, second = (search(*arguments)(each) for each in folders)
        return {"repeats": first == second}

    return answer


def emitted(architecture: str, channels: int, cells: int, seed: int) -> Callable[[Path], Normal]:
    """Digests of the C of a network of random weights."""

    def answer(folder: Path) -> Normal:
        from micronas.deploy.c import emit
        from micronas.deploy.quantize import random_network
        from micronas.network.deployed import deploy
        from micronas.spaces.nasbench201.space import NasBench201
        from micronas.task import Task

        space = NasBench201(channels=(channels,), cells=(cells,))
        graph = deploy(space.lower(space.parse(architecture), Task()))
        files = emit(random_network(graph, seed)).files
        return {"sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}}

    return answer


SCENARIOS = (
    Scenario("pruning", pruning()),
    Scenario("pruning within a limit", pruning("--max-latency", "300ms", *ONE_DRAW)),
    Scenario("pruning by weights", pruning("--flops-weight", "0.5", "--latency-weight", "0.3", *ONE_DRAW)),
    Scenario("pruning by naswot", pruning("--expressivity", "naswot", *ONE_DRAW, *SMALL)),
    Scenario("pruning by zen-score", pruning("--expressivity", "zen-score", *ONE_DRAW, *SMALL)),
    Scenario("pruning by synflow", pruning("--expressivity", "synflow", "--seed", "1", *ONE_DRAW, *SMALL)),
    Scenario("pruning for another board", pruning("--target", "nrf5340dk", "--max-latency", "0.4s", *ONE_DRAW)),
    Scenario("pruning another skeleton", pruning("--input", "24", "--classes", "4", "--seed", "2", *ONE_DRAW, *SMALL)),
    Scenario("pruning on pictures", pruning("--images", "PICTURES", *ONE_DRAW)),
    Scenario("pruning as a file says", pruning("--config", "CONFIG")),
    Scenario("a limit out of reach", command(nearest, "search", "--max-latency", "1ms", "--no-fit", "--runs", "RUNS")),
    Scenario("exact", exact(*ONE_DRAW)),
    Scenario("exact within a limit", exact("--max-latency", "250ms", *ONE_DRAW), warm=True),
    Scenario(
        "exact by weights",
        exact("--ntk-weight", "2", "--flops-weight", "0.5", "--latency-weight", "1", *ONE_DRAW),
        warm=True,
    ),
    Scenario("what fits by default", search(*ONE_DRAW), warm=True),
    Scenario(
        "what fits a small board",
        search("--target", "nrf5340dk", "--max-sram", "40KiB", "--max-flash", "300KiB", "--margin", "band", *ONE_DRAW),
        warm=True,
    ),
    Scenario("pruning within the board", search("--search", "pruning", "--max-sram", "48KiB", *ONE_DRAW)),
    Scenario("scores", command(scored, "scores", "--seeds", "0", *ONE_DRAW, "--unique", "--out", "OUT"), warm=True),
    Scenario("random", repeats("--search", "random", "--no-fit", "--seed", "5", "--max-latency", "300ms", *ONE_DRAW)),
    Scenario("measure", measure(CELL)),
    Scenario("measure every performance", measure(CELL, "--indicators", "ntk,linear-regions,naswot,zen-score,synflow")),
    Scenario("measure the hardware", measure(POOLED, "--indicators", "latency,sram,flash")),
    Scenario("measure a disconnected cell", measure(DISCONNECTED)),
    Scenario("measure a dead edge elsewhere", measure(PARTLY_DEAD, "--target", "nucleo-l4r5zi", "--channels", "8")),
    Scenario("emulate", measure(CELL, "--emulate", "--indicators", "latency,sram,flash", *SMALL)),
    Scenario(
        "emulate elsewhere", measure(POOLED, "--emulate", "--indicators", "flops", "--target", "nrf5340dk", *SMALL)
    ),
    Scenario("profile", command(timed, "profile", "nucleo-f446re", *SMALL, "--out", "OUT", "--json")),
    Scenario("calibrate", command(calibrated, "calibrate", "nucleo-f746zg", "MEASUREMENTS", "--out", "OUT", "--json")),
    Scenario("targets", command(boards, "targets", "--json")),
    Scenario("indicators", command(judges, "indicators", "--json")),
    Scenario("emitted C", emitted(CELL, channels=4, cells=1, seed=0)),
    Scenario("emitted C of another cell", emitted(POOLED, channels=6, cells=2, seed=1)),
)


# --- running ------------------------------------------------------------------------------------

_COMPILED = ("numba", "toolchain")
"""What is shared with the user's cache: compiled code, kept there by all that it was compiled from."""


def answer(scenario: Scenario) -> Normal:
    """The normal form of one scenario, in a cache in which no board was profiled and no score stored."""
    with _own_cache(scenario.warm), _one_thread(), tempfile.TemporaryDirectory(prefix="micronas-golden-") as folder:
        return json.loads(json.dumps(scenario.answer(Path(folder)), allow_nan=False))


@cache
def _own_folder() -> Path:
    """A cache for this process alone, so that nothing other code has kept is read."""
    own = Path(tempfile.mkdtemp(prefix="micronas-golden-cache-"))
    atexit.register(shutil.rmtree, own)
    for name in _COMPILED:
        shared = cache_dir() / name
        shared.mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(shared.resolve())
    return own


@contextmanager
def _own_cache(warm: bool) -> Generator[None]:
    """Our cache in place of the user's; what depends on earlier scenarios is forgotten, but scores if `warm`."""
    own = _own_folder()
    forgotten = [*own.glob("targets"), *([] if warm else own.glob("scores*"))]
    for entry in forgotten:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    before = os.environ.get("MICRONAS_CACHE")
    os.environ["MICRONAS_CACHE"] = str(own)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MICRONAS_CACHE"]
        else:
            os.environ["MICRONAS_CACHE"] = before


@contextmanager
def _one_thread() -> Generator[None]:
    """Torch on one thread: sums of as many parts as a machine has cores are other sums, and busy cores make it wait."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write(path: Path) -> None:
    """The normal form of every scenario, one value a line; floats in full."""
    answers: dict[str, Normal] = {}
    for scenario in SCENARIOS:
        print(scenario.name, file=sys.stderr)
        answers[scenario.name] = answer(scenario)
    path.write_text(json.dumps(answers, indent=0, sort_keys=True) + "\n", encoding="utf-8")


# --- comparing ----------------------------------------------------------------------------------

Where = tuple[str, ...]
"""The keys and positions that lead to a value."""


def differences(
    left: Normal, right: Normal, tolerance: Callable[[Where], float], where: Where = ()
) -> Iterator[tuple[Where, str, str]]:
    """Every value that differs, with where it is; floats may differ by a relative `tolerance`, 0 is bit for bit."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if key in left and key in right:
                yield from differences(left[key], right[key], tolerance, (*where, key))
            else:
                yield (*where, key), _shown(left, key), _shown(right, key)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for at, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from differences(one, other, tolerance, (*where, str(at)))
    elif isinstance(left, float) and isinstance(right, float):
        if repr(left) != repr(right) and not math.isclose(left, right, rel_tol=tolerance(where)):
            yield where, repr(left), repr(right)
    elif type(left) is not type(right) or left != right:
        yield where, json.dumps(left), json.dumps(right)


def _shown(data: Mapping[str, Normal], key: str) -> str:
    return json.dumps(data[key]) if key in data else "absent"


def compare(left: Path, right: Path, tolerance: float) -> int:
    """Print a line for each difference between two files; 1 if there is any."""
    one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (left, right))
    lines = [
        f"{where[0]}: {' / '.join(where[1:])}: {was} -> {now}"
        for where, was, now in differences(one, other, lambda _: tolerance)
    ]
    print("\n".join(lines) if lines else f"{len(one)} runs, no difference")
    return 1 if lines else 0


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.runs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", help="the file to write")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("LEFT", "RIGHT"), help="two such files")
    parser.add_argument("--tolerance", type=float, default=0.0, help="relative, of floats; without it bit for bit")
    given = parser.parse_args(arguments)
    if (given.out is None) == (given.compare is None):
        parser.error("give a file to write, or --compare and two files")
    if given.compare:
        left, right = given.compare
        return compare(left, right, given.tolerance)
    write(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
