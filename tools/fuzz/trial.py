"""The law that every reader keeps: it answers, or refuses in one line that can be shown, and soon."""

from __future__ import annotations

import random
import re
import tempfile
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tools.fuzz.readers import Reader

from micronas.commands.console import one_line
from micronas.errors import Notice, UserError

LONGEST_S = 10.0
"""For any one input: a machine may be busy, but nothing that is refused or read here takes a second."""

LONGEST_LINE = 2000


@dataclass
class Figures:
    """What came of a reader's inputs; `faults` say which input broke the law, and how."""

    tried: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list[str])
    kinds: Counter[str] = field(default_factory=Counter[str])


def tried(name: str, reader: Reader, count: int, seed: int) -> Figures:
    """A reader's true inputs, then `count` that chance made of them; the same for the same seed."""
    figures = Figures()
    true = reader.true()
    for each in true:
        _try(reader, each, figures, "a true input")
    if figures.refused and reader.reads_true:
        figures.faults.append(f"a true input was refused: {figures.kinds}")
    for number in range(count):
        chance = random.Random(f"{name} {seed} {number}")
        _try(reader, reader.change(chance.choice(true), chance), figures, f"seed {seed}, input {number}")
    return figures


def _try(reader: Reader, content: bytes, figures: Figures, which: str) -> None:
    figures.tried += 1
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", Notice)
        begin = monotonic()
        try:
            reader.read(content, Path(folder))
            figures.accepted += 1
        except UserError as error:
            figures.refused += 1
            figures.kinds[re.sub(r"\d+|'[^']*'", "_", str(error).replace(folder, ""))[:60]] += 1
            if fault := _fault(error):
                figures.faults.append(f"{which}: {fault}: {str(error)[:200]!r}")
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            ours = [each for each in traceback.extract_tb(error.__traceback__) if "src/micronas" in each.filename]
            place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "no file of ours"
            said = f"{type(error).__name__}: {str(error)[:150]!r} at {place}"
            figures.faults.append(f"{which}: {said} of {content[:60]!r}")
        took = monotonic() - begin
    figures.slowest_s = max(figures.slowest_s, took)
    if took > LONGEST_S:
        figures.faults.append(f"{which}: {took:.1f} s")


def _fault(error: UserError) -> str:
    """What is wrong with how something is refused, "" if nothing."""
    said = str(error)
    if error.exit_code != 2:
        return f"exit code {error.exit_code}"
    if "\n" in said or not said.strip():
        return "not one line"
    if len(said) > LONGEST_LINE:
        return f"a line of {len(said)} characters"
    try:
        one_line(said).encode()
    except UnicodeEncodeError:
        return "it cannot be shown"
    return ""
