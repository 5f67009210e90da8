"""Within one bound each tenant keeps its share, whatever others ask for."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.grammar.shelf import Shelf

USES = st.tuples(st.sampled_from("aaab"), st.sampled_from("0123456789")) | st.tuples(
    st.sampled_from("abcdefg"), st.sampled_from("012")
)


@settings(deadline=None)
@given(st.integers(1, 6), st.lists(USES, max_size=80))
def test_whoever_has_no_more_than_its_share_loses_nothing_to_others(most, uses):
    shelf: Shelf[str] = Shelf(most)
    kept: list[tuple[str, str]] = []  # used longest ago first, as the plain reading has it
    for tenant, key in uses:
        use = tenant, key
        assert shelf.get(tenant, key) == (tenant + key if use in kept else None)
        if use in kept:
            kept.remove(use)
        else:
            shelf.put(tenant, key, tenant + key)
        kept.append(use)
        if len(kept) > most:
            counts = Counter(each for each, _ in kept)
            share = most // len(counts)
            [lost] = [(tenant, key) for tenant, key in kept if key not in shelf._kept.get(tenant, ())]
            assert counts[lost[0]] == max(counts.values()) > share
            assert lost == next(one for one in kept if one[0] == lost[0]), "its own, used longest ago"
            assert lost != use
            kept.remove(lost)
        assert len(shelf) == len(kept) == sum(map(len, shelf._kept.values())) <= most
        assert all(shelf._kept.values()), "nothing is kept of a tenant that has nothing"


def test_of_equal_ones_the_tenant_that_came_longest_ago_gives_up_its_own():
    shelf: Shelf[int] = Shelf(3)
    for number, tenant in enumerate("abcad"):
        if shelf.get(tenant, "x") is None:
            shelf.put(tenant, "x", number)
    assert shelf.get("b", "x") is None
    assert [shelf.get(tenant, "x") for tenant in "acd"] == [0, 2, 4]
