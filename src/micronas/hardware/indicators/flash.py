"""How much flash an image needs: constants of every layer, and the code that is actually linked.

Code sizes come from `code_bytes.csv`, which `deploy/code_bytes.py` measures on built images; a test
builds them again and compares.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from micronas.candidate import Candidate
from micronas.errors import UserError
from micronas.hardware.indicators.counted import count_space, part_of
from micronas.hardware.indicators.prices import own_operations
from micronas.indicators import Better, Scores
from micronas.mcu.operators import operator
from micronas.mcu.samples import sample
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.live import Disconnected
from micronas.network.signature import Kind, Signature
from micronas.origin import Origin, Word
from micronas.spaces.decisions import Removal

_ORIGIN = Origin(Word.COMPUTED, "constants + code sizes of built kernels")

TABLE = Path(__file__).parent / "code_bytes.csv"
"""Columns core, part, bytes. A part is `start` (start-up, main), a kernel's C file, or `call` (each use of one)."""


@cache
def code_bytes(core: str) -> Mapping[str, int]:
    """Bytes of each part of an image's code on a core.

    Raises:
        UserError: the table does not know the core.
    """
    with TABLE.open(newline="", encoding="utf-8") as file:
        found = {row["part"]: int(row["bytes"]) for row in csv.DictReader(file) if row["core"] == core}
    if not found:
        raise UserError(f"no code sizes for {core} in {TABLE.name}; run python -m micronas.deploy.code_bytes")
    return found


@lru_cache(maxsize=10_000)
def constant_bytes(signature: Signature) -> int:
    """Flash of one layer's constants: weights, biases, requantisation tables and the parameter struct."""
    fields = operator(signature).fields(sample(signature).constants).values()
    arrays = sum(-(-value.nbytes // 4) * 4 for value in fields if not isinstance(value, int))
    return 4 * len(fields) + arrays


@dataclass(frozen=True)
class Flash:
    """Flash of the firmware image: weights, biases, requantisation tables, parameter structs, code linked.

    Code is start-up, main, and the kernels the network calls, each once, as built for `core` at -O3.
    Not counted: whatever an application adds.
    """

    core: str = "cortex-m7"
    name: str = "flash"
    unit: str = "bytes"
    better: Better = Better.LOWER
    origin: Origin = _ORIGIN

    def measure(self, graph: Graph) -> float:
        """Bytes of flash of one decided network (a plain graph); infinite if it is disconnected."""
        try:
            signatures = [layer.signature for layer in deploy(graph).operations]
        except Disconnected:
            return self.better.worst
        return float(image_bytes(signatures, code_bytes(self.core)))

    def measure_many(self, graphs: Sequence[Graph]) -> Scores:
        """Bytes of each network, shape (graphs,)."""
        return np.array([self.measure(graph) for graph in graphs], dtype=np.float64)

    def prices(self, start: Candidate, removals: Sequence[Removal]) -> Scores:
        """Bytes of each option's constants and calls, at every place where it stands; kernels are shared, and free."""
        code = code_bytes(self.core)
        own = [own_operations(start, removal.decision, removal.option) for removal in removals]
        return np.array([sum(constant_bytes(each) + code["call"] for each in its) for its in own], dtype=np.float64)

    def of_all(self, start: Candidate) -> Scores:
        """Bytes of every network that `start` may become, shape (completions,); +infinity where disconnected."""
        code, counted = code_bytes(self.core), count_space(start.space, start.task)
        sources = {signature: operator(signature).source for signature in counted.operations}

        def cost(signature: Signature) -> float:
            return 0 if signature.kind is Kind.INPUT else constant_bytes(signature) + code["call"]

        kernels = (
            code[source] * counted.having(lambda signature, source=source: sources.get(signature) == source)
            for source in {*sources.values()}
        )
        return part_of(code["start"] + sum(kernels) + counted.total(cost), start)


def image_bytes(signatures: Sequence[Signature], code: Mapping[str, int]) -> int:
    """Flash of an image that runs these operations one after the other."""
    sources = [operator(signature).source for signature in signatures]
    kernels = sum(code[source] for source in {*sources})
    return code["start"] + kernels + len(sources) * code["call"] + sum(map(constant_bytes, signatures))
