"""Where caches live, and how a file is written so that it is whole or absent."""

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from platformdirs import user_cache_path

Arrays = Mapping[str, npt.NDArray[Any]]

_DIGEST_BYTES = 16


def cache_dir() -> Path:
    """The folder of every cache: `$MICRONAS_CACHE`, else the user's cache directory (XDG respected).

    Nothing is created here; `atomic_write` makes the folders it needs.
    """
    chosen = os.environ.get("MICRONAS_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("micronas", appauthor=False)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Writes a file (text as UTF-8) so that readers see the old content or the new, never a part.

    The content goes to a temporary file in the same folder, reaches the disk, and is then renamed.
    Whatever ends the writing, Ctrl-C included, leaves `path` as it was and no temporary file; only
    a killed process can leave one behind, named `.<name>.<random>.tmp`.

    Raises:
        OSError: the folder cannot be made or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
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
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return dict(file)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
