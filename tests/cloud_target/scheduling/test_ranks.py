"""The first that counts, and what the first few weigh, are those of a plain list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.scheduling.ranks import Ranks

EVENTS = st.tuples(
    st.sampled_from(("add", "add", "remove", "change")), st.integers(0, 60), st.integers(0, 9), st.booleans()
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=80))
def test_whatever_comes_and_goes_it_is_as_a_list(events):
    ranks: Ranks[int] = Ranks()
    plain: list[tuple[int, int, bool]] = []
    for number, (event, which, weight, counts) in enumerate(events):
        at = which % len(plain) if plain else None
        if event == "add":
            ranks.add(number, weight, counts)
            plain.append((number, weight, counts))
        elif at is not None and event == "remove":
            ranks.remove(plain.pop(at)[0])
        elif at is not None:
            plain[at] = plain[at][0], weight, counts
            ranks.change(*plain[at])
        assert len(ranks) == len(plain)
        assert ranks.first() == next(((item, i) for i, (item, _, counting) in enumerate(plain) if counting), None)
        for items in range(len(plain) + 2):
            assert ranks.weight_of_first(items) == sum(each for _, each, _ in plain[:items])


def test_those_that_left_take_no_room_for_ever():
    ranks: Ranks[int] = Ranks()
    for number in range(1000):
        ranks.add(number, 1, True)
        if number >= 3:
            ranks.remove(number - 3)
    assert ranks.first() == (997, 0)
    assert len(ranks._items) <= 8
