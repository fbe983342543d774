"""The latency of all 15,625 architectures of NAS-Bench-201 on every board, as one vector a board."""

import numpy as np

import micronas

space, skeleton = micronas.NasBench201(), micronas.Skeleton()
counted = micronas.count_space(space, skeleton)  # once for all boards; kept on disk

for name in micronas.target_names():
    table = micronas.load_target(name).latency
    latency_ms = counted.latency_ms(table)  # (architectures,), infinite where no path leads to the output
    built = latency_ms[np.isfinite(latency_ms)]
    print(f"{name:18} {built.min():8.1f} to {built.max():8.1f} ms, median {np.median(built):8.1f} ({table.origin})")
