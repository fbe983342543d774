"""The latency of all 15,625 architectures of NAS-Bench-201 on every board, as one vector a board."""

import numpy as np

import micronas

space = micronas.NasBench201()
start = micronas.Candidate(space, micronas.Task(), space.everything())  # all of its networks

for name in micronas.target_names():
    latency = micronas.Latency(micronas.load_target(name))
    latency_ms = latency.of_all(start)  # (architectures,), infinite where no path leads to the output
    built = latency_ms[np.isfinite(latency_ms)]
    print(f"{name:18} {built.min():8.1f} to {built.max():8.1f} ms, median {np.median(built):8.1f} ({latency.origin})")
