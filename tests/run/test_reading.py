"""What users write is read, or refused in one clear line."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micronas.errors import UserError
from micronas.quantity import parse_quantity
from micronas.run.reading import (
    MOST_SEEDS,
    parse_pair,
    parse_seeds,
    parse_setting,
    parse_weight,
    read_config,
    run_of,
)
from micronas.run.run import Run

# --- numbers with units -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        *(("300ms", 300.0), ("0.3s", 300.0), ("250us", 0.25), ("250 \u00b5s", 0.25), ("250\u03bcs", 0.25)),
        *((" 1.5 s ", 1500.0), ("+3ms", 3.0), ("1e2ms", 100.0), ("1E-1s", 100.0), (".5s", 500.0), ("5.ms", 5.0)),
    ],
)
def test_times_with_a_unit_are_read(text: str, milliseconds: float) -> None:
    assert parse_quantity(text, "ms", "a time") == pytest.approx(milliseconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "number"),
    [("131072", 131072), ("128KiB", 131072), ("128 KB", 128000), ("1.5MiB", 1572864), ("2MB", 2e6), ("512B", 512)],
)
def test_sizes_are_bytes_unless_they_say_otherwise(text: str, number: float) -> None:
    assert parse_quantity(text, "bytes", "a size") == number


@pytest.mark.parametrize(("text", "number"), [("50M", 50e6), ("50000000", 50e6), ("1.5G", 1.5e9), ("12k", 12e3)])
def test_what_has_no_unit_of_its_own_is_counted(text: str, number: float) -> None:
    assert parse_quantity(text, "MAC", "live-flops") == number
    assert parse_quantity("12.5", "", "ntk") == 12.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("300", "'300' has no unit that is known; write us, ms or s, like 300ms or 0.3s"),
        ("300 minutes", "has no unit that is known"),
        ("3MS", "has no unit that is known"),
        ("-3ms", "a time must be above 0 and finite, not '-3ms'"),
        ("0s", "must be above 0"),
        ("1e999s", "cannot read a time from"),
        ("1e-999s", "must be above 0"),
        *((bad, "cannot read a time from") for bad in ("", "ms", "fast", "nan ms", "1.2.3ms", "1,5s", "3ms 4", "e5ms")),
    ],
)
def test_other_times_are_refused(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_quantity(text, "ms", "a time")
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("128kib", "bytes", "'128kib' has no unit that is known; write B, KB, MB, KiB or MiB, like 128KiB or 131072"),
        ("300ms", "bytes", "has no unit that is known"),
        ("128KiB", "MAC", "has no unit that is known; write k, M or G, like 50M or 50000000"),
        ("-1", "bytes", "a size must be above 0 and finite, not '-1'"),
    ],
)
def test_other_sizes_are_refused(text: str, unit: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_quantity(text, unit, "a size")
    assert says in str(caught.value)


@given(
    st.one_of(st.text(), st.from_regex(r"\s*[-+]?[0-9.]*(e[-+]?[0-9]{1,4})?\s*(us|ms|s|m|KiB)?\s*", fullmatch=True)),
    st.sampled_from(["ms", "bytes", "MAC", ""]),
)
def test_any_text_is_a_number_above_zero_or_refused(text: str, unit: str) -> None:
    with suppress(UserError):
        assert 0 < parse_quantity(text, unit, "it") < math.inf


@given(st.floats(1e-6, 1e9), st.sampled_from([("us", 1e-3), ("ms", 1.0), ("s", 1e3)]))
def test_every_way_to_write_a_number_is_read(number: float, unit: tuple[str, float]) -> None:
    assert parse_quantity(f"{number!r}{unit[0]}", "ms", "a time") == number * unit[1]


# --- pairs, weights, settings -------------------------------------------------------------------


def test_pairs_are_a_name_and_a_value() -> None:
    assert parse_pair(" latency = 300ms ", "--limit") == ("latency", "300ms")
    assert parse_pair("images=a=b", "--limit") == ("images", "a=b")
    for text in ("latency", "latency=", "=300ms", " = ", ""):
        with pytest.raises(UserError) as caught:
            parse_pair(text, "--limit")
        assert str(caught.value) == f"cannot read --limit from {text!r}; write it like --limit NAME=VALUE"


def test_weights_are_numbers_of_at_least_zero() -> None:
    assert [parse_weight(text, "ntk") for text in ("0", "1.5", " 2 ", "1e3")] == [0, 1.5, 2, 1000]
    for text in ("-1", "nan", "inf", "one", "", "1e999"):
        with pytest.raises(UserError, match="the weight of ntk must be 0 or more"):
            parse_weight(text, "ntk")


def test_settings_are_what_they_look_like() -> None:
    texts = ("200", "0.5", "8,16", "8,", "fast", "1e3", "-3")
    assert [parse_setting(text) for text in texts] == [200, 0.5, (8, 16), "8,", "fast", 1000.0, -3]
    assert isinstance(parse_setting("200"), int)


# --- seeds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-4", (0, 1, 2, 3, 4)), ("7", (7,)), ("1, 3,5-6", (1, 3, 5, 6)), ("2-2,2,1-3", (2, 1, 3))]
)
def test_seeds_are_read_each_once_in_order(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "4-0", "1,,2", "1.5", "0-4-8", "\u0663", "9" * 5000])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"cannot read seeds from .*; write them like 0-4 or 1,3,5"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-999999999", f"0-{MOST_SEEDS}", "0-600,1000-1600"])
def test_too_many_seeds_are_a_typing_mistake(text: str) -> None:
    with pytest.raises(UserError, match=f"is more than {MOST_SEEDS} seeds"):
        parse_seeds(text)


@given(st.one_of(st.text(), st.from_regex(r"[0-9]{1,12}(-[0-9]{0,12})?(,[0-9]{1,3}){0,3}", fullmatch=True)))
def test_any_text_is_distinct_seeds_or_refused(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except UserError:
        return
    assert 0 < len(seeds) == len(set(seeds)) <= MOST_SEEDS
    assert min(seeds) >= 0


# --- files --------------------------------------------------------------------------------------


def toml(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_a_toml_file_says_what_differs(tmp_path: Path) -> None:
    content = (
        'search = "exact"\n[space_settings]\nchannels = [8, 16]\n[terms]\nntk = 2\nflops = 0\n[limits]\nlatency = 300\n'
    )
    assert read_config(toml(tmp_path / "run.toml", content)) == Run(
        search="exact", space_settings={"channels": (8, 16)}, terms={"ntk": 2, "flops": 0}, limits={"latency": 300}
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("serach = 8", "unknown key 'serach'; did you mean 'search'?"),
        ("qwertz = 8", "unknown key 'qwertz'"),
        ("channels = 8", "unknown key 'channels'; write space_settings={'channels': 16}"),
        ("input = []", 'input of a run must be a whole number, or a text like "96x96x1", not []'),
        ("input = 8.5", 'input of a run must be a whole number, or a text like "96x96x1", not 8.5'),
        ("input = true", 'input of a run must be a whole number, or a text like "96x96x1", not True'),
        ("terms = 1", "terms of a run must be a finite number for each indicator's name, not 1"),
        ("[terms]\nntk = false", "terms of a run must be a finite number for each indicator's name"),
        ("[limits]\nlatency = '300ms'", "limits of a run must be a finite number for each indicator's name"),
        ("search = 1", "search of a run must be a text, not 1"),
        ("seeds = [0, 1]", "seeds of a run must be a text, not [0, 1]"),
        (f"[terms]\nntk = 1{'0' * 400}", "terms of a run must be a finite number for each indicator's name"),
        ("input = ", "is not valid TOML"),
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_config(toml(tmp_path / "run.toml", content))
    assert says in str(caught.value)
    assert str(tmp_path / "run.toml") in str(caught.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            read_config(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"sede": 1}, "here: unknown key 'sede'; did you mean 'seed'?"),
        ({"seed": "1"}, "here: seed of a run must be a whole number, not '1'"),
        ([1], "here holds no run"),
        (None, "here holds no run"),
    ],
)
def test_plain_data_is_read_strictly(data: object, says: str) -> None:
    with pytest.raises(UserError) as caught:
        run_of(data, "here")
    assert str(caught.value) == says
