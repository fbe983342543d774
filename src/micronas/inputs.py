"""The images a network is judged on: seeded Gaussian noise, or pictures from a folder, an .npz or any sequence."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from micronas.errors import UserError
from micronas.network.signature import Shape
from micronas.weights import generator

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm")
_LARGEST = 1e15  # of a pixel: the square of a larger one may be infinite in float32
_PATCH_IMAGES = 256  # patches are cut from at most so many different images
_MOST_PIXELS = 100_000_000  # of one picture: 300 MB of colours
_ROWS = 256  # of a picture become floats at a time


class InputError(UserError):
    """The images cannot be used; the message says why and what would do."""


class Pictures(Protocol):
    """Any data set: a length, and items by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> Any: ...


class Inputs(Protocol):
    """Where batches come from. Digests name the pictures that a draw takes, for stores of scores."""

    def batch_digest(self, count: int, seed: int) -> str:
        """Equal only for sources that give equal batches of every shape."""
        ...

    def patches_digest(self, shape: Shape, count: int, seed: int) -> str:
        """Equal only for sources that give equal patches."""
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

    def batch_digest(self, count: int, seed: int) -> str:  # noqa: ARG002 (as all inputs are asked)
        """The same for all: the seed of a batch is the caller's."""
        return "gaussian"

    def patches_digest(self, shape: Shape, count: int, seed: int) -> str:  # noqa: ARG002
        """The same for all."""
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
        source: a folder (all pictures below it; CIFAR-10's class folders are fine), an .npz file of one array of
            pictures, or any object with `__len__` and `__getitem__` whose items are pictures (PIL, or arrays of
            (height, width), (height, width, 1 or 3) or (1 or 3, height, width)) or tuples that begin with one, as
            data sets with labels give.

    A picture of Pillow's is turned as its EXIF orientation says. Grey are the modes 1, L, LA, and I;16 and I, whose
    numbers are of 65,535 and become those that 8 bits would hold; F is grey of numbers as they are. All others (P, RGB,
    RGBA, CMYK, …) are taken as red, green and blue. Alpha is left out, and of an animation all but the first picture.

    Raises:
        InputError: there is nothing there, or nothing that can be read.
    """

    source: Path | str | Pictures

    def __post_init__(self) -> None:
        if isinstance(self.source, np.ndarray):
            _refuse_ambiguous("the given array", cast(Array, self.source).shape)
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
        return [self._shape(int(at)) for at in _spread(len(self.images))]

    def _shape(self, at: int) -> tuple[int, ...]:
        """Height, width and channels of one picture; of a file's by its header."""
        shape_of = getattr(self.images, "shape_of", None)
        return shape_of(at) if shape_of else self._pixels(at, self.images[at]).shape

    @cached_property
    def classes(self) -> int | None:
        """How many classes the source says: folders that hold pictures, or labels in an .npz; None if it says nothing.

        Of nested folders the innermost count by their names: `train/cat` and `test/cat` are one class.
        """
        return getattr(self.images, "classes", None)

    def batch_digest(self, count: int, seed: int) -> str:
        """Of the pictures of a batch, and of what all are called: equal for a copy of the source, wherever it is."""
        return self._digest(self._drawn_whole(count, seed))

    def patches_digest(self, shape: Shape, count: int, seed: int) -> str:
        """The same of the pictures that patches are cut from."""
        return self._digest(self._drawn_for_patches(shape, count, seed)[0])

    def _digest(self, drawn: Sequence[int]) -> str:
        named = getattr(self.images, "names_digest", str(len(self.images)))
        return _hash(named, *(self._digests(int(at)) for at in drawn))

    def _digests(self, at: int) -> str:
        """Of one picture's bytes."""
        if at not in self._known_digests:
            digest_of = getattr(self.images, "digest_of", None)
            self._known_digests[at] = digest_of(at) if digest_of else _hash_pixels(self._pixels(at, self.images[at]))
        return self._known_digests[at]

    @cached_property
    def _known_digests(self) -> dict[int, str]:
        return {}

    def batch(self, shape: Shape, count: int, seed: int) -> Array:
        """Different pictures, resized if need be and normalised by each channel's mean and deviation.

        Shape (count, channels, height, width).

        Raises:
            InputError: too few pictures, or one of those drawn cannot be read.
        """
        drawn = self._drawn_whole(count, seed)
        return _normalised(np.stack([_fitted(pixels, shape) for pixels in self._read(drawn)]))

    def _drawn_whole(self, count: int, seed: int) -> list[int]:
        if count > len(self.images):
            raise InputError(f"{self.where} holds only {len(self.images)} of the {count} images that are needed")
        return generator(seed, f"images {count}").permutation(len(self.images))[:count].tolist()

    def patches(self, shape: Shape, count: int, seed: int) -> Array:
        """Random pieces of pictures, from at most 256 different ones; one channel means their brightness.

        Shape (count, channels, height, width).

        Raises:
            InputError: a picture cannot be read, or is smaller than a patch.
        """
        height, width, channels = shape
        drawn, corners = self._drawn_for_patches(shape, count, seed)
        pieces = np.empty((count, channels, height, width))
        for first, pixels in enumerate(self._read(drawn)):
            for at in range(first, count, len(drawn)):
                top, left = corners[at]
                piece = _coloured(pixels[top : top + height, left : left + width], channels)
                pieces[at] = piece.transpose(2, 0, 1)
        return _normalised(pieces)

    def _drawn_for_patches(self, shape: Shape, count: int, seed: int) -> tuple[list[int], list[tuple[int, int]]]:
        """The pictures, and the (top, left) corner of every patch: one of each picture in turn."""
        height, width, _ = shape
        chance = generator(seed, f"patches {count} {shape}")
        drawn: list[int] = chance.permutation(len(self.images))[: min(count, _PATCH_IMAGES)].tolist()
        shapes = [self._shape(at) for at in drawn]
        corners: list[tuple[int, int]] = []
        for at in range(count):
            its = shapes[at % len(shapes)]
            if its[0] < height or its[1] < width:
                raise InputError(f"{self.where} has an image smaller than {height}x{width}; use larger ones")
            room = np.subtract(its[:2], (height - 1, width - 1))
            top, left = cast(list[int], chance.integers(room).tolist())
            corners.append((top, left))
        return drawn, corners

    def _read(self, drawn: Sequence[int]) -> Iterator[Pixels]:
        """The pixels of some pictures, one after the other, each (height, width, 1 or 3)."""
        if isinstance(self.images, _Npz):
            yield from (self._pixels(at, item) for at, item in zip(drawn, self.images.take(drawn), strict=True))
            return
        yield from (self._pixels(at, self.images[int(at)]) for at in drawn)

    def _pixels(self, at: int, item: Any) -> Pixels:
        while isinstance(item, tuple) and item:
            item = cast(tuple[Any, ...], item)[0]
        try:
            pixels: Any = _drawn(item) if isinstance(item, Image.Image) else np.asarray(cast(Any, item))
        except (RuntimeError, TypeError, ValueError) as error:  # a tensor that requires grad, a list of odd lengths
            raise InputError(f"item {at} of {self.where} is no image: {str(error).splitlines()[0]}") from error
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
            found = (path for path in self.root.rglob("*") if path.suffix.lower() in _ENDINGS)
            return tuple(sorted(path for path in found if path.is_file()))  # no pipe, which might never end
        except OSError as error:
            raise InputError(f"cannot read the folder {self.root}: {error.strerror}") from error

    @cached_property
    def classes(self) -> int | None:
        folders = {path.parent for path in self.files}
        return len({folder.name for folder in folders}) if folders - {self.root} else None

    @cached_property
    def names_digest(self) -> str:
        return _hash(*(path.relative_to(self.root).as_posix() for path in self.files))

    def digest_of(self, at: int) -> str:
        try:
            with self.files[at].open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"cannot read the image {self.files[at]}; remove or replace it") from error

    def shape_of(self, at: int) -> tuple[int, ...]:
        with self._opened(at) as image:
            width, height = image.size
            upright = image.getexif().get(_ORIENTATION, 1) < _TURNED
            return (*((height, width) if upright else (width, height)), 1 if _is_grey(image) else 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, at: int) -> Pixels:
        with self._opened(at) as image:
            return _drawn(image)

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
        largest = max(found, key=lambda entry: (len(entry[1]), entry[1]))
        alone = [entry for entry in found if len(entry[1]) == 3]
        if len(largest[1]) == 3 and len(alone) > 1:
            raise InputError(
                f"{self.path} holds {len(alone)} arrays that are one picture each, or many grey ones; "
                "write one array of all with numpy.savez(file, numpy.stack(pictures))"
            )
        _refuse_ambiguous(f"the array {largest[0]} in {self.path}", largest[1])
        if int(np.prod(largest[1][1:], dtype=object)) > 3 * _MOST_PIXELS:
            raise InputError(
                f"a picture in {self.path} has more than {_MOST_PIXELS // 10**6} megapixels; make it smaller"
            )
        return largest

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
    def names_digest(self) -> str:
        with zipfile.ZipFile(self.path) as archive:
            return _hash(*(f"{entry.filename} {entry.CRC} {entry.file_size}" for entry in archive.infolist()))

    def digest_of(self, at: int) -> str:
        """Of all pictures, by the archive's checksum; one apart would be a sweep through the file."""
        return str(at)

    def shape_of(self, at: int) -> tuple[int, ...]:  # noqa: ARG002 (all are alike)
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
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path} is damaged: cannot read its images {name}") from error
        return [found[at] for at in wanted]


_ORIENTATION, _TURNED = 0x0112, 5
"""EXIF's tag, and from which of its values on a picture lies on its side."""

_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError, MemoryError),
    *(struct.error, zlib.error),
)
"""What Pillow raises for a file that is none, or broken."""


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _drawn(image: Image.Image) -> Pixels:
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


def _refuse_ambiguous(what: str, shape: tuple[int, ...]) -> None:
    """An array of (height, width, 3) might be one picture in colour, or many lines of grey."""
    if len(shape) == 2 or (len(shape) == 3 and (shape[2] in (1, 3) or shape[0] == 3)):
        size = "x".join(map(str, shape))
        raise InputError(f"{what} of {size} is one picture, or {shape[0]}: make it 1x{size} for the one")
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] in (1, 3):
        size = "x".join(map(str, shape))
        raise InputError(f"{what} of {size} has its channels first, or last: make the pictures larger, or grey")


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
    if pixels.shape[:2] == (height, width):
        return _coloured(pixels, channels).transpose(2, 0, 1)
    same = pixels.shape[2] == channels
    sources = [pixels[:, :, [at]] for at in range(channels)] if same else [pixels]
    planes = [Image.fromarray(_brightness(source)) for source in sources]
    resized = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR), float) for plane in planes]
    return np.stack(resized if same else resized * channels)


def _brightness(pixels: Pixels) -> npt.NDArray[np.float32]:
    """One plane of a picture, (height, width): floats some rows at a time, for a large one fills no memory."""
    plane = np.empty(pixels.shape[:2], np.float32)
    for top in range(0, len(plane), _ROWS):
        plane[top : top + _ROWS] = _coloured(pixels[top : top + _ROWS], 1)[:, :, 0]
    return plane


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
    return hashlib.blake2b("\n".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _hash_pixels(pixels: Pixels) -> str:
    return _hash(f"{pixels.dtype} {pixels.shape}", hashlib.sha256(pixels.tobytes()).hexdigest())
