"""The Python API in ten lines; README shows this very text."""

import micronas

found = micronas.find(target="nucleo-f746zg", max_latency="300ms", repeats=1)
print(found.architecture)
for name, reading in found.indicators.items():
    print(f"{name:15} {reading.value:12.4g} {reading.unit:10} {reading.origin}")

elsewhere = micronas.measure(micronas.Run(target="nucleo-l4r5zi"), found.architecture, only=["latency"])
print(f"on a nucleo-l4r5zi: {elsewhere.indicators['latency'].value:.0f} ms (simulated)")
