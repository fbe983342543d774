"""Simulated cycles of our kernels: the provisional table's rows, and the layers of MLPerf-Tiny's ResNet-8.

    python benchmarks/kernels.py [--core cortex-m7] [--cc arm-none-eabi-gcc]

Every output is compared with the integer reference before its cycles are printed. Nothing here is measured on
hardware. `ratio` is to the provisional table (other kernels, Cortex-M7 at 216 MHz, memory terms off), present where
the reference data lie beside the checkout. "memory" adds code and data fetched from flash, for caches and wait states
as assumed below.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from micronas.mcu.cores import CORES
from micronas.mcu.elf import ElfImage
from micronas.mcu.emulated import build_kernels, run_operator
from micronas.mcu.memory import MemoryModel
from micronas.mcu.operators import kernel_version, operator
from micronas.mcu.reference import run
from micronas.mcu.samples import sample
from micronas.mcu.timing import TIMING_VERSION
from micronas.mcu.toolchain import Toolchain
from micronas.network.signature import Kind, Signature

PROVISIONAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "nucleo-f746zg.provisional.csv"
CLOCK_HZ = 216e6
# An STM32F746 at 216 MHz: 7 wait states, flash read 256 bits at a time, 4 KB + 4 KB caches of 32-byte lines.
MEMORY = MemoryModel.of_flash(
    wait_states=7, fetch_bytes=32, line_bytes=32, code_cache_bytes=4096, data_cache_bytes=4096
)


@dataclass(frozen=True)
class Row:
    """One layer: how often it occurs, and what the provisional table says of it, if it does."""

    signature: Signature
    count: int = 1
    provisional_ms: float | None = None


def provisional_rows() -> Iterator[Row]:
    """The rows of the provisional table, as NAS-Bench-201 has them: ReLU on the way into its convolutions."""
    if not PROVISIONAL.exists():
        return
    lines = [line for line in PROVISIONAL.read_text().splitlines() if not line.startswith("#")]
    for cells in csv.DictReader(lines):
        height, width, channels, out, kernel, stride = (int(cells[name]) for name in _COLUMNS)
        kind, pad = Kind(cells["op"]), (kernel - 1) // 2
        size = (height + 2 * pad - kernel) // stride + 1
        out_shape = (1, 1, out) if kind in (Kind.GLOBAL_POOL, Kind.LINEAR) else (size, size, out)
        padding = (0, 0) if kind is Kind.GLOBAL_POOL else (pad, pad)
        signature = Signature.square(
            kind,
            (height, width, channels),
            out_shape,
            kernel,
            stride,
            padding,
            operands=2 if kind is Kind.ADD else 1,
            relu_in=kind is Kind.CONV and channels != 3,
        )
        yield Row(signature, provisional_ms=float(cells["milliseconds"]))


_COLUMNS = ("in_height", "in_width", "in_channels", "out_channels", "kernel", "stride")


def resnet8_rows() -> Iterator[Row]:
    """MLPerf-Tiny's image classification network, TF-SAME padding, 12.5 million multiply-accumulates."""
    yield _conv(32, 3, 16, 3, 1)
    yield _conv(32, 16, 16, 3, 1, count=2)
    yield _add(32, 16)
    for size, channels in ((32, 16), (16, 32)):
        yield _conv(size, channels, 2 * channels, 3, 2)
        yield _conv(size // 2, 2 * channels, 2 * channels, 3, 1)
        yield _conv(size, channels, 2 * channels, 1, 2)
        yield _add(size // 2, 2 * channels)
    yield Row(Signature(Kind.GLOBAL_POOL, (8, 8, 64), (1, 1, 64)))
    yield Row(Signature(Kind.LINEAR, (1, 1, 64), (1, 1, 10)))


def _conv(size: int, channels: int, out: int, kernel: int, stride: int, count: int = 1) -> Row:
    out_size = -(-size // stride)
    total = max(0, (out_size - 1) * stride + kernel - size)
    padding = (total // 2, total - total // 2)
    shapes = (size, size, channels), (out_size, out_size, out)
    return Row(Signature.square(Kind.CONV, *shapes, kernel, stride, padding), count)


def _add(size: int, channels: int) -> Row:
    return Row(Signature(Kind.ADD, (size, size, channels), (size, size, channels), operands=2))


def macs(signature: Signature) -> int:
    """Multiply-accumulates; of what has none, output elements."""
    outputs = prod(signature.out_shape)
    has_weights = signature.kind in (Kind.CONV, Kind.LINEAR)
    return outputs * prod(signature.kernel) * prod(signature.in_shape[2:]) if has_weights else outputs


def table(title: str, rows: list[Row], kernels: ElfImage, core: str) -> None:
    """Prints a line a layer and their sum."""
    print(f"\n{title}")
    print(
        f"{'layer':36s} {'cycles':>9s} {'each':>6s} {'memory':>9s} {'each':>6s} {'scratch':>7s} {'ratio':>6s} checksum"
    )
    total, total_memory, total_macs = 0.0, 0.0, 0
    for row in rows:
        signature, drawn = row.signature, sample(row.signature, 1)
        plain = run_operator(kernels, CORES[core], signature, drawn.constants, drawn.operands)
        slow = run_operator(kernels, CORES[core], signature, drawn.constants, drawn.operands, MEMORY)
        np.testing.assert_array_equal(plain.output, run(signature, drawn.constants, *drawn.operands))
        cycles, memory, work = plain.timing.cycles, slow.timing.cycles, macs(signature)
        ratio = f"{cycles / CLOCK_HZ * 1e3 / row.provisional_ms:6.3f}" if row.provisional_ms else f"x{row.count:<5d}"
        print(
            f"{signature!s:36s} {cycles:9.0f} {cycles / work:6.2f} {memory:9.0f} {memory / work:6.2f}"
            f" {operator(signature).scratch_bytes:7d} {ratio} {int(plain.output.astype(np.int64).sum())}"
        )
        total, total_memory = total + row.count * cycles, total_memory + row.count * memory
        total_macs += row.count * work * (signature.kind in (Kind.CONV, Kind.LINEAR))
    print(f"{'sum':36s} {total:9.0f} {total / total_macs:6.2f} {total_memory:9.0f} {total_memory / total_macs:6.2f}")
    print(f"{total_macs / 1e6:.2f} MMAC; simulated, with memory: {total_memory / 1e6:.2f} Mcycles")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", choices=list(CORES), default="cortex-m7")
    parser.add_argument("--cc", default="", help="an own cross compiler instead of zig")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        toolchain = Toolchain(Path(cache), tuple(options.cc.split()))
        kernels = build_kernels(toolchain, CORES[options.core])
        versions = f"{toolchain.version}, kernels {kernel_version()}, timing model {TIMING_VERSION}"
        print(f"{options.core}, {versions}: simulated, not measured")
        print("each: cycles a multiply-accumulate, or an output element of layers without weights")
        if rows := list(provisional_rows()):
            table("provisional table", rows, kernels, options.core)
        table("ResNet-8 (MLPerf Tiny)", list(resnet8_rows()), kernels, options.core)


if __name__ == "__main__":
    main()
