"""The images a network is judged on: seeded Gaussian noise, or pictures from a folder, an .npz or any sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from micronas.network.signature import Shape
from micronas.pictures import (
    ENDINGS,
    Folder,
    InputError,
    Npz,
    Pictures,
    Pixels,
    drawn_pixels,
    hash_of,
    refuse_no_sequence,
)
from micronas.texts import first_line, shown
from micronas.weights import generator

Array = npt.NDArray[np.float64]

_LARGEST = 1e15  # of a pixel: the square of a larger one may be infinite in float32
_PATCH_IMAGES = 256  # patches are cut from at most so many different images
_ROWS = 256  # of a picture become floats at a time


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
        if not isinstance(self.source, (Path, str)):
            refuse_no_sequence(self.source)
        if len(self.images) == 0:
            files = isinstance(self.source, (Path, str))
            expected = f"; expected {', '.join(ENDINGS)} files below it" if files else ""
            raise InputError(f"{self.where} holds no images{expected}")

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
        try:
            if path.is_dir():
                return Folder(path)
            if path.suffix.lower() == ".npz" and path.is_file():
                return Npz(path)
        except (OSError, ValueError) as error:  # longer than a name may be, or with a character no name has
            raise InputError(f"cannot use {shown(str(path))} for images: {first_line(error)}") from error
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
        return shape_of(at) if shape_of else self._pixels(at, self._item(at)).shape

    def _item(self, at: int) -> Any:
        try:
            return self.images[at]
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
            raise InputError(f"item {at} of {self.where} cannot be had: {first_line(error)}") from error

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
        return hash_of(named, *(self._digests(int(at)) for at in drawn))

    def _digests(self, at: int) -> str:
        """Of one picture's bytes."""
        if at not in self._known_digests:
            digest_of = getattr(self.images, "digest_of", None)
            self._known_digests[at] = digest_of(at) if digest_of else _hash_pixels(self._pixels(at, self._item(at)))
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
        if isinstance(self.images, Npz):
            yield from (self._pixels(at, item) for at, item in zip(drawn, self.images.take(drawn), strict=True))
            return
        yield from (self._pixels(at, self._item(int(at))) for at in drawn)

    def _pixels(self, at: int, item: Any) -> Pixels:
        while isinstance(item, tuple) and item:
            item = cast(tuple[Any, ...], item)[0]
        try:
            pixels: Any = drawn_pixels(item) if isinstance(item, Image.Image) else np.asarray(cast(Any, item))
        except (
            ArithmeticError,
            MemoryError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # a tensor that requires grad, a list of odd lengths
            raise InputError(f"item {at} of {self.where} is no image: {first_line(error)}") from error
        if pixels.ndim == 3 and pixels.shape[2] not in (1, 3) and pixels.shape[0] in (1, 3):
            pixels = pixels.transpose(1, 2, 0)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or pixels.dtype.kind not in "uif" or not pixels.size:
            raise InputError(
                f"item {at} of {self.where} is no image: {pixels.dtype} of shape {pixels.shape}; "
                "expected height x width x 1 or 3 numbers"
            )
        if not (np.abs(pixels) < _LARGEST).all():  # false of NaN
            raise InputError(
                f"item {at} of {self.where} holds numbers that are not finite, or of {_LARGEST:g} and more"
            )
        return pixels


def _spread(length: int) -> npt.NDArray[np.intp]:
    """Up to 64 places, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, 64).astype(np.intp))


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


def _hash_pixels(pixels: Pixels) -> str:
    return hash_of(f"{pixels.dtype} {pixels.shape}", hashlib.sha256(pixels.tobytes()).hexdigest())
