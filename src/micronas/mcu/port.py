"""A serial port opened for us alone; where it cannot be, in words: which group to join, which program holds it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_HELD = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)


def opened(url: str, baud: int, seconds: float) -> Any:
    """Pyserial's port of a device (`/dev/ttyACM0`, `COM3`) or URL; other programs that ask are kept out.

    Raises:
        ImportError: pyserial is not installed.
        OSError, ValueError: it cannot be opened; `why` says in words why not.
    """
    import serial

    return serial.serial_for_url(url, baud, timeout=seconds, write_timeout=seconds, exclusive=True)


def why(url: str, error: Exception) -> str:
    """Why a port cannot be opened or read, and what to do."""
    said = " ".join(str(error).split())
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM) or "Permission denied" in said or "Access is denied" in said:
        return f"{said}; {_permission(url)}"
    if holders := ", ".join(_holders(url)):
        return f"{said}; {holders} holds it: close that first"
    if number in _HELD or "exclusively lock" in said or "multiple access" in said or "busy" in said.lower():
        return f"{said}; another program holds it: close that first"
    return said


def _permission(url: str) -> str:
    """Which group may use the device."""
    try:
        group = Path(url).group()
    except (KeyError, NotImplementedError, OSError, ValueError):
        return "you may not use it, or another program holds it"
    if group == "root":
        return f"only root may use it: chmod or a udev rule gives {url} to your group"
    return f"join the group {group} (sudo usermod -aG {group} $USER, then log in again)"


def _holders(url: str) -> Iterator[str]:
    """Programs that have the device open, as far as this system and user can see."""
    with suppress(OSError, ValueError):
        device = os.path.realpath(url)
        if Path(device).exists():
            for process in Path("/proc").glob("[0-9]*"):
                if process.name != str(os.getpid()) and _has_open(process, device):
                    name = (process / "comm").read_text(errors="replace").strip()
                    yield f"{name} (process {process.name})"


def _has_open(process: Path, device: str) -> bool:
    with suppress(OSError):
        for file in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(file) == device:  # noqa: PTH115 (what is no path is no path)
                    return True
    return False
