"""Sessions remember a text and how to check any prefix of it; the table keeps them within the cache's room."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.sessions.session import Session
from cloud_target.sessions.table import SessionTable
from cloud_target.telemetry.observer import Observer
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.errors import TargetBusy

NAMES = [bytes([65 + i]) * 16 for i in range(5)]
ids = st.lists(st.integers(0, 9), max_size=6)


def make_engine(blocks: int, block: int = 4) -> ScriptedEngine:
    return ScriptedEngine(random_script(10), 10, blocks, block, block)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), ids), max_size=8))
def test_any_prefix_can_be_checked(rewrites):
    session, text = Session(0), []
    for position, new in rewrites:
        position = min(position, len(text))
        same = 0
        while same < min(len(new), len(text) - position) and new[same] == text[position + same]:
            same += 1
        assert session.agrees(position, new) == position + same
        text[position:] = new
        session.rewrite(position, new, cached=min(session.cached, position))
        session.check_integrity()
        assert session.ids.tolist() == text
        for length in range(len(text) + 1):
            assert session.matches(length, prefix.extend(0, text[:length]))
        assert not session.matches(len(text) + 1, 0)
        assert not session.matches(len(text), prefix.extend(0, [*text, 1]))


class Count(Observer):
    """Remembers what it was told last, and how many were evicted."""

    evictions = 0
    kept_last = (0, 0, 0)

    def kept(self, sessions: int, used: int, budget: int) -> None:
        self.kept_last = sessions, used, budget

    def evicted(self, sessions: int) -> None:
        self.evictions += sessions


actions = st.tuples(
    st.sampled_from(["take", "put back", "put back", "release"]), st.sampled_from(NAMES), st.integers(0, 12)
)


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 6), st.lists(actions))
def test_any_order_of_uses(blocks, actions):
    """Room is never given out twice, and only sessions in use can keep others from having it."""
    table, in_use = SessionTable(make_engine(blocks), observer=(seen := Count())), {}
    for action, name, tokens in actions:
        if action == "take" and name not in in_use:
            others = sum(-(-asked // 4) for asked, _ in in_use.values())
            own = table.get(name).allocated // 4 if table.get(name) else 0
            if others + max(-(-tokens // 4), own) <= blocks:
                session = table.take(name, tokens)
                in_use[name] = session.allocated, session
            else:
                with pytest.raises(TargetBusy, match="try again"):
                    table.take(name, tokens)
        elif action == "put back" and name in in_use:
            allocated, session = in_use.pop(name)
            session.rewrite(0, [1] * min(tokens, allocated), cached=min(tokens, allocated))
            table.put_back(name)
        elif action == "release":
            table.release(name)
        table.check_integrity()
        assert len({session.slot for _, session in in_use.values()}) == len(in_use)
        assert seen.kept_last[1] == table.used * 8 or not table.used
    for name in in_use:
        table.put_back(name)
    table.check_integrity()
    table.clear()
    assert table.used == 0


def write(table: SessionTable, name: bytes, tokens: int, tenant: str = "") -> None:
    table.take(name, tokens, tenant).rewrite(0, [1] * tokens, cached=tokens)
    table.put_back(name)


def test_the_session_idle_for_longest_goes_first():
    table = SessionTable(make_engine(4), observer=(seen := Count()))
    for name in (NAMES[0], NAMES[1], NAMES[0]):
        write(table, name, 8)
    write(table, NAMES[2], 5)
    assert table.get(NAMES[0]).cached == 8
    assert table.get(NAMES[1]) is None
    assert seen.evictions == 1
    assert seen.kept_last == (2, 128, 128)


def test_idle_is_who_was_given_back_long_ago_and_not_who_was_taken_long_ago():
    table = SessionTable(make_engine(3))
    for name in NAMES[:2]:
        table.take(name, 4).rewrite(0, [1] * 4, cached=4)
    for name in (NAMES[1], NAMES[0]):
        table.put_back(name)
    write(table, NAMES[2], 8)
    assert [table.get(name) is None for name in NAMES[:2]] == [False, True]


def test_short_texts_take_little_room():
    table = SessionTable(make_engine(5))
    for name in NAMES:
        write(table, name, 2)
    assert len(table) == len(NAMES)
    assert table.used == 20


def test_what_a_session_has_itself_makes_no_room_for_it():
    table = SessionTable(make_engine(3))
    write(table, NAMES[0], 4)
    table.take(NAMES[1], 8)
    with pytest.raises(TargetBusy):
        table.take(NAMES[0], 8)
    table.check_integrity()


def test_nobody_is_evicted_for_what_cannot_be_had():
    table = SessionTable(make_engine(3))
    write(table, NAMES[0], 4)
    table.take(NAMES[1], 8)
    with pytest.raises(TargetBusy):
        table.take(NAMES[2], 8)
    assert table.get(NAMES[0]).cached == 4


def test_room_that_is_set_aside_is_counted_on_but_nobody_is_evicted_for_it():
    table = SessionTable(make_engine(4))
    for name in NAMES[:2]:
        write(table, name, 4)
    table.take(NAMES[2], 4)
    with pytest.raises(TargetBusy):
        table.take(NAMES[3], 8, aside=5)
    assert table.missing(NAMES[3], 16) == 4
    table.take(NAMES[3], 4, aside=5)
    assert len(table) == 4
    table.check_integrity()


def test_idle_sessions_make_room_for_whoever_waits_but_not_what_waits_itself():
    table = SessionTable(make_engine(4))
    for name in NAMES[:3]:
        write(table, name, 4)
    table.take(NAMES[3], 4)
    table.make_free(NAMES[0], 8)
    assert table.get(NAMES[0]).cached == 4
    assert [table.get(name) is None for name in NAMES[1:4]] == [True, False, False]
    table.make_free(NAMES[4], 16)
    assert [table.get(name) is None for name in NAMES[:4]] == [True, True, True, False]
    table.check_integrity()


def test_a_session_released_in_use_is_forgotten():
    table = SessionTable(make_engine(1))
    table.take(NAMES[0], 4).rewrite(0, [1], cached=1)
    table.release(NAMES[0])
    with pytest.raises(TargetBusy):
        table.take(NAMES[1], 1)
    table.put_back(NAMES[0])
    assert len(table.take(NAMES[0], 4).ids) == 0
    table.check_integrity()


def test_a_session_whose_cache_could_not_be_changed_is_forgotten():
    engine, failures = make_engine(8), []

    def do(change, failed) -> None:
        try:
            change()
        except ValueError:
            failures.append(failed)

    table = SessionTable(engine, do)
    source = table.take(b"a", 10)
    source.rewrite(0, range(10), cached=10)  # which the engine does not hold
    table.put_back(b"a")
    borrower = table.take(b"b", 10)
    engine._held[borrower.slot] = [5] * 10  # and of the other it holds something else
    table.reuse_prefix(borrower, list(range(10)))
    assert borrower.cached == 10
    assert borrower.slot not in engine.held  # so that nothing can build on it
    [failed] = failures
    failed()
    assert table.get(b"a") is table.get(b"b") is None
    table.put_back(b"b")
    table.take(b"b")
    failed()
    assert table.get(b"b") is not None  # another session with that id
    table.check_integrity()


def test_what_was_read_with_one_adapter_is_nothing_to_another():
    engine = ScriptedEngine(random_script(10), 10, 8, 64, 4, adapters={"a": random_script(10, 1)})
    table, text = SessionTable(engine), list(range(9))
    for name, adapter in zip(NAMES, ("", "a", "a", ""), strict=False):
        session = table.take(name, 12, adapter=adapter)
        table.reuse_prefix(session, text)
        found = session.holds(text)
        # Only the second with an adapter, and the second without, can have what another one has read.
        assert found == (9 if name in NAMES[2:4] else 0)
        if not found:
            engine.forward([Feed(session.slot, 0, tuple(text), 8, Sampling(0.0), adapter=adapter)])
            session.rewrite(0, text, cached=9)
        table.put_back(name)
    assert table.get(NAMES[0], "a") is None
    other = table.take(NAMES[0], 12, adapter="a")
    assert (other.cached, len(other.ids)) == (0, 0)
    table.put_back(NAMES[0])
    table.check_integrity()
