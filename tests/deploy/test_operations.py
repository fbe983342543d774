"""The path to a board, end to end, on qemu's serial port: build, run, list, time, check, keep."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.deploy.test_int8 import network_of

from micronas.deploy import firmware as firmware_module
from micronas.deploy.c import emit
from micronas.deploy.emulate import default_toolchain
from micronas.deploy.firmware import MPS2_AN500, Chip, Firmware, build_serial
from micronas.deploy.int8 import logits
from micronas.deploy.operations import OperationImage, measure_entries, measure_table, profile_board
from micronas.deploy.quantize import random_network
from micronas.errors import UserError
from micronas.hardware.boards.target import load_target
from micronas.mcu import frame
from micronas.mcu.checksum import crc16, pattern
from micronas.mcu.serial_board import BoardError, CountedRuns, SerialBoard
from micronas.network.signature import Kind, Signature
from micronas.origin import Word

SHAPE = (6, 6, 5)
SIGNATURES = (
    Signature.square(Kind.CONV, SHAPE, (3, 3, 8), 3, 2, (1, 1), relu_in=True),
    Signature(Kind.ADD, SHAPE, SHAPE, operands=3),
    Signature.square(Kind.AVG_POOL, SHAPE, SHAPE, 3, 1, (1, 1)),
    Signature(Kind.GLOBAL_POOL, SHAPE, (1, 1, 5)),
    Signature(Kind.LINEAR, (1, 1, 5), (1, 1, 10)),
)
IMAGE = OperationImage(SIGNATURES, "zig 0")


@contextmanager
def qemu(firmware: Firmware, kind: type[SerialBoard] = SerialBoard) -> Generator[SerialBoard]:
    """The image in qemu; its clock is that of its instructions, so ticks repeat."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = ["qemu-system-arm", "-M", "mps2-an500", "-kernel", str(firmware.elf), "-icount", "shift=4"]
    command += ["-display", "none", "-monitor", "none", "-serial", f"tcp:127.0.0.1:{port},server"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with _connected(kind, f"socket://127.0.0.1:{port}") as board:
            yield board
    finally:
        process.kill()
        process.communicate()


def _connected(kind: type[SerialBoard], url: str) -> SerialBoard:
    for _ in range(100):
        try:
            return kind.open(url)
        except BoardError:  # qemu does not listen yet
            time.sleep(0.1)
    return kind.open(url)


@pytest.fixture(scope="module")
def firmware() -> Firmware:
    return IMAGE.build(MPS2_AN500, default_toolchain())


@pytest.mark.debian("qemu-system-arm")
def test_every_operation_is_timed_and_computes_what_the_reference_does(firmware: Firmware, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with qemu(firmware) as board:
        hello = board.expect("mps2-an500", IMAGE.id)
        assert (hello.clock_hz, hello.entries) == (25_000_000, len(SIGNATURES) + 1)
        assert board.names() == (*map(str, SIGNATURES), frame.ENTRY)
        steps: list[tuple[int, int]] = []
        found = measure_entries(board, IMAGE, kept, runs=3, progress=lambda done, of: steps.append((done, of)))
    assert steps[-1] == (6, 6)
    assert [*found] == [*IMAGE.names]
    assert all(0 < each.least_cycles <= each.median_cycles for each in found.values())
    assert found[str(SIGNATURES[0])].median_cycles > found[str(SIGNATURES[4])].median_cycles
    assert json.loads(kept.read_text())[frame.ENTRY]["runs"] == 3


@pytest.mark.debian("qemu-system-arm")
def test_an_interrupted_measurement_goes_on_where_it_stopped(firmware: Firmware, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    timed: list[int] = []

    class Interrupted(SerialBoard):
        stop_at = 3

        def time(self, index: int, runs: int = 1, at_most_seconds: float = 60.0) -> CountedRuns:
            if index == self.stop_at:
                raise KeyboardInterrupt
            timed.append(index)
            return super().time(index, runs, at_most_seconds)

    with qemu(firmware, Interrupted) as board:
        with pytest.raises(KeyboardInterrupt):
            measure_entries(board, IMAGE, kept, runs=1)
        Interrupted.stop_at = -1
        measure_entries(board, IMAGE, kept, runs=1)
    assert timed == [0, 1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.debian("qemu-system-arm")
def test_a_whole_network_on_the_board_computes_what_the_reference_does() -> None:
    network = random_network(network_of())
    firmware = build_serial(emit(network), MPS2_AN500, default_toolchain())
    with qemu(firmware) as board:
        assert board.names() == ("network",)
        measured = board.time(0, 2)
    shape = network.graph.layers[0].signature.out_shape
    expected = logits(network, pattern(int(np.prod(shape))).reshape(shape))
    assert measured.output_crc == crc16(expected.tobytes())


@pytest.mark.debian("qemu-system-arm")
def test_another_board_or_another_image_is_refused_before_anything_is_measured(firmware: Firmware) -> None:
    target = load_target("nucleo-f746zg")
    with qemu(firmware) as board:
        with pytest.raises(BoardError, match="is mps2-an500, not nucleo-f746zg"):
            measure_table(target, board, IMAGE)
        other = OperationImage(SIGNATURES[:2], IMAGE.compiler)
        with pytest.raises(BoardError, match=f"holds image {IMAGE.id}, not {other.id}"):
            board.expect("mps2-an500", other.id)
        with pytest.raises(BoardError, match=r"refuses 'run 77 1': unknown request"):
            board.time(77, 1)


@pytest.mark.parametrize("name", ["nucleo-f746zg", "nucleo-f446re"])
def test_images_for_the_boards_are_built_but_never_ran_on_them(name: str) -> None:
    target = load_target(name)
    firmware = IMAGE.build(Chip.of(target), default_toolchain())
    binary = firmware.binary()
    assert 0 < firmware.flash_bytes <= len(binary) < target.flash_bytes
    assert int.from_bytes(binary[4:8], "little") & ~1 == firmware.image.symbol("micronas_reset").address
    assert name.encode() in binary
    assert IMAGE.id.encode() in binary


def test_an_image_is_named_by_all_that_its_cycles_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(firmware_module.FIRMWARE, copy)
    monkeypatch.setattr(firmware_module, "FIRMWARE", copy)
    names = [OperationImage(SIGNATURES, "zig 0").id, OperationImage(SIGNATURES, "zig 1").id]
    assert names[0] == IMAGE.id
    for part in ("startup.c", "serial.c", "boards/stm32.h", "boards/nucleo-f746zg.c"):
        with (copy / part).open("a") as file:
            file.write("/* changed */\n")
        names.append(OperationImage(SIGNATURES, "zig 0").id)
    assert len(set(names)) == 6


def test_a_table_is_called_measured_and_says_by_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a board that lies about nothing: its answers come from the reference."""
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    target = load_target("nucleo-f446re")
    with SerialBoard(Faithful(), "loop") as board:
        table = measure_table(target, board, IMAGE, runs=5)
    assert table.word is Word.MEASURED
    assert table[SIGNATURES[1]] == pytest.approx(1000 * 1001 / target.clock_hz)
    assert table.overhead_ms == pytest.approx(1000 * 1005 / target.clock_hz)
    assert "median of 5 runs" in table.provenance["measured_with"]


def test_who_asks_again_gets_a_new_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    target = load_target("nucleo-f446re")
    for _ in range(2):
        port = Faithful()
        with SerialBoard(port, "loop") as board:
            measure_table(target, board, IMAGE, runs=5)
        assert port.runs == len(IMAGE.names)
    assert not [*(tmp_path / "measured").iterdir()]


def test_what_another_compilers_image_measured_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dropping(Faithful):
        def answer(self, word: str, numbers: list[int]) -> str:
            if word == "run" and numbers[0] == 3:
                raise OSError("unplugged")
            return super().answer(word, numbers)

    monkeypatch.setenv("MICRONAS_CACHE", str(tmp_path))
    target, again = load_target("nucleo-f446re"), {IMAGE.compiler: len(IMAGE.names) - 3, "gcc": len(IMAGE.names)}
    for compiler, runs in again.items():
        with SerialBoard(Dropping(), "loop") as board, pytest.raises(BoardError, match="unplugged"):
            measure_table(target, board, IMAGE, runs=5)
        image = replace(IMAGE, compiler=compiler)
        port = Faithful(image.id)
        with SerialBoard(port, "loop") as board:
            measure_table(target, board, image, runs=5)
        assert port.runs == runs


def test_the_firmware_is_written_before_the_board_is_asked(tmp_path: Path) -> None:
    target, firmware = load_target("nucleo-f446re"), tmp_path / "out" / "board.bin"
    with pytest.raises(BoardError, match=f"cannot open /dev/no-such-port.*firmware for it: {firmware}"):
        profile_board(target, SIGNATURES, "/dev/no-such-port", firmware, toolchain=default_toolchain())
    built = replace(IMAGE, compiler=f"{default_toolchain().version} -O3")
    assert built.id.encode() in firmware.read_bytes()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the firmware"):
        profile_board(target, SIGNATURES, "x", tmp_path / "file" / "board.bin", toolchain=default_toolchain())


class Faithful:
    """A nucleo-f446re as a serial port: the protocol in a few lines of Python."""

    timeout: float | None = None

    def __init__(self, image: str = IMAGE.id) -> None:
        self.image = image
        self.lines: list[bytes] = []
        self.runs = 0

    def write(self, data: bytes, /) -> int:
        tag, word, *numbers = data.decode().strip().partition("*")[0].split()
        self.lines.append(line(f"{tag} {self.answer(word, [int(number) for number in numbers])}"))
        return len(data)

    def answer(self, word: str, numbers: list[int]) -> str:
        match word:
            case "hello":
                return f"micronas 1 nucleo-f446re 180000000 {len(IMAGE.names)} {self.image}"
            case "name":
                return f"name {numbers[0]} {IMAGE.names[numbers[0]]}"
            case _:
                at, runs = numbers
                self.runs += 1
                output = IMAGE.operations[at].expected() if at < len(SIGNATURES) else pattern(32 * 32 * 3)
                return f"cycles {at} {runs} {900 + at} {1000 + at} {crc16(output.tobytes())}"

    def read_until(self, _expected: bytes = b"\n", _size: int | None = None, /) -> bytes:
        return self.lines.pop(0) if self.lines else b""

    def reset_input_buffer(self) -> None:
        self.lines.clear()

    def close(self) -> None:
        pass


def line(body: str) -> bytes:
    return f"{body}*{crc16(body.encode()):04x}\n".encode()


def test_a_board_that_computes_wrong_is_not_believed(tmp_path: Path) -> None:
    class Wrong(Faithful):
        def answer(self, word: str, numbers: list[int]) -> str:
            said = super().answer(word, numbers)
            return said[: said.rindex(" ")] + " 1" if word == "run" and numbers[0] == 2 else said

    kept = tmp_path / "kept.json"
    with (
        SerialBoard(Wrong(), "loop") as board,
        pytest.raises(BoardError, match="computes avg_pool3x3/1 6x6x5 wrong"),
    ):
        measure_entries(board, IMAGE, kept)
    assert len(json.loads(kept.read_text())) == 2  # what came before is kept
    kept.write_text('{"frame": 3')  # damaged: measured anew
    with SerialBoard(Faithful(), "loop") as board:
        assert len(measure_entries(board, IMAGE, kept)) == 6
