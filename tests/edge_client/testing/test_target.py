"""The scripted target and the real protocol are two readings of one contract: they answer alike, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.testing.in_process import InProcessTarget
from edge_client.testing.loopback import Service, ServiceStream
from edge_client.testing.opinion import Opinion
from edge_client.testing.scripts import random_script
from edge_client.testing.target import ScriptedTarget
from shared import prefix_hash as prefix
from shared.config import Coupling, Sampling
from shared.errors import ContextLengthError, ProtocolError
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.shared.grammar.letters import EXPRESSIONS, kept_to, letters

VOCABULARY, CONTEXT = 6, 20
SESSIONS = (b"0123456789abcdef", b"fedcba9876543210")

ids = st.integers(0, VOCABULARY - 1)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
    top_k=st.sampled_from([0, 3]),
    top_p=st.sampled_from([0.8, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)


def both(seed: int) -> tuple[ScriptedTarget, InProcessTarget]:
    script = random_script(VOCABULARY, seed)
    return (
        ScriptedTarget(script, VOCABULARY, CONTEXT, tokenizer=letters(VOCABULARY)),
        InProcessTarget(
            lambda: ScriptedEngine(script, VOCABULARY, context=CONTEXT, tokenizer=letters(VOCABULARY)),
        ),
    )


def untimed(response: wire.DecodeResponse) -> wire.DecodeResponse:
    """The response without times, but with whether it has any."""
    copy = wire.DecodeResponse.FromString(response.SerializeToString())
    for answer in (copy.verdict, copy.continuation):
        if answer.HasField("timing"):
            answer.timing.Clear()
            answer.timing.SetInParent()
    return copy


class Conversation:
    """One edge that talks to two targets at once, and holds their answers against each other."""

    def __init__(self, targets: tuple[Service, Service], script, data: st.DataObject) -> None:
        self.targets, self.data = targets, data
        self.script = script
        self.session_id = data.draw(st.sampled_from(SESSIONS))
        self.sampling = data.draw(samplings)
        self.coupling = data.draw(st.sampled_from(Coupling))
        self.end_ids = data.draw(st.sampled_from([(), (5,), (2, 5)]))
        self.text = data.draw(st.lists(ids, min_size=1, max_size=6))
        self.prompt = len(self.text)
        self.grammar: wire.Grammar | None = None
        if (expression := data.draw(st.sampled_from([None, *EXPRESSIONS]))) is not None:
            self.grammar = kept_to(expression, self.prompt + data.draw(st.sampled_from([0, 0, 0, -1, 3])))
            self.end_ids = (5,)  # no letter that the grammars need: behind "ab" there would be no way on
        self.sent = 0
        self.last: wire.DecodeRequest | None = None
        self.connect()

    def connect(self) -> None:
        """A new stream; the session is in its first request."""
        self.streams: list[ServiceStream] = [target.stream() for target in self.targets]
        self.numbers = count(1)

    def guess(self, text: list[int]) -> int:
        """What the target would write, or anything."""
        if self.data.draw(st.booleans()):
            return self.data.draw(ids)
        return Opinion(self.script(text), self.sampling, len(text)).own

    def extended(self, text: list[int], most: int) -> list[int]:
        text = list(text)
        for _ in range(min(self.data.draw(st.integers(0, most)), CONTEXT - len(text))):
            text.append(self.guess(text))
        return text

    def q(self, x: int) -> wire.SparseDistribution:
        """A draft's distribution from which x may have been drawn."""
        support = sorted({x, *self.data.draw(st.lists(ids, max_size=3))})
        weights = np.array([self.data.draw(st.floats(0.05, 1.0)) for _ in support])
        return codec.encode_distribution(np.array(support), weights / weights.sum())

    def request(self) -> wire.DecodeRequest:
        """A legal request: of what is on the screen, some audited, then some judged."""
        draw = self.data.draw
        position = draw(st.sampled_from([self.sent, self.sent, 0, draw(st.integers(0, len(self.text)))]))
        shown = self.extended(self.text, draw(st.sampled_from([4, 4, 0])))
        whole = self.extended(shown, draw(st.sampled_from([4, 4, 0])))
        audit_only = draw(st.sampled_from([False, False, True]))
        judge_from = len(whole) if audit_only else len(shown)
        audit_from = draw(st.integers(max(position, self.prompt), max(judge_from, position, self.prompt)))
        audit_from = min(audit_from, judge_from)
        judged = whole[max(judge_from, position) :]
        return wire.DecodeRequest(
            position=position,
            prefix_hash=prefix.extend(0, whole[:position]) ^ (position > 0 and draw(st.integers(0, 9)) == 9),
            tokens=whole[position:],
            audit_from=max(audit_from - position, 0),
            judge_from=max(judge_from - position, 0),
            write_on=0 if audit_only else draw(st.sampled_from([0, 0, 1, 5, 99])),
            audit_only=audit_only,
            q=[self.q(x) for x in judged] if self.coupling is Coupling.RESIDUAL else (),
        )

    def ask(self, message: wire.DecodeRequest) -> None:
        """Send it to both; hear all of the answer, or only its beginning."""
        self.last = message
        message = wire.DecodeRequest.FromString(message.SerializeToString())
        message.request_id = next(self.numbers)
        if message.request_id == 1:
            terms = self.session_id, self.sampling, self.coupling, self.end_ids, self.grammar
            message.session.CopyFrom(codec.encode_session(*terms))
        answers: list[Iterator[wire.DecodeResponse]] = [stream.answers(message) for stream in self.streams]
        heard = self.data.draw(st.sampled_from([1, 2, None]))
        scripted, real = ([untimed(response) for response in islice(answer, heard)] for answer in answers)
        assert [r.SerializeToString() for r in scripted] == [r.SerializeToString() for r in real], (scripted, real)
        for answer in answers:
            answer.close()
        for response in real:
            self.believe(message, response)

    def believe(self, message: wire.DecodeRequest, response: wire.DecodeResponse) -> None:
        if response.HasField("verdict"):
            # Not the text up to the position: a request may be older than what the edge knows by now.
            kept = self.text[: message.position] + list(message.tokens[: message.judge_from + response.verdict.stands])
            self.text = kept + ([response.verdict.token] if response.verdict.HasField("token") else [])
            self.sent = len(self.text)
        elif response.HasField("continuation"):
            self.text = self.text[: response.continuation.position] + list(response.continuation.tokens)
            self.sent = len(self.text)
        else:
            self.sent = response.resync.held if self.data.draw(st.booleans()) else 0
        self.sent = min(self.sent, len(self.text))


@pytest.mark.slow
@settings(max_examples=150)
@given(st.integers(0, 99), st.data())
def test_it_answers_as_the_real_protocol_does(seed, data):
    targets = both(seed)
    talks = [Conversation(targets, random_script(VOCABULARY, seed), data) for _ in range(2)]
    assert targets[0].describe() == targets[1].describe()
    for _ in range(data.draw(st.integers(1, 12))):
        talk = data.draw(st.sampled_from(talks))
        match data.draw(st.sampled_from([*["request"] * 6, "repeat", "connect", "evict", "restart", "release"])):
            case "request":
                talk.ask(talk.request())
            case "repeat" if talk.last is not None:
                talk.ask(talk.last)
            case "connect":
                talk.connect()
            case "evict":
                for target in targets:
                    target.evict()
            case "restart":
                for target in targets:
                    target.restart()
                for each in talks:
                    each.connect()
            case "release":
                for target in targets:
                    target.release(talk.session_id)


def written(stream: ServiceStream, guesses: wire.Guesses, sampling: Sampling, end_ids: tuple[int, ...]) -> list[int]:
    """What is written after a prompt, with guesses between any two answers."""
    session, numbers = codec.encode_session(SESSIONS[0], sampling, Coupling.GUMBEL, end_ids), count(2)
    request = wire.DecodeRequest(
        session=session, request_id=1, tokens=[1, 2, 3], audit_from=3, judge_from=3, write_on=CONTEXT
    )
    text = [1, 2, 3]
    for answer in stream.answers(request):
        text += [answer.verdict.token] if answer.HasField("verdict") else answer.continuation.tokens
        assert not list(stream.answers(wire.DecodeRequest(request_id=next(numbers), guesses=guesses)))
    return text


@settings(max_examples=30)
@given(st.integers(0, 99), samplings, st.sampled_from([(), (5,)]), st.data())
def test_guesses_change_no_token_of_either(seed, sampling, end_ids, data):
    scripted, real = both(seed)
    expected = written(scripted.stream(), wire.Guesses(tokens=[0]), sampling, end_ids)
    at, wrong = data.draw(st.integers(1, CONTEXT - 1)), data.draw(st.integers(0, CONTEXT))
    line = [(token + (i == wrong)) % VOCABULARY for i, token in enumerate(expected[at:])] or [0]
    guesses = wire.Guesses(position=at, prefix_hash=prefix.extend(0, expected[:at]), tokens=line)
    for target in (scripted, real):
        assert written(target.stream(), guesses, sampling, end_ids) == expected


def first(**fields) -> wire.DecodeRequest:
    session = codec.encode_session(SESSIONS[0], Sampling(), Coupling.GUMBEL)
    return wire.DecodeRequest(**{"session": session, "request_id": 1, "tokens": [1, 2, 3], "judge_from": 3} | fields)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (first(session=None, audit_from=3), ProtocolError),
        (first(position=CONTEXT - 2, prefix_hash=1), ContextLengthError),
        (first(tokens=[1, 2, VOCABULARY], audit_from=3), ProtocolError),
        (first(audit_from=4), ProtocolError),
        (first(audit_from=0), ProtocolError),
    ],
)
def test_what_both_refuse(message, error):
    for target in both(0):
        with pytest.raises(error):
            next(iter(target.stream().answers(message)))


@pytest.mark.parametrize(
    "guesses",
    [
        {},
        {"tokens": [VOCABULARY]},
        {"tokens": [1] * 257},
        {"tokens": [1, 2], "parents": [1]},
        {"tokens": [1, 2], "parents": [1, 0]},
        {"tokens": [1, 2], "parents": [1, 3]},
        {"tokens": [1], "position": CONTEXT + 1},
    ],
)
@pytest.mark.parametrize("more", [{}, {"write_on": 1}])
def test_guesses_that_both_refuse(guesses, more):
    for target in both(0):
        stream = target.stream()
        assert len(list(stream.answers(first(audit_from=3)))) == 1
        with pytest.raises(ProtocolError):
            list(stream.answers(wire.DecodeRequest(request_id=2, guesses=wire.Guesses(**guesses), **more)))


def test_both_refuse_guesses_that_come_first_or_not_alone():
    guesses = wire.Guesses(tokens=[1])
    for target in both(0):
        with pytest.raises(ProtocolError, match="first request of a stream has no guesses"):
            list(target.stream().answers(wire.DecodeRequest(request_id=1, guesses=guesses)))
        stream = target.stream()
        assert len(list(stream.answers(first(audit_from=3)))) == 1
        with pytest.raises(ProtocolError, match="nothing else but its id"):
            list(stream.answers(wire.DecodeRequest(request_id=2, guesses=guesses, tokens=[1])))
