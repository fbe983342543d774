"""Results as files: kept whole, found again by name, read back unchanged, and compared with what comes later."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from micronas.cache import atomic_write
from micronas.errors import UserError
from micronas.run.findings import FrontPoint
from micronas.run.outcome import OWN_PROGRAMS, SCHEMA, Outcome
from micronas.run.reading import run_of
from micronas.run.schema import check, of_results
from micronas.texts import read_json, shown

RESULT = "result.json"
"""The file in a run's folder."""

LAST = "last"
"""What the latest run is called."""

THE_IMAGES = "the images"
THE_TABLE = "the latency table"
THE_ANSWERS_LATENCIES = "the latencies of the answer"
"""In `Outcome.made_from`: digests of the pictures drawn, of a table's rows for the whole space, or for the answer."""

_STAMP = "%Y%m%d-%H%M%S"
_LISTED = 5  # candidates that an ambiguous name lists


# --- writing ------------------------------------------------------------------------------------


def sealed(outcome: Outcome) -> dict[str, object]:
    """The outcome as its file has it, with a checksum of all the rest."""
    return seal(outcome.to_dict())


def seal(data: Mapping[str, object]) -> dict[str, object]:
    """Plain data with a checksum of the rest, the order of its keys included: pages are shown in that order."""
    rest = {key: value for key, value in data.items() if key != "checksum"}
    canonical = json.dumps(rest, separators=(",", ":"), allow_nan=False)
    return {**rest, "checksum": sha256(canonical.encode()).hexdigest()[:16]}


def keep(outcome: Outcome, folder: Path) -> Path:
    """Write `<folder>/<time>-<board>-<search>/result.json`, whole or not at all.

    Raises:
        UserError: the folder cannot be written to.
    """
    name = f"{datetime.now().strftime(_STAMP)}-{outcome.target}-{outcome.search or 'measure'}"
    text = json.dumps(sealed(outcome), indent=2, ensure_ascii=False, allow_nan=False)
    path: Path | None = None
    try:
        path = _fresh(folder, name) / RESULT
        atomic_write(path, _as_utf_8(text) + "\n")
    except OSError as error:
        if path is not None:
            with suppress(OSError):
                path.parent.rmdir()
        raise UserError(f"cannot write the result below {folder}: {error.strerror}; choose another --runs") from error
    return path


def _as_utf_8(text: str) -> str:
    """JSON in which bytes of a name that are no UTF-8 are written out."""
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def check_folder(folder: Path) -> None:
    """A folder in which runs can be kept, found out before the work and not after it.

    Raises:
        UserError: they cannot.
    """
    nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise UserError(f"cannot write the result below {folder}: {error.strerror}; choose another --runs") from error


def _fresh(folder: Path, name: str) -> Path:
    """A new folder; two runs within a second get different ones."""
    for number in range(1, 1000):
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(17, "too many runs within one second")


def front_rows(front: Sequence[FrontPoint]) -> str:
    """A Pareto front as the text of a .csv, a network a row."""
    text = io.StringIO()
    rows = [one.to_dict() for one in front]
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# --- finding ------------------------------------------------------------------------------------


def find(text: str, folder: Path) -> Path | None:
    """The result file of the run that a text names, None if it names none.

    It may be the path of a run's folder or file, `last`, or the start of the name of one run below `folder`.

    Raises:
        UserError: it begins the names of several runs, or it is `last` and there is no run.
    """
    path = Path(text)
    if text and _is_file(path / RESULT):
        return path / RESULT
    if text and (_is_file(path) or _safely(path.is_fifo)):  # a pipe, as of <(command), is read once
        return path
    runs = every(folder)
    if text == LAST:
        if not runs:
            raise UserError(f"there is no run in {folder.absolute()}; 'micronas search' keeps one, --runs says where")
        return runs[0] / RESULT
    fitting = [run for run in runs if text and run.name.startswith(text)]
    exact = [run for run in fitting if run.name == text]
    if len(fitting) > 1 and not exact:
        names = ", ".join(run.name for run in fitting[:_LISTED])
        more = f" and {len(fitting) - _LISTED} more" if len(fitting) > _LISTED else ""
        raise UserError(f"{shown(text)} begins the names of {len(fitting)} runs: {names}{more}; write more of the name")
    return next((run / RESULT for run in (*exact, *fitting)), None)


def locate(text: str, folder: Path) -> Path:
    """The result file of the run that a text names, as `find`.

    Raises:
        UserError: there is none, or several.
    """
    found = find(text, folder)
    if found is None and text and _safely(Path(text).is_dir):
        raise UserError(f"{text} holds no {RESULT}; give a run's folder, the start of its name, or {LAST!r}")
    if found is None:
        where = folder.absolute()
        raise UserError(
            f"there is no run {shown(text)}: it is no file, and no run in {where} has a name that begins so"
        )
    return found


def every(folder: Path) -> list[Path]:
    """The folders of all runs, the latest first."""
    try:
        found = [path for path in folder.iterdir() if _is_file(path / RESULT)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=_age, reverse=True)


def _age(run: Path) -> tuple[str, int]:
    """When it was made: the time in its name (a renamed folder has that of its file), then its file's."""
    written_ns = (run / RESULT).stat().st_mtime_ns
    said = re.match(r"\d{8}-\d{6}(?=-)", run.name)
    return said[0] if said else datetime.fromtimestamp(written_ns / 1e9).strftime(_STAMP), written_ns


def _is_file(path: Path) -> bool:
    return _safely(path.is_file)


def _safely(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except (OSError, ValueError):  # longer than a name may be, or with a character no name has
        return False


def delete(run: Path) -> None:
    """Remove a run's folder, with all that was exported into it.

    Raises:
        UserError: it cannot be removed.
    """
    try:
        shutil.rmtree(run)
    except OSError as error:
        raise UserError(f"cannot delete {error.filename or run}: {error.strerror}") from error


# --- reading ------------------------------------------------------------------------------------


def read_back(path: Path) -> Outcome:
    """The outcome that `keep` wrote.

    Raises:
        UserError: it cannot be read, is no result, is of another version, or was edited.
    """
    data = read_json(path)
    try:
        unsealed = seal(cast(dict[str, Any], data)) if isinstance(data, dict) else {}
    except (ValueError, RecursionError) as error:  # a number beyond all
        raise UserError(f"{path} is not valid JSON: {error}") from error
    schema = unsealed.get("schema")
    if "schema" not in unsealed and "run" in unsealed:
        raise UserError(f"{path} was written by an earlier version of micronas and cannot be read back; search again")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UserError(f"{path} holds no result; give a {RESULT} written by 'micronas search'")
    if schema > SCHEMA:
        raise UserError(
            f"{path} is of schema {shown(schema)}, this version reads up to {SCHEMA}; install a newer micronas"
        )
    if unsealed["checksum"] != cast(dict[str, object], data).get("checksum"):
        raise UserError(f"{path} was edited since it was written: its checksum differs; search again")
    try:
        if schema == SCHEMA:
            check(unsealed, of_results())
            run_of(unsealed["run"], str(path))
        return Outcome.from_dict(unsealed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} holds no result that can be read: {error!r:.300}; search again") from error


def differences(before: Outcome, after: Outcome, path: Path) -> list[str]:
    """What has changed since the outcome kept in `path`, each a line for the user: images, latencies, answer."""
    same = before.architecture == after.architecture
    lines = [
        f"{what} changed since {path} was written, so the answer may differ"
        for what, digest in after.made_from.items()
        if before.made_from.get(what, digest) != digest and (same or what != THE_ANSWERS_LATENCIES)
    ]
    lines += [
        f"{name} is {after.versions.get(name, 'not there')} now, and was {version} when {path} was written"
        for name, version in before.versions.items()
        if name not in OWN_PROGRAMS and after.versions.get(name) != version
    ]
    return lines if same else [*lines, f"the answer differs from that of {path}: {before.architecture}"]
