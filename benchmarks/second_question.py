"""How long a second question to the exact search takes, start-up included, beside a bare `import torch`.

The first question scores the whole space unless the cache has it (about a minute); the second, for another board and
limit, is timed. Checksum: the answer of the timed runs is the same each time.

    python benchmarks/second_question.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from statistics import median

MICRONAS = [sys.executable, "-c", "from micronas.cli import main; main()"]
FIRST = ["search", "--search", "exact", "--json"]
SECOND = [*FIRST, "--max-latency", "500ms", "--target", "nucleo-f446re"]


def main() -> None:
    """Ask once, then time another question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        first_s, _ = timed([*MICRONAS, *FIRST, "--runs", folder])
        asked = [timed([*MICRONAS, *SECOND, "--runs", folder]) for _ in range(repeats)]
    torch = [timed([sys.executable, "-c", "import torch"])[0] for _ in range(repeats)]
    (answer,) = {json.loads(output)["architecture"] for _, output in asked}
    second_s = median(seconds for seconds, _ in asked)
    print(f"first question   {first_s:6.2f} s (scores what the cache lacks)")
    print(f"second question  {second_s:6.2f} s, median of {repeats}, start-up included; always {answer}")
    print(f"import torch     {median(torch):6.2f} s; the second question takes {second_s / median(torch):.2f} of it")


def timed(command: list[str]) -> tuple[float, str]:
    """(seconds, standard output) of a command."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, done.stdout


if __name__ == "__main__":
    main()
