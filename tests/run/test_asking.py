"""What a user says wins in this order: flags, variables of the environment, a file; a kept run heeds flags alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas.errors import UserError
from micronas.run.asking import VARIABLES, asked_for, run_with, variable
from micronas.run.run import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A run's values."""
    path = tmp_path / "run.toml"
    path.write_text('target = "nucleo-l4r5zi"\nimages = "of the file"\n[limits]\nlatency = 100\nsram = 1000\n')
    return path


def test_flags_win_over_variables_and_those_over_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_TARGET", "nrf5340dk")
    monkeypatch.setenv("MICRONAS_MAX_LATENCY", "0.2s")
    monkeypatch.setenv("MICRONAS_IMAGES", "of the environment")
    monkeypatch.setenv("MICRONAS_MAX_FLASH", "1KiB")
    run = asked_for({"max_latency": "300ms", "max_flash": None}, config=file)
    assert (run.target, run.images) == ("nrf5340dk", "of the environment")
    assert run.limits == {"latency": 300.0, "sram": 1000.0, "flash": 1024.0}
    assert asked_for({}, config=file).limits["latency"] == 200.0
    assert asked_for({"target": "raspberry-pi-pico"}, config=file).target == "raspberry-pi-pico"
    assert asked_for({}).limits == {"latency": 200.0, "flash": 1024.0}


def test_a_run_that_is_brought_heeds_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(variable(name), "9")
    assert asked_for({"seed": 3}, brought=Run(cells := "nasbench201")).target == Run().target
    assert asked_for({"seed": 3}, brought=Run(cells)) == Run(seed=3)


def test_an_own_board_or_a_limit_by_name_silences_the_variable_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_TARGET", "nrf5340dk")
    monkeypatch.setenv("MICRONAS_MAX_LATENCY", "1s")
    run = asked_for({"core": "cortex-m4", "clock": "80MHz", "limit": ["latency=5ms"]})
    assert run.target == "core=cortex-m4 clock=80MHz"
    assert run.limits == {"latency": 5.0}


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRONAS_MAX_SRAM", "much")
    with pytest.raises(UserError, match=r"^MICRONAS_MAX_SRAM of the environment: cannot read a limit on sram"):
        asked_for({})
    monkeypatch.setenv("MICRONAS_MAX_SRAM", "  ")
    assert asked_for({}) == Run()


def test_keywords_are_attributes_of_a_run_and_flags() -> None:
    said = {"max_latency": "300ms", "channels": 8, "terms": {"ntk": 2.0}, "latency_weight": 0.5, "reserve_sram": "4KiB"}
    run = run_with(Run(seeds="0-4"), {**said, "seed": 7, "input": "96x96x1", "classes": None})
    assert run == Run(
        seed=7,
        input="96x96x1",
        limits={"latency": 300.0},
        space_settings={"channels": 8},
        terms={"ntk": 2.0, "latency": 0.5},
        reserve_sram=4096,
    )
    assert run_with(Run(), {"reserve_sram": 100, "reserve_flash": "0"}) == Run(reserve_sram=100, reserve_flash=0)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"max_lattency": "300ms"}, "unknown keyword 'max_lattency'; did you mean 'max_latency'?"),
        ({"xyz": 1}, "unknown keyword 'xyz'; there are space, "),
        ({"max_latency": 300}, "'300' has no unit that is known; write us, ms or s"),
        ({"limits": {"latency": 1.0}, "max_latency": "2ms"}, "latency is given twice, as 1.0 and as 2.0"),
        ({"limits": {"latency": "2ms"}}, "limits of a run must be a finite number for each"),
        ({"target": "x", "core": "cortex-m4"}, "--core cannot stand beside --target"),
    ],
)
def test_a_wrong_keyword_is_one_line(said: dict[str, object], wrong: str) -> None:
    with pytest.raises(UserError) as caught:
        run_with(Run(), said)
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)
