"""Calls that wait take turns as a line would that is gone through from its beginning each time."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as some

from cloud_target.server.line import Line

PEERS = some.sampled_from("abcd")
STEPS = some.lists(some.tuples(some.sampled_from(["join", "take", "drop of most", "drop all"]), PEERS), max_size=60)


@given(STEPS)
def test_it_is_what_a_plain_line_is(steps):
    line, plain, waiting = Line[int](), OrderedDict[str, list[int]](), 0
    for number, (step, peer) in enumerate(steps):
        if step == "join":
            line.join(peer, number)
            plain.setdefault(peer, []).append(number)
        elif step == "take" and plain:
            first, calls = plain.popitem(last=False)
            assert line.take() == (first, calls.pop(0))
            plain.update({first: calls} if calls else {})
        elif step == "drop of most":
            most = max(map(len, plain.values()), default=0)
            dropped = line.drop_of_most(but=peer)
            if dropped is None:
                assert most <= len(plain.get(peer, ())) + 1
            else:
                assert len(plain[dropped]) == most > len(plain.get(peer, ())) + 1
                plain[dropped].pop()
        elif step == "drop all":
            assert line.drop_all(peer) == len(plain.pop(peer, ()))
        waiting = sum(map(len, plain.values()))
        assert len(line) == waiting
        assert all((peer in line) == (peer in plain) for peer in "abcd")
    while plain:
        first, calls = plain.popitem(last=False)
        assert line.take() == (first, calls.pop(0))
        plain.update({first: calls} if calls else {})
    with pytest.raises(IndexError):
        line.take()
    assert not line._of_length


def test_all_of_it_is_dropped():
    line = Line[int]()
    for number in range(5):
        line.join("ab"[number % 2], number)
    line.clear()
    assert len(line) == 0
    assert "a" not in line
    assert line.drop_of_most(but="c") is None
