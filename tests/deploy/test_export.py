"""What is taken home builds, checks itself, and says what it is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.networks import lowered

from micronas.deploy.export import export_c, export_firmware
from micronas.errors import UserError
from micronas.hardware.boards.target import load_target
from micronas.mcu.elf import ElfImage

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
SAID = ("Network: a cell.", "Weights: random weights, seed 3.")
MAIN = '#include "{name}_selftest.h"\nint main(void) {{ return {name}_selftest(); }}\n'


def selftest(folder: Path, name: str) -> int:
    """Compiled strictly, run: how many logits differ."""
    (folder / "main.c").write_text(MAIN.format(name=name))
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsanitize=address,undefined"]
    program = folder / "program"
    subprocess.run([*command, "-o", program, *folder.glob("*.c"), *folder.glob("kernels/*.c")], check=True)
    return subprocess.run([program], check=False).returncode


@pytest.mark.debian("gcc")
def test_the_c_checks_itself_and_a_wrong_logit_is_noticed(tmp_path: Path) -> None:
    written = export_c(lowered(CELL, channels=4, cells=1), tmp_path, "wing", 3, SAID)
    generated = [path for path in written if path.parent == tmp_path]
    assert {path.name for path in generated} == {
        "wing.h",
        "wing.c",
        "wing_memory.c",
        "wing_selftest.h",
        "wing_selftest.c",
        "CMakeLists.txt",
    }
    for path in generated:
        assert all(line in path.read_text() for line in SAID), path
    assert selftest(tmp_path, "wing") == 0
    test = tmp_path / "wing_selftest.c"
    head, begin, logits = test.read_text().partition("wing_test_logits[10] = {\n    ")
    first, _, rest = logits.partition(",")
    test.write_text(f"{head}{begin}{int(first) ^ 1},{rest}")
    assert selftest(tmp_path, "wing") == 1


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_builds_the_library(tmp_path: Path) -> None:
    export_c(lowered(CELL, channels=4, cells=1), tmp_path / "wing", "wing", 0, SAID)
    subprocess.run(["cmake", "-S", tmp_path / "wing", "-B", tmp_path / "build"], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, capture_output=True)
    assert (tmp_path / "build" / "libwing.a").exists()


def test_cmake_names_every_source_once(tmp_path: Path) -> None:
    written = export_c(lowered(CELL, channels=4, cells=1), tmp_path, "wing", 0, SAID)
    text = (tmp_path / "CMakeLists.txt").read_text()
    for path in written:
        assert text.count(f" {path.relative_to(tmp_path)}\n") == (path.suffix == ".c")


def test_the_firmware_is_the_boards_and_others_say_why(tmp_path: Path) -> None:
    graph = lowered(CELL, channels=4, cells=1)
    written = export_firmware(graph, tmp_path, load_target("nucleo-f446re"), 0, SAID)
    assert [path.name for path in written] == ["nucleo-f446re.elf", "nucleo-f446re.bin", "nucleo-f446re.txt"]
    image = ElfImage.read(written[0])
    assert "model_run" in image.symbols
    assert len(written[1].read_bytes()) >= sum(len(segment.data) for segment in image.segments)
    assert written[2].read_text().splitlines() == [*SAID]
    with pytest.raises(UserError, match="no start-up code for raspberry-pi-pico"):
        export_firmware(graph, tmp_path, load_target("raspberry-pi-pico"), 0, SAID)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        export_c(lowered(CELL, channels=4, cells=1), tmp_path / "file", "wing", 0, SAID)
