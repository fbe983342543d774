"""The estimate against the whole: sums of operations timed alone, and images run from reset to halt.

Both sides are simulated: this shows that the parts add up to the whole, not that either equals a
board. Random cells, two skeletons, three cores; the last line is a default-sized network.

    python benchmarks/emulation.py [--cells 20] [--board nucleo-f746zg ...] [--quick]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator

from micronas.deploy.emulate import default_toolchain, emulate
from micronas.hardware.boards.board import Target
from micronas.hardware.boards.target import load_target
from micronas.hardware.indicators.flash import Flash
from micronas.hardware.planning.plan import plan_memory
from micronas.mcu.profile import BuiltKernels, frame_cycles, our_kernels, time_operation
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.spaces.decisions import Choices
from micronas.spaces.nasbench201.cell import OPERATIONS, cell_drawer, write_cell
from micronas.spaces.nasbench201.skeleton import Skeleton
from micronas.task import Task

TASK = Task()
BOARDS = ("nucleo-f746zg", "nucleo-f446re", "raspberry-pi-pico")
SKELETONS = (Skeleton(channels=4, cells=1), Skeleton(channels=8, cells=1))


def random_cells(count: int, seed: int = 0) -> Iterator[Choices]:
    """Connected cells, drawn uniformly."""
    rng = random.Random(seed)
    while count:
        choices = Choices(tuple((rng.choice(OPERATIONS),) for _ in range(6)))
        try:
            deploy(SKELETONS[0].lower(cell_drawer(choices), TASK))
        except Disconnected:
            continue
        count -= 1
        yield choices


class Estimator:
    """A table made on demand: each operation alone, with the board's memory."""

    def __init__(self, target: Target) -> None:
        self._runtime: BuiltKernels = our_kernels(default_toolchain(), target.core)
        self._memory = target.memory_model
        self._cycles: dict[Signature, float] = {}

    def cycles(self, graph: Graph) -> float:
        """Sum of the operations, and the overhead of an image."""
        signatures = [layer.signature for layer in deploy(graph) if layer.signature.kind is not Kind.INPUT]
        for signature in {*signatures} - self._cycles.keys():
            self._cycles[signature] = time_operation(self._runtime, signature, self._memory).cycles
        overhead = frame_cycles(self._runtime, math.prod(graph.input_shape), self._memory)
        return overhead + sum(self._cycles[signature] for signature in signatures)


def compare(target: Target, estimator: Estimator, choices: Choices, skeleton: Skeleton, seed: int) -> float:
    """Print one line; returns how far the estimate is off."""
    graph = skeleton.lower(cell_drawer(choices), TASK)
    found = emulate(graph, target, seed)
    error = estimator.cycles(graph) / found.cycles - 1
    plan = plan_memory(deploy(graph))
    flash = Flash(target.core.name).measure(graph) / found.flash_bytes - 1
    print(
        f"{target.name:18s} {skeleton!s:12s} {write_cell(choices):96s} {found.latency_ms:9.3f} ms  {error:+7.3%}  "
        f"logits {'equal' if found.matches_reference else 'DIFFER'}  arena {found.arena_bytes:6d} "
        f"{'= plan' if found.arena_bytes == plan.arena_bytes else 'IS NOT THE PLAN'}  "
        f"statics {sum(found.statics.values())}  stack {found.stack_bytes:4d}  "
        f"flash {found.flash_bytes:7d} (estimate {flash:+.2%})"
    )
    if not found.matches_reference or found.arena_bytes != plan.arena_bytes or abs(flash) > 0.02:
        sys.exit("the image is not what the model says")
    return abs(error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--board", action="append", help=f"instead of {', '.join(BOARDS)}")
    parser.add_argument("--quick", action="store_true", help="leave out the network of default size")
    options = parser.parse_args()
    print("estimate (sum of operations + overhead) against the emulated image; both sides are simulated")
    worst = 0.0
    for board in options.board or BOARDS:
        target = load_target(board)
        estimator = Estimator(target)
        for seed, choices in enumerate(random_cells(options.cells)):
            for skeleton in SKELETONS:
                worst = max(worst, compare(target, estimator, choices, skeleton, seed))
    if not options.quick:
        target = load_target(BOARDS[0])
        (choices,) = random_cells(1, seed=1)
        worst = max(worst, compare(target, Estimator(target), choices, Skeleton(), 0))
    print(f"worst difference {worst:.3%}")
    if worst > 0.01:
        sys.exit("more than 1 %")


if __name__ == "__main__":
    main()
