"""Times a whole network on the board itself, over its serial port."""

from __future__ import annotations

import math
from pathlib import Path

from micronas.deploy.c import emit
from micronas.deploy.emulation import BoardRun
from micronas.deploy.firmware import Chip, build_serial, image_id
from micronas.deploy.int8 import logits
from micronas.deploy.operations import expect_board, on_port
from micronas.deploy.quantize import random_network
from micronas.hardware.boards.board import Target
from micronas.mcu.checksum import crc16, pattern
from micronas.mcu.serial_board import RUNS, BoardError
from micronas.mcu.toolchain import Toolchain
from micronas.network.deployed import deploy
from micronas.network.graph import Graph


def time_network(
    graph: Graph, target: Target, seed: int, url: str, firmware: Path, *, toolchain: Toolchain, runs: int = RUNS
) -> BoardRun:
    """What the board at a serial port or pyserial URL takes for a network with random int8 weights.

    Its image, which changes with the network, the weights, the kernels and the compiler, is written to `firmware`.

    Raises:
        Disconnected: no path leads from the network's input to its output.
        BoardError: no or another board, another image, a line that cannot be trusted, wrong logits.
        UserError: there is no start-up code for the board, the arena does not fit it, or no compiler.
    """
    model = emit(random_network(deploy(graph), seed))
    image = image_id(model.files, model.kernel_sources, toolchain.version)
    with on_port(url, firmware, build_serial(model, Chip.of(target), toolchain)) as board:
        expect_board(board, target, image)
        measured = board.time(0, runs)
        shape = model.plan.graph.layers[0].signature.out_shape
        expected = logits(model.network, pattern(math.prod(shape)).reshape(shape))
        if measured.output_crc != crc16(expected.tobytes()):
            raise BoardError("the board computes other logits: flash it again; if that does not help, report it")
    return BoardRun(
        target=target.name,
        runs=measured.runs,
        median_ms=1000 * measured.median_cycles / target.clock_hz,
        least_ms=1000 * measured.least_cycles / target.clock_hz,
        image=image,
        compiler=toolchain.version,
    )
