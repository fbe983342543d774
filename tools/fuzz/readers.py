"""Every reader of what users, programs and devices write, with true inputs to begin from."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from tools.fuzz.mangling import VALUES, mangled, mangled_json

from micronas.cache import kept_arrays
from micronas.hardware.boards.calibration import Calibration, read_measurements
from micronas.hardware.boards.own import read_board
from micronas.hardware.boards.table import read_table
from micronas.hardware.boards.target import BUNDLED, load_untimed
from micronas.inputs import Images
from micronas.mcu.checksum import crc16
from micronas.mcu.serial_board import SerialBoard
from micronas.quantity import parse_quantity
from micronas.run import results, running
from micronas.run.reading import parse_pair, parse_seeds, parse_setting, parse_weight, read_config
from micronas.run.run import Run
from micronas.run.setup import graph_of, set_up
from micronas.spaces.nasbench201.space import NasBench201
from micronas.store import ScoreStore, Series
from micronas.views import details, terminal
from micronas.views.escaped import inert

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
TINY = Run(space_settings={"channels": 4, "cells": 1}, input=8, repeats=1, fit=False)


@dataclass(frozen=True)
class Reader:
    """What reads, and what it is given.

    Attributes:
        read: what is held to the law; takes the input and a folder of its own.
        true: makes inputs that are read.
        change: a true input and chance -> another input.
        reads_true: whether it must read all of those; not where several readers share them.
    """

    read: Callable[[bytes, Path], object]
    true: Callable[[], tuple[bytes, ...]]
    change: Callable[[bytes, random.Random], bytes] = mangled
    reads_true: bool = True


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def from_file(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return from_file


def _text(read: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    return lambda content, _: read(content.decode(errors="surrogateescape"))


# --- files of text ------------------------------------------------------------------------------

_RUN = b"""space = "nasbench201"
search = "exact"
target = "nucleo-f746zg"
input = "8x8x3"
classes = 10
fit = true
margin = "none"
batch = 16
seed = 3
repeats = 2
seeds = "0-1"
reserve_sram = 1024
[space_settings]
channels = [4, 8]
cells = 1
[limits]
latency = 300
sram = 64_000.5
[terms]
ntk = 1.0
latency = 0.5
"""


def _tables() -> tuple[bytes, ...]:
    lines = (BUNDLED / "nucleo-f746zg.csv").read_text(encoding="utf-8").splitlines()[:24]
    calibrated = [
        *("# calibration: 31 measurements, median leave-one-out error 3.1%", "# calibration_error: 0.05"),
        *(
            "# calibration_errors: 0.01 0.03",
            "# calibration_scales: *=1.1 conv3x3=0.9",
            "# calibrated_runtime: micronas",
        ),
        "# simulated_overhead_ms: 0.02",
    ]
    return tuple("\n".join([*each, ""]).encode() for each in (lines, [*lines[:5], *calibrated, *lines[5:]]))


def _read_table(path: Path) -> object:
    table = read_table(path)
    calibration = Calibration.of(table)
    raw = calibration.removed_from(table) if calibration else table
    return raw.dump(), table.origin, table.measured_classes, table.digest_of(table.milliseconds)


def _read_board_file(path: Path) -> object:
    board = load_untimed(path)
    return board.memory_model, board.arena_region, board.clock_hz / 1e6


_KNOWN = (*read_table(BUNDLED / "nucleo-f746zg.csv").milliseconds,)[:5]


def _measurements() -> tuple[bytes, ...]:
    rows = [f"{CELL},80.5,4,1,8,10", f"{_KNOWN[0]},1.25,,,,", f'"{_KNOWN[1]}",1e-1,,,,']
    wide = "\n".join(["name,milliseconds,channels,cells,input,classes", *rows, ""])
    german = f"name;milliseconds\n{_KNOWN[0]};1,25\n{_KNOWN[1]};1.234,5\n"
    return wide.encode(), german.encode(), b"\xef\xbb\xbf" + german.encode(), *_tables()


def _read_result(path: Path) -> object:
    outcome = results.read_back(path)
    screen = Console(file=io.StringIO(), width=100)
    terminal.show(inert(outcome), screen)
    details.show_layers(inert(outcome), screen)
    details.show_sources(inert(outcome), screen)
    terminal.show_runs({"a": inert(outcome)}, screen)
    return json.dumps(results.sealed(outcome))


@cache
def _results() -> tuple[bytes, ...]:
    measured = running.measure(TINY, CELL, only=["latency", "sram", "flash", "params"])
    bounded = running.measure(replace(TINY, limits={"latency": 2.0}, fit=True), CELL, only=["latency", "sram"])
    return tuple(json.dumps(results.sealed(each)).encode() for each in (measured, bounded))


def _change_result(content: bytes, chance: random.Random) -> bytes:
    """Edited so that the checksum is right, as an enemy would; or as anybody would."""
    if chance.random() < 0.3:
        return mangled(content, chance)
    data = mangled_json(content.decode(), chance)
    try:
        return json.dumps(results.seal(data) if chance.random() < 0.9 else data).encode()
    except (ValueError, TypeError):
        return mangled(content, chance)


# --- pictures -----------------------------------------------------------------------------------


def _read_images(source: Any) -> object:
    images = Images(source)
    digests = images.batch_digest(2, 0), images.patches_digest((3, 3, 1), 4, 0)
    return str(images), digests, images.batch((8, 8, 3), 2, 0), images.patches((3, 3, 1), 4, 0)


def _archives() -> tuple[bytes, ...]:
    found: list[bytes] = []
    for save in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        pictures = np.arange(4 * 8 * 9 * 3, dtype=np.uint8).reshape(4, 8, 9, 3)
        save(content, x=pictures, y=np.arange(4))
        found.append(content.getvalue())
    return tuple(found)


def _pictures() -> tuple[bytes, ...]:
    found: list[bytes] = []
    for kind, mode in (("PNG", "RGB"), ("PNG", "I;16"), ("PNG", "P"), ("JPEG", "L"), ("BMP", "RGB"), ("WEBP", "RGBA")):
        content = io.BytesIO()
        Image.new(mode, (12, 10)).save(content, kind)
        found.append(content.getvalue())
    return tuple(found)


def _read_folder(content: bytes, folder: Path) -> object:
    for number, name in enumerate((b"a.png", b"caf\xe9.jpg", b"x\x1b[31m.webp")):
        path = folder / f"class {number % 2}" / name.decode(errors="surrogateescape")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if number else _pictures()[0])
    return _read_images(folder)


def _read_sequence(content: bytes, _: Path) -> object:
    """Objects drawn by the input, in the place of pictures."""
    import torch

    chance = random.Random(content)
    odd = (
        *VALUES,
        *(
            np.zeros((8, 8, 3)),
            np.zeros((8, 8), object),
            np.zeros((0, 8, 3)),
            np.zeros((8, 8, 2)),
            np.full((8, 8), np.nan),
        ),
        *(
            torch.zeros(3, 8, 8, requires_grad=True),
            torch.zeros(3, 8, 8),
            [[1, 2], [3]],
            Image.new("L", (8, 8)),
            "text",
        ),
        *(b"bytes", {"image": 1}, (), (np.zeros((8, 8)), 1), np.array(["a"]), np.zeros((8, 8), complex), object()),
    )
    source: Any = [chance.choice(odd) for _ in range(chance.randrange(4))]
    wholes = (source, tuple(source), iter(source), {"a": 1}, dict(enumerate(source)), torch.zeros(2, 3, 8, 8))
    wholes += (
        torch.zeros(3, 8, 8),
        np.zeros((2, 8, 8, 3)),
        np.zeros(()),
        np.array([None, 1], object),
        None,
        7,
        {1},
        b"ab",
    )
    return _read_images(chance.choice((source, source, *wholes)))


# --- what is typed, and what a device says ------------------------------------------------------


def _read_typed(text: str) -> object:
    for unit in ("ms", "bytes", "Hz", "MAC"):
        _refused_or(lambda unit=unit: parse_quantity(text, unit, "a limit"))
    for read in (parse_seeds, parse_setting, read_board):
        _refused_or(lambda read=read: read(text))
    _refused_or(lambda: parse_weight(text, "ntk"))
    _refused_or(lambda: parse_pair(text, "--limit"))
    _refused_or(lambda: Run(input=text).picture)
    return parse_quantity(text, "ms", "a limit")


def _refused_or(read: Callable[[], object]) -> None:
    from micronas.errors import UserError

    try:
        read()
    except UserError as error:
        if "\n" in str(error):
            raise ValueError("more than one line") from error


def _read_notation(text: str) -> object:
    _refused_or(lambda: NasBench201(channels=(4, 8), cells=(1, 2)).parse(text))
    return NasBench201().parse(text)


class _Port:
    """A board that says the same lines whatever it is asked, each with the tag of the question and a true checksum."""

    timeout: float | None = None

    def __init__(self, lines: list[bytes]) -> None:
        self._lines, self._left, self._tag = lines, list[bytes](), b"1"

    def write(self, data: bytes, /) -> int:
        self._tag = data.split()[0]
        self._left = [*self._lines]
        return len(data)

    def read_until(self, _expected: bytes = b"\n", _size: int | None = None, /) -> bytes:
        if not self._left:
            return b""
        body = self._left.pop(0)
        if body.startswith(b"raw "):
            return body
        body = self._tag + b" " + body
        return b"%b*%04x\n" % (body, crc16(body))

    def reset_input_buffer(self) -> None:
        self._left.clear()

    def close(self) -> None:
        pass


def _read_line(content: bytes, _: Path) -> object:
    with closing(_Port(content.split(b"\n")[:20])) as port:
        board = SerialBoard(port, "/dev/ttyACM0", answer_seconds=0.0005)
        _refused_or(lambda: board.names()[:9])
        return board.hello() if content.startswith(b"micronas") else board.time(0, 3, at_most_seconds=0.0005)


# --- what we keep -------------------------------------------------------------------------------

_SERIES = Series("ntk", "batch 32", "abc")


@cache
def _stores() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.sqlite3"
        ScoreStore(path).write({_SERIES: {f"network {at}": at / 7 for at in range(40)}})
        return (path.read_bytes(),)


def _read_store(path: Path) -> object:
    store = ScoreStore(path)
    found = store.read(_SERIES)
    if any(value != int(name.split()[1]) / 7 for name, value in found.items()):
        raise ValueError("a score that was never written")
    store.write({_SERIES: {"more": 1.0}})
    return store.read(_SERIES)


def _read_arrays(path: Path) -> object:
    """With a true digest: whoever edits may write one."""
    content = path.read_bytes()
    path.write_bytes(blake2b(content, digest_size=16).digest() + content)
    return kept_arrays(path)


READERS: Mapping[str, Reader] = {
    "run": Reader(_file("run.toml", lambda path: set_up(read_config(path))), lambda: (_RUN,)),
    "board": Reader(
        _file("b.toml", _read_board_file), lambda: tuple(path.read_bytes() for path in sorted(BUNDLED.glob("*.toml")))
    ),
    "table": Reader(_file("b.csv", _read_table), _tables),
    "measurements": Reader(
        _file("m.csv", partial(read_measurements, network=partial(graph_of, TINY), known=_KNOWN)), _measurements
    ),
    "result": Reader(_file("result.json", _read_result), _results, _change_result),
    "archive": Reader(_file("pictures.npz", _read_images), _archives),
    "pictures": Reader(_read_folder, _pictures),
    "sequence": Reader(_read_sequence, lambda: (b"0", b"1", b"2"), reads_true=False),
    "typed": Reader(
        _text(_read_typed),
        lambda: (b"300ms", b"128KiB", b"1,2,3", b"0-4", b"core=cortex-m4 clock=80MHz sram=128KiB flash=512KiB", b"a=1"),
        reads_true=False,
    ),
    "notation": Reader(
        _text(_read_notation), lambda: (CELL.encode(), f"{CELL} channels=4 cells=2".encode()), reads_true=False
    ),
    "serial": Reader(
        _read_line,
        lambda: (b"micronas 1 nucleo 216000000 2 abc", b"cycles 0 3 1000 1010 48879", b"name 0 add2\nraw \xff*12"),
        reads_true=False,
    ),
    "store": Reader(_file("scores.sqlite3", _read_store), _stores),
    "arrays": Reader(_file("kept.arrays", _read_arrays), _archives),
}
"""By name."""
