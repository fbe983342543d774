"""Firmware images: an emitted model, or single operations, with start-up, board and main around them.

An image is built for a core and a layout of memory regions. What never ran on real hardware says so
in its own file (`mcu/firmware/`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from micronas.cache import writing
from micronas.deploy.c import CModel, array_text
from micronas.errors import UserError
from micronas.hardware.boards.board import Target
from micronas.mcu import frame
from micronas.mcu.cores import Core, core_named
from micronas.mcu.elf import ElfImage, Symbol
from micronas.mcu.layout import Layout, Region
from micronas.mcu.reference import Int8
from micronas.mcu.toolchain import Toolchain

FIRMWARE = Path(__file__).parents[1] / "mcu" / "firmware"
"""The folder of start-up, mains and boards, in C."""

TEST_IMAGE = "micronas_test_image"
"""The array that holds the image an emulation classifies."""

STACK_BYTES = 4096
"""Reserved for the stack; an emulation reports how much of it was used."""


@dataclass(frozen=True)
class Chip:
    """What an image must know of what it runs on: whose start-up in `mcu/firmware/boards`, core, memories."""

    name: str
    core: Core
    flash: Region
    sram: tuple[Region, ...]

    @staticmethod
    def of(target: Target) -> Chip:
        """The chip of a target."""
        flash = Region("FLASH", target.flash_origin, target.flash_bytes)
        return Chip(target.name, target.core, flash, target.sram)

    def layout(self, arena_bytes: int, stack_bytes: int = STACK_BYTES) -> Layout:
        """Code in flash, the arena in the largest memory, statics and stack in another one if there is one.

        Raises:
            UserError: the arena fits no single memory.
        """
        arena = max(self.sram, key=lambda region: region.size_bytes)
        others = [region for region in self.sram if region is not arena and region.size_bytes >= 2 * stack_bytes]
        rest = max(others, key=lambda region: region.size_bytes, default=arena)
        free = arena.size_bytes - (2 * stack_bytes if rest is arena else 0)
        if arena_bytes > free:
            raise UserError(
                f"an arena of {arena_bytes / 1024:.1f} KB does not fit {self.name}: its largest memory "
                f"({arena.name}) has {free / 1024:.0f} KB for it"
            )
        return Layout((self.flash, *self.sram), "FLASH", rest.name, arena.name, rest.name, stack_bytes)


MPS2_AN500 = Chip(
    "mps2-an500",
    core_named("cortex-m7"),
    Region("FLASH", 0x0000_0000, 4 << 20),
    (Region("SRAM", 0x2000_0000, 4 << 20),),
)
"""qemu's machine of that name: for proving the path to a board without one; no target, it times nothing."""


def boards() -> tuple[str, ...]:
    """Boards whose clock and serial port we have code for."""
    return tuple(sorted(path.stem for path in (FIRMWARE / "boards").glob("*.c")))


@dataclass(frozen=True)
class Firmware:
    """A built image, and where its parts lie."""

    chip: Chip
    layout: Layout
    elf: Path

    @cached_property
    def image(self) -> ElfImage:
        """The linked program."""
        return ElfImage.read(self.elf)

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash: code, constants, initial values; the test image of an emulation does not count."""
        symbols = self.image.symbols
        test_image = symbols[TEST_IMAGE].size_bytes if TEST_IMAGE in symbols else 0
        return sum(len(segment.data) for segment in self.image.segments) - test_image

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena's symbol, as `nm -S` prints them."""
        return sum(symbol.size_bytes for symbol in self._within("__arena_start", "__arena_end"))

    @property
    def statics(self) -> Mapping[str, int]:
        """Bytes of every variable in RAM outside arena and stack, by name."""
        found = (*self._within("__data_start", "__data_end"), *self._within("__bss_start", "__bss_end"))
        return {symbol.name: symbol.size_bytes for symbol in found}

    def binary(self) -> bytes:
        """What flash holds from its first address on: the file that is copied to a board's drive."""
        flash, content = self.chip.flash, bytearray()
        for segment in sorted(self.image.segments, key=lambda segment: segment.load_address):
            if segment.data:
                gap = segment.load_address - flash.origin - len(content)
                content += b"\xff" * gap + segment.data
        return bytes(content)

    def _within(self, start: str, end: str) -> list[Symbol]:
        low, high = self.image.symbol(start).address, self.image.symbol(end).address
        inside = [s for s in self.image.symbols.values() if low <= s.address < high and s.size_bytes]
        return sorted(inside, key=lambda symbol: symbol.address)


def build_once(model: CModel, image: Int8, chip: Chip, toolchain: Toolchain) -> Firmware:
    """Runs the model once, on one image, and halts: for the emulator, so without clocks and serial port."""
    test_image = f"#include <stdint.h>\n{array_text(TEST_IMAGE, image, extern=True)}"
    return _build(model, chip, toolchain, [FIRMWARE / "once.c", frame.SOURCE], {"image.c": test_image})


def build_serial(model: CModel, chip: Chip, toolchain: Toolchain) -> Firmware:
    """The image that times the whole model for a host at the other end of a serial line.

    Raises:
        UserError: there is no code for the board's clock and serial port.
    """
    entries = _ENTRIES.format(image=image_id(model.files, model.kernel_sources, toolchain.version))
    return _build(model, chip, toolchain, serial_sources(chip), {"entries.c": entries})


def serial_sources(chip: Chip) -> list[Path]:
    """The C files of the serial image that do not depend on what it times.

    Raises:
        UserError: there is no code for the board's clock and serial port.
    """
    if chip.name not in boards():
        raise UserError(f"no start-up code for {chip.name}; a serial port can be used on {', '.join(boards())}")
    return [FIRMWARE / "serial.c", FIRMWARE / "boards" / f"{chip.name}.c"]


def image_id(generated: Mapping[str, str], sources: Sequence[Path], compiler: str) -> str:
    """Names what an image times, so that a host can tell a board that holds another one.

    It changes with the generated C, the given sources, the code that starts a board, sets its clock, counts and talks,
    and the compiler's version.
    """
    digest = blake2b(compiler.encode(), digest_size=6)
    for name in sorted(generated):
        digest.update(generated[name].encode())
    around = (path for path in FIRMWARE.rglob("*.[ch]") if path.name != "once.c")
    for path in (*sources, *sorted(around)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def link(
    generated: Mapping[str, str], sources: Sequence[Path], chip: Chip, layout: Layout, toolchain: Toolchain
) -> Firmware:
    """Compile generated files, given sources and the start-up code into an image."""
    with tempfile.TemporaryDirectory(prefix="micronas-firmware-") as folder:
        for name, text in generated.items():
            with writing(Path(folder) / name):
                (Path(folder) / name).write_text(text, encoding="ascii")
        own = [Path(folder) / name for name in sorted(generated) if name.endswith(".c")]
        elf = toolchain.build(
            [FIRMWARE / "startup.c", *sources, *own],
            chip.core,
            include=[Path(folder), FIRMWARE, *{source.parent for source in sources}],
            defines={"MODEL_ARENA_SECTION": '".arena"'},
            keep=["micronas_halt"],
            entry="micronas_reset",
            layout=layout,
        )
    return Firmware(chip, layout, elf)


def _build(
    model: CModel, chip: Chip, toolchain: Toolchain, sources: Sequence[Path], generated: Mapping[str, str]
) -> Firmware:
    layout = chip.layout(model.plan.arena_bytes)
    return link({**model.files, **generated}, [*sources, *model.kernel_sources], chip, layout, toolchain)


_ENTRIES = """\
#include "firmware.h"
#include "model.h"

static int8_t *input(void) {{ return model_input(model_arena); }}
static const int8_t *run(void) {{ return model_run(model_arena, model_scratch); }}

const micronas_entry micronas_entries[] = {{
    {{"network", input, MODEL_INPUT_BYTES, run, MODEL_OUTPUT_BYTES}},
}};
const uint32_t micronas_entry_count = 1;
const char micronas_image[] = "{image}";
"""
