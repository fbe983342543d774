"""The toolchain: the same bytes twice, one clear line when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.mcu import toolchain as module
from micronas.mcu.cores import CORES, Core, core_named
from micronas.mcu.elf import ElfImage
from micronas.mcu.layout import Layout, Region
from micronas.mcu.toolchain import Toolchain

SOURCE = Path(__file__).parent / "programs.c"


def test_two_cold_builds_are_byte_identical(toolchain: Toolchain, tmp_path: Path) -> None:
    core = CORES["cortex-m7"]
    other = Toolchain(tmp_path / "cold")
    first, second = (maker.build([SOURCE], core, keep=["dot", "add"]) for maker in (toolchain, other))
    assert first != second
    assert first.read_bytes() == second.read_bytes()


def test_a_build_holds_no_path_of_this_machine(toolchain: Toolchain, tmp_path: Path) -> None:
    content = toolchain.build([SOURCE], CORES["cortex-m7"], keep=["dot"]).read_bytes()
    assert str(SOURCE.parent).encode() not in content
    assert str(toolchain.cache).encode() not in content


def test_the_second_build_is_the_first_ones_file_until_a_header_changes(toolchain: Toolchain, tmp_path: Path) -> None:
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text('#include "a.h"\nint f(void) { return VALUE; }\n')
    header.write_text("#define VALUE 1\n")
    core = CORES["cortex-m7"]
    first = toolchain.build([source], core, keep=["f"])
    assert toolchain.build([source], core, keep=["f"]) == first
    header.write_text("#define VALUE 2\n")
    assert toolchain.build([source], core, keep=["f"]) != first


def test_defines_and_regions_reach_the_program(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "placed.c"
    source.write_text('__attribute__((section(".arena"))) char arena[SIZE];\nchar *f(void) { return arena; }\n')
    regions = (Region("ROM", 0x0, 1 << 16), Region("DTCM", 0x2000_0000, 1 << 16), Region("AXI", 0x2400_0000, 1 << 16))
    layout = Layout(regions, code="ROM", data="DTCM", arena="AXI", stack="DTCM", stack_bytes=4096)
    elf = ElfImage.read(toolchain.build([source], CORES["cortex-m7"], keep=["f"], defines={"SIZE": 96}, layout=layout))
    assert elf.symbol("arena").address == 0x2400_0000
    assert elf.symbol("arena").size_bytes == 96
    assert elf.symbol("__stack_end").address - elf.symbol("__stack_start").address == 4096
    assert elf.symbol("f").address < 1 << 16


@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_the_compiler_knows_the_cores_dsp_and_fpu(toolchain: Toolchain, tmp_path: Path, core: Core) -> None:
    source = tmp_path / "features.c"
    source.write_text(
        "#if defined(__ARM_FEATURE_DSP) != HAS_DSP\n#error dsp\n#endif\n"
        "#if defined(__ARM_FP) != HAS_FPU\n#error fpu\n#endif\nint f(void) { return 0; }\n"
    )
    toolchain.build([source], core, keep=["f"], defines={"HAS_DSP": int(core.has_dsp), "HAS_FPU": int(core.has_fpu)})


def test_what_does_not_fit_its_region_is_said(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "big.c"
    source.write_text("char big[5000];\nchar *f(void) { return big; }\n")
    layout = Layout((Region("FLASH", 0x0800_0000, 1 << 16), Region("SRAM", 0x2000_0000, 1 << 12)), stack_bytes=64)
    with pytest.raises(UserError, match="SRAM"):
        toolchain.build([source], CORES["cortex-m7"], keep=["f"], layout=layout)


def test_a_compiler_error_is_one_line_with_file_and_reason(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int f(void) { return y; }\n")
    with pytest.raises(UserError, match=r"wrong\.c.*cortex-m7.*undeclared") as caught:
        toolchain.build([source], CORES["cortex-m7"], keep=["f"])
    assert "\n" not in str(caught.value)


def test_a_missing_function_is_one_line(toolchain: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "calls.c"
    source.write_text("int g(void); int f(void) { return g(); }\n")
    with pytest.raises(UserError, match="undefined symbol: g"):
        toolchain.build([source], CORES["cortex-m7"], keep=["f"])


def test_missing_pieces_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = CORES["cortex-m7"]
    with pytest.raises(UserError, match=r"cannot read .*absent\.c"):
        Toolchain(tmp_path).build([tmp_path / "absent.c"], core)
    with pytest.raises(UserError, match="cannot start the compiler 'no-such-gcc'"):
        Toolchain(tmp_path, ("no-such-gcc",)).build([SOURCE], core)
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"no cross compiler: .* -m pip install .*\[mcu\]"):
        Toolchain(tmp_path).build([SOURCE], core)
    with pytest.raises(UserError, match="unknown core 'cortex-m9'"):
        core_named("cortex-m9")


def test_an_object_file_or_a_text_is_no_program(tmp_path: Path) -> None:
    text = tmp_path / "text.elf"
    text.write_text("hello")
    with pytest.raises(UserError, match="not an ELF file"):
        ElfImage.read(text)
    with pytest.raises(UserError, match="cannot read"):
        ElfImage.read(tmp_path / "absent.elf")
