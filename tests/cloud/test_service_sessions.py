"""Slots are never lost, never shared, and never taken from someone at work."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.service.sessions import Session, SessionTable
from cloud_target.service.statuses import TargetBusy
from shared import prefix

NAMES = [bytes([65 + i]) * 16 for i in range(5)]
ids = st.lists(st.integers(0, 9), max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), ids), max_size=8))
def test_any_prefix_can_be_checked(rewrites):
    session, text = Session(0), []
    for position, new in rewrites:
        position = min(position, len(text))
        text[position:] = new
        session.rewrite(position, new, cached=min(session.cached, position))
        session.check_integrity()
        assert session.ids == text
        for length in range(len(text) + 1):
            assert session.matches(length, prefix.extend(0, text[:length]))
        assert not session.matches(len(text) + 1, 0)
        assert not session.matches(len(text), prefix.extend(0, [*text, 1]))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["take", "put back", "release"]), st.sampled_from(NAMES))))
def test_any_order_of_uses(slots, actions):
    table, in_use = SessionTable(slots), {}
    for action, name in actions:
        if action == "take" and name not in in_use:
            if len(in_use) < slots:
                in_use[name] = table.take(name)
            else:
                with pytest.raises(TargetBusy, match="busy"):
                    table.take(name)
        elif action == "put back" and name in in_use:
            table.put_back(name)
            del in_use[name]
        elif action == "release":
            table.release(name)
        table.check_integrity()
        assert len({session.slot for session in in_use.values()}) == len(in_use)
    for name in in_use:
        table.put_back(name)
    table.check_integrity()


def test_the_session_idle_for_longest_goes_first():
    table = SessionTable(2)
    for name in (NAMES[0], NAMES[1], NAMES[0]):
        table.take(name).rewrite(0, [1, 2], cached=2)
        table.put_back(name)
    table.take(NAMES[2])
    table.put_back(NAMES[2])
    assert table.take(NAMES[0]).ids == [1, 2]
    assert table.take(NAMES[1]).ids == []


def test_a_session_released_in_use_is_forgotten():
    table = SessionTable(1)
    table.take(NAMES[0]).rewrite(0, [1], cached=1)
    table.release(NAMES[0])
    with pytest.raises(TargetBusy):
        table.take(NAMES[1])
    table.put_back(NAMES[0])
    assert table.take(NAMES[0]).ids == []
    table.check_integrity()
