"""From doubts to what stands behind them, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.usual import Usual

UNEQUAL = Usual([-6, -4, -4, -1], [-7, -6, -6, 0])


@pytest.mark.parametrize(("doubt", "error"), [(-6, -7), (-5, -6.5), (-4, -6), (-2.5, -3), (-1, 0), (-8, -9), (3, 4)])
def test_between_points_it_is_a_line_and_beyond_them_it_goes_on_as_the_doubts_do(doubt, error):
    assert UNEQUAL.error(np.array([doubt]))[0] == pytest.approx(error)
    assert UNEQUAL.doubt(error) == pytest.approx(doubt)


def test_without_counts_doubts_are_honest():
    assert Usual([-3.0, -1.0]).error(np.array([-9.0, -2.0, 5.0])).tolist() == [-9.0, -2.0, 5.0]


def test_one_point_moves_all_doubts_alike():
    assert Usual([-3.0], [-5.0]).error(np.array([-4.0, 0.0])).tolist() == [-6.0, -2.0]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0.001, 3)), min_size=1, max_size=64),
    st.lists(st.floats(-30, 30), min_size=2, max_size=20),
)
def test_more_doubt_is_a_larger_chance_of_an_error_and_there_is_a_way_back(steps, values):
    doubts, errors = np.cumsum([step for step, _ in steps]) - 10, np.cumsum([rise for _, rise in steps]) - 12
    for i in range(1, len(steps)):
        if doubts[i] == doubts[i - 1]:
            errors[i] = errors[i - 1]
    usual = Usual(doubts, np.maximum.accumulate(errors))
    found = usual.error(np.sort(values))
    assert (np.diff(found) >= -1e-9).all()
    assert np.isfinite([usual.doubt(value) for value in values]).all()
