"""An ELF file as the emulator and the timing model see it: bytes at addresses, and symbols."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from micronas.errors import UserError
from micronas.extras import how_to_install

try:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection
except ImportError as error:  # pragma: no cover - the extra is installed wherever tests run
    raise UserError(f"reading ELF files needs pyelftools: {how_to_install('mcu')}") from error


@dataclass(frozen=True)
class Segment:
    """Bytes to load: `data` at `address` while the program runs, and at `load_address` in the flash image.

    `size_bytes` is the room it takes when it runs; what `data` does not fill is zero.
    """

    address: int
    load_address: int
    size_bytes: int
    data: bytes


@dataclass(frozen=True)
class Symbol:
    """A function or object; `address` has no Thumb bit. `size_bytes` is 0 where the ELF does not say."""

    name: str
    address: int
    size_bytes: int
    is_function: bool


@dataclass(frozen=True)
class ElfImage:
    """A linked 32-bit Arm program."""

    segments: tuple[Segment, ...]
    symbols: Mapping[str, Symbol]
    entry: int

    @staticmethod
    def read(path: Path) -> ElfImage:
        """The program in a file.

        Raises:
            UserError: it cannot be read, is no ELF for Arm, or is not linked.
        """
        try:
            with path.open("rb") as file:
                return _image(ELFFile(file), path)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        except ELFError as error:
            raise UserError(f"{path} is not an ELF file: {error}") from error

    def symbol(self, name: str) -> Symbol:
        """The symbol of that name.

        Raises:
            UserError: there is none.
        """
        if name not in self.symbols:
            raise UserError(f"no symbol {name!r} in the ELF (stripped, or dropped by the linker?)")
        return self.symbols[name]

    def function_at(self, address: int) -> str:
        """The function an address lies in, or its hexadecimal number if none does."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0:
            found = self._functions[index]
            if address < found.address + found.size_bytes or found.size_bytes == 0:
                return found.name
        return f"{address:#010x}"

    @cached_property
    def _functions(self) -> list[Symbol]:
        return sorted((s for s in self.symbols.values() if s.is_function), key=lambda s: s.address)

    @cached_property
    def _starts(self) -> list[int]:
        return [symbol.address for symbol in self._functions]


def _image(elf: ELFFile, path: Path) -> ElfImage:
    if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
        raise UserError(f"{path} is not a little-endian 32-bit Arm ELF")
    if elf["e_type"] != "ET_EXEC":
        raise UserError(f"{path} is {elf['e_type']}, not a linked program (ET_EXEC): link it first")
    segments = tuple(
        Segment(part["p_vaddr"], part["p_paddr"], part["p_memsz"], part.data())
        for part in elf.iter_segments()
        if part["p_type"] == "PT_LOAD" and part["p_memsz"] > 0
    )
    symbols: dict[str, Symbol] = {}
    for table in elf.iter_sections():
        if isinstance(table, SymbolTableSection):
            for entry in table.iter_symbols():
                symbol = _symbol(entry.name, entry.entry)
                if symbol is not None:
                    symbols[symbol.name] = symbol
    return ElfImage(segments, MappingProxyType(symbols), elf["e_entry"])


def _symbol(name: str, entry: Mapping[str, Any]) -> Symbol | None:
    value: int = entry["st_value"]
    kind: str = entry["st_info"]["type"]
    if not name or name.startswith("$") or entry["st_shndx"] == "SHN_UNDEF" or kind in ("STT_FILE", "STT_SECTION"):
        return None
    is_function = kind == "STT_FUNC"
    return Symbol(name, value & ~1 if is_function else value, entry["st_size"], is_function)
