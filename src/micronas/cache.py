"""Where caches live, and how a file is written so that it is whole or absent."""

import atexit
import errno
import io
import os
import shutil
import stat
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

from micronas.errors import Notice, UserError

Arrays = Mapping[str, npt.NDArray[Any]]

_DIGEST_BYTES = 16
_LONGEST_PART = 50  # characters of a name that a temporary one repeats: names have 255 bytes at most


def user_dir() -> Path:
    """The folder of all that is kept for the user: `$MICRONAS_CACHE`, else the user's cache directory (XDG respected).

    Nothing is created here; `atomic_write` makes the folders it needs.

    Raises:
        UserError: `$MICRONAS_CACHE` is in the home of a user that there is not.
    """
    chosen = os.environ.get("MICRONAS_CACHE")
    try:
        return Path(chosen).expanduser() if chosen else user_cache_path("micronas", appauthor=False)
    except RuntimeError as error:
        raise UserError(f"MICRONAS_CACHE is {chosen}, but {error}; set it to a folder you can write to") from error


def cache_dir() -> Path:
    """`user_dir` for what is made anew if it is not there, compiled code among it.

    Code is run: where another user might have put some, or can, an empty folder of this process's own takes its place,
    and that is said. It is made with permissions for nobody else.
    """
    return _looked_at(user_dir())


@cache
def _looked_at(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except OSError as error:
        warnings.warn(f"nothing can be kept in {folder}: {error.strerror}; {_ANEW}", Notice, stacklevel=3)
        return folder
    if why := _distrusted(state):
        warnings.warn(f"what is in {folder} is not used: {why}; {_ANEW}", Notice, stacklevel=3)
        return _own_folder()
    if not os.access(folder, os.W_OK | os.X_OK):
        warnings.warn(f"nothing can be kept in {folder}: it takes no files; {_ANEW}", Notice, stacklevel=3)
    return folder


_ANEW = "all is computed anew each time; set MICRONAS_CACHE to a folder of your own"


def _distrusted(state: os.stat_result) -> str:
    """Why code in a folder may not be ours, "" if it is; systems without users and permissions trust."""
    user = getattr(os, "geteuid", lambda: state.st_uid)()
    if state.st_uid != user:
        return f"it belongs to user {state.st_uid}, not to {user}"
    if os.name == "posix" and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write to it, which chmod go-w mends"
    return ""


@cache
def _own_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="micronas-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class WriteError(UserError, OSError):
    """A file that cannot be written: the disk is full, the folder is not ours, the name is too long.

    `filename` is the file, whatever the system was doing for it.
    """

    def __str__(self) -> str:
        """`cannot write out/model.c: No space left on device`."""
        return f"cannot write {self.filename}: {self.strerror}"


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Whatever writes the file in it fails with its name: a full disk tells none.

    Raises:
        WriteError: it failed.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(error.errno or 0, error.strerror or str(error), str(path)) from error
    except ValueError as error:  # a character that no name has, or text that is none
        raise WriteError(errno.EINVAL, " ".join(str(error).split()), str(path)) from error


def atomic_write(path: Path, content: str | bytes) -> None:
    """Writes a file (text as UTF-8) so that readers see the old content or the new, never a part.

    The content goes to a temporary file in the same folder, reaches the disk, and is then renamed.
    Whatever ends the writing, Ctrl-C included, leaves `path` as it was and no temporary file; only
    a killed process can leave one behind, named `.<name>.<random>.tmp`.

    Raises:
        WriteError: the folder cannot be made or the file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:_LONGEST_PART]}.{uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:  # Ctrl-C is no Exception
            temporary.unlink(missing_ok=True)
            raise


def keep_arrays(path: Path, arrays: Arrays) -> None:
    """Keeps named arrays (of numbers or text) for `kept_arrays`, if the folder can be written to.

    A cache that cannot be written costs time, not the answer.
    """
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # pyright: ignore[reportArgumentType] (its flag is no array)
    with suppress(OSError):
        atomic_write(path, _digest(content.getvalue()) + content.getvalue())


def kept_arrays(path: Path) -> Arrays | None:
    """The arrays kept in a file; None if it is absent, unreadable or not byte for byte what was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if digest != _digest(content):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, LookupError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error):
        return None  # not of ours, though its digest is right


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
