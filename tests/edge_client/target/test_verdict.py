"""What a broken or hostile target may answer."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.target.verdict import Question, Reader
from shared.config import Criterion
from shared.errors import ProtocolError, TargetUnavailable
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.edge_client.target.conversation import (
    CONTEXT,
    END,
    PROMPT,
    VOCABULARY,
    Liar,
    open_session,
    respond,
    verdict_of,
)
from tests.shared.test_repetition import plain_repeats

LIES = {
    "more stand than were judged": respond(verdict=verdict_of(4, stands=3)),
    "too short an audit": respond(verdict=verdict_of(1)),
    "too long an audit": respond(verdict=verdict_of(3)),
    "a bitmap of another length": respond(
        verdict=verdict_of(2, audit=wire.Audit(off_strict=b"\0\0", unlikely=b"\0", nll=b"\0\0"))
    ),
    "a token outside the vocabulary": respond(verdict=verdict_of(2, token=VOCABULARY)),
    "no token": respond(verdict=wire.Verdict(audit=verdict_of(2).audit, stands=1)),
    "a log-likelihood beyond a byte": respond(verdict=verdict_of(2, token_nll=256)),
    "a request that was never made": respond(2, verdict=verdict_of(2)),
    "no request at all": respond(0, verdict=verdict_of(2)),
    "a continuation": respond(continuation=wire.Continuation(position=8, tokens=[1], nll=b"\0")),
    "nothing": respond(),
    "stale at the beginning": respond(stale=wire.Stale()),
    "more held than was sent": respond(resync=wire.Resync(held=2**31)),
    "a resync at the beginning": respond(resync=wire.Resync(held=0)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_nonsense_is_refused_in_one_sentence(lie):
    session = open_session(client_of(Liar([lie] * 50)))
    with pytest.raises(ProtocolError) as caught:
        session.judge([*PROMPT, 0, 1, 2], 6)
    assert str(caught.value).startswith("the target") or "both sides" in str(caught.value)
    session.close()


def test_a_target_that_gives_nothing_after_a_prompt_is_refused():
    """Even if the prompt ends with a token that ends texts; else the edge would ask for ever."""
    nothing = respond(verdict=wire.Verdict(audit=verdict_of(0).audit))
    session = open_session(client_of(Liar([nothing] * 2)), (END,))
    with pytest.raises(ProtocolError, match="without the target's own token"):
        list(session.write_on([*PROMPT[:-1], END], 3))
    session.close()


def continuation(position: int = 6, tokens=(1,), nll: bytes | None = None, unlikely: bytes = b"\0", done: bool = False):
    nll = bytes(len(tokens)) if nll is None else nll
    written = wire.Continuation(position=position, tokens=tokens, nll=nll, unlikely=unlikely, done=done)
    return respond(continuation=written)


@pytest.mark.parametrize(
    "lie",
    [
        continuation(position=7),
        continuation(tokens=(1, 2), nll=b"\0"),
        continuation(unlikely=b""),
        continuation(unlikely=b"\0\0"),
        continuation(tokens=(), unlikely=b""),
        continuation(tokens=(VOCABULARY,)),
        continuation(tokens=(0,) * 10, unlikely=b"\0\0"),
        continuation(tokens=(END, 1)),
        respond(verdict=verdict_of(0, stands=0)),
        respond(stale=wire.Stale()),
        respond(),
    ],
)
def test_a_nonsensical_continuation_is_refused(lie):
    session = open_session(client_of(Liar([respond(verdict=verdict_of(0, stands=0)), lie])), (END,))
    written = session.write_on(PROMPT, 10)
    assert next(written) == (0, 0.0, False)
    with pytest.raises(ProtocolError):
        list(written)


@given(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans())
def test_the_token_that_fell_is_told_as_an_audit_of_one(stands, more, unlikely, ends):
    """None fell where all stand, or where the last that stands ends the text."""
    judged = [1, 2, 3, 4][:stands] + [5] * more
    if ends and stands:
        judged[stands - 1] = END
    ids = [*PROMPT, *judged]
    message = verdict_of(stands, stands=stands, fallen_unlikely=unlikely)
    is_over = ends and stands > 0
    if is_over:
        message.ClearField("token")
    found = Reader(VOCABULARY, CONTEXT, {END}).verdict(message, Question(ids, len(PROMPT), len(PROMPT)))
    assert found.fallen.position == len(PROMPT) + stands
    if not more or is_over:
        assert not len(found.fallen)
        return
    assert found.fallen.off(Criterion.STRICT) == [True]
    assert found.fallen.off(Criterion.TYPICAL) == [unlikely or plain_repeats(ids[: len(PROMPT) + stands + 1])]


def test_an_audit_that_writes_is_refused():
    session = open_session(client_of(Liar([respond(verdict=verdict_of(2, stands=0))])))
    with pytest.raises(ProtocolError):
        session.audit([*PROMPT, 0, 1], 1.0)


def test_a_target_that_always_asks_for_more_is_refused_after_two_rounds():
    session = open_session(client_of(Liar([respond(verdict=verdict_of(2)), *[respond(2), respond(3)] * 9])))
    liar = session._link._transport
    session.judge([*PROMPT, 0, 1], 6)
    liar._answers = (respond(number, resync=wire.Resync(held=6)) for number in range(2, 99))
    with pytest.raises(ProtocolError):
        session.judge([*PROMPT, 0, 1, 0, 1], 9)
    assert next(liar._answers).request_id <= 5


numbers = st.integers(0, 9) | st.integers(0, 2**32 - 1)
answers = st.builds(
    lambda request_id, kind, numbers, data, flag: respond(
        request_id,
        **{
            "verdict": {
                "verdict": wire.Verdict(
                    audit=wire.Audit(off_strict=data[:1], unlikely=data[1:2], nll=data[2:]),
                    stands=numbers[0],
                    token_nll=numbers[2],
                    **({"token": numbers[1]} if flag else {}),
                )
            },
            "continuation": {
                "continuation": wire.Continuation(
                    position=numbers[0], tokens=numbers[1:], nll=data, unlikely=data[:1], done=flag
                )
            },
            "stale": {"stale": wire.Stale()},
            "resync": {"resync": wire.Resync(held=numbers[0])},
            "none": {},
        }[kind],
    ),
    st.integers(0, 4),
    st.sampled_from(["verdict", "continuation", "stale", "resync", "none"]),
    st.lists(numbers, min_size=3, max_size=4),
    st.binary(max_size=6),
    st.booleans(),
)


@given(st.lists(answers, max_size=12), st.booleans())
def test_whatever_a_target_says_there_is_a_valid_answer_or_one_of_our_errors(said, writing):
    session = open_session(client_of(Liar(said)), (END,))
    tokens = []
    with suppress(ProtocolError, TargetUnavailable):
        if writing:
            tokens += (own.token for own in session.write_on(PROMPT, 6))
        else:
            verdict = session.judge([*PROMPT, 0, 1, 2], 6)
            assert verdict.stands <= 2
            tokens += [0, 1][: verdict.stands] + ([verdict.own.token] if verdict.own is not None else [])
    assert len(tokens) <= 6
    assert all(0 <= token < VOCABULARY for token in tokens)
