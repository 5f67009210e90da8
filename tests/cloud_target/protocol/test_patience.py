"""A target waits for guesses where that writes more tokens a second, by what the stream has shown, and else goes on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.protocol.answer import DEEP
from cloud_target.protocol.patience import Patience

PASS = 0.025


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_stream(reply: float, stood: int = DEEP, rounds: int = 200) -> tuple[Patience, Clock]:
    """One whose guesses come so many seconds after what they are about; so many of them stand, one after the other."""
    clock = Clock()
    patience = Patience(clock)
    for length in range(rounds):
        patience.told(length)
        clock.now += reply
        patience.heard(length)
        patience.judged(stood, stood < DEEP, PASS)
    patience.told(rounds)
    return patience, clock


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0002, 0.5), st.integers(0, DEEP), st.integers(0, DEEP))
def test_it_waits_exactly_where_that_gives_more_tokens_a_second(reply, stood, line):
    patience, _ = a_stream(reply, stood)
    # What was measured tends to this share: of each line so many stood, and one fell unless all did.
    fell = float(stood < DEEP)
    share = (8 + 20 * stood) / (10 + 20 * (stood + fell))

    def tokens(guesses: int) -> float:
        return sum(share**i for i in range(guesses + 1))

    # In the time of two passes: one with what is here, and one with what foresaw its first token; or a reply, and then
    # passes with all that can be guessed.
    at_once, later = tokens(line) + share * tokens(DEEP), tokens(DEEP) * (2 * PASS - reply) / PASS
    if abs(at_once - later) > 0.3 * at_once:  # the averages have nearly come to rest
        assert (patience.worth(line, DEEP) > 0) == (later > at_once)
    assert 0 <= patience.worth(line, DEEP) <= 2 * reply + 1e-9


def test_nobody_waits_for_an_edge_that_has_not_answered_yet():
    patience = Patience(Clock())
    patience.told(5)
    patience.judged(0, False, PASS)
    assert patience.worth(0, DEEP) == 0
    patience.heard(4)  # guesses about what was there before
    assert patience.worth(0, DEEP) == 0


def test_what_was_heard_is_not_waited_for_again():
    patience, clock = a_stream(0.001)
    assert patience.worth(0, DEEP) > 0
    clock.now += 0.001
    patience.heard(200)
    assert patience.worth(0, DEEP) == 0


def test_of_the_time_to_wait_some_may_have_passed():
    patience, clock = a_stream(0.004)
    before = patience.worth(0, DEEP)
    clock.now += 0.003
    assert patience.worth(0, DEEP) == pytest.approx(before - 0.003)
    clock.now += 1.0
    assert patience.worth(0, DEEP) == 0


def test_an_edge_that_stops_answering_is_soon_not_waited_for():
    patience, clock = a_stream(0.001)
    lost = 0.0
    for length in range(201, 400):
        if seconds := patience.worth(0, DEEP):
            clock.now += seconds
            lost += seconds
            patience.waited()
        patience.judged(0, False, PASS)
        patience.told(length)
    assert lost < 20 * PASS
    assert patience.worth(0, DEEP) == 0
