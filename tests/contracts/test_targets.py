"""Every bundled board keeps the public laws, and all of them agree with one another."""

from __future__ import annotations

import re

from micronas.hardware.boards.table import read_table
from micronas.hardware.boards.target import BUNDLED, load_target
from micronas.testing import BoardContract

NAMES = [path.stem for path in sorted(BUNDLED.glob("*.toml"))]

for _name in NAMES:
    _class = f"Test_{_name.replace('-', '_')}"
    globals()[_class] = type(_class, (BoardContract,), {"board": _name})


def test_the_eight_boards_are_there() -> None:
    assert set(NAMES) == {
        *("nucleo-f746zg", "nucleo-f767zi", "nucleo-h743zi2", "nucleo-f446re", "nucleo-l4r5zi"),
        *("nucleo-l552ze-q", "nrf5340dk", "raspberry-pi-pico"),
    }


def test_flash_is_as_large_as_the_part_number_says() -> None:
    """Source: the ordering information in ST's data sheets: a letter for the pins, one for the flash."""
    kibibytes = {"C": 256, "E": 512, "G": 1024, "I": 2048}
    checked = 0
    for target in map(load_target, NAMES):
        if part := re.search(r"STM32[A-Z]\w{3}[A-Z]([A-Z])", target.title):
            assert target.flash_bytes == kibibytes[part[1]] << 10, target.name
            checked += 1
    assert checked == sum(name.startswith("nucleo-") for name in NAMES)


def test_all_tables_are_of_one_version() -> None:
    tables = [read_table(BUNDLED / f"{name}.csv") for name in NAMES]
    for fact in ("compiler", "timing_model"):
        assert len({table.provenance[fact] for table in tables}) == 1
    assert len({table.kernel_version for table in tables}) == 1
