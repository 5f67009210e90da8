"""What is remembered of a name goes with the connection that had it."""

from __future__ import annotations

from cloud_target.server.links import place_of
from cloud_target.server.remembered import Remembered

PEER, OTHER = "ipv4:127.0.0.1:40312", "ipv6:%5B::1%5D:40312"
PLACE, THERE = place_of(PEER), place_of(OTHER)


def known() -> Remembered[int]:
    remembered: Remembered[int] = Remembered()
    remembered.put(PEER, 7)
    return remembered


def test_it_stays_as_long_as_the_connection_does():
    remembered = known()
    for _ in range(3):
        remembered.see({PLACE: [1], THERE: [2]})
        assert remembered.get(PEER, 0) == 7
    assert list(remembered.links()) == [1]
    remembered.see({THERE: [2]})
    assert PEER not in remembered
    assert remembered.get(PEER, 0) == 0


def test_another_connection_of_the_name_is_another_one():
    remembered = known()
    remembered.see({PLACE: [1]})
    remembered.see({PLACE: [2]})
    assert PEER not in remembered


def test_one_that_comes_beside_it_is_not_meant():
    """They have one name, and what is remembered is of the first."""
    remembered = known()
    remembered.see({PLACE: [1]})
    remembered.see({PLACE: [1, 2]})
    assert list(remembered.links()) == [1]
    remembered.see({PLACE: [2]})
    assert PEER not in remembered


def test_what_is_said_anew_is_of_who_is_there_now():
    remembered = known()
    remembered.see({PLACE: [1]})
    remembered.put(PEER, 8)
    remembered.see({PLACE: [2]})
    assert remembered.get(PEER, 0) == 8


def test_who_came_since_the_last_look_is_remembered():
    remembered: Remembered[int] = Remembered()
    remembered.see({})
    remembered.put(PEER, 7)
    assert remembered.get(PEER, 0) == 7
    assert list(remembered.links()) == []


def test_without_looks_it_is_bounded():
    remembered: Remembered[int] = Remembered()
    for number in range(5000):
        remembered.put(f"ipv4:127.0.0.1:{number}", number)
    assert len(remembered) == 4096
    assert remembered.get("ipv4:127.0.0.1:4999", 0) == 4999


def test_what_has_no_place_is_never_seen_to_go():
    remembered: Remembered[int] = Remembered()
    remembered.put("unix:", 1)
    remembered.see({})
    assert "unix:" in remembered
