"""How fast bytes go, from calls with and without them: told where it can be told, and else a bound that holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.doctor.link import PADDING, rate

jitter = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=9)


@given(jitter, st.floats(1e3, 1e9), st.floats(0.0, 0.1), st.floats(0.0, 0.5))
def test_where_both_kinds_of_calls_vary_alike(noise, bits, varies, trip):
    empty = [trip + varies * each for each in noise]
    loaded = [one + 8 * PADDING / bits for one in empty]
    found = rate(empty, loaded, PADDING)
    if found.is_bound:
        assert found.rate <= bits * (1 + 1e-6)
    else:
        assert found.rate == pytest.approx(bits, rel=1e-3)


def test_a_difference_that_may_be_chance_is_a_bound():
    empty, slower = [0.010, 0.020, 0.030], [0.012, 0.022, 0.032]
    assert rate(empty, slower, PADDING).is_bound
    assert rate(empty, [one - 0.002 for one in empty], PADDING).is_bound
    # It may be as much more as it seems, and by chance the same again as it may vary.
    assert rate([0.010, 0.020, 0.030], [0.020, 0.030, 0.040], 375).rate == pytest.approx(8 * 375 / 0.030)
    assert not rate([0.010] * 5, [0.020] * 5, PADDING).is_bound
    assert rate([0.01] * 3, [0.01] * 3, PADDING).rate < float("inf")
