"""Small wrong edits of the source, a seeded sample of which the tests must notice.

    python -m tools.mutants [--seed 0] [--mutants 420] [--only search ...] [--again]

Fails if fewer than 85 % of a module's mutants are noticed. Verdicts are kept in .mutants/verdicts.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from time import monotonic

from tools.mutants.edits import Mutant, Source, sampled
from tools.mutants.rooms import PACKAGE, ROOMS, WARMING, Room, judges
from tools.mutants.trial import SLOW_S, Desk, Trial, run_all, warm_up

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ".mutants"

KILLED_AT_LEAST = 0.85
JUDGED_ALONE = 8
"""A module with fewer mutants is judged together with others of its folder that have as few."""


@dataclass(frozen=True)
class Verdict:
    """What the tests made of a mutant: killed, timed out (which counts as killed) or survived."""

    mutant: Mutant
    outcome: str
    seconds: float


def main(
    arguments: Sequence[str] | None = None, root: Path = ROOT, rooms: Sequence[Room] = ROOMS, warming: str = WARMING
) -> int:
    """Asks, judges, keeps and reports: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--mutants", type=int, default=420, help="about how many; more if each module is to get a few")
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART", help="modules whose path contains this")
    parser.add_argument("--again", action="store_true", help="only those that survived the last run")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time")
    asked = parser.parse_args(arguments)
    kept = root / FOLDER / "verdicts.json"
    tests = {path: files for path, files in judges(root, rooms).items() if any(part in path for part in asked.only)}
    sources = {path: Source(root, path) for path in tests}
    settled: list[Verdict] = []
    if asked.again:
        last = [Verdict(Mutant(**each.pop("mutant")), **each) for each in json.loads(kept.read_text())]
        open_ = [each for each in last if each.outcome == "survived" and each.mutant.path in sources]
        settled = [each for each in last if each not in open_]
        found = [sources[each.mutant.path].again(each.mutant) for each in open_]
        mutants = [mutant for mutant in found if mutant is not None]
        print(f"{len(mutants)} mutants survived the last run; {len(found) - len(mutants)} more are no longer there")
    else:
        mutants = sampled([*sources.values()], asked.mutants, asked.seed)
        print(f"{len(mutants)} mutants of {len({each.path for each in mutants})} modules, seed {asked.seed}")
    warm_up()
    desks = [Desk(root / FOLDER / str(number), root) for number in range(asked.workers)]
    for desk in desks:
        desk.furnish()
    usual_s = _controlled(root, desks, sorted({file for each in mutants for file in tests[each.path]}), warming)
    edits = [sources[each.path].edited(each.operator, each.occurrence) for each in mutants]
    trials = [Trial((*tests[each.path],), each, edited) for each, edited in zip(mutants, edits, strict=True)]
    verdicts = settled + _judged(trials, desks, usual_s)
    kept.write_text(json.dumps([asdict(each) for each in verdicts], indent=1))
    return _report(verdicts)


def _controlled(root: Path, desks: Sequence[Desk], files: Sequence[str], warming: str) -> dict[str, float]:
    """What every test takes on the source as it is; known from an earlier run where neither has changed since.

    Exits if one of them fails, which would kill every mutant.
    """
    kept = root / FOLDER / "usual.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    states = {file: _state(root, file) for file in files}
    new = [file for file in files if known.get(file, {}).get("state") != states[file]]
    print(f"running {len(new)} of {len(files)} files of tests on the source as it is ...", flush=True)
    warms = [Trial((warming,))] * len(desks) if (root / warming).exists() else []
    for trials in (warms, [Trial((file,)) for file in new]):
        for trial, desk, status, _ in run_all(trials, desks, {}):
            if status:
                sys.exit(f"{desk.log.read_text()}\n{trial.tests[0]} fails on the source as it is: it judges no mutant")
            took = json.loads((desk.folder / "took.json").read_text())
            known[trial.tests[0]] = {"state": states.get(trial.tests[0]), "seconds": took}
            kept.write_text(json.dumps(known))
    usual_s = {test: seconds for file in files for test, seconds in known[file]["seconds"].items()}
    slow = [test for test, seconds in usual_s.items() if seconds > SLOW_S]
    print(f"{len(usual_s)} tests; no mutant is judged by these, which take over {SLOW_S:.0f} s:", *slow, sep="\n    ")
    return usual_s


def _state(root: Path, file: str) -> str:
    """A digest of all that decides what a file of tests does: the source, the file, and what tests share."""
    shared = (path for path in (root / "tests").rglob("*.py") if not path.name.startswith("test_"))
    digest = blake2b(digest_size=8)
    for path in (*sorted((root / PACKAGE).rglob("*.*")), *sorted(shared), root / file):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _judged(trials: Sequence[Trial], desks: Sequence[Desk], usual_s: Mapping[str, float]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    start, counts = monotonic(), Counter[str]()
    for trial, desk, status, seconds in run_all(trials, desks, usual_s):
        assert trial.mutant is not None
        if status == 5:  # pytest's, for no tests
            sys.exit(f"{desk.log.read_text()}\nno test judges {trial.mutant.path}: name one in tools/mutants/rooms.py")
        outcome = {0: "survived", -14: "timed out"}.get(status, "killed")
        verdicts.append(Verdict(trial.mutant, outcome, round(seconds, 2)))
        counts[outcome] += 1
        if os.isatty(1) or len(verdicts) % 20 == 0:
            said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
            line = f"{len(verdicts)} of {len(trials)}: {said}; {(monotonic() - start) / 60:.1f} min"
            print(line, end="\r" if os.isatty(1) else "\n", flush=True)
    return verdicts


def _report(verdicts: Sequence[Verdict]) -> int:
    """Prints a table by module, and every survivor; 1 if too many live in some module."""
    modules: dict[str, list[Verdict]] = defaultdict(list)
    judged: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in sorted(verdicts, key=lambda each: (each.mutant.path, each.mutant.line)):
        modules[verdict.mutant.path].append(verdict)
    for path, found in modules.items():
        judged[path if len(found) >= JUDGED_ALONE else str(Path(path).parent)] += found
    print(f"\n{'':56}mutants  killed  timed out  survived     %")
    for path, found in {**modules, "all": [*verdicts]}.items():
        counts = Counter(each.outcome for each in found)
        numbers = f"{counts['killed']:8}{counts['timed out']:11}{counts['survived']:10}{_share(found):6.0%}"
        print(f"{path:56}{len(found):7}{numbers}")
    print()
    for mutant in (each.mutant for found in modules.values() for each in found if each.outcome == "survived"):
        print(f"{mutant.path}:{mutant.line} {mutant.operator}\n    - {mutant.old}\n    + {mutant.new}")
    weak = [f"{path} {_share(found):.0%}" for path, found in judged.items() if _share(found) < KILLED_AT_LEAST]
    if weak:
        print(f"\nfewer than {KILLED_AT_LEAST:.0%} killed:", *weak, sep="\n    ")
    return bool(weak)


def _share(verdicts: Sequence[Verdict]) -> float:
    """The part that did not survive."""
    return 1 - sum(each.outcome == "survived" for each in verdicts) / max(1, len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
