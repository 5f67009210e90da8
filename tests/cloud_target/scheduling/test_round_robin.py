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


class Counted:
    """Counts how often any of its kind is compared."""

    compared = 0

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return self is other


def test_one_that_leaves_is_found_without_a_look_at_the_others():
    queue: RoundRobin[Counted] = RoundRobin()
    items = [Counted(number) for number in range(1000)]
    for item in items:
        queue.add("a", item)
    for item in (items[999], items[500], items[1]):
        assert queue.discard("a", item)
        assert not queue.discard("a", item)
    queue.take_out("a", items[998])
    assert queue.last("a") is items[997]
    assert queue.take() is items[0]
    assert Counted.compared < 10
    assert len(queue) == 995
    queue.check_integrity()


def test_what_comes_first_again_is_taken_before_the_others_of_its_tenant():
    queue: RoundRobin[str] = RoundRobin()
    for item in ("a1", "a2", "b1"):
        queue.add(item[0], item)
    queue.add_first("a", queue.take())
    assert [queue.take() for _ in range(3)] == ["b1", "a1", "a2"]
