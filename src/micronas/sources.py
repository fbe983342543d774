"""Which source files a module is made of: numbers kept on disk are of no use once these have changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+([\w.]+))", re.MULTILINE)


_THIS_PROCESS = uuid4().hex
"""Stands for code that no file holds, such as a notebook's: what it computes is of use to this process alone."""


@cache
def version_of(*modules: str) -> str:
    """A digest of the source of modules and of all that they import from their own package or ours, directly or not."""
    digest = blake2b(digest_size=8)
    for name in sorted(modules):
        digest.update(name.encode() if _path(name) else _THIS_PROCESS.encode())
    for name, path in sorted(_needed(modules).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def version_of_class(kind: type, *modules: str) -> str:
    """The same of a class with all it inherits from, and of further modules."""
    inherited = {each.__module__ for each in kind.__mro__} - {"builtins", "typing", "abc"}
    return version_of(*sorted({*inherited, *modules}))


def _needed(modules: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    ahead = [*modules]
    while ahead:
        name = ahead.pop()
        path = _path(name)
        if path is not None and name not in found:
            found[name] = path
            packages = {name.partition(".")[0], __name__.partition(".")[0]}
            ahead += _imported(packages, path.read_text(encoding="utf-8"))
    return found


@cache
def _path(name: str) -> Path | None:
    """The file of a module, found without importing it; None if there is none, or it is a package's own."""
    package, *parts = name.split(".")
    places = [place.joinpath(*parts).with_suffix(".py") for place in _folders(package)] if parts else [_file(package)]
    return next((path for path in places if path and path.is_file() and path.name != "__init__.py"), None)


def _file(module: str) -> Path | None:
    """The file of a module that is in no package; that of `__main__` is the program's."""
    if module in sys.modules:
        found = getattr(sys.modules[module], "__file__", None)
    else:
        spec = find_spec(module)
        found = spec.origin if spec else None
    return Path(found) if found else None


def _folders(package: str) -> list[Path]:
    """Where a package's modules lie."""
    if package in sys.modules:
        found = getattr(sys.modules[package], "__path__", ())
    else:
        spec = find_spec(package)
        found = (spec.submodule_search_locations or ()) if spec else ()
    return [Path(folder) for folder in found]


def _imported(packages: Collection[str], text: str) -> list[str]:
    """The modules of some packages that a module's text imports, wherever in it."""
    found: list[str] = []
    for origin, names, plain in _IMPORT.findall(text):
        if plain.partition(".")[0] in packages:
            found.append(plain)
        elif origin.partition(".")[0] in packages:
            found += [origin, *(f"{origin}.{name}" for name in re.findall(r"\w+", names))]
    return found
