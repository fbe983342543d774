"""An outcome's plain data (`Outcome.to_dict`) as notebooks show it: HTML, and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from micronas.errors import UserError
from micronas.extras import how_to_install
from micronas.indicators import titled
from micronas.quantity import scaled

if TYPE_CHECKING:
    from pandas import DataFrame

FRAMES = ("indicators", "limits", "layers", "finalists", "front")
"""What of an outcome makes a data frame."""


def html_of(data: Mapping[str, Any]) -> str:
    """The answer, whether it fits, every number with how it was obtained, and what the user should be told."""
    verdict = f": {data['verdict']}" if data["verdict"] else ""
    parts = [
        f"<b>{escape(data['target'] + verdict)}</b>",
        f"<pre>{escape(chr(10).join((data['architecture'], *data['drawing'])))}</pre>",
        _table(("indicator", "value", "limit", "how it was obtained"), _rows(data)),
    ]
    if standing := data["standing"]:
        parts.append(f"<p>Rank {standing['rank']:,} of {standing['networks']:,} networks.</p>")
    parts += [f"<p>{escape(note)}</p>" for note in data["notes"]]
    return f"<div>{''.join(parts)}</div>"


def _rows(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    limits = {one["indicator"]: one for one in data["limits"]}
    for name, said in data["indicators"].items():
        limit = limits.get(name)
        allowed = " ".join(scaled(limit["at_most"], limit["unit"])) if limit else ""
        caveat = f"; {said['caveat']}" if "caveat" in said else ""
        how = f"{said['origin']}: {said['how']}{caveat}"
        yield titled(name), " ".join(scaled(said["value"], said["unit"])).strip(), allowed, how


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def frame_of(data: Mapping[str, Any], what: str) -> DataFrame:
    """One of `FRAMES`, a row for each of its things; what is not known is missing.

    Raises:
        UserError: no such frame, or no pandas.
    """
    if what not in FRAMES:
        raise UserError(f"an outcome has no frame {what!r}; there are {', '.join(FRAMES)}")
    try:
        frames: Any = import_module("pandas")
    except ImportError as error:
        raise UserError(f"data frames need pandas: {how_to_install('frames')}") from error
    match what:
        case "indicators":
            made = frames.DataFrame.from_dict(data["indicators"], orient="index")
            made.index.name = "indicator"
        case "layers":
            made = frames.DataFrame(data["latency"]["layers"] if data["latency"] else [])
        case "finalists":
            made = frames.json_normalize(data["finalists"])
        case _:
            made = frames.DataFrame(data[what])
    return made
