"""One process at a time, on every system."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

_POLL_S = 0.02  # between two looks at a lock that another process holds
_ABANDONED_S = 20.0  # a name that stands in a lock so long is a killed process's: nothing here is held for seconds
_SETTLE_S = 1.0  # whoever takes an abandoned lock over looks after this whether another did so at the same time


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Other processes that ask for the same path wait until this one is done.

    A killed process lets go. The system sees to that where Python can lock files, on Unix and Windows; elsewhere
    `<path>.held` says who is at work, and what a killed process left there is taken over after 20 seconds.

    Raises:
        OSError: no file can be made there, or the file system knows no locks.
    """
    lock = _flock if find_spec("fcntl") else _byte_of_windows if find_spec("msvcrt") else _name_in_a_file
    with lock(path):
        yield


@contextmanager
def _flock(path: Path) -> Generator[None]:
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _byte_of_windows(path: Path) -> Generator[None]:
    """Its first byte, which need not be there; asked for again and again, for its own wait ends after ten seconds."""
    msvcrt: Any = import_module("msvcrt")  # its types are there on Windows alone
    with path.open("a") as file:
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                break
            except PermissionError:  # another process has it
                time.sleep(_POLL_S)
        try:
            yield
        finally:
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


@contextmanager
def _name_in_a_file(path: Path) -> Generator[None]:
    """A file that only one process can make, with a name of its own in it."""
    held, name = path.with_name(f"{path.name}.held"), uuid4().hex
    seen, since = "", time.monotonic()
    while not _made(held, name):
        if (other := _read(held)) != seen:
            seen, since = other, time.monotonic()
        if time.monotonic() - since > _ABANDONED_S:
            _take_over(held, name)
            time.sleep(_SETTLE_S)
            if _read(held) == name:
                break  # else another took it over too, and later
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        if _read(held) == name:  # else it was taken over
            held.unlink(missing_ok=True)


def _made(held: Path, name: str) -> bool:
    try:
        with held.open("x", encoding="ascii") as file:
            file.write(name)
    except FileExistsError:
        return False
    return True


def _take_over(held: Path, name: str) -> None:
    """Put the name in at once, so that the last of several stands there whole."""
    own = held.with_name(f"{held.name}.{name}")
    own.write_text(name, encoding="ascii")
    own.replace(held)


def _read(held: Path) -> str:
    """The name in it; none where there is no such file, or none yet."""
    try:
        return held.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
