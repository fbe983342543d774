"""A graph refuses nonsense, knows its readers, and its signatures read aloud."""

import pytest

from micronas.graph import Graph, GraphBuilder, Kind, Layer, Signature

IMAGE = (8, 8, 3)


def draw_small() -> Graph:
    draw = GraphBuilder(IMAGE)
    conv = draw.conv("conv", "input", 4, kernel=3, stride=2)
    draw.add("twice", (conv, conv), draw.shape(conv))
    return draw.graph()


def test_builder_works_out_shapes() -> None:
    assert [layer.signature.out_shape for layer in draw_small()] == [IMAGE, (4, 4, 4), (4, 4, 4)]


def test_a_layer_that_reads_a_later_one_is_refused() -> None:
    relu = Signature(Kind.RELU, IMAGE, IMAGE)
    with pytest.raises(ValueError, match="'a' reads 'b', which does not run before it"):
        Graph((Layer("a", relu, ("b",)), Layer("b", relu)))


def test_two_layers_of_one_name_are_refused() -> None:
    layer = Layer("a", Signature(Kind.INPUT, IMAGE, IMAGE))
    with pytest.raises(ValueError, match="two layers are named 'a'"):
        Graph((layer, layer))


def test_a_reader_that_reads_twice_is_named_twice() -> None:
    graph = draw_small()
    assert [reader.name for reader in graph.readers["conv"]] == ["twice", "twice"]
    assert graph.readers["twice"] == ()


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (Signature(Kind.CONV, (32, 32, 3), (32, 32, 16), 3, 1, (1, 1)), "conv3x3/1 32x32x3->16"),
        (Signature(Kind.CONV, (32, 32, 16), (16, 16, 32), 3, 2, (0, 1)), "conv3x3/2 32x32x16->32 pad0,1"),
        (Signature(Kind.CONV, (8, 8, 64), (8, 8, 64), relu_in=True), "conv1x1/1 8x8x64 relu_in"),
        (Signature(Kind.ADD, (8, 8, 64), (8, 8, 64), operands=3), "add3 8x8x64"),
        (Signature(Kind.LINEAR, (1, 1, 64), (1, 1, 10)), "linear 1x1x64->10"),
    ],
)
def test_a_signature_reads_aloud(signature: Signature, text: str) -> None:
    assert str(signature) == text
