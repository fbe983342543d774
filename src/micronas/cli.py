"""The command line's entry: runs a command, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import zip_longest
from typing import Any

from micronas.errors import Notice, UserError
from micronas.views.ascii import HANDLER

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are by default the process's own.

    The exit code: 0, 2 for what the user can mend, 3 for a limit out of reach, 130 after Ctrl-C, and
    1 if whoever read the output went away.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", Notice)
            warnings.showwarning = _shown(warnings.showwarning)
            code = _run(words)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it at exit succeeds
        return 1
    except UserError as error:  # before there is any command: where caches are to be is asked for its help
        return _wrong(str(error), words, error.exit_code)
    except OSError as error:
        return _wrong(_disk_trouble(error), words)
    except MemoryError:
        return _wrong("not enough memory for this; choose fewer channels or cells, or a smaller input", words)
    if code == INTERRUPTED:
        print("interrupted; no result was written", file=sys.stderr, flush=True)
        if arguments is None:
            os._exit(code)  # everything is cleaned up; threads that still compile are not worth waiting for
    return code


def _shown(usually: Callable[..., None]) -> Callable[..., None]:
    """Of warnings ours are one line like any other remark."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        from micronas.commands.console import remark

        if issubclass(category, Notice):
            if str(message) not in said:
                remark(f"note: {message}")
            said.add(str(message))
        else:
            usually(message, category, *where)

    return show


def _run(words: Sequence[str]) -> int:
    # Only here: an interrupt while all this is imported is an interrupt like any other.
    import typer

    from micronas.commands.app import app

    mistyped = _mistyped(typer.BadParameter)
    try:
        code: object = app(_with_values(words), standalone_mode=False)
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - None if it was closed
            sys.stdout.flush()
    except UserError as error:
        return _wrong(_disk_trouble(error) if isinstance(error, OSError) else str(error), words, error.exit_code)
    except mistyped as error:
        return _wrong(str(getattr(error, "format_message", error.__str__)()), words)
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0  # newer versions of typer return 130 after Ctrl-C


def _with_values(words: Sequence[str]) -> list[str]:
    """The words typed; `--front` alone is the front of the score and latency."""
    alone = [
        word == "--front" and (after is None or after.startswith("-")) for word, after in zip_longest(words, words[1:])
    ]
    return [f"{word}=latency" if its else word for word, its in zip(words, alone, strict=True)]


def _mistyped(example: type[Exception]) -> type[Exception]:
    """What typer raises for a flag it cannot read; whether click is vendored in it depends on its version."""
    return next(kind for kind in example.__mro__ if kind.__name__ == "ClickException")


def _wrong(message: str, words: Sequence[str], code: int = 2) -> int:
    """Say what is wrong in one line on stderr; whoever asked for JSON, and has none yet, gets it on stdout too."""
    from micronas.commands.console import one_line, print_json, voice

    line = one_line(message)
    print("error:", line, file=sys.stderr)
    if "--json" in words and not voice.answered:
        with suppress(OSError):  # stdout may be what failed
            print_json({"error": line, "exit_code": code})
    return code


def _disk_trouble(error: OSError) -> str:
    """What the system refused, and if it was within our caches, how to have them elsewhere."""
    from micronas.cache import cache_dir

    name = str(error.filename) if error.filename else "the output"
    ours = name.startswith(str(cache_dir()))
    hint = "; set MICRONAS_CACHE to a folder you can write to" if ours else ""
    return f"cannot use {name}: {error.strerror or error}{hint}"


if __name__ == "__main__":
    sys.exit(main())
