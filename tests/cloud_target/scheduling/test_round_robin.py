"""Tenants take turns, however many items any of them has waiting."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.scheduling.round_robin import RoundRobin


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), max_size=40), st.data())
def test_tenants_take_turns(tenants, data):
    """While a tenant has something waiting, no other has two turns between two of its own."""
    queue: RoundRobin[int] = RoundRobin()
    for i, tenant in enumerate(tenants):
        queue.add(tenant, i)
    gone = {i for i in range(len(tenants)) if data.draw(st.integers(0, 5)) == 0}
    for i in gone:
        assert queue.discard(tenants[i], i)
        assert not queue.discard(tenants[i], i)
    order = []
    while len(queue):
        assert queue.peek() is not None
        order.append(queue.take())
        queue.check_integrity()
    assert sorted(order) == [i for i in range(len(tenants)) if i not in gone]
    for tenant in "abc":
        own = [i for i in order if tenants[i] == tenant]
        assert own == sorted(own)
        if own:
            before = [tenants[i] for i in order[: order.index(own[-1])]]
            counts = [before.count(other) for other in "abc" if other != tenant]
            assert max(counts) <= len(own)
