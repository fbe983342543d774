"""Thousands of damaged inputs for every reader, each of which must answer or refuse in one line.

    python -m tools.fuzz [--seed 0] [--inputs 2000] [--only table run ...]

Prints the figures of each reader; fails if one breaks the law. The same tool with few inputs is `tests/test_fuzz.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from time import monotonic


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries, and prints: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--inputs", type=int, default=2000, help="for each reader")
    parser.add_argument("--only", nargs="+", metavar="READER", help="these readers alone")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fuzz-cache-") as cache:
        os.environ["MICRONAS_CACHE"] = cache
        return _run(asked.only, asked.inputs, asked.seed)


def _run(only: Sequence[str] | None, inputs: int, seed: int) -> int:
    from tools.fuzz.readers import READERS
    from tools.fuzz.trial import tried

    begin, faults = monotonic(), 0
    print(f"{'reader':14}{'tried':>8}{'read':>8}{'refused':>9}{'ways':>6}{'slowest':>10}{'faults':>8}")
    for name in only or READERS:
        figures = tried(name, READERS[name], inputs, seed)
        counts = f"{figures.tried:8,}{figures.accepted:8,}{figures.refused:9,}{len(figures.kinds):6,}"
        print(f"{name:14}{counts}{figures.slowest_s:8.2f} s{len(figures.faults):8,}", flush=True)
        for fault in figures.faults[:20]:
            print(f"    {fault}")
        faults += len(figures.faults)
    print(f"{faults} faults, {monotonic() - begin:.0f} s, seed {seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
