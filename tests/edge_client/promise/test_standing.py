"""How verifiers stand against each other, and when a text goes over to another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.standing import (
    MARGIN,
    MOST_BEHIND,
    MOST_CARRIED,
    UNLIKE,
    bounded,
    carried,
    first,
    later,
    leader,
)

NAMES = ("general", "letters", "poems")
NATS = st.floats(0, 50)
LOSSES = st.fixed_dictionaries(dict.fromkeys(NAMES, NATS))


@given(LOSSES, st.floats(0, 20))
def test_the_best_is_at_0_and_nobody_further_behind_than_what_counts(losses, most):
    found = bounded(losses, most)
    assert min(found.values()) == 0
    assert max(found.values()) <= most
    assert all(found[name] == 0 for name in NAMES if losses[name] == min(losses.values()))
    assert all(found[one] <= found[other] for one in NAMES for other in NAMES if losses[one] <= losses[other])


@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0, 8)), max_size=60))
def test_nothing_goes_to_and_fro_on_less_than_two_margins(lost):
    losses, present = first({}, {"general": False, "letters": False}), "general"
    fell, changes = 0.0, 0  # by how much the present one has fallen back from the best that it was
    for general, letters in lost:
        losses, before = later(losses, {"general": general, "letters": letters}), present
        fell = max(fell + (general - letters if before == "general" else letters - general), 0.0)
        present = leader(losses, present)
        assert losses[present] <= MARGIN
        if present != before:
            assert changes == 0 or fell > 2 * MARGIN - 1e-9
            fell, changes = 0.0, changes + 1


@given(LOSSES)
def test_a_text_that_changes_its_kind_goes_over_after_what_a_good_past_may_count(losses):
    stand = later(first({}, dict.fromkeys(NAMES, False)), losses)
    present = leader(stand)
    for _ in range(int(MOST_BEHIND + MARGIN) + 1):
        stand = later(stand, {name: 0.0 if name == "poems" else 1.001 for name in NAMES})
        present = leader(stand, present)
    assert present == "poems"


@given(LOSSES, st.fixed_dictionaries(dict.fromkeys(NAMES, st.booleans())))
def test_a_text_begins_with_what_earlier_ones_prefer_unless_the_prompt_is_unlike_it(known, is_unlike):
    begins, carried_on = leader(first(known, is_unlike)), bounded(known, MOST_CARRIED)
    behind = {name: carried_on[name] + UNLIKE * is_unlike[name] for name in NAMES}
    assert behind[begins] == pytest.approx(min(behind.values()))


def test_where_nothing_is_known_the_first_begins():
    assert leader(first({}, dict.fromkeys(NAMES, False))) == "general"
    assert leader(first({}, dict.fromkeys(NAMES, True))) == "general"
    assert leader(first({}, {"general": True, "letters": False})) == "letters"


@given(st.lists(LOSSES, max_size=10), LOSSES)
def test_what_is_carried_on_is_bounded_and_what_texts_at_once_found_adds_up(texts, last):
    known: dict[str, float] = {}
    for lost in texts:
        known = carried(known, lost)
        assert max(known.values()) <= MOST_CARRIED
    assert carried(known, last) == bounded({n: known.get(n, 0.0) + last[n] for n in NAMES}, MOST_CARRIED)
    assert carried(known, {}) == pytest.approx(known)
