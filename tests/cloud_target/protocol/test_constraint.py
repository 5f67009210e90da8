"""What a session's grammar asks of the target: which are refused, and that every row has the mask of its own text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.constraint import Constraint, grammars_of
from cloud_target.protocol.describe import describe
from cloud_target.protocol.requests import Limits
from cloud_target.scheduling.chunks import ChunkedFeed
from shared.config import Coupling, Sampling
from shared.errors import InputError, ProtocolError
from shared.grammar import library
from shared.grammar.engine import GrammarEngine
from shared.grammar.source import MOST_BYTES
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import SESSION_ID, Cloud, request
from tests.cloud_target.protocol.test_forthcoming import foreseeing
from tests.shared.grammar.letters import EXPRESSIONS, kept_to, letters

VOCABULARY, END = 6, 5
GRAMMARS = GrammarEngine(letters(VOCABULARY), VOCABULARY)
ids = st.integers(0, VOCABULARY - 1)


def engine_of(*, knows_tokens: bool = True) -> ScriptedEngine:
    tokenizer = letters(VOCABULARY) if knows_tokens else None
    return ScriptedEngine(random_script(VOCABULARY), VOCABULARY, tokenizer=tokenizer)


def session(grammar: wire.Grammar, end_ids=(END,)) -> wire.Session:
    return codec.encode_session(bytes(16), Sampling(), Coupling.GUMBEL, end_ids, grammar)


@st.composite
def feeds(draw) -> tuple[list[int], Feed]:
    """A text up to a feed's first guess, and the feed, whose guesses are a tree."""
    text = draw(st.lists(ids, min_size=1, max_size=12))
    start = draw(st.integers(0, len(text) - 1))
    needed = len(text) - start
    guesses = draw(st.lists(ids, max_size=6))
    score_from = draw(st.integers(0, needed - 1))
    parents = tuple(draw(st.integers(needed - 1, needed + i - 1)) for i in range(len(guesses)))
    feed = Feed(0, start, (*text[start:], *guesses), score_from, Sampling(), spare=len(guesses), parents=parents)
    return text, feed


@settings(max_examples=100, deadline=None)
@given(feeds(), st.sampled_from(EXPRESSIONS), st.integers(0, 14), st.data())
def test_every_row_has_the_mask_of_its_own_text(drawn, expression, begin, data):
    """However the feed is cut into chunks, or left without some guesses."""
    text, feed = drawn
    grammar = kept_to(expression, begin)
    masks = Constraint(GRAMMARS, grammar.source, begin, [END]).masks(text, feed)
    feed = replace(feed, masks=masks)
    plain = GRAMMARS.compile(grammar.source).cursor([END])

    def expected(index: int, of: Feed) -> np.ndarray:
        path, at = [], index
        while at >= 0:
            path.insert(0, of.tokens[at])
            at = of.follows()[at]
        whole = [*text[: of.start], *path]
        allowed = plain.allowed(whole[begin:]) if len(whole) >= begin else None
        return np.full(1, 255, np.uint8) if allowed is None else allowed.bits

    parts = [feed.with_guesses(data.draw(st.integers(0, feed.spare)))]
    chunks, most = ChunkedFeed(feed), data.draw(st.integers(2, 6))
    while not chunks.done:
        parts.append(chunks.next(most))
        chunks.read = parts[-1].end - feed.start
        if parts[-1] is feed:
            break
    for part in parts:
        if part.end - feed.start <= feed.score_from:  # nobody asks for its row
            assert part.masks is None
            continue
        assert part.masks is masks
        rows = masks.rows(part)
        assert len(rows) == len(part.tokens) - part.score_from
        for row, index in zip(rows, range(part.score_from, len(part.tokens)), strict=True):
            assert np.array_equal(row, expected(index, part))


def test_a_mask_is_worked_out_once():
    calls = []
    constraint = Constraint(GRAMMARS, kept_to("a", 1).source, 1, [END])
    masks = constraint.masks([0], Feed(0, 0, (0,), 0, Sampling()))
    masks._work_out = lambda work_out=masks._work_out: calls.append(1) or work_out()
    for _ in range(3):
        masks.prepare()
        masks.rows(Feed(0, 0, (0,), 0, Sampling()))
    assert calls == [1]


@pytest.mark.parametrize(
    ("message", "grammars", "error", "why"),
    [
        (session(kept_to("a", 1)), None, InputError, "keeps no text to a schema"),
        (
            session(wire.Grammar(source="x", engine="llguidance 0.1")),
            GRAMMARS,
            InputError,
            "and the caller with llguidance 0.1; install the same version",
        ),
        (session(wire.Grammar(source="x")), GRAMMARS, InputError, "and the caller with nothing"),
        (
            session(wire.Grammar(source="x" * (MOST_BYTES + 1), engine=library.version())),
            GRAMMARS,
            InputError,
            f"at most {MOST_BYTES} bytes",
        ),
        (session(kept_to("a", 1), ()), GRAMMARS, ProtocolError, "send the tokens that end a text"),
    ],
)
def test_what_cannot_be_kept_to_is_refused_before_anything_is_read(message, grammars, error, why):
    with pytest.raises(error, match=why):
        Constraint.of(message, grammars, message.sampling.end_ids)


def test_a_session_without_a_grammar_has_no_constraint():
    message = codec.encode_session(bytes(16), Sampling(), Coupling.GUMBEL, [END])
    assert Constraint.of(message, GRAMMARS, [END]) is None


def test_a_target_says_whether_it_keeps_to_grammars():
    for engine, said in ((engine_of(), library.version()), (engine_of(knows_tokens=False), "")):
        assert describe(engine, Limits.of(engine)).grammar_engine == said
        assert (grammars_of(engine) is None) == (said == "")


def test_a_grammar_that_does_not_compile_ends_the_call_and_changes_nothing():
    cloud = Cloud(engine_of())
    cloud.ask(request([1, 2], 0, Sampling(), judge_from=2))
    held = list(cloud.table.get(SESSION_ID).ids)
    wrong = request([1, 2, 3], 2, Sampling(), end_ids=[END], grammar=kept_to("(a", 2))
    with pytest.raises(InputError, match="unclosed group"):
        cloud.ask(wrong)
    assert list(cloud.table.get(SESSION_ID).ids)[:2] == held[:2]
    assert cloud.ask(request([1, 2, 3], 2, Sampling()))[0].HasField("verdict")


def test_what_was_read_ahead_under_another_grammar_is_read_again():
    """A session may be gone on with by a stream that asks for another one, with the very same text."""
    text, sampling = [1, 2, 0, 1], Sampling(0.0)

    def judging(length: int, position: int, expression: str) -> wire.DecodeRequest:
        grammar = kept_to(expression, 2)
        return request(text[:length], position, sampling, judge_from=length, end_ids=[END], grammar=grammar)

    for expression, own in (("abc", 2), ("abd", 3)):
        cloud = Cloud(engine_of())
        waiting = request(text, 3, sampling, judge_from=3, end_ids=[END], grammar=kept_to("abc", 2))
        foreseeing(cloud, judging(3, 0, "abc"), [waiting])
        passes = cloud.engine.passes
        again = request(text, 3, sampling, judge_from=3, end_ids=[END], grammar=kept_to(expression, 2))
        assert cloud.ask(again)[0].verdict.token == own
        assert cloud.engine.passes - passes == (expression != "abc")
