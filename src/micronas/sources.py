"""Which source files a module is made of: numbers kept on disk are of no use once these have changed."""

from __future__ import annotations

import re
import sys
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+([^\n;#]+))", re.MULTILINE)
_OURS = __name__.partition(".")[0]
_INSTALLED = ("site-packages", "dist-packages")
"""Folders in which modules that lie side by side have nothing to do with each other."""

_THIS_PROCESS = uuid4().hex
"""Stands for code that no file holds, such as a notebook's: what it computes is of use to this process alone."""


@cache
def version_of(*modules: str) -> str:
    """A digest of the source of modules and of all that they import, directly or not, of what was written with them.

    That is their own package, whatever lies in the folder of it, and ours.
    """
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
            imported = _imported(_inside(name, path), path.read_text(encoding="utf-8"))
            ahead += [each for each in imported if _is_of_one_hand(each, name, path)]
    return found


@cache
def _path(name: str) -> Path | None:
    """The file of a module, found without importing it; None if there is none, or it is our package's own."""
    package, *parts = name.split(".")
    places = [_file(package)] if name != _OURS and not parts else []
    for folder in _folders(package) if parts else ():
        place = folder.joinpath(*parts)
        places += [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return next((path for path in places if path and path.is_file()), None)


def _file(module: str) -> Path | None:
    """The file of a module that is in no package, or of a package; that of `__main__` is the program's."""
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


def _inside(name: str, path: Path) -> list[str]:
    """The packages around a module, its own included where the module is one's own file."""
    parts = name.split(".")
    return parts if path.name == "__init__.py" else parts[:-1]


def _is_of_one_hand(imported: str, name: str, path: Path) -> bool:
    """Whether a module is of the package of the one that imports it, of the folder this lies in, or ours."""
    first = imported.partition(".")[0]
    if first in (name.partition(".")[0], _OURS):
        return True
    folder = path.parents[len(_inside(name, path))]
    beside = _file(first) == folder / f"{first}.py" or folder / first in _folders(first)
    return beside and folder.name not in _INSTALLED


def _imported(packages: list[str], text: str) -> list[str]:
    """The modules that a module's text imports, wherever in it; `packages` are those it is inside of."""
    found: list[str] = []
    for origin, names, plain in _IMPORT.findall(text):
        if plain:
            found += [each.split()[0] for each in plain.split(",") if each.strip()]
            continue
        ups = len(origin) - len(origin.lstrip("."))
        around = packages[: len(packages) - ups + 1] if ups else []
        whole = ".".join([*around, *filter(None, [origin.lstrip(".")])])
        found += [whole, *(f"{whole}.{name}" for name in re.findall(r"\w+", names))]
    return found
