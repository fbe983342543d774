"""Boards are profiled, measured and calibrated from the command line, on networks small enough to wait for."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.terminal import CELL, TINY, Said, micronas

from micronas.cache import cache_dir
from micronas.hardware.boards.table import read_table
from micronas.hardware.boards.target import BUNDLED, load_target
from micronas.origin import Word

BOARD = "nucleo-f446re"
ADAPTER = """
#include "micronas_adapter.h"
const char adapter_runtime[] = "toy";
const char adapter_version[] = "0.1";
void adapter_relu(const micronas_relu_params *p, const int8_t *input, int8_t *output, void *scratch) {}
void adapter_global_pool(const micronas_global_pool_params *p, const int8_t *input, int8_t *output, void *scratch) {
    for (int i = 0; i < 100; i++) output[0] = (int8_t)(output[0] + input[i % 4]);
}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of this test's own, with what was compiled and counted in the whole run."""
    own = tmp_path / "cache"
    own.mkdir()
    for name in ("toolchain", "counts"):
        (cache_dir() / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(cache_dir() / name)
    monkeypatch.setenv("MICRONAS_CACHE", str(own))
    return own


def latency_ms(*flags: str) -> float:
    return json.loads(micronas("measure", CELL, "--indicators", "latency", "--target", BOARD, "--json", *flags).out)[
        "latency_ms"
    ]


def right(said: Said) -> Said:
    assert (said.code, said.err) == (0, ""), said
    return said


def test_a_profile_is_shown_kept_and_used(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = right(micronas("profile", BOARD, *TINY)).out
    kept = own_cache / "targets" / f"{BOARD}.csv"
    assert f"kept in  {kept}\n" in page
    for words in ("operations simulated with micronas", "timing model", "zig", "assumed 0", "180 MHz", "overhead of a"):
        assert words in page
    assert "measured" not in page
    table, bundled = read_table(kept), load_target(BOARD).latency
    assert table.word is Word.SIMULATED
    slowest = page.partition("overhead of a network")[0].splitlines()[3:]
    costs = [float(line.split()[-2]) for line in slowest if line.strip()]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(max(table.milliseconds.values()), abs=5e-4)
    assert {*table.milliseconds} <= {*bundled.milliseconds}
    monkeypatch.setattr("micronas.hardware.boards.profiled.profile", None)  # it is all there
    assert 0 < latency_ms(*TINY) < latency_ms()


def test_a_profile_answers_programs_and_can_go_elsewhere(own_cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "own" / "table.csv"
    data = json.loads(right(micronas("profile", BOARD, *TINY, "--out", str(out), "--json")).out)
    assert (data["target"], data["runtime"], data["origin"], data["untimed"]) == (BOARD, "micronas", "simulated", [])
    assert data["latency_ms"]["add2 8x8x4"] > 0
    assert data["path"] == str(out)
    assert read_table(out).overhead_ms == pytest.approx(data["overhead_ms"])
    assert not (own_cache / "targets").exists()


def test_a_profile_without_waits_is_not_kept(own_cache: Path) -> None:
    said = right(micronas("profile", BOARD, *TINY, "--no-memory"))
    assert "not kept" in said.out
    assert re.search(r"memory +off", said.out)
    assert not (own_cache / "targets").exists()


@pytest.mark.slow
def test_an_adapter_may_lack_operations_and_says_whose_figures_they_are(tmp_path: Path) -> None:
    adapter = tmp_path / "toy.c"
    adapter.write_text(ADAPTER)
    data = json.loads(right(micronas("profile", BOARD, *TINY, "--adapter", str(adapter), "--json")).out)
    assert [*data["latency_ms"]] == ["global_pool 2x2x16"]
    assert len(data["untimed"]) > 20
    assert data["origin"] == "simulated"
    assert data["how"].startswith("toy 0.1")
    said = micronas("measure", CELL, "--target", BOARD, "--runtime", "toy", *TINY)
    assert said.code == 2
    assert "--adapter" in said.err


@pytest.mark.debian("arm-none-eabi-gcc")
def test_an_own_compiler_is_named() -> None:
    said = right(micronas("profile", BOARD, *TINY, "--cc", "arm-none-eabi-gcc"))
    assert "arm-none-eabi-gcc" in said.out


# --- calibration --------------------------------------------------------------------------------


def measurements(path: Path, factor: float, names: int = 8) -> Path:
    """What a board would measure that needs `factor` times what is simulated, but for one outlier."""
    table = load_target(BOARD).latency
    rows = [(str(signature), factor * cost) for signature, cost in table.milliseconds.items()][:names]
    rows[-1] = (rows[-1][0], 9 * rows[-1][1])
    path.write_text("name,milliseconds\n" + "".join(f'"{name}",{cost!r}\n' for name, cost in rows))
    return path


def test_a_calibration_scales_what_is_simulated_from_then_on(own_cache: Path, tmp_path: Path) -> None:
    before = latency_ms()
    said = right(micronas("calibrate", BOARD, str(measurements(tmp_path / "m.csv", 1.5))))
    assert "x 1.500" in said.out
    assert re.search(r"outlier, no say +\S+.*\(line 9\)", said.out)
    assert "nine of ten within" in said.out
    assert f"kept in  {own_cache / 'targets' / f'{BOARD}.calibrated.csv'}" in said.out
    assert latency_ms() == pytest.approx(1.5 * before, rel=0.01)
    page = micronas("measure", CELL, "--indicators", "latency", "--target", BOARD, "--sources").out
    assert re.search(r"simulated: .*calibrated \(8 measurements, 1 outlier, median", " ".join(page.split()))
    again = json.loads(right(micronas("calibrate", BOARD, str(tmp_path / "m.csv"), "--json")).out)
    assert again["common_scale"] == pytest.approx(1.5, rel=0.01)  # of the simulated figures, not of the scaled ones
    assert (again["measurements"], len(again["outliers"]), again["runtime"]) == (8, 1, "micronas")
    assert 0 <= again["median_error"] <= again["band"]


def test_another_runtimes_measurements_make_a_table_of_its_name(tmp_path: Path) -> None:
    before = latency_ms()
    right(micronas("calibrate", BOARD, str(measurements(tmp_path / "m.csv", 3.0)), "--runtime", "cmsis-nn 7"))
    assert latency_ms() == before
    assert latency_ms("--runtime", "cmsis-nn 7") == pytest.approx(3 * before, rel=0.01)


def test_a_slip_of_the_unit_is_refused_unless_it_is_forced(own_cache: Path, tmp_path: Path) -> None:
    file = str(measurements(tmp_path / "m.csv", 1500.0))
    said = micronas("calibrate", BOARD, file)
    assert (said.code, said.out) == (2, "")
    assert "probably a slip of the unit: microseconds" in said.err
    assert not (own_cache / "targets").exists()
    forced = json.loads(right(micronas("calibrate", BOARD, file, "--force", "--json")).out)
    assert forced["common_scale"] == pytest.approx(1500, rel=0.01)


def test_a_calibration_that_makes_figures_no_better_is_not_kept(own_cache: Path, tmp_path: Path) -> None:
    rows = [*load_target(BOARD).latency.milliseconds.items()]
    factors = (0.8, 1.5, 1.1, 0.75, 1.45)
    lines = [f'"{one}",{factors[at % 5] * cost!r}' for at, (one, cost) in enumerate(rows)]
    file = tmp_path / "m.csv"
    file.write_text("\n".join(("name,milliseconds", *lines, "")))
    said = right(micronas("calibrate", BOARD, str(file)))
    assert re.search(r"do not use +the measurements predict each other within", said.out)
    assert "not kept: a calibration that makes figures no better" in " ".join(said.out.split())
    assert not (own_cache / "targets").exists()
    kept = json.loads(right(micronas("calibrate", BOARD, str(file), "--force", "--json")).out)
    assert kept["do_not_use"]
    assert kept["path"]


def test_too_few_measurements_change_nothing(own_cache: Path, tmp_path: Path) -> None:
    said = micronas("calibrate", BOARD, str(measurements(tmp_path / "m.csv", 2.0, names=3)))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: calibration needs at least 4 measurements, not 3")
    assert not (own_cache / "targets").exists()


# --- the board itself ---------------------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def emulated_board(folder: Path) -> Path:
    """A board's file for qemu's machine: another name, clock and memory than the one it is made of."""
    text = (BUNDLED / "nucleo-f746zg.toml").read_text()
    for key, value in (("name", '"mps2-an500"'), ("clock_hz", "25_000_000"), ("flash_origin", "0")):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    path = folder / "mps2-an500.toml"
    path.write_text(text)
    return path


@contextmanager
def plugged(firmware: str, port: int) -> Generator[None]:
    """QEMU's mps2-an500 with that image, its serial port on this one of TCP."""
    machine = ["qemu-system-arm", "-M", "mps2-an500", "-kernel", firmware, "-icount", "shift=4", "-display", "none"]
    machine += ["-monitor", "none", "-serial", f"tcp:127.0.0.1:{port},server"]
    with subprocess.Popen(machine, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            time.sleep(0.5)
            yield
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.debian("qemu-system-arm")
def test_a_whole_network_is_measured_over_the_boards_serial_port(tmp_path: Path) -> None:
    board, port = emulated_board(tmp_path), free_port()
    command = ["measure", CELL, *TINY, "--target", str(board), "--indicators", "params"]
    command += ["--port", f"socket://127.0.0.1:{port}"]
    unplugged = micronas(*command)
    assert (unplugged.code, unplugged.err.count("\n")) == (2, 1)
    firmware = re.search(r"firmware for it: (\S+\.bin);", unplugged.err)
    assert firmware is not None, unplugged.err
    with plugged(firmware[1], port):
        page = right(micronas(*command)).out
    assert "run on the board" in page
    assert "measured by the board's own counter" in " ".join(page.split())
    with plugged(firmware[1], port):
        run = json.loads(right(micronas(*command, "--json")).out)["on_board"]
    assert (run["target"], run["runs"], run["origin"]) == ("mps2-an500", 11, "measured")
    assert 0 < run["least_ms"] <= run["median_ms"]
    flashed = str(shutil.copy(firmware[1], tmp_path))  # before another image is written there
    with plugged(flashed, port):
        other = micronas(*command, "--seed", "1")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert f"holds image {run['image']}, not" in other.err


@pytest.mark.slow
@pytest.mark.debian("qemu-system-arm")
def test_a_board_is_measured_over_its_serial_port(tmp_path: Path, own_cache: Path) -> None:
    board, port = emulated_board(tmp_path), free_port()
    command = ["profile", str(board), *TINY, "--port", f"socket://127.0.0.1:{port}"]
    unplugged = micronas(*command)
    assert unplugged.code == 2
    firmware = re.search(r"firmware for it: (\S+\.bin);", unplugged.err)
    assert firmware is not None, unplugged.err
    assert not (own_cache / "targets").exists()
    with plugged(firmware[1], port):
        page = right(micronas(*command)).out
    assert "operations measured with micronas" in page
    assert "simulated" not in page
    table = read_table(own_cache / "targets" / "mps2-an500.measured.csv")
    assert table.word is Word.MEASURED
    assert load_target(board).latency == table
    said = micronas("calibrate", str(board), str(measurements(tmp_path / "m.csv", 2.0)))
    assert "note: mps2-an500 has a measured table, which is kept apart and goes before it" in said.err
    assert load_target(board).latency == table
    larger = micronas("measure", CELL, "--indicators", "latency", "--target", str(board))
    assert (larger.code, larger.err.count("\n")) == (0, 1)
    assert "was measured without" in larger.err
    assert "so all figures are calibrated" in larger.err
    assert load_target(board).latency == table
