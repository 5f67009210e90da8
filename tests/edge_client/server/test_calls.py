"""A call of a function is taken out of its text however that arrives, and where it is cut, nothing of it is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_client.server.calls import Call
from edge_client.server.structure import opening

NAMES = ("book", "booking", "ring")
ARGUMENTS = '{"day": "Friday }", "guests": {"all": 4}}'


@given(st.sampled_from(NAMES), st.integers(0, 80), st.lists(st.integers(1, 9), max_size=80))
def test_whatever_the_pieces(name, cut, lengths):
    text = opening(name) + ARGUMENTS + "}"
    is_whole = cut >= len(text)
    text = text[:cut]
    whole, streamed = Call(NAMES), Call(NAMES)
    whole.write(text, is_end=True, is_whole=is_whole)
    told, rest = [], text
    for length in lengths:
        piece, rest = rest[:length], rest[length:]
        streamed.write(piece)
        told += streamed.news()
    streamed.write(rest)
    told += streamed.news()
    streamed.write("", is_end=True, is_whole=is_whole)
    told += streamed.news()
    if len(text) < len(opening(name)):
        assert whole.whole() == told == []
        return
    [call] = whole.whole()
    assert call["function"]["name"] == name
    assert call["function"]["arguments"] == (ARGUMENTS if is_whole else text[len(opening(name)) :])
    assert told[0]["function"]["name"] == name
    assert "".join(one["function"]["arguments"] for one in told) == call["function"]["arguments"]
    assert all("name" not in one["function"] for one in told[1:])
