"""The laws of an indicator: inherit them, and say which indicator."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from micronas.indicators import Better, Indicator, untrained_of
from micronas.network.deployed import deploy
from micronas.network.graph import Graph
from micronas.network.legalised import legalise
from micronas.network.signature import GraphError
from micronas.origin import Origin
from micronas.spaces.nasbench201.space import NasBench201
from micronas.task import Task

SPACE, TASK = NasBench201(cells=(1,)), Task()
DISCONNECTED = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    DISCONNECTED,
    "|avg_pool_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
)


class IndicatorContract:
    """Laws of `indicator`, tried on four cells of NAS-Bench-201, one of them disconnected.

    class TestMine(IndicatorContract):
        indicator = mine
    """

    indicator: ClassVar[Indicator]
    dead_counts: ClassVar[bool] = False
    """Whether it scores a disconnected network for what it is: its layers are there, and cost."""
    disconnected_is_zero: ClassVar[bool] = False
    """Whether it scores a disconnected network 0, for nothing of it is live."""

    def test_names_and_units_are_text_and_there_is_a_direction(self) -> None:
        indicator = self.indicator
        assert indicator.name
        assert indicator.name == indicator.name.lower().strip()
        assert isinstance(indicator.unit, str)
        assert isinstance(indicator.better, Better)
        assert isinstance(indicator.origin, Origin)

    def test_deterministic(self) -> None:
        indicator = self.indicator
        first, second = (indicator.measure_many(_lower(indicator, *CELLS)) for _ in range(2))
        assert first.tobytes() == second.tobytes()
        assert first.dtype == np.float64

    def test_many_answer_as_one_by_one(self) -> None:
        indicator = self.indicator
        many = indicator.measure_many(_lower(indicator, *CELLS))
        np.testing.assert_allclose(many, [indicator.measure(graph) for graph in _lower(indicator, *CELLS)], rtol=1e-5)

    def test_order_and_company_do_not_matter(self) -> None:
        indicator = self.indicator
        forward, backward = (
            indicator.measure_many(_lower(indicator, *CELLS)),
            indicator.measure_many(_lower(indicator, *CELLS[::-1])),
        )
        np.testing.assert_allclose(forward, backward[::-1], rtol=1e-5)

    def test_nothing_to_measure(self) -> None:
        indicator = self.indicator
        assert indicator.measure_many([]).shape == (0,)

    def test_disconnected_has_a_defined_value_and_never_nan(self) -> None:
        indicator = self.indicator
        score = indicator.measure(*_lower(indicator, DISCONNECTED))
        if self.dead_counts:
            assert score > 0
        elif self.disconnected_is_zero:
            assert score == 0
        else:
            assert score == indicator.better.worst

    def test_dead_edges_change_nothing_that_reaches_the_output(self) -> None:
        indicator = self.indicator
        if self.dead_counts:
            pytest.skip("counts the plain graph, dead edges included")
        dead = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
        without = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
        measured = indicator.measure_many(_lower(indicator, dead, without))
        np.testing.assert_allclose(measured[0], measured[1], rtol=1e-5)

    def test_finite_for_every_connected_network(self) -> None:
        indicator = self.indicator
        assert np.isfinite(indicator.measure_many(_lower(indicator, *CELLS))[[0, 2, 3]]).all()

    def test_only_a_plain_graph_is_judged(self) -> None:
        indicator = self.indicator
        (graph,) = _lower(indicator, CELLS[0])
        for form in (deploy(graph), legalise(deploy(graph))):
            with pytest.raises(GraphError, match=f"only a plain graph will do, not a {type(form).__name__}"):
                indicator.measure(form)  # pyright: ignore[reportArgumentType]

    def test_draws_answer_as_one_by_one(self) -> None:
        """To the last bit: how networks are merged does not depend on how many draws there are."""
        measured = untrained_of(self.indicator)
        if measured is None:
            pytest.skip("judges what is deployed, not draw by draw")
        graphs, seeds = _lower(measured, *CELLS), (5, 0, 2)
        draws = measured.measure_draws(graphs, seeds)
        assert draws.tolist() == [measured.with_seed(seed).measure_many(graphs).tolist() for seed in seeds]
        assert len({row.tobytes() for row in draws}) == len(seeds)
        assert measured.measure_draws([], seeds).shape == (3, 0)


def _lower(indicator: Indicator, *cells: str) -> list[Graph]:
    """On the reduced network the indicator is meant for, if it names one."""
    untrained = untrained_of(indicator)
    parsed = map(SPACE.parse, cells)
    return [SPACE.probe(cell, untrained.probe) if untrained else SPACE.lower(cell, TASK) for cell in parsed]
