"""Where pictures lie: a folder of files, or an .npz; looked at by their headers, opened one by one when asked for."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from micronas.errors import UserError

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
_MOST_PIXELS = 100_000_000  # of one picture: 300 MB of colours
_MOST_BYTES = 1 << 30  # of one picture's file
_MOST_FILES = 2_000_000  # looked at below a folder; ImageNet has 1.4 million
_MOST_UNPACKED = 1 << 35  # bytes of a compressed array, which is unpacked up to the last picture drawn: half a minute


class InputError(UserError):
    """The images cannot be used; the message says why and what would do."""


class Pictures(Protocol):
    """Any data set: a length, and items by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> Any: ...


@dataclass(frozen=True)
class Folder:
    """The image files below a folder, opened one by one when asked for."""

    root: Path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """In order of their names."""
        try:
            looked_at = list(islice(self.root.rglob("*"), _MOST_FILES + 1))
            found = (path for path in looked_at if path.suffix.lower() in ENDINGS)
            files = tuple(sorted(path for path in found if path.is_file()))  # no pipe, which might never end
        except OSError as error:
            raise InputError(f"cannot read the folder {self.root}: {error.strerror}") from error
        if len(looked_at) > _MOST_FILES:
            raise InputError(f"{self.root} has more than {_MOST_FILES:,} files below it; name the folder of pictures")
        return files

    @cached_property
    def classes(self) -> int | None:
        """Folders of different names that hold pictures, if any but the root does."""
        folders = {path.parent for path in self.files}
        return len({folder.name for folder in folders}) if folders - {self.root} else None

    @cached_property
    def names_digest(self) -> str:
        """Of what all files are called below the root."""
        return hash_of(*(path.relative_to(self.root).as_posix() for path in self.files))

    def digest_of(self, at: int) -> str:
        """Of one file's bytes."""
        try:
            with self.files[at].open("rb") as file:
                if os.fstat(file.fileno()).st_size > _MOST_BYTES:
                    raise InputError(f"{self.files[at]} has more than {_MOST_BYTES >> 20} MiB; make it smaller")
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read the image {self.files[at]}; remove or replace it") from error

    def shape_of(self, at: int) -> tuple[int, ...]:
        """Height, width and channels of one picture, by its header."""
        with self._opened(at) as image:
            width, height = image.size
            upright = image.getexif().get(_ORIENTATION, 1) < _TURNED
            return (*((height, width) if upright else (width, height)), 1 if _is_grey(image) else 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> Pixels:
        with self._opened(at) as image:
            return drawn_pixels(image)

    @contextmanager
    def _opened(self, at: int) -> Generator[Image.Image]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is odd in a file but can be read
                with Image.open(self.files[at]) as image:
                    if image.width * image.height > _MOST_PIXELS:
                        raise Image.DecompressionBombError
                    yield image
        except Image.DecompressionBombError as error:
            most = _MOST_PIXELS // 10**6
            raise InputError(f"{self.files[at]} has more than {most} megapixels; make it smaller") from error
        except _UNREADABLE as error:
            raise InputError(f"cannot read the image {self.files[at]}; remove or replace it") from error


@dataclass(frozen=True)
class Npz:
    """The largest array of pictures in an .npz; only the pictures asked for are read into memory."""

    path: Path

    @cached_property
    def member(self) -> tuple[str, tuple[int, ...], np.dtype[Any], int]:
        """(name in the archive, shape, dtype, bytes before the first picture)."""
        found = [entry for entry in self._members() if len(entry[1]) in (3, 4) and entry[2].kind in "uif"]
        if not found:
            raise InputError(
                f"{self.path} holds no array of images; expected one of shape images x height x width x channels"
            )
        largest = max(found, key=lambda entry: (len(entry[1]), entry[1]))
        alone = [entry for entry in found if len(entry[1]) == 3]
        if len(largest[1]) == 3 and len(alone) > 1:
            raise InputError(
                f"{self.path} holds {len(alone)} arrays that are one picture each, or many grey ones; "
                "write one array of all with numpy.savez(file, numpy.stack(pictures))"
            )
        refuse_ambiguous(f"the array {largest[0]} in {self.path}", largest[1])
        if int(np.prod(largest[1][1:], dtype=object)) > 3 * _MOST_PIXELS:
            raise InputError(
                f"a picture in {self.path} has more than {_MOST_PIXELS // 10**6} megapixels; make it smaller"
            )
        return largest

    def _members(self) -> Iterator[tuple[str, tuple[int, ...], np.dtype[Any], int]]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                if len(archive.infolist()) > _MOST_ARRAYS:
                    raise ValueError(f"more than {_MOST_ARRAYS:,} arrays")
                for entry in archive.infolist():
                    if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > _MOST_UNPACKED:
                        raise ValueError(f"{entry.filename:.100} unpacks to more than {_MOST_UNPACKED >> 30} GiB")
                    with archive.open(entry) as file:
                        shape, dtype, start = _npy_header(file, entry.file_size)
                    yield entry.filename, shape, dtype, start
        except _BROKEN as error:
            raise self._unreadable("is no readable .npz file of arrays", error) from error

    def _unreadable(self, what: str, error: Exception) -> InputError:
        """The reason is given where it says more than that the file is broken: a password, an unknown compression."""
        reason = f" ({str(error).splitlines()[0]:.100})" if isinstance(error, (RuntimeError, ValueError)) else ""
        return InputError(f"{self.path} {what}{reason if str(error) else ''}; write it with numpy.savez")

    @cached_property
    def classes(self) -> int | None:
        """Different numbers in the only array of whole numbers that is as long as there are pictures."""
        labels = [
            (name, dtype, start)
            for name, shape, dtype, start in self._members()
            if shape in ((len(self),), (len(self), 1)) and dtype.kind in "ui" and name != self.member[0]
        ]
        if len(labels) != 1:
            return None
        ((name, dtype, start),) = labels
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                file.seek(start)
                return len(np.unique(np.frombuffer(file.read(len(self) * dtype.itemsize), dtype)))
        except _BROKEN as error:
            raise self._unreadable(f"is damaged: cannot read its labels {name}", error) from error

    @cached_property
    def names_digest(self) -> str:
        """Of the archive's arrays: their names, checksums and sizes."""
        try:
            archive = zipfile.ZipFile(self.path)
        except _BROKEN as error:
            raise self._unreadable("is no readable .npz file of arrays", error) from error
        with archive:
            return hash_of(*(f"{entry.filename} {entry.CRC} {entry.file_size}" for entry in archive.infolist()))

    def digest_of(self, at: int) -> str:
        """Of all pictures, by the archive's checksum; one apart would be a sweep through the file."""
        return str(at)

    def shape_of(self, at: int) -> tuple[int, ...]:  # noqa: ARG002 (all are alike)
        """Height, width and channels."""
        shape = self.member[1][1:]
        if len(shape) == 2:
            return (*shape, 1)
        return shape if shape[2] in (1, 3) or shape[0] not in (1, 3) else (*shape[1:], shape[0])

    def __len__(self) -> int:
        return self.member[1][0]

    def __getitem__(self, at: int) -> Pixels:
        return self.take([at])[0]

    def take(self, drawn: Iterable[int]) -> list[Pixels]:
        """Some pictures in the order asked for, read in one sweep through the (perhaps compressed) file."""
        name, shape, dtype, start = self.member
        size = int(np.prod(shape[1:])) * dtype.itemsize
        found: dict[int, Pixels] = {}
        wanted = [int(at) for at in drawn]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                for at in sorted(set(wanted)):
                    file.seek(start + at * size)
                    found[at] = np.frombuffer(file.read(size), dtype).reshape(shape[1:])
        except _BROKEN as error:
            raise self._unreadable(f"is damaged: cannot read its images {name}", error) from error
        return [found[at] for at in wanted]


_ORIENTATION, _TURNED = 0x0112, 5
"""EXIF's tag, and from which of its values on a picture lies on its side."""

_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError, MemoryError),
    *(struct.error, zlib.error, RuntimeError, AssertionError, ArithmeticError),
)
"""What Pillow raises for a file that is none, or broken."""

_BROKEN = (*_UNREADABLE, lzma.LZMAError, tokenize.TokenError, zipfile.BadZipFile)
"""What reading an archive raises."""

_MOST_ARRAYS = 10_000  # of an archive
_MOST_HEADER = 1 << 16  # bytes before an array's first number; numpy writes 128


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def drawn_pixels(image: Image.Image) -> Pixels:
    """A picture's pixels, as `Images` says: one channel if it is grey, else red, green and blue."""
    upright = ImageOps.exif_transpose(image)
    if image.mode == "F":
        return np.asarray(upright)
    if image.mode.startswith("I"):
        numbers = np.asarray(upright).astype(np.int64)
        if numbers.min() < 0 or numbers.max() > 65_535:
            raise ValueError(f"numbers of mode {image.mode} beyond 16 bits")
        return numbers / 65_535
    return np.asarray(upright.convert("L" if _is_grey(image) else "RGB"))


def refuse_no_sequence(source: object) -> None:
    """What is given as pictures has a length, and items by number from 0 on.

    Raises:
        InputError: it has not; or it is an array that may be one picture.
    """
    named = type(source).__name__
    if isinstance(source, (Mapping, Set, str, bytes)) or not (
        hasattr(source, "__len__") and hasattr(source, "__getitem__")
    ):
        raise InputError(
            f"images are a folder, an .npz or a sequence of pictures, not a {named}; make a list of its pictures"
        )
    shape = getattr(source, "shape", None)
    if isinstance(shape, tuple):
        if not shape:
            raise InputError("the given array is a single number, no pictures")
        refuse_ambiguous("the given array", cast("tuple[int, ...]", shape))


def refuse_ambiguous(what: str, shape: tuple[int, ...]) -> None:
    """An array of (height, width, 3) might be one picture in colour, or many lines of grey."""
    if len(shape) == 2 or (len(shape) == 3 and (shape[2] in (1, 3) or shape[0] == 3)):
        size = "x".join(map(str, shape))
        raise InputError(f"{what} of {size} is one picture, or {shape[0]}: make it 1x{size} for the one")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] in (1, 3):
        size = "x".join(map(str, shape))
        raise InputError(f"{what} of {size} has its channels first, or last: make the pictures larger, or grey")


def _npy_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """(shape, dtype, bytes before the first number) of an array that takes `size` bytes with all.

    Raises:
        ValueError: what it says is no array of that size; and whatever reading nonsense raises.
    """
    begin = io.BytesIO(file.read(_MOST_HEADER))
    version = np.lib.format.read_magic(begin)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is odd in it but can be read
        shape, fortran, dtype = read(begin)
    if fortran and len(shape) > 1:
        raise ValueError("stored column by column")
    length = 0 if dtype.hasobject else int(np.prod(shape, dtype=object)) * dtype.itemsize  # of objects nothing is read
    if any(side < 0 for side in shape) or begin.tell() + length > size:
        raise ValueError("an array that says it is larger than it is")
    return shape, dtype, begin.tell()


def hash_of(*parts: str) -> str:
    """A digest of texts, bytes of names that are no text among them."""
    return hashlib.blake2b("\n".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()
