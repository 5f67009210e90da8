"""Provisional tokens: whatever is drafted and taken back, the settled text is that of a stream without them."""

from __future__ import annotations

from contextlib import suppress
from itertools import cycle
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.decoding.text import Event, Provisional, Retract, Text, Token
from edge_client.edge import Edge
from edge_client.stream import Completion
from edge_client.testing import (
    LoopbackTransport,
    ManualClock,
    ScriptedTarget,
    blurred,
    byte_tokenizer,
    random_script,
    replies,
    scripted_bundle,
    scripted_edge,
)
from tests.edge_client.late import LateTransport
from tests.edge_client.scripted_device import fake_cloud, fake_edge

VOCABULARY = byte_tokenizer().get_vocab_size()
WAYS = ({"mode": "sprint"}, {"mode": "exact"}, {"mode": "exact", "coupling": "residual"})


class Page:
    """What a reader has before him, by the rules of the three events."""

    def __init__(self) -> None:
        self.settled: list[Token] = []
        self.provisional: list[Provisional] = []
        self.drafted = 0

    def take(self, event: Event) -> None:
        match event:
            case Provisional():
                self.provisional.append(event)
                self.drafted += 1
            case Retract():
                fallen = self.provisional[-event.tokens :]
                assert (len(fallen), "".join(token.text for token in fallen)) == (event.tokens, event.text)
                del self.provisional[-event.tokens :]
            case Token():
                if self.provisional:
                    first = self.provisional.pop(0)
                    assert (first.id, first.text) == (event.id, event.text)
                self.settled.append(event)

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.settled)

    def agrees_with(self, text: Text) -> bool:
        return [token.id for token in self.settled] == text.continuation and self.text == "".join(text.pieces)


def read(edge: Edge, until: int | None = None) -> tuple[Page, Completion]:
    """A whole text, or up to where Ctrl-C is pressed instead of an event."""
    page = Page()
    with edge.stream("Tom", provisional=True) as stream:
        for count, event in enumerate(stream):
            page.take(event)
            assert page.agrees_with(stream.text)
            if count == until:
                with suppress(KeyboardInterrupt):
                    stream._events.throw(KeyboardInterrupt())
                break
    return page, stream.completion


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_settled_text_is_that_of_a_stream_without_them(data):
    """Random drafts, doubts, windows and arrivals; tokens that are bytes of characters; stops, ends, Ctrl-C."""
    script = random_script(VOCABULARY, data.draw(st.integers(0, 9)), spread=data.draw(st.sampled_from([2.0, 4.0])))
    blur = data.draw(st.sampled_from([0.0, 0.5, 2.0]))
    doubted = data.draw(st.sampled_from([-0.1, -1.0, -4.0]))
    options = data.draw(st.sampled_from(WAYS)) | {
        "window": data.draw(st.integers(1, 12)),
        "max_tokens": data.draw(st.integers(1, 40)),
        "seed": data.draw(st.integers(0, 20)),
        "budget": 0.3,
    }

    plan = data.draw(st.lists(st.booleans(), max_size=60))

    def edge(**more: object) -> Edge:
        bundle = scripted_bundle(blurred(script, blur), doubt=lambda step, draw: float(draw.log_q < doubted))
        late = LateTransport(LoopbackTransport(ScriptedTarget.of(bundle.manifest, script)), plan)
        return scripted_edge(script, bundle=bundle, transport=late, **options, **more)

    whole = edge().generate("Tom").text
    stop = whole[(start := data.draw(st.integers(0, 30))) : start + data.draw(st.integers(1, 3))]
    more = {"stop": stop} if stop else {}
    expected = list(edge(**more).stream("Tom"))
    page, completion = read(edge(**more))
    assert page.settled == expected
    assert page.provisional == []
    assert completion.text == page.text
    cut, completion = read(edge(**more), until=data.draw(st.integers(0, 60)))
    assert cut.settled == expected[: len(cut.settled)]
    assert completion.text == cut.text


@pytest.mark.parametrize("way", WAYS)
def test_there_are_some_where_the_target_is_asked(way):
    """Also with tokens that are parts of characters."""
    late = LateTransport(LoopbackTransport(fake_cloud()), cycle([False] * 5 + [True]))
    page, _ = read(fake_edge(late, max_tokens=60, window=8, **way))
    assert page.drafted > 10


@pytest.mark.parametrize("mode", ["local", "cloud"])
def test_there_are_none_where_nobody_judges(mode):
    page, completion = read(scripted_edge(mode=mode, max_tokens=20))
    assert (page.drafted, page.text) == (0, completion.text)


def test_they_stop_where_the_text_would():
    answer = [*byte_tokenizer().encode(" and Anna. Then").ids]
    script = replies(VOCABULARY, {(*byte_tokenizer().encode("Tom").ids,): answer}, end_id=0)
    bundle = scripted_bundle(script)
    target = LateTransport(LoopbackTransport(ScriptedTarget.of(bundle.manifest, script)), [False] * 30)
    with Edge(bundle=bundle, transport=target, memory=False, clock=ManualClock(), stop="Anna") as edge:
        with edge.stream("Tom", provisional=True, mode="exact", window=20) as stream:
            drafted = "".join(event.text for event in stream if isinstance(event, Provisional))
        assert drafted == stream.completion.text == " and "


def test_those_of_a_text_that_is_given_up_are_taken_back():
    with scripted_edge(mode="exact", coupling="residual", window=20, max_tokens=30) as edge:
        stream = edge.stream("Tom", provisional=True)
        drafted = [next(stream) for _ in range(3)]
        stream.text.cancel()
        (left,) = stream
        assert (left.tokens, left.text) == (3, "".join(token.text for token in drafted))
        assert stream.completion.token_ids == []


def test_the_time_to_the_first_token_is_to_the_first_that_is_settled():
    with scripted_edge(mode="exact", coupling="residual", window=20, max_tokens=30) as edge:
        begin = perf_counter()
        stream = edge.stream("Tom", provisional=True)
        assert isinstance(next(stream), Provisional)
        first_event = perf_counter() - begin
        while perf_counter() - begin < 2 * first_event:
            pass
        usage = stream.finish().usage
        assert first_event < usage.times.first_token_ms / 1e3 < usage.times.total_ms / 1e3
