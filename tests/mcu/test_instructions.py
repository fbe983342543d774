"""What an instruction needs when, by the manuals' encodings and the operands in their text."""

from __future__ import annotations

import pytest

from micronas.mcu.instructions import Group, Instruction, decode, instruction_offsets


def one(code: str) -> Instruction:
    (found,) = decode(bytes.fromhex(code), 0)
    assert found.known
    return found


@pytest.mark.parametrize(
    ("code", "text", "reads", "late", "writes"),
    [
        ("01fb0230", "mla r0, r1, r2, r3", {"r1", "r2"}, ("r3",), {"r0"}),
        ("01fb0210", "mla r0, r1, r2, r1", {"r1", "r2"}, ("r1",), {"r0"}),
        ("e2fb0301", "umlal r0, r1, r2, r3", {"r2", "r3"}, ("r0", "r1"), {"r0", "r1"}),
        ("e0fb0201", "umlal r0, r1, r0, r2", {"r0", "r2"}, ("r0", "r1"), {"r0", "r1"}),
        ("3bee0cab", "vadd.f64 d10, d11, d12", {"s22", "s23", "s24", "s25"}, (), {"s20", "s21"}),
        ("01ee0b0b", "vmla.f64 d0, d1, d11", {"s2", "s3", "s22", "s23"}, ("s0", "s1"), {"s0", "s1"}),
    ],
)
def test_sources_targets_and_what_is_needed_late(
    code: str, text: str, reads: set[str], late: tuple[str, ...], writes: set[str]
) -> None:
    found = one(code)
    assert " ".join(found.text.split()) == text
    assert (set(found.reads), found.late, set(found.writes)) == (reads, late, writes)


@pytest.mark.parametrize(
    ("code", "early", "reads"),
    [("01eb8200", ("r2",), {"r1"}), ("01eb8100", ("r1",), {"r1"}), ("01eb0200", (), {"r1", "r2"})],
    ids=["add r0, r1, r2, lsl #2", "add r0, r1, r1, lsl #2", "add r0, r1, r2"],
)
def test_a_shifted_operand_is_needed_early(code: str, early: tuple[str, ...], reads: set[str]) -> None:
    found = one(code)
    assert (found.early, set(found.reads)) == (early, reads)
    assert (found.group is Group.SHIFTED) == bool(early)


def test_a_base_that_is_written_back_is_a_base() -> None:
    load = one("51f8040b")
    assert load.text.split() == ["ldr", "r0,", "[r1],", "#4"]
    assert (load.address, load.bases, set(load.writes)) == (("r1",), ("r1",), {"r0", "r1"})


@pytest.mark.parametrize("code", ["ffff1234 0020", "0020 ffffffff 0120", "00de 0020"])
def test_every_byte_is_of_some_instruction(code: str) -> None:
    """Of what cannot be read too: its first half-word says whether it has a second."""
    octets = bytes.fromhex(code)
    found = decode(octets, 0x100)
    assert [one.address_of - 0x100 for one in found] == [*instruction_offsets(octets)]
    assert sum(one.size for one in found) == len(octets)


@pytest.mark.parametrize(
    ("code", "text", "is_shifted"),
    [
        ("01f1ff00", "add.w r0, r1, #0xff", False),
        ("01f1ff10", "add.w r0, r1, #0xff00ff", False),
        ("01f1ff20", "add.w r0, r1, #-0xff0100", False),
        ("01f1ff30", "add.w r0, r1, #-1", False),
        ("01f58070", "add.w r0, r1, #0x100", True),
    ],
)
def test_a_constant_of_eight_bits_moved_up_goes_through_the_shifter(code: str, text: str, is_shifted: bool) -> None:
    found = one(code)
    assert " ".join(found.text.split()).replace("0xffffffff", "-1") == text
    assert (found.group is Group.SHIFTED) == is_shifted


@pytest.mark.parametrize(
    ("code", "text", "early", "reads"),
    [
        ("c1ea0200", "pkhbt r0, r1, r2", ("r2",), {"r1"}),
        ("41fa82f0", "sxtab r0, r1, r2", ("r2",), {"r1"}),
        ("c1f30710", "ubfx r0, r1, #4, #8", ("r1",), set()),
    ],
)
def test_what_is_shifted_or_extracted_from_is_needed_early(
    code: str, text: str, early: tuple[str, ...], reads: set[str]
) -> None:
    found = one(code)
    assert " ".join(found.text.split()) == text
    assert (found.early, set(found.reads)) == (early, reads)


@pytest.mark.parametrize(("code", "count"), [("0818", 1), ("30b5", 3), ("06c8", 2), ("d1e90023", 2)])
def test_a_multiple_access_counts_its_registers(code: str, count: int) -> None:
    """adds; push {r4, r5, lr}; ldm r0!, {r1, r2}; ldrd r2, r3, [r1]."""
    assert one(code).count == count
