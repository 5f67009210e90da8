"""Files of what was learned: written whole or not at all, by one at a time."""

from __future__ import annotations

import errno
import os
import sys
import threading

import pytest

from edge_client import state


def test_a_full_disk_leaves_the_old_text_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "learned.json"
    state.replace_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        state.replace_text(path, "new, and longer")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "learned.json"
    assert state.stamp(path) is None
    state.replace_text(path, "a")
    before = state.stamp(path)
    state.replace_text(path, "b")
    assert None is not before != state.stamp(path)


def test_one_at_a_time_holds_a_file(tmp_path):
    path, order = tmp_path / "new" / "learned.json", []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with state.alone(path):
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with state.alone(path):
        inside.set()
        other.join(0.2)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_where_the_system_has_no_such_locks_it_goes_on_without(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    path = tmp_path / "learned.json"
    with state.alone(path), state.alone(path):
        state.replace_text(path, "text")
    assert path.read_text() == "text"


def test_a_file_is_removed_with_its_lock(tmp_path):
    path = tmp_path / "learned.json"
    assert not state.remove(path)
    with state.alone(path):
        state.replace_text(path, "text")
    assert state.remove(path)
    assert list(tmp_path.iterdir()) == []
