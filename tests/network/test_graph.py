"""A graph refuses nonsense, knows its readers, and its signatures read aloud."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from micronas.errors import UserError
from micronas.network.builder import GraphBuilder
from micronas.network.graph import Graph, Layer
from micronas.network.signature import GraphError, Kind, Shape, Signature

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


INPUT = Layer("input", Signature(Kind.INPUT, IMAGE, IMAGE))
FLAT, WIDE = (8, 8, 8), (8, 8, 16)


def conv(name: str, made: Shape, **numbers: object) -> Layer:
    window = {"kernel": 3, "padding": (1, 1)} | numbers
    return Layer(name, Signature.square(Kind.CONV, IMAGE, made, **window), ("input",))  # pyright: ignore[reportArgumentType]


def conv_by_axis(kernel: object, stride: object, padding: object) -> Layer:
    return Layer("a", Signature(Kind.CONV, IMAGE, FLAT, kernel, stride, padding), ("input",))  # pyright: ignore[reportArgumentType]


MALFORMED = {
    "nothing": ((), "without layers"),
    "no input": ((Layer("a", Signature(Kind.ADD, IMAGE, IMAGE, operands=0)),), "'a' is no input"),
    "two inputs": ((INPUT, replace(INPUT, name="b")), "2 layers are inputs"),
    "a mean of 8 and 16 channels": (
        (INPUT, conv("a", FLAT), conv("b", WIDE), Layer("m", Signature(Kind.MEAN, FLAT, FLAT, operands=2), ("a", "b"))),
        "'m' reads 8x8x8, but 'b' makes 8x8x16",
    ),
    "a convolution of another image": (
        (INPUT, Layer("a", Signature.square(Kind.CONV, (64, 64, 3), (64, 64, 3), 3, 1, (1, 1)), ("input",))),
        "'a' reads 64x64x3, but 'input' makes 8x8x3",
    ),
    "a window that does not lead there": ((INPUT, conv("a", FLAT, stride=2)), "it makes 4x4x8, not 8x8x8"),
    "a window of nothing but padding": ((INPUT, conv("a", FLAT, padding=(3, 3))), "smaller than its window"),
    "a window beyond the map": ((INPUT, conv("a", FLAT, kernel=12, padding=(0, 0))), "larger than the padded 8x8x3"),
    "a depthwise that widens": (
        (INPUT, Layer("a", Signature(Kind.DEPTHWISE, IMAGE, FLAT), ("input",))),
        "it makes 8x8x3, not 8x8x8",
    ),
    "a linear of a map": (
        (INPUT, Layer("a", Signature(Kind.LINEAR, IMAGE, (1, 1, 5)), ("input",))),
        "reads one pixel",
    ),
    "a sum of fewer": (
        (INPUT, Layer("a", Signature(Kind.ADD, IMAGE, IMAGE, operands=3), ("input", "input"))),
        "has 3 operands, but reads 2",
    ),
    "a relu of two": ((INPUT, Layer("a", Signature(Kind.RELU, IMAGE, IMAGE), ("input", "input"))), "reads 2 layers"),
    "half a channel": ((INPUT, conv("a", (8, 8, 7.5))), "7.5 in its shape"),  # pyright: ignore[reportArgumentType]
    "a window of nothing but padding across": (
        (INPUT, conv_by_axis((3, 1), (1, 1), ((1, 1), (1, 1)))),
        "its padding of 1,1 must be smaller than its window of 3x1",
    ),
    "a window beyond the map across": (
        (INPUT, conv_by_axis((1, 12), (1, 1), ((0, 0), (0, 0)))),
        "its window of 1x12 is larger than the padded 8x8x3",
    ),
    "a window that leads nowhere across": (
        (INPUT, conv_by_axis((3, 3), (1, 2), ((1, 1), (1, 1)))),
        "it makes 8x4x8, not 8x8x8",
    ),
    "a window of one number": (
        (INPUT, conv_by_axis(3, (1, 1), ((1, 1), (1, 1)))),
        "a window is (height, width)",
    ),
    "a padding of one axis": ((INPUT, conv_by_axis((3, 3), (1, 1), (1, 1))), "a padding is ((above, below), (left,"),
    "no stride": ((INPUT, conv("a", FLAT, stride=0)), "0 in its window"),
    "a relu with a window": (
        (INPUT, Layer("a", Signature.square(Kind.RELU, IMAGE, IMAGE, kernel=3), ("input",))),
        "has no window",
    ),
    "a list of layers": ([INPUT, conv("a", FLAT)], "is a tuple of layers, not a list"),
    "something else among layers": ((INPUT, None), "is made of layers, not of None"),
    "a layer without a signature": ((INPUT, Layer("a", None, ("input",))), "'a' has no signature, but None"),  # pyright: ignore[reportArgumentType]
    "a name for all inputs": ((INPUT, replace(conv("a", FLAT), inputs="input")), "a tuple of names, not 'input'"),
    "a layer without a name": ((INPUT, replace(conv("a", FLAT), name="")), "a layer's name is a text, not ''"),
    "a mistyped kind": (
        (INPUT, Layer("a", Signature("rlu", IMAGE, IMAGE), ("input",))),  # pyright: ignore[reportArgumentType]
        "'rlu' is no kind of layer; there are input, conv,",
    ),
    "a map larger than any memory": ((INPUT, conv("a", (8, 8, 10**9))), "'a' (conv3x3/1 8x8x3->1000000000): it takes"),
    "a clamp before it is deployed": ((INPUT, replace(conv("a", FLAT), clamp=True)), "'a' is deployed already"),
}


@pytest.mark.parametrize(("layers", "complaint"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_graph_is_refused_in_one_line(layers: tuple[Layer, ...], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        Graph(layers)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_disconnected_network_is_a_graph() -> None:
    draw = GraphBuilder(IMAGE)
    draw.linear("out", draw.global_pool("pool", draw.add("zero", (), IMAGE)), 2)
    assert len(draw.graph()) == 4


def test_the_largest_map_and_the_largest_weights_are_still_a_network() -> None:
    assert not Signature(Kind.RELU, (4096, 4096, 1), (4096, 4096, 1)).fault
    assert "it takes 16 MiB" in Signature(Kind.RELU, (4096, 4097, 1), (4096, 4097, 1)).fault
    assert not Signature(Kind.LINEAR, (1, 1, 4096), (1, 1, 4096)).fault
    assert Signature(Kind.LINEAR, (1, 1, 4096), (1, 1, 4097)).fault


MISDRAWN = {
    "kernel": lambda draw: draw.conv("a", "input", 4, kernel=[3, 3]),
    "stride": lambda draw: draw.max_pool("a", "input", 2, 0.5),
    "padding": lambda draw: draw.depthwise("a", "input", padding=((1, 1), (1, 1))),
    "channels": lambda draw: draw.conv("a", "input", 4.0),
    "classes": lambda draw: draw.linear("a", draw.global_pool("pool", "input"), "10"),
    "operands": lambda draw: draw.mean("a", ("input",), IMAGE, True),
    "shape": lambda draw: draw.add("a", ("input", "input"), [8, 8, 3]),
    "kernel of layer 'a' is larger than what it reads": lambda draw: draw.conv("a", "input", 4, kernel=12, padding=0),
    "stride of layer 'a' must be 1 or more": lambda draw: draw.conv("a", "input", 4, stride=(1, 0)),
}


@pytest.mark.parametrize(("complaint", "drawn"), MISDRAWN.items(), ids=MISDRAWN)
def test_the_builder_refuses_what_it_cannot_draw(complaint: str, drawn: Callable[[GraphBuilder], str]) -> None:
    with pytest.raises(GraphError, match=complaint) as caught:
        drawn(GraphBuilder(IMAGE))
    assert "'a'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_builder_refused_once_spoils_nothing_drawn_later() -> None:
    image, kernel = (np.int64(11), np.int64(11), np.int64(3)), np.int64(5)
    with pytest.raises(GraphError):
        GraphBuilder(image)  # pyright: ignore[reportArgumentType]
    draw = GraphBuilder((11, 11, 3))
    with pytest.raises(GraphError):
        draw.conv("a", "input", 7, kernel)  # pyright: ignore[reportArgumentType]
    draw.conv("a", "input", 7, 5)
    numbers = [number for layer in draw.graph() for number in (*layer.signature.out_shape, *layer.signature.kernel)]
    assert {type(number) for number in numbers} == {int}


def test_the_builder_refuses_what_was_not_drawn() -> None:
    with pytest.raises(GraphError, match="no layer 'inpt' to be read; drawn are input"):
        GraphBuilder(IMAGE).conv("conv", "inpt", 4)


def test_a_reader_that_reads_twice_is_named_twice() -> None:
    graph = draw_small()
    assert [reader.name for reader in graph.readers["conv"]] == ["twice", "twice"]
    assert graph.readers["twice"] == ()


SPECTRUM = (49, 10, 1)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (Signature.square(Kind.CONV, (32, 32, 3), (32, 32, 16), 3, 1, (1, 1)), "conv3x3/1 32x32x3->16"),
        (Signature.square(Kind.CONV, (32, 32, 16), (16, 16, 32), 3, 2, (0, 1)), "conv3x3/2 32x32x16->32 pad0,1"),
        (Signature(Kind.CONV, (8, 8, 64), (8, 8, 64), relu_in=True), "conv1x1/1 8x8x64 relu_in"),
        (Signature.square(Kind.PAD, (8, 8, 64), (10, 10, 64), padding=(1, 1)), "pad 8x8x64 pad1,1"),
        (Signature(Kind.PAD, (8, 8, 64), (9, 8, 64), padding=((0, 1), (0, 0))), "pad 8x8x64 pad0,1,0,0"),
        (Signature(Kind.CONV, SPECTRUM, (24, 5, 8), (10, 4), (2, 2), ((4, 4), (1, 1))), "conv10x4/2 49x10x1->8"),
        (Signature(Kind.CONV, SPECTRUM, (20, 7, 8), (10, 4), (2, 1)), "conv10x4/2x1 49x10x1->8"),
        (
            Signature(Kind.CONV, SPECTRUM, (25, 5, 8), (10, 4), (2, 2), ((4, 5), (1, 2))),
            "conv10x4/2 49x10x1->8 pad4,5,1,2",
        ),
        (Signature(Kind.DEPTHWISE, SPECTRUM, (49, 10, 1), (3, 1), (1, 1), ((1, 1), (0, 0))), "depthwise3x1/1 49x10x1"),
        (Signature(Kind.MAX_POOL, SPECTRUM, (49, 8, 1), (1, 3)), "max_pool1x3/1 49x10x1"),
        (Signature(Kind.ADD, (8, 8, 64), (8, 8, 64), operands=3), "add3 8x8x64"),
        (Signature(Kind.LINEAR, (1, 1, 64), (1, 1, 10)), "linear 1x1x64->10"),
    ],
)
def test_a_signature_reads_aloud(signature: Signature, text: str) -> None:
    assert str(signature) == text


def test_a_square_window_is_one_whose_axes_agree() -> None:
    square = Signature.square(Kind.CONV, (8, 8, 3), (4, 4, 5), 3, 2, (0, 1), relu_in=True)
    assert square == Signature(Kind.CONV, (8, 8, 3), (4, 4, 5), (3, 3), (2, 2), ((0, 1), (0, 1)), relu_in=True)
    assert Signature.square(Kind.ADD, IMAGE, IMAGE, operands=2) == Signature(Kind.ADD, IMAGE, IMAGE, operands=2)


def test_a_mean_may_have_all_its_operands_and_no_more() -> None:
    draw = GraphBuilder((2, 2, 3))
    relu = draw.relu("relu", "input")
    for operands in (2, 3):
        draw.mean(f"of {operands}", ("input", relu), (2, 2, 3), operands=operands)
    draw.mean("of 1", ("input", relu), (2, 2, 3), operands=1)
    with pytest.raises(GraphError, match="has 1 operands, but reads 2 layers"):
        draw.graph()


def test_a_signature_of_another_process_has_the_hash_of_this_one() -> None:
    """Texts hash otherwise in every process, so a kept hash would find nothing."""
    conv = Signature.square(Kind.CONV, (4, 4, 3), (4, 4, 8), 3, 1, (1, 1))
    assert hash(conv) == hash(replace(conv))
    assert conv != replace(conv, relu_in=True)
    assert "_hash" in vars(conv)
    assert "_hash" not in vars(pickle.loads(pickle.dumps(conv)))
    assert pickle.loads(pickle.dumps(conv)) == conv
