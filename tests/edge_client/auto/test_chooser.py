"""`auto` takes the mode with the best forecast, learns where forecasts are off, and says why in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.auto.chooser import REVIEW, WORTH_LEAVING, Chooser
from edge_client.auto.explain import explanation
from edge_client.auto.forecast import Conditions, forecast
from edge_client.auto.pace import MOST_KINDS, Pace
from edge_client.settings import Prefer
from shared.config import Mode

LEADERS = (Mode.SPRINT, Mode.EXACT, Mode.CLOUD)
TIMES = st.floats(1e-5, 1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_chooser(pace: Pace, clock: Clock, prefer: Prefer = Prefer.SPEED, ask_rate: float = 0.2, modes=LEADERS) -> Chooser:
    return Chooser(pace, ("kind",), prefer, modes, 0, 32, ask_rate, 0.85, clock)


def write(chooser: Chooser, clock: Clock, takes: dict[Mode, float], tokens: int) -> None:
    """A text of so many tokens, where a token takes so long in each mode, and one in five is asked about."""
    shown = 0
    while shown < tokens:
        chooser.shown(shown, tokens - shown, shown // 5)
        clock.now += takes[chooser.mode]
        shown += 1
    chooser.measure(shown, shown // 5)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Conditions,
        TIMES,
        TIMES,
        TIMES,
        TIMES,
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
        st.integers(1, 256),
        st.floats(0, 1),
    )
)
def test_a_forecast_is_a_time_and_never_better_than_its_parts(now):
    for mode in LEADERS:
        found = forecast(mode, now)
        assert found.seconds > 0
        assert 0 <= found.target <= found.seconds * (1 + 1e-9)
        assert found.work >= found.target
    assert forecast(Mode.EXACT, now).target <= now.guessed_step * (1 + 1e-9)


def test_a_longer_way_makes_guesses_and_questions_worth_less_and_the_plain_stream_no_slower():
    def at(mode: Mode, trip: float) -> float:
        return forecast(mode, Conditions(0.0002, 0.008, 0.008, 0.007, trip, 0.1, 0.1, 32, 0.85)).seconds

    trips = [0.0, 0.01, 0.05, 0.2, 1.0]
    for mode in (Mode.SPRINT, Mode.EXACT):
        assert sorted(at(mode, trip) for trip in trips) == [at(mode, trip) for trip in trips]
    assert len({at(Mode.CLOUD, trip) for trip in trips}) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.6, 1.5), min_size=3, max_size=3), st.sampled_from([0.001, 0.02, 0.1]))
def test_in_the_end_it_writes_in_the_mode_that_is_fastest_where_forecasts_are_off(factors, trip):
    pace, clock = Pace(), Clock()
    pace.travelled(trip)
    forecasts = a_chooser(pace, clock).forecast
    takes = {mode: factor * forecasts(mode).seconds for mode, factor in zip(LEADERS, factors, strict=True)}
    for _ in range(60):
        write(a_chooser(pace, clock), clock, takes, 8 * REVIEW)
    begin = clock.now
    for _ in range(40):
        write(a_chooser(pace, clock), clock, takes, 8 * REVIEW)
    assert (clock.now - begin) / (40 * 8 * REVIEW) <= WORTH_LEAVING * min(takes.values())


def test_it_stays_where_leaving_gains_less_than_it_takes():
    pace, clock = Pace(), Clock()
    pace.travelled(5.0)  # a moon's way
    chooser = a_chooser(pace, clock, modes=(Mode.SPRINT, Mode.CLOUD))
    chooser.mode = first = Mode.SPRINT
    other = Mode.CLOUD
    chooser.shown(0, 100, 0)
    clock.now += 1.0
    spent = pace.kind(("kind",), 0.2).spent
    spent[first], spent[other] = (200.0, 100.0), (50.0, 100.0)
    assert not chooser.shown(REVIEW, 3, 0)
    assert chooser.mode is first


def test_however_many_ways_of_sampling_there_are_few_are_remembered():
    pace = Pace()
    for number in range(10 * MOST_KINDS):
        pace.kind((number,), 0.1).asks.add(1, 1)
    newest = range(9 * MOST_KINDS, 10 * MOST_KINDS)
    assert [pace.kind((number,), 0.1).asks.share > 0.1 for number in newest] == [True] * MOST_KINDS
    assert pace.kind((0,), 0.1).asks.share == 0.1


@pytest.mark.parametrize(("prefer", "words"), [(Prefer.SPEED, "fastest"), (Prefer.COST, "the target least")])
def test_the_explanation_has_the_numbers(prefer, words):
    pace, clock = Pace(), Clock()
    pace.travelled(0.0254)
    pace.drafted(0.021, 100)
    pace.passed(Mode.CLOUD, [0.0072] * 5)
    chooser = a_chooser(pace, clock, prefer)
    write(chooser, clock, dict.fromkeys(LEADERS, 0.002), 10)
    said = explanation(chooser, prefer)
    assert words in said
    assert "for 10 tokens" in said
    assert "0.21 ms" in said
    assert "7.2 ms" in said
    assert "25.4 ms" in said


def test_what_is_to_be_least_decides():
    """The device drafts at once, but the target is asked about every second token, and then computes a while."""

    def near() -> Pace:
        pace = Pace()
        pace.drafted(0.00001, 1)
        pace.passed(Mode.CLOUD, [0.010] * 5)
        pace.passed(Mode.EXACT, [0.011] * 5)
        pace.passed(Mode.SPRINT, [0.050] * 5)
        pace.travelled(0.0)
        return pace

    assert a_chooser(near(), Clock(), Prefer.COST, ask_rate=0.5).mode is Mode.EXACT
    assert a_chooser(near(), Clock(), Prefer.COST, ask_rate=0.0).mode is Mode.SPRINT
    far = Pace()
    far.drafted(1.0, 1)
    far.passed(Mode.CLOUD, [0.010] * 5)
    far.passed(Mode.EXACT, [0.009] * 5)
    far.travelled(0.5)
    assert a_chooser(far, Clock(), Prefer.ENERGY, ask_rate=0.5).mode is Mode.CLOUD
