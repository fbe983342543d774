"""Where caches live, and how a file is written so that it is whole or absent."""

import os
from pathlib import Path
from uuid import uuid4

from platformdirs import user_cache_path


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
