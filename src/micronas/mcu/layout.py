"""Where a firmware's parts lie in the chip's memory: regions, and the linker script that fills them."""

from __future__ import annotations

from dataclasses import dataclass

from micronas.errors import UserError


@dataclass(frozen=True)
class Region:
    """One contiguous memory of a chip; `origin` is its first address, `size_bytes` its length."""

    name: str
    origin: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.origin + self.size_bytes


FLASH = Region("FLASH", 0x0800_0000, 2 << 20)
SRAM = Region("SRAM", 0x2000_0000, 8 << 20)


@dataclass(frozen=True)
class Layout:
    """Which region holds what. The default is no chip: it is roomy, for timing single functions.

    `code`, `data`, `arena` and `stack` name regions. In C, an object goes to the arena's region by
    `__attribute__((section(".arena")))`, the vector table to the start of the code by `.vectors`. The script defines
    `__data_start`, `__data_end`, `__data_load`, `__bss_start`, `__bss_end`, `__arena_start`, `__arena_end`,
    `__stack_start` and `__stack_end` (the initial stack pointer).
    """

    regions: tuple[Region, ...] = (FLASH, SRAM)
    code: str = "FLASH"
    data: str = "SRAM"
    arena: str = "SRAM"
    stack: str = "SRAM"
    stack_bytes: int = 16 << 10

    def region(self, name: str) -> Region:
        """The region of that name.

        Raises:
            UserError: there is none.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise UserError(f"no memory region {name!r}; known: {', '.join(region.name for region in self.regions)}")

    def linker_script(self) -> str:
        """A GNU linker script (also lld's) for this layout."""
        for name in (self.code, self.data, self.arena, self.stack):
            self.region(name)
        memory = "".join(f"  {r.name} : ORIGIN = {r.origin:#x}, LENGTH = {r.size_bytes:#x}\n" for r in self.regions)
        return f"MEMORY {{\n{memory}}}\n" + _SECTIONS.format(
            code=self.code, data=self.data, arena=self.arena, stack=self.stack, stack_bytes=self.stack_bytes
        )


_SECTIONS = """SECTIONS {{
  .text : ALIGN(8) {{
    KEEP(*(.vectors .vectors.*))
    *(.text .text.*)
    . = ALIGN(8);
    *(.rodata .rodata.*)
    . = ALIGN(8);
  }} > {code}
  .data : ALIGN(8) {{
    __data_start = .;
    *(.data .data.*)
    . = ALIGN(8);
    __data_end = .;
  }} > {data} AT> {code}
  __data_load = LOADADDR(.data);
  .bss (NOLOAD) : ALIGN(8) {{
    __bss_start = .;
    *(.bss .bss.* COMMON)
    . = ALIGN(8);
    __bss_end = .;
  }} > {data}
  .arena (NOLOAD) : ALIGN(16) {{
    __arena_start = .;
    *(.arena .arena.*)
    . = ALIGN(16);
    __arena_end = .;
  }} > {arena}
  .stack (NOLOAD) : ALIGN(16) {{
    __stack_start = .;
    . += {stack_bytes};
    . = ALIGN(16);
    __stack_end = .;
  }} > {stack}
  /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab* .debug* .eh_frame* .comment .note*) }}
}}
"""
