"""The images a network is judged on: seeded Gaussian noise, or pictures from a folder, an .npz or any sequence."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from micronas.errors import UserError
from micronas.network.signature import Shape
from micronas.weights import generator

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
_LARGEST = 1e15  # of a pixel: the square of a larger one may be infinite in float32
_PATCH_IMAGES = 256  # patches are cut from at most so many different images


class InputError(UserError):
    """The images cannot be used; the message says why and what would do."""


class Pictures(Protocol):
    """Any data set: a length, and items by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> Any: ...


class Inputs(Protocol):
    """Where batches come from. `digest` names the source's content, for stores of scores."""

    @property
    def digest(self) -> str:
        """Equal only for sources that give equal batches."""
        ...

    def batch(self, shape: Shape, count: int, seed: int) -> Array:
        """Whole images, (count, channels, height, width) for a `shape` of (height, width, channels)."""
        ...

    def patches(self, shape: Shape, count: int, seed: int) -> Array:
        """Small pieces of images at their own resolution, (count, channels, height, width)."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Independent N(0, 1) pixels: needs no data, and ranks NAS-Bench-201 about as well as real images."""

    @property
    def digest(self) -> str:
        """The same for all: the seed of a batch is the caller's."""
        return "gaussian"

    def batch(self, shape: Shape, count: int, seed: int) -> Array:
        """Noise, shape (count, channels, height, width)."""
        height, width, channels = shape
        return generator(seed, f"gaussian {count} {shape}").standard_normal((count, channels, height, width))

    def patches(self, shape: Shape, count: int, seed: int) -> Array:
        """Noise has no resolution: the same as `batch`."""
        return self.batch(shape, count, seed)


@dataclass(frozen=True)
class Images:
    """Pictures drawn at random from a source, as many as are asked for and no more.

    Attributes:
        source: a folder (all pictures below it; CIFAR-10's class folders are fine), an .npz file, or any object
            with `__len__` and `__getitem__` whose items are pictures (PIL, or arrays of (height, width),
            (height, width, 1 or 3) or (1 or 3, height, width)) or tuples that begin with one, as data sets with
            labels give.

    Raises:
        InputError: there is nothing there, or nothing that can be read.
    """

    source: Path | str | Pictures

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise InputError(f"{self.where} holds no images; expected {', '.join(_ENDINGS)} files below it")

    @property
    def where(self) -> str:
        """What a message calls the source."""
        return str(self.source) if isinstance(self.source, (Path, str)) else "the given sequence"

    @cached_property
    def images(self) -> Pictures:
        """The pictures, not yet read."""
        if not isinstance(self.source, (Path, str)):
            return self.source
        path = Path(self.source)
        if path.is_dir():
            return _Folder(path)
        if path.suffix.lower() == ".npz" and path.is_file():
            return _Npz(path)
        raise InputError(f"{path} is neither a folder of images nor an .npz file; give one of these")

    def __str__(self) -> str:
        """`60,000 of 32x32x3 in 10 classes, from DATA`; of pictures of many sizes the smallest and the largest."""
        heights, widths = ([shape[side] for shape in self._shapes] for side in (0, 1))
        sizes = dict.fromkeys(f"{of(heights)}x{of(widths)}x{self.channels}" for of in (min, max))
        classes = f" in {self.classes} classes" if self.classes else ""
        return f"{len(self.images):,} of {' to '.join(sizes)}{classes}, from {self.where}"

    @cached_property
    def channels(self) -> int:
        """1 if all pictures looked at (up to 64, spread over the source) are grey, else 3."""
        return max(shape[2] for shape in self._shapes)

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Of up to 64 pictures, spread over the source: height, width, channels."""
        return [pixels.shape for pixels in self._read(_spread(len(self.images)))]

    @cached_property
    def classes(self) -> int | None:
        """How many classes the source says: folders that hold pictures, or labels in an .npz; None if it says nothing.

        Of nested folders the innermost count by their names: `train/cat` and `test/cat` are one class.
        """
        return getattr(self.images, "classes", None)

    @property
    def digest(self) -> str:
        """Of a folder its names, sizes and times; of an .npz its checksums; else of up to 64 items."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        known = getattr(self.images, "digest", None)
        if isinstance(known, str):
            return known
        picked = self._read(_spread(len(self.images)))
        return _hash(str(len(self.images)), *(pixels.tobytes().hex() for pixels in picked))

    def batch(self, shape: Shape, count: int, seed: int) -> Array:
        """Different pictures, resized if need be and normalised by each channel's mean and deviation.

        Shape (count, channels, height, width).

        Raises:
            InputError: too few pictures, or one of those drawn cannot be read.
        """
        if count > len(self.images):
            raise InputError(f"{self.where} holds only {len(self.images)} of the {count} images that are needed")
        drawn = generator(seed, f"images {count}").permutation(len(self.images))[:count]
        return _normalised(np.stack([_fitted(pixels, shape) for pixels in self._read(drawn)]))

    def patches(self, shape: Shape, count: int, seed: int) -> Array:
        """Random pieces of pictures, from at most 256 different ones; one channel means their brightness.

        Shape (count, channels, height, width).

        Raises:
            InputError: a picture cannot be read, or is smaller than a patch.
        """
        height, width, channels = shape
        chance = generator(seed, f"patches {count} {shape}")
        drawn = chance.permutation(len(self.images))[: min(count, _PATCH_IMAGES)]
        images = [_coloured(pixels, channels) for pixels in self._read(drawn)]
        pieces = np.empty((count, channels, height, width))
        for at in range(count):
            image = images[at % len(images)]
            if image.shape[0] < height or image.shape[1] < width:
                raise InputError(f"{self.where} has an image smaller than {height}x{width}; use larger ones")
            room = np.subtract(image.shape[:2], (height - 1, width - 1))
            top, left = cast(list[int], chance.integers(room).tolist())
            pieces[at] = image[top : top + height, left : left + width].transpose(2, 0, 1)
        return _normalised(pieces)

    def _read(self, drawn: Iterable[int]) -> list[Pixels]:
        """The pixels of some pictures, each (height, width, 1 or 3)."""
        if isinstance(self.images, _Npz):
            return [self._pixels(at, item) for at, item in zip(drawn, self.images.take(drawn), strict=True)]
        return [self._pixels(at, self.images[int(at)]) for at in drawn]

    def _pixels(self, at: int, item: Any) -> Pixels:
        while isinstance(item, tuple):
            item = cast(tuple[Any, ...], item)[0]
        pixels = _drawn(item) if isinstance(item, Image.Image) else np.asarray(item)
        if pixels.ndim == 3 and pixels.shape[2] not in (1, 3) and pixels.shape[0] in (1, 3):
            pixels = pixels.transpose(1, 2, 0)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype.kind not in "uif":
            raise InputError(
                f"item {at} of {self.where} is no image: {pixels.dtype} of shape {pixels.shape}; "
                "expected height x width x 1 or 3 numbers"
            )
        if not (np.abs(pixels) < _LARGEST).all():  # false of NaN
            raise InputError(
                f"item {at} of {self.where} holds numbers that are not finite, or of {_LARGEST:g} and more"
            )
        return pixels


@dataclass(frozen=True)
class _Folder:
    """The image files below a folder, opened one by one when asked for."""

    root: Path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        try:
            return tuple(sorted(path for path in self.root.rglob("*") if path.suffix.lower() in _ENDINGS))
        except OSError as error:
            raise InputError(f"cannot read the folder {self.root}: {error.strerror}") from error

    @cached_property
    def classes(self) -> int | None:
        folders = {path.parent for path in self.files}
        return len({folder.name for folder in folders}) if folders - {self.root} else None

    @cached_property
    def digest(self) -> str:
        stats = ((path.relative_to(self.root), path.stat()) for path in self.files)
        return _hash(*(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> Pixels:
        try:
            with Image.open(self.files[at]) as image:
                return _drawn(image)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise InputError(f"cannot read the image {self.files[at]}; remove or replace it") from error


@dataclass(frozen=True)
class _Npz:
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
        return max(found, key=lambda entry: entry[1])

    def _members(self) -> Iterator[tuple[str, tuple[int, ...], np.dtype[Any], int]]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                for name in archive.namelist():
                    with archive.open(name) as file:
                        shape, dtype = _npy_header(file)
                        yield name, shape, dtype, file.tell()
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path} is no readable .npz file of arrays; write it with numpy.savez") from error

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
        with zipfile.ZipFile(self.path) as archive:
            return len(np.unique(np.frombuffer(archive.read(name)[start:], dtype)))

    @cached_property
    def digest(self) -> str:
        with zipfile.ZipFile(self.path) as archive:
            return _hash(*(f"{entry.filename} {entry.CRC} {entry.file_size}" for entry in archive.infolist()))

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
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path} is damaged: cannot read its images {name}") from error
        return [found[at] for at in wanted]


def _drawn(image: Image.Image) -> Pixels:
    """A picture's pixels: one channel if it is grey, else red, green and blue."""
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    return np.asarray(image.convert("L" if grey else "RGB"))


def _spread(length: int) -> npt.NDArray[np.intp]:
    """Up to 64 places, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, 64).astype(np.intp))


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if fortran and len(shape) > 1:
        raise ValueError("stored column by column")
    return shape, dtype


def _fitted(pixels: Pixels, shape: Shape) -> Array:
    """One picture of the size and channels wanted, (channels, height, width)."""
    height, width, channels = shape
    coloured = _coloured(pixels, channels)
    if coloured.shape[:2] == (height, width):
        return coloured.transpose(2, 0, 1)
    planes = (Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(coloured, 2, 0))
    return np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR), float) for plane in planes])


def _coloured(pixels: Pixels, channels: int) -> Array:
    """(height, width, channels): brightness if one channel is wanted, grey repeated if several are."""
    scaled = pixels.astype(np.float64) / (255.0 if pixels.dtype.kind in "ui" else 1.0)
    if scaled.shape[2] == channels:
        return scaled
    return np.repeat(scaled.mean(axis=2, keepdims=True), channels, axis=2)


def _normalised(images: Array) -> Array:
    """Mean 0 and deviation 1 in each channel of the batch; a channel without contrast becomes 0."""
    centred = images - images.mean(axis=(0, 2, 3), keepdims=True)
    deviation = centred.std(axis=(0, 2, 3), keepdims=True)
    return centred / np.where(deviation > 0, deviation, 1.0)


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
