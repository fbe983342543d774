"""Arenas: nothing alive together overlaps."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hardware.planning.test_order import OURS, graphs
from tests.networks import lowered

import micronas.hardware.planning.arena as planner
import micronas.hardware.planning.plan as planning
from micronas.hardware.planning.arena import (
    Arena,
    Buffer,
    Placement,
    first_fit,
    fit_between,
    lower_bound,
    needs_of,
    place,
    place_by_parts,
    plan,
)
from micronas.hardware.planning.order import KernelNeeds, aligned, best_order, live_bytes, overwritten, tensor_bytes
from micronas.hardware.planning.plan import arena_of_parts, plan_memory
from micronas.network.deployed import Deployed, deploy
from micronas.network.graph import Layer, Layers
from micronas.network.segments import Part, parts_of
from micronas.network.signature import Kind, Signature

lifetimes = st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(1, 9)).map(
    lambda t: Buffer(16 * t[2], t[0], t[0] + t[1])
)


def overlaps(arena: Arena) -> bool:
    placed = list(zip(arena.buffers, arena.offsets, strict=True))
    return any(
        a.meets(b) and at < bt + b.size_bytes and bt < at + a.size_bytes
        for i, (a, at) in enumerate(placed)
        for b, bt in placed[:i]
    )


@settings(max_examples=150, deadline=None)
@given(buffers=st.lists(lifetimes, min_size=1, max_size=12))
def test_what_lives_together_lies_apart(buffers: list[Buffer]) -> None:
    arena = plan(buffers)
    assert not overlaps(arena)
    assert arena.size_bytes == max(at + b.size_bytes for at, b in zip(arena.offsets, buffers, strict=True))
    assert lower_bound(buffers) <= arena.size_bytes <= sum(buffer.size_bytes for buffer in buffers)
    assert all(at % 16 == 0 for at in arena.offsets)


@settings(max_examples=60, deadline=None)
@given(graph=graphs(9))
def test_in_place_results_lie_on_their_operand(graph: Deployed) -> None:
    placement = place(graph, OURS)
    assert not overlaps(placement.arena)
    assert placement.arena.lower_bound_bytes == max(live_bytes(graph, OURS))
    assert placement.arena.buffers == needs_of(Part.of(graph.layers), OURS).buffers
    for made, operand in overwritten(Part.of(graph.layers), OURS).items():
        assert placement.tensors[graph.layers[made - 1].name] == placement.tensors[graph.layers[operand - 1].name]


def test_the_first_gap_that_fits_is_taken_not_the_best() -> None:
    low = Buffer(32, 0, 1)
    wide = Buffer(64, 0, 0)
    middle = Buffer(32, 0, 1)
    snug = Buffer(16, 0, 0)
    top = Buffer(16, 0, 1)
    late = Buffer(16, 1, 1)
    arena = first_fit([low, wide, middle, snug, top, late], range(6))
    assert arena.offsets == (0, 32, 96, 128, 144, 32)


def overlaps_by_hand(graph: Layers, placement: Placement, kernels: KernelNeeds) -> bool:
    """Whether any layer writes on what another still needs, step by step and byte by byte from the definition."""
    position = {layer.name: at for at, layer in enumerate(graph)}
    last = position | {name: position[layer.name] for layer in graph for name in layer.inputs}
    last[graph.output.name] = len(graph)
    for at, layer in enumerate(graph):
        alive = [name for name in position if position[name] < at <= last[name] and name != layer.name]
        used: list[tuple[int, int]] = []
        for name in alive:
            start = placement.tensors[name]
            in_place = last[name] == at and name in layer.inputs and start == placement.tensors[layer.name]
            if not (in_place and layer.signature.kind in kernels.in_place):
                used.append((start, start + tensor_bytes(graph[name].signature.out_shape)))
        start = placement.tensors[layer.name]
        used.append((start, start + tensor_bytes(layer.signature.out_shape)))
        if layer.name in placement.scratch:
            start = placement.scratch[layer.name]
            used.append((start, start + aligned(kernels.scratch_bytes(layer.signature))))
        if any(before[1] > after[0] for before, after in pairwise(sorted(used))):
            return True
    return False


def joined(first: Deployed, second: Deployed) -> Deployed:
    """Two networks, one after the other."""
    source = first.output.signature.out_shape
    image = second.input_shape
    bridge = Layer("bridge", Signature(Kind.CONV, source, (*source[:2], image[2])), (first.output.name,))
    names = {layer.name: f"b.{layer.name}" for layer in second} | {second.layers[0].name: bridge.name}
    after = (
        Layer(names[layer.name], layer.signature, tuple(names[each] for each in layer.inputs))
        for layer in second.layers[1:]
    )
    return Deployed((*first.layers, bridge, *after))


@settings(max_examples=60, deadline=None)
@given(graph=st.builds(joined, graphs(8), graphs(8)))
def test_a_network_is_placed_part_by_part(graph: Deployed) -> None:
    order = best_order(graph, OURS)
    for size in (order.peak_bytes, order.peak_bytes + 64):
        placement = place_by_parts(order.parts, order.graph, OURS, size)
        if placement is None:
            assert any(fit_between(Part.of(part), OURS, size) is None for part in order.parts)
            continue
        assert not overlaps_by_hand(order.graph, placement, OURS)
        assert order.peak_bytes <= placement.arena.size_bytes <= size
        assert not overlaps(placement.arena)
    assert not overlaps_by_hand(order.graph, place(order.graph, OURS), OURS)


@settings(max_examples=60, deadline=None)
@given(graph=st.builds(joined, graphs(8), graphs(8)))
def test_the_arena_is_known_from_the_parts(graph: Deployed) -> None:
    known = arena_of_parts(parts_of(graph), OURS)
    planned = plan_memory(graph, OURS)
    assert not overlaps_by_hand(planned.graph, planned.placement, OURS)
    assert known in (None, planned.arena_bytes)
    if known is None:
        assert planned.arena_bytes >= planned.lower_bound_bytes


def test_parts_help_where_first_fit_alone_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a single priority and attempt first fit leaves gaps; part by part the bound is met all the same."""
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    graph = deploy(lowered(cell, cells=2))
    alone = place(best_order(graph, OURS).graph, OURS)
    monkeypatch.setattr(planning, "place", _stacked)
    found = plan_memory(graph, OURS)
    assert found.arena_bytes == found.lower_bound_bytes == alone.arena.size_bytes
    assert not overlaps_by_hand(found.graph, found.placement, OURS)


def _stacked(graph: Layers, kernels: KernelNeeds) -> Placement:
    """Every buffer beside all others."""
    needs = needs_of(Part.of(graph.layers), kernels)
    offsets = tuple(accumulate((buffer.size_bytes for buffer in needs.buffers[:-1]), initial=0))
    tensors = {layer.name: offsets[at] for layer, at in zip(graph, needs.tensors[1:], strict=True)}
    scratch = {layer.name: offsets[at] for layer, at in zip(graph, needs.scratch, strict=True) if at is not None}
    return Placement(Arena(needs.buffers, offsets), tensors, scratch)


def test_hundreds_of_layers_that_all_live_long_are_placed_with_few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads ten before it: what is compared grows with the square of how many live together."""
    chance = Random(1)
    buffers = [Buffer(16 * chance.randint(1, 200), at, at + chance.randint(50, 200)) for at in range(327)]
    compared = 0

    def counting(*args: Any) -> Arena:
        nonlocal compared
        compared += sum(other != one and other.meets(one) for one in buffers for other in buffers)
        return first_fit(*args)

    monkeypatch.setattr(planner, "first_fit", counting)
    arena = plan(buffers)
    assert not overlaps(arena)
    assert lower_bound(buffers) <= arena.size_bytes <= 1.15 * lower_bound(buffers)
    assert compared <= 4_000_000


def test_the_priorities_are_tried_as_they_are_named() -> None:
    """Large first and of equals the later made, long-lived first and of equals the larger, early first likewise."""
    buffers = [Buffer(16, 0, 4), Buffer(64, 2, 3), Buffer(32, 1, 1), Buffer(32, 5, 5), Buffer(48, 0, 1)]

    def ordered(priority: Any) -> list[int]:
        return sorted(range(len(buffers)), key=lambda at: priority(buffers[at]))

    assert ordered(planner._large_first) == [1, 4, 3, 2, 0]
    assert ordered(planner._long_first) == [0, 1, 4, 2, 3]
    assert ordered(planner._early_first) == [4, 0, 2, 1, 3]


def test_what_is_pinned_stays_and_the_search_ends_at_enough() -> None:
    buffers = [Buffer(32, 0, 1), Buffer(16, 1, 2), Buffer(48, 2, 3)]
    arena = plan(buffers, {1: 64})
    assert arena.offsets[1] == 64
    assert not overlaps(arena)
    assert arena.size_bytes == 80
    calls = []

    def counting(*args: Any) -> Arena:
        calls.append(args)
        return first_fit(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "first_fit", counting)
        plan(buffers, {1: 64}, enough=80)
    assert len(calls) == 1


def test_the_order_given_is_placed_where_the_best_one_leaves_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """First fit may do worse with the order of the lowest peak than with the network's own."""
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    graph = deploy(lowered(cell, cells=2))

    def stacked_unless_given(layers: Layers, kernels: KernelNeeds) -> Placement:
        return place(layers, kernels) if layers is graph else _stacked(layers, kernels)

    monkeypatch.setattr(planning, "place", stacked_unless_given)
    monkeypatch.setattr(planning, "place_by_parts", lambda *_: None)
    found = plan_memory(graph, OURS)
    assert found.graph is graph
    assert found.arena_bytes == place(graph, OURS).arena.size_bytes
    assert found.steps == live_bytes(graph, OURS)


def test_the_arena_is_known_only_of_parts_in_their_best_order_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [*parts_of(deploy(lowered("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|nor_conv_1x1~2|")))]
    known = arena_of_parts(parts, OURS)
    assert known is not None
    with monkeypatch.context() as patch:
        patch.setattr(planning, "fit_between", lambda *_: None)
        assert arena_of_parts(parts, OURS) is None
    order_part = planning.order_part
    with monkeypatch.context() as patch:
        planning._part_needs.cache_clear()
        patch.setattr(planning, "order_part", lambda *args: replace(order_part(*args), lower_bound_bytes=1))
        assert arena_of_parts(parts, OURS) is None
    planning._part_needs.cache_clear()
    assert arena_of_parts(parts, OURS) == known
