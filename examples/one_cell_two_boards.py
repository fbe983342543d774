"""How fast one cell runs on two boards, where the time goes, and what the figures are worth."""

import micronas

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"

for board in ("nucleo-f746zg", "nucleo-l4r5zi"):
    outcome = micronas.measure(micronas.Run(target=board), CELL, only=["latency", "sram", "flash"])
    latency = outcome.breakdown
    assert latency is not None  # a path leads from the cell's input to its output
    low, high = latency.range_ms
    print(f"{board}: {latency.latency_ms:.0f} ms, expect {low:.0f} to {high:.0f} ({latency.origin})")
    for operation, cost_ms in list(latency.by_operation().items())[:3]:
        print(f"    {operation:10} {cost_ms:7.1f} ms")
    print("   ", outcome.verdict)
