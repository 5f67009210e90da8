"""Which rows share a call, and that it never costs more than calls of their own."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.hf.costs import Costs, grouped

sizes = st.lists(st.tuples(st.integers(1, 64), st.integers(1, 900)), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(sizes, st.floats(0, 1e-3), st.floats(0, 1e-7), st.floats(0, 1e-6))
def test_groups_hold_every_row_once_and_cost_no_more_than_rows_alone(rows, call, pair, gathered):
    costs = Costs(call, pair, gathered)
    groups = grouped(rows, costs)
    assert sorted(i for group in groups for i in group) == list(range(len(rows)))
    together = sum(
        costs.of(len(group), max(rows[i][0] for i in group), max(rows[i][1] for i in group)) for group in groups
    )
    assert together <= sum(costs.of(1, *row) for row in rows) * (1 + 1e-9) + 1e-12


def test_what_costs_most_decides():
    rows = [(1, 100), (8, 300), (1, 110), (1, 900)]
    assert len(grouped(rows, Costs(call=0.0, pair=1.0))) == 4
    assert len(grouped(rows, Costs(call=1.0))) == 1
    assert grouped(rows, Costs(call=50.0, pair=0.1)) == [[1], [3], [2, 0]]
