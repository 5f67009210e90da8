"""The provisional tokens behind a text: they follow what is likeliest, in good time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edge_client.decoding.preview import PACE, Preview
from edge_client.decoding.text import Origin, Provisional, Retract, Text, Token
from edge_client.testing import byte_tokenizer
from shared.stopping import Stopper
from shared.tokenizer import StreamDecoder

A, B, C, D = byte_tokenizer().encode("abcd").ids


def text_of(stops: Collection[str] = ()) -> Text:
    return Text([A], StreamDecoder(byte_tokenizer(), [A]), Stopper([], stops, 100))


def test_what_stays_likely_is_left_alone():
    preview = Preview(text_of())
    assert list(preview.follow([A, B, C])) == [Provisional(A, "a"), Provisional(B, "b"), Provisional(C, "c")]
    assert list(preview.follow([A, B, C])) == []
    assert list(preview.follow([A, D, B])) == [Retract(2, "bc"), Provisional(D, "d"), Provisional(B, "b")]
    assert list(preview.settle(A, Origin.CONFIRMED)) == [Token(A, "a", Origin.CONFIRMED)]
    assert list(preview.settle(C, Origin.TARGET)) == [Retract(2, "db"), Token(C, "c", Origin.TARGET)]


def test_while_there_is_something_else_to_do_it_is_not_looked_at_every_time():
    now = 0.0
    preview, looked = Preview(text_of(), lambda: now), []

    def likeliest() -> Iterator[int]:
        looked.append(now)
        yield A

    for step in range(1, 31):
        list(preview.follow(likeliest(), waits=False))
        now = step * PACE / 10
    assert len(looked) == 3
    list(preview.follow(likeliest(), waits=True))
    assert len(looked) == 4


def test_who_gives_the_text_up_where_tokens_are_taken_back_gets_no_more():
    text = text_of()
    preview = Preview(text)
    list(preview.follow([A, B]))
    events = []
    for event in preview.settle(C, Origin.TARGET):
        events.append(event)
        text.cancel()
    assert (events, text.continuation) == ([Retract(2, "ab")], [])
