"""The order found is optimal: brute force over every order says so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.networks import lowered

from micronas.hardware.planning.order import KernelNeeds, aligned, best_order, live_bytes, overwritten, tensor_bytes
from micronas.network.deployed import Deployed, deploy
from micronas.network.graph import Layer, Layers
from micronas.network.segments import Part, segments
from micronas.network.signature import Kind, Signature

PLAIN = KernelNeeds(lambda _: 0)
OURS = KernelNeeds(lambda signature: 7 * signature.in_shape[2], frozenset({Kind.ADD}))


def _conv(name: str, source: Layer, channels: int) -> Layer:
    shape = source.signature.out_shape
    return Layer(name, Signature(Kind.CONV, shape, (*shape[:2], channels)), (source.name,))


def _sum(name: str, sources: list[Layer]) -> Layer:
    shape = sources[0].signature.out_shape
    return Layer(name, Signature(Kind.ADD, shape, shape, operands=len(sources)), tuple(each.name for each in sources))


@st.composite
def graphs(draw: st.DrawFn, most: int = 7) -> Deployed:
    """A network of convolutions and sums in which every layer reaches the output."""
    widths = st.sampled_from([4, 8, 8, 12, 40])
    image = (1, 4, draw(widths))
    layers = [Layer("l0", Signature(Kind.INPUT, image, image))]
    unread = [layers[0]]
    for at in range(1, draw(st.integers(1, most - 3))):
        source = draw(st.sampled_from(layers))
        alike = [layer for layer in layers if layer.signature.out_shape == source.signature.out_shape]
        if len(alike) > 1 and draw(st.booleans()):
            chosen = draw(st.lists(st.sampled_from(alike), min_size=2, max_size=3, unique=True))
            made = _sum(f"l{at}", chosen)
        else:
            made = _conv(f"l{at}", source, draw(widths))
        layers.append(made)
        unread = [layer for layer in unread if layer.name not in made.inputs] + [made]
    ends = [_conv(f"end{number}", layer, 8) for number, layer in enumerate(unread)]
    return Deployed((*layers, *ends, *([_sum("out", ends)] if len(ends) > 1 else [])))


def orders(graph: Deployed) -> Iterator[Deployed]:
    """Every order in which the layers can run."""

    def grow(done: tuple[Layer, ...]) -> Iterator[Deployed]:
        names = {layer.name for layer in done}
        if len(done) == len(graph):
            yield Deployed(done)
        for layer in graph:
            if layer.name not in names and names.issuperset(layer.inputs):
                yield from grow((*done, layer))

    return grow(())


def peak_by_hand(graph: Layers, kernels: KernelNeeds) -> int:
    """The peak from its definition: lifetimes, then sums; an operand that is overwritten is not counted twice."""
    position = {layer.name: at for at, layer in enumerate(graph)}
    last = position | {name: position[layer.name] for layer in graph for name in layer.inputs}
    last[graph.output.name] = len(graph)
    peak = 0
    for at, layer in enumerate(graph):
        sizes = {name: tensor_bytes(graph[name].signature.out_shape) for name in position}
        alive = sum(size for name, size in sizes.items() if position[name] <= at <= last[name])
        in_place = layer.signature.kind in kernels.in_place and any(
            last[name] == at and sizes[name] == sizes[layer.name] for name in layer.inputs
        )
        scratch = aligned(kernels.scratch_bytes(layer.signature))
        peak = max(peak, alive + scratch - (sizes[layer.name] if in_place else 0))
    return peak


@pytest.mark.parametrize("kernels", [PLAIN, OURS], ids=["plain", "in place, scratch"])
@settings(max_examples=60, deadline=None)
@given(graph=graphs())
def test_no_order_has_a_lower_peak(kernels: KernelNeeds, graph: Deployed) -> None:
    best = min(peak_by_hand(order, kernels) for order in orders(graph))
    found = best_order(graph, kernels)
    assert (found.peak_bytes, found.lower_bound_bytes) == (best, best)
    assert peak_by_hand(found.graph, kernels) == best == max(live_bytes(found.graph, kernels))
    assert sorted(layer.name for layer in found.graph) == sorted(layer.name for layer in graph)


@settings(max_examples=60, deadline=None)
@given(graph=graphs(10), states=st.integers(1, 6))
def test_capped_search_brackets_the_optimum(graph: Deployed, states: int) -> None:
    optimum = best_order(graph, OURS).peak_bytes
    capped = best_order(graph, OURS, states)
    assert capped.lower_bound_bytes <= optimum <= capped.peak_bytes
    assert peak_by_hand(capped.graph, OURS) == capped.peak_bytes <= peak_by_hand(graph, OURS)


@settings(max_examples=60, deadline=None)
@given(graph=graphs())
def test_live_bytes_are_the_definitions(graph: Deployed) -> None:
    for kernels in (PLAIN, OURS):
        assert max(live_bytes(graph, kernels)) == peak_by_hand(graph, kernels)


@settings(max_examples=60, deadline=None)
@given(graph=graphs(9))
def test_an_overwritten_tensor_is_never_read_again(graph: Deployed) -> None:
    found = overwritten(Part.of(graph.layers), OURS)
    names = ["", *(layer.name for layer in graph)]  # of tensors: that from outside first
    for made, operand in found.items():
        assert names[operand] in graph[names[made]].inputs
        assert not any(names[operand] in layer.inputs for layer in graph.layers[made:])
        assert names[operand] != graph.output.name


def test_a_network_of_130_layers_is_ordered_at_once() -> None:
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    graph = deploy(lowered(cell, cells=6))
    assert len(graph) >= 130
    started = time.process_time()
    found = best_order(graph, OURS)
    assert time.process_time() - started < 1  # the contract's bound; it takes milliseconds
    assert found.is_optimal


def test_130_layers_without_a_cut_end_at_the_cap_with_a_bound() -> None:
    """A ladder of long-lived tensors: no point where one tensor is live."""
    rungs = [Layer("l0", Signature(Kind.INPUT, (1, 4, 8), (1, 4, 8)))]
    layers = [*rungs]
    for at in range(1, 46):
        channels = 4 * (1 + at * 7 % 5)
        sides = [_conv(f"l{at}.{k}", rungs[k], channels) for k in sorted({at // 2, max(0, at - 3)})]
        rungs.append(_sum(f"l{at}", sides) if len(sides) > 1 else sides[0])
        layers += [*sides, rungs[-1]] if len(sides) > 1 else sides
    read = {name for layer in layers for name in layer.inputs}
    ends = [_conv(f"end.{layer.name}", layer, 8) for layer in layers if layer.name not in read]
    graph = Deployed((*layers, *ends, _sum("out", ends)))
    assert len(graph) >= 130
    assert len(segments(graph)) < 10
    started = time.process_time()
    found = best_order(graph, OURS, states=1_000)
    assert time.process_time() - started < 1
    assert found.lower_bound_bytes <= found.peak_bytes <= max(live_bytes(graph, OURS))
