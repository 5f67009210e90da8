"""The line for room: order, tenants in turn, and places that are kept while nobody waits at them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.scheduling.line import Line


def a_line(*places: tuple[str, str]) -> Line[str]:
    line: Line[str] = Line()
    for key, tenant in places:
        line.join(key.encode(), tenant, 10, "somebody", 0.0)
    return line


def order(line: Line[str]) -> str:
    """The keys as they are served where all have somebody waiting."""
    found = ""
    while (place := line.next()[0]) is not None:
        found += place.key.decode()
        line.served(place)
        line.check_integrity()
    return found


def test_tenants_take_turns_however_many_places_any_has():
    assert order(a_line(("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"), ("e", "z"), ("f", "z"))) == "adebfc"


def test_a_place_that_was_left_is_found_where_it_was():
    line = a_line(("a", "x"), ("b", "x"), ("c", "y"))
    line.leave(line.at(b"a"))
    first, aside = line.next()
    assert (first.key, aside) == (b"c", 10)
    again = line.join(b"a", "x", 30, "somebody", 9.0)
    assert (again.since, again.tokens) == (0.0, 30)
    assert order(line) == "acb"


def test_of_tenants_whose_first_are_away_the_one_whose_turn_is_next_comes_first():
    line = a_line(("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"))
    for key in (b"a", b"c"):
        line.leave(line.at(key))
    first, aside = line.next()
    assert (first.key, aside) == (b"b", 20)
    line.check_integrity()


def test_a_place_that_is_given_up_at_the_head_was_its_tenants_turn():
    line = a_line(("a", "x"), ("b", "x"), ("c", "y"), ("d", "y"))
    line.give_up(line.at(b"a"))
    assert order(line) == "cbd"


def test_a_place_that_is_given_up_further_back_costs_its_tenant_no_turn():
    line = a_line(("a", "x"), ("b", "y"), ("c", "y"))
    line.give_up(line.at(b"b"))
    assert order(line) == "ac"


def test_the_first_of_a_tenant_is_the_first_where_somebody_waits():
    line = a_line(("a", "x"), ("b", "y"), ("c", "y"))
    line.leave(line.at(b"b"))
    assert line.first_of("y").key == b"c"
    assert line.first_of("z") is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("join", "leave", "serve", "lapse")), st.integers(0, 7)), max_size=60))
def test_whatever_happens_nobody_is_gone_past_by_a_later_one_of_its_tenant(events):
    line: Line[int] = Line()
    came: list[int] = []
    for number, (event, session) in enumerate(events):
        key, tenant = bytes([session]), "xy"[session % 2]
        place = line.at(key)
        if event == "join":
            line.join(key, tenant, 1, number, float(number))
            came += [session] if place is None else []
        elif event == "leave" and place is not None:
            line.leave(place)
        elif event == "lapse" and place is not None:
            line.give_up(place)
            came.remove(session)
        elif event == "serve" and (first := line.next()[0]) is not None:
            number = first.key[0]
            earlier = [other for other in came[: came.index(number)] if other % 2 == number % 2]
            assert all(line.at(bytes([other])).waiter is None for other in earlier)
            line.served(first)
            came.remove(number)
        line.check_integrity()
    assert len(line) == len(came)
