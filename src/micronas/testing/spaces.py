"""The laws of a search space, small or far too large to enumerate: inherit them, and say which space."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any, ClassVar, cast

import pytest

from micronas.network.deployed import cost, deploy
from micronas.network.graph import Graph
from micronas.network.identity import live_key
from micronas.network.live import Disconnected
from micronas.network.segments import parts_of
from micronas.spaces.decisions import Choices
from micronas.spaces.space import FORMS, ArchitectureError, Form, OpenDecisions, SearchSpace
from micronas.task import ONE_CELL, REDUCED, Task

SMALL = Task((16, 16, 3), classes=4)


class SpaceContract:
    """Laws of `space`, which its tests lower for a picture of 16x16x3 and four classes.

    class TestMine(SpaceContract):
        space = Mine()
    """

    space: ClassVar[SearchSpace]

    def test_it_is_a_value(self) -> None:
        space = self.space
        again: Any = replace(cast(Any, space))
        assert again == space
        assert hash(again) == hash(space)
        assert repr(again) == repr(space)
        assert " at 0x" not in repr(space)
        assert space.name == space.name.lower().strip() != ""

    def test_options_are_words_and_each_decision_has_its_own_once(self) -> None:
        space = self.space
        for options in space.everything().alive:
            assert len(options) == len(set(options)) > 0
            assert all(option.split() == [option] for option in options)

    def test_numbers_name_architectures_each_another(self) -> None:
        space = self.space
        everything = space.everything()
        assert space.size == everything.size > 1
        found = _some(space)
        assert all(choices.is_decided for choices in found)
        assert len(set(found)) == len(found)
        for choices in found:
            assert all(option in options for (option,), options in zip(choices.alive, everything.alive, strict=True))

    def test_format_and_parse_undo_each_other(self) -> None:
        space = self.space
        found = _some(space, 200)
        texts = [space.format(choices) for choices in found]
        assert [space.parse(text) for text in texts] == found
        assert len(set(texts)) == len(texts)
        assert not any("\n" in text for text in texts)

    def test_nonsense_is_no_architecture(self) -> None:
        space = self.space
        sound = space.format(space.sample(0))
        for text in ("nonsense", "", f"{sound} nonsense", sound[: len(sound) // 2]):
            with pytest.raises(ArchitectureError) as caught:
                space.parse(text)
            assert "\n" not in str(caught.value)

    def test_canonical_keeps_the_network_and_is_idempotent(self) -> None:
        space = self.space
        for choices in _some(space):
            canonical = space.canonical(choices)
            assert space.canonical(canonical) == canonical
            assert live_key(space.lower(canonical, SMALL)) == live_key(space.lower(choices, SMALL))

    def test_the_cheapest_form_costs_no_more_and_is_its_own(self) -> None:
        space = self.space
        for choices in _some(space):
            form = space.cheapest_form(choices)
            assert space.cheapest_form(form) == form == space.canonical(form)
            assert _is_connected(space, form) == _is_connected(space, choices)
            if _is_connected(space, choices):
                canonical = deploy(space.lower(space.canonical(choices), SMALL))
                assert cost(deploy(space.lower(form, SMALL))) <= cost(canonical)
                assert cost(canonical) <= cost(deploy(space.lower(choices, SMALL)))

    def test_it_lowers_for_any_task_and_probe(self) -> None:
        space = self.space
        for choices in _some(space, 20):
            assert space.lower(choices, SMALL).output.signature.out_shape == (1, 1, SMALL.classes)
            for probe in (REDUCED, ONE_CELL):
                graph = space.probe(choices, probe)
                assert graph.input_shape == probe.input_shape
                assert graph.output.signature.out_shape == (1, 1, probe.classes)
            assert space.lower(choices, SMALL) == space.lower(choices, SMALL)

    def test_what_is_open_is_drawn_side_by_side_or_named(self) -> None:
        """Then a supernet has every layer with weights that its networks have, by name and signature."""
        space = self.space
        everything = space.everything()
        assert not everything.is_decided
        supernet, names = _supernet_of(space)
        if supernet is None:
            with pytest.raises(OpenDecisions) as caught:
                space.probe(everything, REDUCED)
            assert names
            assert str(caught.value) == (
                f"{space.name} cannot draw the options of {', '.join(caught.value.names)} side by side; "
                "decide them first"
            )
            return
        drawn = {(layer.name, layer.signature) for layer in supernet}
        for choices in _some(space, 20):
            graph = space.lower(choices, SMALL)
            assert len(supernet) > len(graph)
            assert drawn >= {(layer.name, layer.signature) for layer in graph if layer.signature.weight_shape}

    @pytest.mark.parametrize("form", FORMS)
    def test_counts_are_those_of_the_layers(self, form: Form) -> None:
        space = self.space
        for choices in _some(space, 20):
            if form == "plain" or _is_connected(space, choices):
                layers = FORMS[form](space.lower(choices, SMALL))
                assert space.counts(choices, SMALL, form) == Counter(layer.signature for layer in layers)
            else:
                with pytest.raises(Disconnected):
                    space.counts(choices, SMALL, form)

    def test_parts_are_those_of_the_deployed_network(self) -> None:
        space = self.space
        for choices in _some(space, 20):
            if _is_connected(space, choices):
                assert space.parts(choices, SMALL) == Counter(parts_of(deploy(space.lower(choices, SMALL))))
            else:
                with pytest.raises(Disconnected):
                    space.parts(choices, SMALL)

    def test_it_can_be_shown(self) -> None:
        space = self.space
        for choices in _some(space, 10):
            words = space.describe(choices, SMALL)
            assert f"{SMALL.classes} classes" in words
            assert "\n" not in words
            assert max(map(len, space.drawing(choices).splitlines()), default=0) <= 70


def _some(space: SearchSpace, number: int = 60) -> list[Choices]:
    """Architectures spread over all of the space, its first and its last among them."""
    number = min(number, space.size)
    drawn = random.Random(0).sample(range(1, space.size - 1), number - 2)
    return [space.sample(each) for each in (0, space.size - 1, *drawn)]


def _is_connected(space: SearchSpace, choices: Choices) -> bool:
    try:
        deploy(space.lower(choices, SMALL))
    except Disconnected:
        return False
    return True


def _supernet_of(space: SearchSpace) -> tuple[Graph | None, tuple[str, ...]]:
    """All options side by side; or the decisions that do not allow it."""
    try:
        return space.lower(space.everything(), SMALL), ()
    except OpenDecisions as error:
        return None, error.names
