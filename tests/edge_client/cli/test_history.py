"""What was typed in earlier chats."""

from __future__ import annotations

import os
import stat

import pytest

from edge_client.cli.history import History


def test_it_is_kept_in_order_for_this_user_only(tmp_path):
    history = History(tmp_path / "new" / "history")
    assert history.read() == []
    turns = ["a", "several\nlines", "né 😀 \udcff", ""]
    for turn in turns:
        history.add(turn)
    assert history.read() == turns


@pytest.mark.skipif(os.name == "nt", reason="files have no such modes there")
def test_nobody_else_reads_it(tmp_path):
    path = tmp_path / "history"
    path.touch(0o644)
    History(path).add("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    History(path).add("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lines_that_are_no_turns_are_left_out(tmp_path):
    path = tmp_path / "history"
    path.write_bytes(b'"a"\n{"b": 1}\n\xff\n"cut of')
    assert History(path).read() == ["a"]


def test_it_does_not_grow_for_ever(tmp_path):
    history = History(tmp_path / "history", longest=5)
    for number in range(40):
        history.add(str(number))
        assert history.read() == [str(turn) for turn in range(max(0, number - 4), number + 1)]
        assert len((tmp_path / "history").read_text().splitlines()) <= 10
