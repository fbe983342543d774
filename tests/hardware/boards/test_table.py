"""A latency table says what it is, survives writing and reading, and refuses what is no timing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micronas.hardware.boards.table import (
    FIELDS,
    LatencyTable,
    TableError,
    UntimedOperation,
    decode,
    encode,
    read_table,
)
from micronas.network.signature import Kind, Signature
from micronas.origin import Word

CONV = Signature.square(Kind.CONV, (32, 32, 3), (32, 32, 16), kernel=3, padding=(1, 1))
ADD = Signature(Kind.ADD, (8, 8, 64), (8, 8, 64), operands=3)


def table(**changes: object) -> LatencyTable:
    facts: dict[str, object] = {
        "board": "nucleo-f746zg",
        "runtime": "micronas",
        "dtype": "int8",
        "kernel_version": "1",
        "word": Word.SIMULATED,
        "overhead_ms": 0.25,
        "overhead_ms_per_input_byte": 2.5e-5,
        "milliseconds": {CONV: 8.4809, ADD: 1e-3},
        "provenance": {"compiler": "zig 1", "timing_model": "timing 1"},
    }
    return LatencyTable(**{**facts, **changes})  # type: ignore[arg-type]


shapes = st.tuples(*(st.integers(1, 300),) * 3)
signatures = st.builds(
    Signature,
    st.sampled_from(Kind),
    shapes,
    shapes,
    st.tuples(*(st.integers(1, 10),) * 2),
    st.tuples(*(st.integers(1, 3),) * 2),
    st.tuples(*(st.tuples(*(st.integers(0, 5),) * 2),) * 2),
    st.integers(1, 4),
    st.booleans(),
)


@given(signatures)
def test_decode_undoes_encode(signature: Signature) -> None:
    assert decode(dict(zip(FIELDS, encode(signature), strict=True))) == signature


def test_a_table_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text(table().dump(), encoding="utf-8")
    assert read_table(path) == table()


def test_windows_by_axis_are_written_and_read_back(tmp_path: Path) -> None:
    stem = Signature(Kind.CONV, (49, 10, 1), (25, 5, 64), (10, 4), (2, 2), ((4, 5), (1, 1)))
    pool = Signature(Kind.MAX_POOL, (25, 5, 64), (25, 3, 64), (1, 3), (1, 2), ((0, 0), (1, 1)))
    path = tmp_path / "board.csv"
    path.write_text(table(milliseconds={stem: 1.5, pool: 0.25}).dump(), encoding="utf-8")
    assert "conv,49,10,1,25,5,64,10,4,2,2,4,5,1,1,1,0,1.5" in path.read_text(encoding="utf-8").splitlines()
    assert read_table(path).milliseconds == {stem: 1.5, pool: 0.25}


def test_an_operation_without_timing_names_itself_and_the_remedy() -> None:
    wanted = Signature.square(Kind.CONV, (32, 32, 3), (32, 32, 16), kernel=5, padding=(2, 2))
    with pytest.raises(UntimedOperation) as failure:
        table()[wanted]
    assert (
        str(failure.value)
        == 'nucleo-f746zg has no timing for conv5x5/1 32x32x3->16; run "micronas profile nucleo-f746zg"'
    )


def test_missing_lists_each_untimed_signature_once() -> None:
    other = Signature(Kind.RELU, (8, 8, 8), (8, 8, 8))
    assert table().missing([CONV, other, ADD, other]) == (other,)


def test_the_label_says_simulated_and_what_else_a_reader_must_know() -> None:
    assert str(table().origin) == "simulated: micronas 1, timing 1, uncalibrated"
    assert "provisional" in table(provisional=True).origin.how
    assert str(table(word=Word.MEASURED).origin).startswith("measured: ")


HEADER, COLUMNS, FIRST = table().dump().splitlines()[0], 10, 11


def damage(find: str, replace: str) -> str:
    text = table().dump()
    assert find in text
    return text.replace(find, replace, 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (damage("micronas latency table 2", "something"), "line 1: no latency table"),
        ("", "line 1: no latency table"),
        (damage("latency table 2", "latency table 1"), "profile the board anew"),
        (damage("# runtime: micronas\n", ""), "does not say 'runtime'"),
        (damage("source: simulated", "source: guessed"), "simulated or measured, not 'guessed'"),
        (damage("overhead_ms: 0.25", "overhead_ms: -1"), "overhead_ms must be a number of at least 0"),
        (damage("input_byte: 2.5e-05", "input_byte: x"), "overhead_ms_per_input_byte must be a number"),
        (
            damage("# overhead_ms", "# calibration: 9\n# overhead_ms"),
            "calibration_error must be a number of at least 0",
        ),
        (damage("milliseconds\n", "ms\n"), "line 12: no column 'milliseconds'"),
        (damage("8.4809", "fast"), "line 13: milliseconds must be a number, not 'fast'"),
        (damage("8.4809", "-8"), "line 13: milliseconds must be finite and above 0"),
        (damage("8.4809", "nan"), "line 13: milliseconds must be finite and above 0"),
        (damage("conv,32", "konv,32"), "line 13: unknown kind 'konv'"),
        (damage("conv,32,32", "conv,32,-1"), "line 13: in_width must be a whole number"),
        (damage("conv,32,32", "conv,32"), "line 13: 17 values, not 18"),
        (damage("8.4809", '"8.4809'), "line 13"),
        (table().dump() + table().dump().splitlines()[-1], "line 15: a second timing for add3 8x8x64"),
        ("\n".join(table().dump().splitlines()[:12]), "no timing in it"),
        ("\n".join(table().dump().splitlines()[:11]), "no column names in it"),
    ],
)
def test_a_corrupt_table_is_one_line_with_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as failure:
        read_table(path)
    message = str(failure.value)
    assert str(path) in message
    assert complaint in message
    assert "\n" not in message


def test_a_table_that_is_no_text_or_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    with pytest.raises(TableError, match=r"cannot read .*broken\.csv: No such file"):
        read_table(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match=r"cannot read .*broken\.csv: it is no UTF-8 text"):
        read_table(path)


def test_a_digest_is_of_the_rows_that_are_asked_for_and_of_how_they_were_made(tmp_path: Path) -> None:
    one = table()
    digest = one.digest_of([CONV])
    (tmp_path / "t.csv").write_text(one.dump())
    for same in (
        read_table(tmp_path / "t.csv"),
        table(milliseconds={CONV: 8.4809}),
        table(milliseconds={ADD: 5.0, CONV: 8.4809}),
    ):
        assert same.digest_of([CONV, CONV]) == digest
    changes = ({"milliseconds": {CONV: 8.481}}, {"kernel_version": "2"}, {"word": Word.MEASURED}, {"overhead_ms": 0.3})
    made = ({"compiler": "zig 2"}, {"timing_model": "timing 2"}, {"calibration": "4 measurements"})
    for change in (*changes, *({"provenance": {**one.provenance, **each}} for each in made)):
        assert table(**change).digest_of([CONV]) != digest
    assert one.digest_of([CONV, ADD]) == one.digest_of([ADD, CONV]) != digest
    with pytest.raises(UntimedOperation):
        table(milliseconds={ADD: 1.0}).digest_of([CONV])
