"""The benchmark of batching runs to its end, on calls that are what it says."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks import batching


def test_calls_follow_one_another_in_pieces_of_the_text():
    words = list(range(5000))
    for slot, (text, feeds) in enumerate(batching.make_calls(6, 9, words)):
        assert batching.SHORTEST <= len(text) <= batching.LONGEST
        for feed in feeds:
            assert (feed.slot, feed.start, feed.score_from) == (slot, len(text), 0)
            assert 1 <= len(feed.tokens) <= batching.NEW
            text = [*text, *feed.tokens]
        assert text == list(range(text[0], text[0] + len(text)))


def test_figures():
    assert batching.figures([*range(1, 100)], 10.0, 7.0) == pytest.approx((50, 90, 99, 9.9, 7.0))


@pytest.mark.slow
def test_it_prints_its_tables(monkeypatch, capsys):
    work = ["--sessions", "1", "3", "--calls", "2", "--rounds", "1", "--latency-calls", "3", "--written", "400"]
    monkeypatch.setattr(sys, "argv", ["batching", "--dtype", "float32", *work])
    assert batching.main() == 0
    out = capsys.readouterr().out
    assert re.search(r"^\| 3 +\| +\d+ \| +\d+ \| +\d+ \| +\d+\.\d\d \|", out, re.M)
    assert re.search(r"^\| 3 +\| +\d+ \| +\d+ \| +\d+\.\d\d \|$", out, re.M), "writing on, with guesses and without"
    assert re.search(r"^\| under prefills +\| +\d+\.\d \|", out, re.M)
