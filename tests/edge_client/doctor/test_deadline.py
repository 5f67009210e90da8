"""Nobody waits for longer than a deadline, whatever is waited for."""

from __future__ import annotations

from threading import Event
from time import perf_counter

import pytest

from edge_client.doctor.deadline import Deadline
from edge_client.testing import ManualClock


def test_what_ends_in_time_gives_its_value_or_its_error():
    deadline = Deadline(60.0)
    assert deadline.within(5.0, lambda seconds: seconds) == 5.0
    assert deadline.within(5.0, lambda _: None) is None
    with pytest.raises(ZeroDivisionError):
        deadline.within(5.0, lambda _: 1 // 0)


def test_what_does_not_end_is_left_behind():
    never, begin = Event(), perf_counter()
    with pytest.raises(TimeoutError):
        Deadline(60.0).within(0.05, lambda _: never.wait())
    assert perf_counter() - begin < 30.0
    never.set()


def test_many_things_together_have_no_more_than_all_of_it():
    clock = ManualClock()
    deadline = Deadline(20.0, clock.now)
    clock.sleep(100.0)
    assert deadline.left == 20.0, "it begins when somebody first asks"
    assert deadline.within(3.0, lambda seconds: seconds) == 3.0
    clock.sleep(18.0)
    assert deadline.within(3.0, lambda seconds: seconds) == pytest.approx(2.0)
    clock.sleep(2.0)
    ran = []
    with pytest.raises(TimeoutError):
        deadline.within(3.0, ran.append)
    assert (ran, deadline.left) == ([], 0.0)
