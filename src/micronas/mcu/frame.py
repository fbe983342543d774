"""The frame: what an image does around the layers, as code to link, to time and to name."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).with_name("frame.c")
"""Copies the picture in, finds the largest logit."""

SYMBOL = "micronas_frame"
"""Its function."""

ENTRY = "frame"
"""What a serial image calls the entry that times it."""

CLASSES = 10
"""The logits for which it is timed."""
