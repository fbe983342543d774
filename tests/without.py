"""Python on another system: a fresh interpreter in which modules that only some systems have cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
SYSTEMS = {"unix": ("msvcrt",), "windows": UNIX, "neither": ("msvcrt", *UNIX)}
"""What each lacks."""

_MSVCRT = """
import subprocess  # which takes a system that has msvcrt for Windows

class Msvcrt:  # as Microsoft documents `_locking`, on top of locks that this system has
    import fcntl
    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, descriptor, mode, count):
        command = self.fcntl.LOCK_EX | self.fcntl.LOCK_NB if mode == self.LK_NBLCK else self.fcntl.LOCK_UN
        try:
            self.fcntl.lockf(descriptor, command, count)
        except OSError as error:
            raise PermissionError(13, "Permission denied") from error

msvcrt = Msvcrt()
msvcrt.__spec__ = "there"
sys.modules["msvcrt"] = msvcrt
"""


def python(system: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program as on that system; what it prints, and what goes wrong, is on its stdout."""
    lines = [f"import sys; sys.path.insert(0, {str(ROOT)!r})"]
    lines += [_MSVCRT] if system == "windows" else []
    lines += [f"sys.modules[{name!r}] = None" for name in SYSTEMS[system]]
    command = [sys.executable, "-c", "\n".join([*lines, program]), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen[str]) -> str:
    """What a program printed until it ended well."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output
