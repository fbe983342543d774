"""A serial port that cannot be had: the line says which group to join, or which program holds it."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from micronas.mcu import port
from micronas.mcu.serial_board import BoardError, SerialBoard


@pytest.fixture
def device() -> Generator[str]:
    """A serial line of this system, without anybody at its other end."""
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "Permission denied"), OSError("[Errno 13] Permission denied: x")]
)
def test_who_may_not_use_it_is_told_the_group(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "group", lambda _: "dialout")
    assert "join the group dialout (sudo usermod -aG dialout $USER, then log in again)" in port.why(
        "/dev/ttyACM0", error
    )


@pytest.mark.parametrize("trouble", [KeyError(7), NotImplementedError(), FileNotFoundError(), ValueError("null")])
def test_a_device_without_a_group_is_told_otherwise(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> str:
        raise trouble

    monkeypatch.setattr(Path, "group", fail)
    said = port.why("COM3", PermissionError(13, "Access is denied"))
    assert "you may not use it, or another program holds it" in said


def test_what_only_root_may_use_needs_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "group", lambda _: "root")
    assert "udev rule" in port.why("/dev/ttyS0", PermissionError(13, "Permission denied"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBUSY, "Device or resource busy"),
        OSError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError("Could not exclusively lock port /dev/x: [Errno 11] Resource temporarily unavailable"),
        OSError(
            "device reports readiness to read but returned no data (device disconnected or multiple access on port?)"
        ),
    ],
)
def test_a_port_in_use_is_said_to_be(error: OSError) -> None:
    assert "another program holds it: close that first" in port.why("/dev/x", error)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file or directory"), ValueError("invalid URL"), OSError("odd")]
)
def test_other_trouble_is_told_as_it_is(error: Exception) -> None:
    assert port.why("/dev/x", error) == " ".join(str(error).split())


def test_a_port_of_ours_is_nobody_elses(device: str) -> None:
    with SerialBoard.open(device), pytest.raises(BoardError, match="another program holds it: close that first"):
        SerialBoard.open(device)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not say which program has a file open")
def test_the_program_that_holds_it_is_named(device: str) -> None:
    program = "import sys, time; file = open(sys.argv[1], 'rb', buffering=0); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, device], stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        said = port.why(device, OSError(errno.EBUSY, "busy"))
        other.kill()
    assert f"(process {other.pid}) holds it: close that first" in said


@pytest.mark.parametrize(
    "url", ["/dev/none", "nonsense://x", "socket://localhost:1", "socket://x", "", "a\0b", "/", "x" * 5000]
)
def test_what_is_no_port_is_one_line(url: str) -> None:
    with pytest.raises(BoardError, match="cannot open") as caught:
        SerialBoard.open(url)
    assert "\n" not in str(caught.value)
