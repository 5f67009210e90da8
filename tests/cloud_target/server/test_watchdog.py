"""The watchdog: what counts as a pass that hangs, and what is told of it; and what becomes of spare memory."""

from __future__ import annotations

import logging
import threading

from hypothesis import given
from hypothesis import strategies as st

from cloud_target.server.spare_memory import LOOKS, WORTH_IT, SpareMemory, resident, trim
from cloud_target.server.watchdog import Looks, stacks, watching

PATIENCE = 20.0


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.integers(1, 8)), max_size=12))
def test_only_what_is_there_at_look_after_look_hangs(most, runs):
    """Runs of looks at the same pass, or at none: it hangs in the first run of a pass that is longer than allowed."""
    looks, seen = Looks(most), []
    for number, (name, length) in enumerate(runs):
        now = None if name is None else [number]
        seen += [(now, name is not None and turn >= most) for turn in range(length)]
    assert [looks.look(now) for now, _ in seen] == [expected for _, expected in seen]


def test_a_pass_that_hangs_is_told_once_with_where(caplog):
    told, passes = threading.Event(), []

    def hangs() -> None:
        passes.append(1)
        told.set()

    hanging = threading.Event()
    thread = threading.Thread(target=hanging.wait, args=(PATIENCE,), name="engine_0")
    thread.start()
    with caplog.at_level(logging.ERROR, "cloud_target"), watching(lambda: passes, 0.04, hangs):
        assert told.wait(PATIENCE)
    hanging.set()
    thread.join()
    assert passes == [1]
    assert "has not ended within 0.04 seconds" in caplog.text
    assert "engine_0:\n" in caplog.text
    assert "in wait\n" in caplog.text


def test_each_look_is_a_sign_that_python_runs():
    beats = threading.Semaphore(0)
    with watching(lambda: None, 1.0, lambda: None, look=0.001, beat=beats.release):
        assert all(beats.acquire(timeout=PATIENCE) for _ in range(10))


def test_without_a_limit_nothing_hangs():
    with watching(lambda: "always the same", float("inf"), lambda: None, look=0.001):
        assert "watchdog:" not in stacks()


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=80))
def test_memory_is_given_back_where_the_process_has_grown(steps):
    """Never while it has not, and so often at most in one go."""
    size, spare, least, row = 0, 0, 0, 0

    def give() -> None:
        nonlocal spare
        spare = 0

    memory = SpareMemory(lambda: (size + spare) << 20, give)
    for used, left in steps:
        size, spare = used, left
        before = size + spare
        has_grown = (before - least) << 20 > WORTH_IT
        memory.look()
        assert (spare == 0) if has_grown else (spare == left)
        row = row + 1 if has_grown else 0
        if row == LOOKS:
            least, row = size, 0
        elif not has_grown:
            least = min(least, before)


def test_this_process_has_a_size_and_can_be_trimmed():
    trim()
    assert resident() > 1 << 20
