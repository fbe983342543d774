"""What pages call things: indicators by their titles, numbers with their units, plurals."""

from __future__ import annotations

from micronas.run.outcome import Outcome, Reading

_TITLES = {
    "ntk": "NTK condition number",
    "linear-regions": "linear regions",
    "naswot": "NASWOT",
    "zen-score": "Zen-score",
    "synflow": "SynFlow",
    "flops": "FLOPs",
    "live-flops": "live FLOPs",
    "params": "parameters",
    "layers": "layers with weights",
    "sram": "SRAM",
    "sram-tflm": "SRAM of TFLite-Micro",
}
"""What an indicator is called; others go by their names."""


def titled(name: str) -> str:
    """What an indicator is called."""
    return _TITLES.get(name, name)


def headline(outcome: Outcome) -> str:
    """`nucleo-f746zg: found by exact, seed 0, in 70.3 s`; of a network that was given, what it is."""
    seeds = outcome.run.get("seeds")
    drawn = f"seeds {seeds}" if seeds else f"seed {outcome.seed}"
    how = f"found by {outcome.search}, {drawn}, in {outcome.seconds:.1f} s"
    return f"{outcome.target}: {how if outcome.search else outcome.network}"


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,500 measurements`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def band(share: float) -> str:
    """`±20 %`."""
    return f"±{100 * share:.0f} %"


def word_of(outcome: Outcome, name: str, reading: Reading) -> str:
    """`computed`, `simulated ±20 %`, `computed; disconnected`."""
    return with_caveat(f"{reading.origin.word}{band_of(outcome, name)}", reading)


def band_of(outcome: Outcome, name: str) -> str:
    """The error band behind a latency, "" for any other number."""
    return (
        f" {band(outcome.breakdown.band)}" if name == "latency" and outcome.breakdown and outcome.breakdown.band else ""
    )


def with_caveat(origin: str, reading: Reading) -> str:
    """How a number was obtained, and what must be said beside it."""
    return f"{origin}; {reading.caveat}" if reading.caveat else origin


def quantity(value: float | None, unit: str) -> tuple[str, str]:
    """A number and its unit, scaled so that it reads well: `120.3 MMAC`, `312 ms`, `64.0 KiB`."""
    if value is None:
        return "none", ""
    match unit:
        case "bytes":
            return f"{value / 1024:,.1f}", "KiB"
        case "MAC":
            return f"{value / 1e6:,.2f}", "MMAC"
        case "parameters":
            return f"{value / 1e6:,.3f}", "million"
        case "ms":
            return milliseconds(value), "ms"
        case _:
            return (f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"), unit


def milliseconds(value: float) -> str:
    """As many digits as mean something: `1,204`, `304.8`, `29.0`, `0.0258`."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"
