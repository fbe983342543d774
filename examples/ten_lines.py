"""The Python API in ten lines; README shows this very text."""

from micronas.graph import GraphBuilder

network = GraphBuilder((32, 32, 3))
stem = network.relu("relu", network.batch_norm("norm", network.conv("stem", "input", channels=16, kernel=3)))
network.linear("logits", network.global_pool("pool", stem), classes=10)

for layer in network.graph():
    print(f"{layer.name:8}{layer.signature}")
