"""What a serial image and its host agree on: the checksum of a line, and the pattern in every input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, as `firmware/serial.c` computes it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def pattern(size: int) -> NDArray[np.int8]:
    """The bytes that `firmware/serial.c` fills an input with before every run."""
    values, state = bytearray(size), 1
    for at in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
        values[at] = state >> 24
    return np.frombuffer(bytes(values), np.int8)
