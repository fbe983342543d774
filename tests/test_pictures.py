"""Archives and objects that are no pictures are refused in one line that says why."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micronas.inputs import Images, InputError

PICTURES = np.arange(4 * 8 * 9 * 3, dtype=np.uint8).reshape(4, 8, 9, 3)


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """An array of a header that need not be true."""
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def header(shape: str, descr: str = "'|u1'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def archive(content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as file:
        file.writestr("x.npy", content)
    return held.getvalue()


def true() -> bytes:
    held = io.BytesIO()
    np.save(held, PICTURES)
    return held.getvalue()


def patched(content: bytes, at_local: int, at_central: int, value: int) -> bytes:
    """Both headers of the only entry with a number of two bytes changed."""
    central = content.index(b"PK\x01\x02")
    for at in (at_local, central + at_central):
        content = content[:at] + struct.pack("<H", value) + content[at + 2 :]
    return content


def saved(*arrays: Any, **named: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, *arrays, **named)
    return held.getvalue()


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "encrypted": (patched(archive(true()), 6, 8, 1), "encrypted"),
    "an unknown compression": (patched(archive(true()), 8, 10, 97), "compression"),
    "bzip2 that is none": (patched(archive(true()), 8, 10, 12), "no readable .npz"),
    "LZMA that is none": (patched(archive(true()), 8, 10, 14), "no readable .npz"),
    "cut short": (archive(true(), zipfile.ZIP_DEFLATED)[:200], "no readable .npz"),
    "no archive": (b"hello", "no readable .npz"),
    "empty": (b"", "no readable .npz"),
    "an empty archive": (b"PK\x05\x06" + bytes(18), "holds no array of images"),
    "an array alone": (true(), "no readable .npz"),
    "text": (archive(b"hello"), "no readable .npz"),
    "a negative shape": (archive(npy(header("(-1, 32, 32, 3)"), bytes(99))), "larger than it is"),
    "two negative sides": (archive(npy(header("(-2, -32, 32, 3)"), bytes(9999))), "larger than it is"),
    "a huge shape": (archive(npy(header("(10000000000, 32, 32, 3)"))), "larger than it is"),
    "a shape beyond all": (archive(npy(header(f"({'9' * 4000}, 32, 32, 3)"))), "no readable .npz"),
    "a shape of text": (archive(npy(header("('a', 'b', 'c')"))), "no readable .npz"),
    "an odd kind": (archive(npy(header("(2, 8, 8, 3)", "'|z9'"))), "no readable .npz"),
    "a header that is code": (archive(npy("__import__('os').abort()")), "no readable .npz"),
    "deep brackets": (archive(npy("(" * 9000)), "no readable .npz"),
    "a header without end": (archive(b"\x93NUMPY\x02\x00" + b"\xff" * 4), "no readable .npz"),
    "another version": (archive(b"\x93NUMPY\x09\x00" + bytes(99)), "no readable .npz"),
    "pickled objects": (saved(np.array([{"a": 1}, PICTURES], object)), "holds no array of images"),
    "objects in the shape of pictures": (saved(np.empty((2, 8, 8, 3), object)), "holds no array of images"),
    "words": (saved(np.array(["a", "b"])), "holds no array of images"),
    "no pictures": (saved(np.zeros((0, 8, 8, 3), np.uint8)), "holds no images"),
    "pictures without lines": (saved(np.zeros((2, 0, 8, 3), np.uint8)), "is no image"),
    "column by column": (saved(np.asfortranarray(PICTURES)), "stored column by column"),
}


@pytest.mark.parametrize(("content", "says"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_holds_no_pictures_is_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz") as caught:
        Images(path).batch((8, 8, 3), 1, 0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_are_damaged_are_one_line(tmp_path: Path) -> None:
    content = bytearray(saved(x=PICTURES, y=np.arange(4)))
    at = content.rindex(np.arange(4).tobytes())
    content[at] ^= 1  # the checksum is another's now
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"p\.npz is no readable \.npz file of arrays"):
        assert Images(tmp_path / "p.npz").classes


def drawn() -> Iterator[np.ndarray]:
    yield from PICTURES


def grad(*shape: int) -> Any:
    import torch

    return torch.zeros(*shape, requires_grad=True)


WHOLE: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: None, "not a NoneType"),
    "a number": (lambda: 7, "not a int"),
    "bytes": (lambda: b"pictures", "not a bytes"),
    "a dict": (lambda: {"image": PICTURES[0]}, "not a dict; make a list of its pictures"),
    "a dict of numbers": (lambda: dict(enumerate(PICTURES)), "not a dict"),
    "a set": (lambda: {1, 2}, "not a set"),
    "a generator": (drawn, "not a generator; make a list of its pictures"),
    "an iterator": (lambda: iter([*PICTURES]), "not a list_iterator"),
    "an empty list": (list, "the given sequence holds no images"),
    "an empty array": (lambda: np.zeros((0, 8, 8, 3)), "the given sequence holds no images"),
    "an array without sides": (lambda: np.zeros(()), "a single number"),
    "a picture alone": (lambda: PICTURES[0], "is one picture, or 8"),
    "a tensor of one picture": (lambda: grad(3, 8, 8), "is one picture, or 3"),
    "a plain matrix": (lambda: np.zeros((4, 768)), "is one picture, or 4"),
}


@pytest.mark.parametrize(("make", "says"), WHOLE.values(), ids=WHOLE)
def test_what_is_no_sequence_of_pictures_is_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        Images(make())
    assert says in str(caught.value)


class Odd:
    """A data set whose items cannot be had."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 3

    def __getitem__(self, at: int) -> Any:
        raise self.error


ITEMS: dict[str, tuple[Callable[[], Any], str]] = {
    "a tensor that requires grad": (lambda: [grad(3, 8, 8)] * 2, "requires grad"),
    "tensors that require grad": (lambda: grad(2, 3, 8, 8), "requires grad"),
    "dicts": (lambda: [{"image": PICTURES[0]}] * 2, "is no image: object of shape ()"),
    "empty lists": (lambda: [[], []], "is no image"),
    "empty tuples": (lambda: [(), ()], "is no image"),
    "lines of odd lengths": (lambda: [[[1, 2], [3]]] * 2, "is no image"),
    "objects": (lambda: [np.empty((8, 8), object)] * 2, "is no image: object of shape (8, 8, 1)"),
    "words": (lambda: ["a.png", "b.png"], "is no image"),
    "truths": (lambda: [np.ones((8, 8), bool)] * 2, "is no image: bool"),
    "complex numbers": (lambda: [np.ones((8, 8), complex)] * 2, "is no image: complex"),
    "times": (lambda: [np.zeros((8, 8), "M8[s]")] * 2, "is no image: datetime"),
    "numbers that are none": (lambda: [np.full((8, 8), np.nan)] * 2, "not finite"),
    "pictures of no size": (lambda: [np.zeros((0, 8, 3))] * 2, "is no image"),
    "whole numbers without end": (lambda: [[[10**400] * 8] * 8] * 2, "is no image"),
    "nothing": (lambda: [None] * 2, "is no image"),
    "a key that is not there": (lambda: Odd(KeyError(0)), "of the given sequence cannot be had: 0"),
    "a file that is not there": (lambda: Odd(FileNotFoundError(2, "No such file\nat all")), "cannot be had"),
}


@pytest.mark.parametrize(("make", "says"), ITEMS.values(), ids=ITEMS)
def test_items_that_are_no_pictures_are_refused(make: Callable[[], Any], says: str) -> None:
    images = Images(make())
    for ask in (lambda: images.channels, lambda: images.batch_digest(2, 0), lambda: images.batch((8, 8, 3), 2, 0)):
        with pytest.raises(InputError) as caught:
            ask()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
