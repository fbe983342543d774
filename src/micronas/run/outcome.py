"""What a command found, as plain data that reads back: every number with its unit and how it was obtained."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from micronas.deploy.emulation import ON_BOARD, BoardRun, Emulation
from micronas.deploy.emulation import ORIGIN as EMULATED
from micronas.hardware.boards.bands import Band
from micronas.hardware.indicators.breakdown import Breakdown, Cost
from micronas.indicators import titled
from micronas.origin import Origin, Word
from micronas.quantity import scaled
from micronas.run.findings import Finalist, FrontPoint, Kept, Ranked, Reading, Round, Standing, Verdict, said_of
from micronas.run.notebook import frame_of, html_of

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 3
"""Of `Outcome.to_dict`; one more with every change after which an older reader would misread it."""


OWN_PROGRAMS = ("python", "micronas", "numpy", "numba", "torch")
"""What of `versions` is no plug-in's."""


def versions() -> dict[str, str]:
    """Of the programs that made the numbers."""
    found = {"python": platform.python_version()}
    for name in OWN_PROGRAMS[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Outcome:
    """An architecture, what it was judged, and all that is needed to get it again.

    `Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome`.

    Attributes:
        space: name of the space the architecture is of.
        architecture: in the space's notation.
        drawing: the cell drawn with characters, line by line.
        network: what the cell is deployed in, `C=16 N=5 32x32x3 -> 10 classes`.
        target: the board's name.
        indicators: readings by indicator name, in the order they are shown.
        breakdown: where the latency goes; None for a disconnected network, or if it was not asked for.
        seed: of weights and random inputs.
        run: the request as plain data (`config.Run`); `--repeat` reads it.
        search: name of the search, None if the architecture was given.
        finalists: what the search chose from, best first; the answer is the first.
        rounds: those that led to the answer, if the search has rounds.
        measured: how many numbers the performance indicators gave the search, None if there was none.
        seconds: the search alone (or the measuring), without start-up.
        limits: those asked for, and the board's own memory.
        standing: where the answer stands among all networks, if the search knows them all.
        front: the Pareto front of score and costs, best score first, where it was asked for.
        images: those it was judged on: how many, their size, their classes; "" for noise.
        made_from: digests of what the run names but does not hold: the images and the latencies.
        emulation: the whole network run as firmware in the emulator, where that was asked for.
        on_board: the same on the board itself.
        notes: what else the user should be told, a line each.
        versions: of the programs that made the numbers.
    """

    space: str
    architecture: str
    drawing: tuple[str, ...]
    network: str
    target: str
    indicators: Mapping[str, Reading]
    breakdown: Breakdown | None
    seed: int
    run: Mapping[str, object]
    search: str | None = None
    finalists: tuple[Finalist, ...] = ()
    rounds: tuple[Round, ...] = ()
    measured: int | None = None
    seconds: float = 0.0
    limits: tuple[Kept, ...] = ()
    standing: Standing | None = None
    front: tuple[FrontPoint, ...] = ()
    images: str = ""
    made_from: Mapping[str, str] = field(default_factory=dict[str, str])
    emulation: Emulation | None = None
    on_board: BoardRun | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def verdict(self) -> Verdict | None:
        """Of all limits that of the one kept least; None if there are none."""
        return max((one.verdict for one in self.limits), key=[*Verdict].index, default=None)

    def __repr__(self) -> str:
        """A few lines: the answer, whether it fits, and its numbers."""
        numbers = (
            f"  {titled(name)}: {' '.join(scaled(one.value, one.unit)).strip()} ({one.origin.word})"
            for name, one in self.indicators.items()
        )
        verdict = f": {self.verdict}" if self.verdict else ""
        return "\n".join((f"Outcome of {self.target}{verdict}", f"  {self.architecture}", *numbers))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_of(self.to_dict())

    def to_frame(self, what: str = "indicators") -> DataFrame:
        """A data frame of pandas: of the indicators, limits, layers (with their latencies), finalists or the front.

        Raises:
            UserError: no such frame, or no pandas.
        """
        return frame_of(self.to_dict(), what)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON, finite numbers only."""
        return {
            "schema": SCHEMA,
            "architecture": self.architecture,
            "indicators": {name: reading.to_dict() for name, reading in self.indicators.items()},
            "latency_ms": self.breakdown.latency_ms if self.breakdown else None,
            "emulated_latency_ms": self.emulation.latency_ms if self.emulation else None,
            "seconds": self.seconds,
            "seed": self.seed,
            "target": self.target,
            "search": self.search,
            "space": self.space,
            "network": self.network,
            "drawing": list(self.drawing),
            "latency": _latency(self.breakdown) if self.breakdown else None,
            "emulation": _emulation(self.emulation) if self.emulation else None,
            "on_board": {**asdict(self.on_board), **said_of(ON_BOARD)} if self.on_board else None,
            "verdict": self.verdict,
            "limits": [{**asdict(one), "verdict": str(one.verdict)} for one in self.limits],
            "standing": _standing(self.standing) if self.standing else None,
            "notes": list(self.notes),
            "measurements": self.measured,
            "finalists": [asdict(one) for one in self.finalists],
            "front": [one.to_dict() for one in self.front],
            "rounds": [asdict(one) for one in self.rounds],
            "run": dict(self.run),
            "images": self.images,
            "made_from": dict(self.made_from),
            "versions": dict(self.versions),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Outcome:
        """What `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it wrote no such thing.
        """
        for key, kind in _KINDS.items():
            if not isinstance(data[key], kind):
                raise TypeError(f"{key} is {data[key]!r}")
        return Outcome(
            space=data["space"],
            architecture=data["architecture"],
            drawing=tuple(data["drawing"]),
            network=data["network"],
            target=data["target"],
            indicators={name: _read_reading(said) for name, said in data["indicators"].items()},
            breakdown=_read_latency(data["latency"]) if data["latency"] else None,
            seed=data["seed"],
            run=dict(data["run"]),
            search=data["search"],
            finalists=tuple(Finalist(**said) for said in data["finalists"]),
            rounds=tuple(_read_round(said) for said in data["rounds"]),
            measured=data["measurements"],
            seconds=data["seconds"],
            limits=tuple(_read_limit(said) for said in data["limits"]),
            standing=_read_standing(data["standing"]) if data.get("standing") else None,
            front=tuple(_read_point(said) for said in data["front"]),
            images=data.get("images", ""),
            made_from=dict(data["made_from"]),
            emulation=_read_emulation(data["emulation"]) if data["emulation"] else None,
            on_board=_read_board_run(data["on_board"]) if data.get("on_board") else None,
            notes=tuple(data["notes"]),
            versions=dict(data["versions"]),
        )


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("space", "architecture", "network", "target"), str),
    **dict.fromkeys(("drawing", "notes", "finalists", "front", "limits", "rounds"), (list, tuple)),
    **dict.fromkeys(("indicators", "run", "made_from", "versions"), dict),
    "search": (str, type(None)),
    "seed": int,
    "seconds": (int, float),
}
"""What values of a result are, where nothing else would notice."""


def _read_point(said: Mapping[str, Any]) -> FrontPoint:
    needs = {name: value for name, value in said.items() if name not in ("architecture", "score")}
    return FrontPoint(said["architecture"], said["score"], needs)


def _read_limit(said: Mapping[str, Any]) -> Kept:
    return Kept(**{name: value for name, value in said.items() if name != "verdict"})


def _standing(standing: Standing) -> dict[str, object]:
    derived = {"percentile": standing.percentile, "binding": list(standing.binding)}
    return {**asdict(standing), "runners_up": [asdict(one) for one in standing.runners_up], **derived}


def _read_standing(said: Mapping[str, Any]) -> Standing:
    others = {name: {limit: Ranked(**one) for limit, one in said[name].items()} for name in ("without", "more")}
    runners_up = tuple(Ranked(**one) for one in said["runners_up"])
    return Standing(said["rank"], said["networks"], said["fitting"], Ranked(**said["best"]), runners_up, **others)


def _read_words(said: Mapping[str, Any]) -> Origin:
    return Origin(Word(said["origin"]), said["how"])


def _read_reading(said: Mapping[str, Any]) -> Reading:
    return Reading(said["value"], said["unit"], _read_words(said), said.get("caveat", ""))


def _latency(breakdown: Breakdown) -> dict[str, object]:
    low, high = breakdown.range_ms
    return {
        "value": breakdown.latency_ms,
        "unit": "ms",
        **said_of(breakdown.origin),
        "calibrated": breakdown.is_calibrated,
        "band": asdict(breakdown.band) if breakdown.band else None,
        "range_ms": [low, high],
        "overhead_ms": breakdown.overhead_ms,
        "by_operation_ms": breakdown.by_operation(),
        "by_stage_ms": breakdown.by_stage(),
        "layers": [asdict(cost) for cost in breakdown.costs],
    }


def _read_latency(said: Mapping[str, Any]) -> Breakdown:
    costs = tuple(Cost(**cost) for cost in said["layers"])
    return Breakdown(costs, said["overhead_ms"], _read_words(said), _read_band(said["band"]), said["calibrated"])


def _read_band(said: Mapping[str, Any] | float | None) -> Band | None:
    """Up to schema 2 a band was one share, as much below as above."""
    if said is None or isinstance(said, Mapping):
        return Band(**said) if said else None
    return Band.around(said)


def _read_round(said: Mapping[str, Any]) -> Round:
    struck, skipped = (tuple((at, option) for at, option in said[name]) for name in ("struck", "skipped"))
    return Round(said["candidates"], struck, skipped)


def _emulation(emulation: Emulation) -> dict[str, object]:
    return {
        "target": emulation.target,
        "latency_ms": emulation.latency_ms,
        **said_of(EMULATED),
        "cycles": emulation.cycles,
        "instructions": emulation.instructions,
        "arena_bytes": emulation.arena_bytes,
        "stack_bytes": emulation.stack_bytes,
        "statics_bytes": dict(emulation.statics),
        "sram_bytes": emulation.sram_bytes,
        "flash_bytes": emulation.flash_bytes,
        "logits": list(emulation.logits),
        "matches_reference": emulation.matches_reference,
        "cycles_by_layer": dict(emulation.by_layer),
        "cycles_by_cause": dict(emulation.by_cause),
    }


def _read_board_run(said: Mapping[str, Any]) -> BoardRun:
    return BoardRun(**{name: value for name, value in said.items() if name not in said_of(ON_BOARD)})


def _read_emulation(said: Mapping[str, Any]) -> Emulation:
    return Emulation(
        target=said["target"],
        cycles=said["cycles"],
        instructions=said["instructions"],
        latency_ms=said["latency_ms"],
        logits=tuple(said["logits"]),
        matches_reference=said["matches_reference"],
        arena_bytes=said["arena_bytes"],
        statics=said["statics_bytes"],
        stack_bytes=said["stack_bytes"],
        flash_bytes=said["flash_bytes"],
        by_layer=said["cycles_by_layer"],
        by_cause=said["cycles_by_cause"],
    )
