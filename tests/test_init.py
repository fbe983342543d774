"""The users' face: every name is there, is what its module has, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import micronas


@pytest.mark.parametrize("name", micronas.__all__)
def test_a_name_is_what_its_module_has(name: str) -> None:
    found = getattr(micronas, name)
    assert found is getattr(import_module(found.__module__), name)
    assert found.__doc__


def test_the_searches_are_a_package_beside_find() -> None:
    assert import_module("micronas.search.exact").ExactSearch.__module__ == "micronas.search.exact"


def test_what_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="module 'micronas' has no attribute 'Serach'"):
        micronas.Serach  # noqa: B018
    assert {*micronas.__all__} < {*dir(micronas)}


def test_the_face_imports_nothing_until_it_is_asked() -> None:
    check = (
        "import sys, micronas; before = {*sys.modules}; micronas.Run; print('numpy' in before, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
