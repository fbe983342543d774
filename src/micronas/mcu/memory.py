"""What slow memory adds to a core's cycles: fetching code from flash, streaming weights through a cache.

Nothing here is observed access by access. Code misses are computed from how often each block ran, data misses from the
sizes a caller states, so each term can be named, overridden and switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

Place = Literal["flash", "sram"]


@dataclass(frozen=True)
class Stream:
    """`size_bytes` bytes that a call reads from start to end, `passes` times: weights, or a feature map.

    If they fit the data cache beside nothing else, only the first pass misses; otherwise every pass does.
    """

    size_bytes: int
    passes: int = 1
    place: Place = "flash"


@dataclass(frozen=True)
class MemoryModel:
    """A board's memory as the core sees it. Every cycle is a core cycle lost, on top of a hit's.

    `line_bytes` is a cache line; `code_line_cycles`, `flash_line_cycles` and `sram_line_cycles` what filling one costs
    for code, for data in flash and for data in SRAM. `code_cache_bytes` and `data_cache_bytes` are the caches' sizes,
    0 where there is none: then every line is fetched each time it is reached. A core whose SRAM answers at once has
    `sram_line_cycles` 0. `jump_cycles` is lost at every taken jump though its target hits.
    """

    line_bytes: int
    code_cache_bytes: int
    code_line_cycles: float
    data_cache_bytes: int = 0
    flash_line_cycles: float = 0
    sram_line_cycles: float = 0
    jump_cycles: float = 0

    @classmethod
    def of_flash(
        cls,
        *,
        wait_states: int,
        fetch_bytes: int,
        line_bytes: int,
        code_cache_bytes: int,
        data_cache_bytes: int,
        bus_cycles: float = 0,
        sram_line_cycles: float = 0,
    ) -> Self:
        """From what a reference manual says: a flash access reads `fetch_bytes` and takes 1 + `wait_states` cycles.

        A line takes as many accesses as it holds flash words, and `bus_cycles` for the way to the core.
        """
        accesses = -(-line_bytes // fetch_bytes)
        cycles = accesses * (1 + wait_states) + bus_cycles
        return cls(line_bytes, code_cache_bytes, cycles, data_cache_bytes, cycles, sram_line_cycles)

    def without(self, *terms: str) -> Self:
        """This model with some of its `..._cycles` at zero."""
        return replace(self, **dict.fromkeys(terms, 0))

    def code_cycles(self, blocks: Mapping[int, int], sizes: Mapping[int, int]) -> float:
        """Cycles to fetch the code of one call, the cache empty before: `blocks` ran so often, of so many bytes.

        The lines reached most often stay; those the cache has no room for are fetched each time they are reached.
        """
        reached: dict[int, int] = {}
        for block, times in blocks.items():
            for line in range(block // self.line_bytes, (block + sizes[block] - 1) // self.line_bytes + 1):
                reached[line] = max(reached.get(line, 0), times)
        kept = self.code_cache_bytes // self.line_bytes
        ranked = sorted(reached.values(), reverse=True)
        return self.code_line_cycles * (len(ranked[:kept]) + sum(ranked[kept:]))

    def stream_cycles(self, streams: Iterable[Stream]) -> float:
        """Cycles to bring streamed data into the cache, or past it if there is none."""
        return sum(self._stream_cycles(stream) for stream in streams)

    def _stream_cycles(self, stream: Stream) -> float:
        lines = -(-stream.size_bytes // self.line_bytes)
        passes = min(stream.passes, 1) if stream.size_bytes <= self.data_cache_bytes else stream.passes
        return lines * passes * (self.flash_line_cycles if stream.place == "flash" else self.sram_line_cycles)
