"""What a network is for, and the reduced network that an indicator judges in its place."""

from __future__ import annotations

from dataclasses import dataclass

from micronas.errors import UserError
from micronas.network.signature import LARGEST_BYTES, Shape
from micronas.texts import shown


@dataclass(frozen=True)
class Task:
    """Pictures in, classes out.

    Attributes:
        input_shape: (height, width, channels) of the pictures.
        classes: outputs of the network.

    Raises:
        UserError: a number is none or below 1, or a picture is larger than any microcontroller's memory.
    """

    input_shape: Shape = (32, 32, 3)
    classes: int = 10

    def __post_init__(self) -> None:
        if type(self.input_shape) is not tuple or len(self.input_shape) != 3:  # pyright: ignore[reportUnnecessaryComparison]
            raise UserError(f"the input's shape must be (height, width, channels), not {shown(self.input_shape)}")
        for name, number in zip(("height", "width", "channels"), self.input_shape, strict=True):
            if type(number) is not int or number < 1:
                raise UserError(f"the input's {name} must be a whole number of at least 1, not {shown(number)}")
        if type(self.classes) is not int or self.classes < 1:
            raise UserError(f"classes must be a whole number of at least 1, not {shown(self.classes)}")
        height, width, channels = self.input_shape
        if height * width * channels > LARGEST_BYTES:
            size = height * width * channels / 2**20
            raise UserError(
                f"an input of {_size(self.input_shape)} takes {size:,.0f} MiB; no microcontroller holds that"
            )

    def __str__(self) -> str:
        """`32x32x3 -> 10 classes`."""
        return f"{_size(self.input_shape)} -> {self.classes} classes"


@dataclass(frozen=True)
class Probe:
    """The reduced network that an indicator is measured on, as it asks a space for it.

    None leaves a number as it is deployed.

    Attributes:
        input_shape: (height, width, channels) of the images it reads.
        channels: of the first stage.
        depth: cells or blocks a stage.
        whole: stem, stages and head as they are deployed; False: one cell or block alone, which reads the image.
        classes: outputs of the network.
    """

    input_shape: Shape = (32, 32, 3)
    channels: int | None = 3
    depth: int | None = 1
    whole: bool = True
    classes: int = 10

    @property
    def task(self) -> Task:
        """What the reduced network is for."""
        return Task(self.input_shape, self.classes)

    def __str__(self) -> str:
        """`C=3 N=1 32x32x3 -> 10 classes`, `C=1, one cell alone, 3x3x1 -> 10 classes`."""
        channels = "C as deployed" if self.channels is None else f"C={self.channels}"
        depth = "N as deployed" if self.depth is None else f"N={self.depth}"
        return f"{channels} {depth} {self.task}" if self.whole else f"{channels}, one cell alone, {self.task}"


REDUCED = Probe()
"""The small network of the literature (TE-NAS): three channels, one cell a stage."""

ONE_CELL = Probe((3, 3, 1), channels=1, whole=False)
"""Its smallest: one cell of one channel on 3x3 patches."""


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape))
