"""The sentence says where splitting pays: on every link, on none, or on some, and which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.auto.chooser import WORTH_LEAVING
from edge_client.doctor.advice import Gain, advice

TRIPS = (0.0, 0.01, 0.1)


def told(here: float, *others: float) -> tuple[bool, str]:
    return advice(0.03, TRIPS, {"exact": Gain(here, others)})


def test_where_it_pays_everywhere():
    assert told(2.0, 3.0, 2.5, 1.2) == (
        True,
        "splitting pays on this link of 30 ms: exact is 2.0 times the plain stream; exact pays on all links up to "
        "100 ms (1.20 to 3.00 times the plain stream)",
    )


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ((0.73, 0.5, 0.37), "is slower than the plain stream on all links up to 100 ms (0.37 to 0.73 times)"),
        ((1.05, 1.0, 1.0), "gains nothing on all links up to 100 ms (1.00 to 1.05 times)"),
    ],
)
def test_where_it_pays_nowhere(others, words):
    first = "splitting does not pay on this link of 30 ms: write in mode cloud"
    assert told(0.7, *others) == (False, f"{first}; exact {words}")


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ((2.0, 1.8, 0.9), "on links up to 10 ms (1.80 to 2.00 times the plain stream), and not on longer ones (0.90)"),
        ((2.0, 0.8, 0.7), "on links of 0 ms (2.00 times the plain stream), and not on longer ones (0.70 to 0.80)"),
        ((0.8, 1.5, 1.5), "on links from 10 ms on (1.50 times the plain stream), and not on shorter ones (0.80)"),
        ((0.8, 1.5, 0.9), "on links of 10 ms (1.50 times the plain stream), and not on the others (0.80 to 0.90)"),
    ],
)
def test_where_it_pays_on_some(others, words):
    pays, sentence = told(1.2, *others)
    assert pays
    assert sentence.endswith(f"; exact pays {words}")


def test_of_several_modes_the_fastest_here_is_named_and_all_are_told_of():
    pays, sentence = advice(0.002, TRIPS, {"sprint": Gain(1.8, (2, 2, 2)), "exact": Gain(0.5, (0.5, 0.5, 0.5))})
    assert pays
    assert "on this link of 2 ms: sprint is 1.8 times the plain stream; sprint pays on all" in sentence
    assert sentence.endswith("; exact is slower than the plain stream on all links up to 100 ms (0.50 times)")


@given(st.floats(0.1, 5.0), st.lists(st.floats(0.1, 5.0), min_size=3, max_size=3))
def test_what_is_said_of_this_link_hangs_on_it_alone(here, others):
    pays, sentence = told(here, *others)
    assert pays is (here >= WORTH_LEAVING)
    assert ("write in mode cloud" in sentence) is not pays
