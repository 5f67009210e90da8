"""What is known of bundles: kept as it is, bounded, and nothing where it is damaged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.bundles.standing import MOST_CASES, MOST_RECORDS, Record, Standing, Verdict
from edge_client.promise.trial import LEAST, LONGEST, SAMPLE_TOKENS, WARM_UP

names = st.sampled_from(["", "a", "b", "c"])
additions = st.tuples(st.sampled_from(["x:1", "y:1"]), names, names, st.integers(1, 200), st.integers(0, 200))


def known_of(bundle: str, need: float, texts: int = 20, target: str = "t", known: Standing | None = None) -> Standing:
    known = known or Standing()
    for _ in range(texts):
        known.add("x:1", Record(bundle, target, "k"), SAMPLE_TOKENS, round(need * SAMPLE_TOKENS))
    return known


@given(st.lists(additions, max_size=60), st.booleans())
def test_a_file_says_what_was_written(texts, is_second):
    known = known_of("a", 0.1)
    known.open("x:1", "b", "a", "t", is_second)
    for address, bundle, target, tokens, needed in texts:
        known.add(address, Record(bundle, target, "k"), tokens, min(needed, tokens))
    assert Standing.from_text(known.as_text()) == known


@given(st.data())
def test_a_damaged_file_is_a_value_error_and_nothing_else(data):
    known = known_of("a", 0.1)
    known.open("x:1", "b", "a", "t", False)
    whole = json.loads(known.as_text())
    places = [whole, whole["needs"][0], whole["cases"], whole["cases"]["x:1"], whole["cases"]["x:1"]["trial"]]
    places.append(whole["cases"]["x:1"]["trial"]["measures"]["k"])
    place = data.draw(st.sampled_from(places))
    key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(st.sampled_from([None, -1, "no", [], {}, [None], {"x": 3}, float("nan"), True]))
    text = json.dumps(whole)
    try:
        assert isinstance(Standing.from_text(text), Standing)
    except ValueError:
        return
    Standing.from_text(text).add("x:1", Record("b", "t", "k"), SAMPLE_TOKENS, 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"format": 9, "needs": [], "cases": {}}', '{"format": 1}'])
def test_what_is_no_such_file(text):
    with pytest.raises(ValueError, match=r"must|Expecting|no record"):
        Standing.from_text(text)


def test_it_does_not_grow_for_ever():
    known = Standing()
    for number in range(MOST_RECORDS + 5):
        known.add("x:1", Record(f"{number}", "t", "k"), 5, 1)
    assert len(known.needs) == MOST_RECORDS
    known_of("a", 0.1, known=known)
    for number in range(MOST_CASES + 5):
        known.open(f"x:{number}", "b", "a", "t", False)
    assert len(known.cases) == MOST_CASES
    assert "x:0" not in known.cases


def test_nothing_is_on_trial_where_nothing_was_measured():
    known = known_of("a", 0.1, LEAST - 1)
    known.open("x:1", "b", "a", "t", False)
    assert known.cases == {}
    known_of("a", 0.1, 1, known=known)
    known.open("x:1", "a", "a", "t", False)
    assert known.cases == {}
    known.open("x:1", "b", "a", "t", False)
    assert known.cases["x:1"].is_fair


def test_a_record_of_this_target_goes_before_one_of_another():
    known = known_of("a", 0.3, target="old")
    known.open("x:1", "b", "a", "new", False)
    assert (known.cases["x:1"].is_fair, known.cases["x:1"].trial.measures["k"].usual) == (False, 19 / 64)
    known_of("a", 0.5, target="new", known=known)
    known.open("x:1", "b", "a", "new", False)
    assert (known.cases["x:1"].is_fair, known.cases["x:1"].trial.measures["k"].usual) == (True, 0.5)


def test_the_first_texts_do_not_count_and_enough_of_them_end_it():
    known = known_of("a", 0.1)
    known.open("x:1", "b", "a", "t", False)
    known_of("b", 1.0, WARM_UP // SAMPLE_TOKENS, known=known)
    assert known.cases["x:1"].trial.samples == 0
    known_of("b", 0.1, LONGEST, known=known)
    assert known.cases["x:1"].verdict is Verdict.PASSED
    known_of("b", 1.0, 50, known=known)
    assert known.cases["x:1"].verdict is Verdict.PASSED, "it is over"


def test_with_another_target_the_trial_is_over():
    known = known_of("a", 0.1)
    known.open("x:1", "b", "a", "t", False)
    known.add("x:1", Record("b", "other", "k"), SAMPLE_TOKENS, SAMPLE_TOKENS)
    assert known.cases == {}
