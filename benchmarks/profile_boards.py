"""Profiles every bundled board anew and says what that changed: after any change of kernels, timing model or compiler.

    python benchmarks/profile_boards.py [--write] [BOARD ...]

Without --write nothing is changed. All figures are simulated; `memory` is what flash and SRAM add to the median
operation, by the board's parameters.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from micronas.hardware.boards.profiled import profile
from micronas.hardware.boards.table import read_table
from micronas.hardware.boards.target import BUNDLED, load_target
from micronas.hardware.indicators.counted import count_space
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("boards", nargs="*", metavar="BOARD")
    arguments.add_argument("--write", action="store_true", help="replace the bundled tables")
    chosen = arguments.parse_args()
    signatures = count_space(NasBench201(), Task()).operations
    for name in chosen.boards or [path.stem for path in sorted(BUNDLED.glob("*.toml"))]:
        target, bundled = load_target(BUNDLED / f"{name}.toml"), BUNDLED / f"{name}.csv"
        start = time.perf_counter()
        table = profile(target, signatures)
        seconds = time.perf_counter() - start
        without = profile(target, signatures, with_memory=False)
        memory = np.median([table[signature] / without[signature] for signature in signatures])
        before = read_table(bundled).milliseconds if bundled.exists() else {}
        ratios = [table[signature] / before[signature] for signature in signatures if signature in before]
        change = f"{np.median(ratios):.3f} of before ({min(ratios):.3f} to {max(ratios):.3f})" if ratios else "new"
        print(f"{name:20} {seconds:5.1f} s  memory {memory:.3f}  {change}")
        if chosen.write:
            bundled.write_text(table.dump(), encoding="utf-8")


if __name__ == "__main__":
    main()
