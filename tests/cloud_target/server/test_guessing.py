"""Guesses over a real port: they are taken in as soon as they come, are not answered, and end nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import grpc
import pytest

from cloud_target.engine.interface import Feed
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.guesses import MOST_JUDGED
from cloud_target.server.server import running
from cloud_target.telemetry.observer import Observer
from shared import prefix_hash as prefix
from shared.config import Sampling
from shared.wire.guesses import TEXT, GuessTree, encode_guesses
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.streams import Stream, refusal

VOCABULARY, CONTEXT, WRITE_ON = 6, 200, 100
SCRIPT, SAMPLING, PROMPT = random_script(VOCABULARY), Sampling(0.8, seed=5), [1, 2]
TRUTH = alone(SCRIPT, PROMPT, SAMPLING, CONTEXT)


class Ear(Observer):
    """Remembers what became of guesses."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, int]] = []

    def guessed(self, tenant: str, judged: int, stood: int) -> None:
        self.heard.append((tenant, judged, stood))


class Wide(ScriptedEngine):
    """Has room for as many guesses as one pass judges, and remembers whether feeds had some."""

    def __init__(self) -> None:
        super().__init__(SCRIPT, VOCABULARY, slots=2, context=CONTEXT)
        self.guesses: list[int] = []

    def forward(self, feeds: Sequence[Feed]):
        self.guesses += [feed.spare for feed in feeds]
        return super().forward(feeds)


@pytest.fixture
def engine() -> Wide:
    return Wide()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def stub(engine: Wide, ear: Ear) -> Iterator[TargetServiceStub]:
    with (
        running(engine, observer=ear) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield TargetServiceStub(channel)


def guesses(text: Sequence[int], tokens: Sequence[int], seen: int = 0) -> wire.DecodeRequest:
    tree = GuessTree(len(text), prefix.extend(0, text), tokens, range(TEXT, len(tokens) - 1), seen, [1.0] * len(tokens))
    return wire.DecodeRequest(guesses=encode_guesses(tree))


def begun(write_on: int = WRITE_ON) -> wire.DecodeRequest:
    return request(PROMPT, 0, SAMPLING, judge_from=2, write_on=write_on)


def text_of(answers: Sequence[wire.DecodeResponse]) -> list[int]:
    text = list(PROMPT)
    for answer in answers:
        text += [answer.verdict.token] if answer.HasField("verdict") else answer.continuation.tokens
    return text


def test_what_was_guessed_before_is_written_in_few_passes(stub, engine, ear):
    """A request is read after the guesses that were sent before it."""
    stream = Stream(stub)
    stream.send(begun(0))
    stream.hear()
    stream.send(guesses(TRUTH[:3], TRUTH[3 : 3 + WRITE_ON]), 2)
    stream.send(request(TRUTH[:3], 3, SAMPLING, judge_from=3, write_on=WRITE_ON), 3)
    verdict, *rest = stream.end()
    assert {answer.request_id for answer in (verdict, *rest)} == {3}
    assert text_of([verdict, *rest])[2:] == TRUTH[3 : 4 + WRITE_ON]
    assert len(rest) == math.ceil(WRITE_ON / (MOST_JUDGED + 1))
    judged = sum(engine.guesses)
    assert ear.heard == [("", judged, WRITE_ON - len(rest))]
    assert judged == WRITE_ON - len(rest)


@pytest.mark.parametrize("wrong", [0, 1])
def test_guesses_while_it_writes_change_no_token_and_end_nothing(stub, wrong):
    stream = Stream(stub)
    stream.send(begun())
    answers = [stream.hear()]
    for number in range(2, 60):
        known = len(text_of(answers))
        line = [(token + wrong) % VOCABULARY for token in TRUTH[known : known + 20]]
        if not line or answers[-1].continuation.done:
            break
        stream.send(guesses(TRUTH[:known], line), number)
        answers.append(stream.hear())
    answers += stream.end()
    assert text_of(answers) == TRUTH[: 3 + WRITE_ON]
    assert [answer.continuation.done for answer in answers[1:]] == [False] * (len(answers) - 2) + [True]
    assert {answer.request_id for answer in answers} == {1}


@pytest.mark.slow
def test_a_slow_target_waits_for_an_edge_that_answers_at_once():
    """Each pass takes 40 ms, and guesses about its tokens come within a few: it is a third of the passes, and the text
    is the same."""
    engine = Wide()
    fast = engine.forward

    def slow(feeds: Sequence[Feed]):
        time.sleep(0.04)
        return fast(feeds)

    engine.forward = slow
    with (
        running(engine) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        stream = Stream(TargetServiceStub(channel))
        stream.send(begun())
        answers = [stream.hear()]
        for number in range(2, 200):
            known = len(text_of(answers))
            line = TRUTH[known : known + MOST_JUDGED]
            if answers[-1].continuation.done:
                break
            if line:
                stream.send(guesses(TRUTH[:known], line, seen=known), number)
            answers.append(stream.hear())
        answers += stream.end()
    assert text_of(answers) == TRUTH[: 3 + WRITE_ON]
    assert len(answers) < WRITE_ON / 3


def test_a_newer_request_ends_the_writing_whatever_is_guessed(stub):
    stream = Stream(stub)
    stream.send(begun())
    stream.hear()
    stream.send(guesses(TRUTH[:10], TRUTH[10:20]), 2)
    stream.send(request(TRUTH[:4], 3, SAMPLING, judge_from=3), 3)
    answers = stream.end()
    assert (answers[-1].request_id, answers[-1].verdict.stands, answers[-1].verdict.token) == (3, 1, TRUTH[4])


def test_an_edge_that_leaves_leaves_nothing_behind(stub, engine):
    for number in range(4):
        stream, message = Stream(stub), begun(CONTEXT)
        message.session.session_id = bytes([number]) * 16
        stream.send(message)
        stream.send(guesses(TRUTH[:3], TRUTH[3:]), 2)
        stream.hear()
        stream.call.cancel()
    stream = Stream(stub)
    stream.send(begun())
    assert text_of(stream.end()) == TRUTH[: 3 + WRITE_ON]


FIRST = begun(0)
MORE = guesses(TRUTH[:3], [1])
MORE.write_on = 1


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (MORE, "nothing else but its id"),
        (guesses(TRUTH[:3], [VOCABULARY]), "not below the vocabulary of 6"),
        (guesses(TRUTH[:3], [1] * 257), "257 guesses in one request; send 1 to 256"),
        (guesses([1] * (CONTEXT + 1), [1]), "position 201 are outside the target's context of 200"),
        (wire.DecodeRequest(guesses=wire.Guesses(tokens=[1], parents=[0])), "counted back from it"),
        (wire.DecodeRequest(guesses=wire.Guesses(tokens=[1], parents=[2])), "was not sent on this stream"),
        (wire.DecodeRequest(guesses=wire.Guesses()), "0 guesses"),
        (wire.DecodeRequest(guesses=wire.Guesses(tokens=[1, 2], odds=b"1")), "odds of 1 guesses for 2"),
    ],
)
def test_malformed_guesses_are_refused_in_a_sentence(stub, message, sentence):
    message.request_id = 2
    status, reason, said = refusal(stub, FIRST, message)
    assert (status, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL")
    assert sentence in said
    assert "\n" not in said


def test_guesses_do_not_begin_a_stream(stub):
    message = guesses(TRUTH[:3], [1])
    message.request_id = 1
    assert "first request of a stream has no guesses" in refusal(stub, message)[2]
    message.request_id = 0
    assert "count from 1" in refusal(stub, message)[2]


def test_ids_grow_over_both_kinds_of_requests(stub):
    again = guesses(TRUTH[:3], [1])
    again.request_id = 1
    assert "must grow" in refusal(stub, FIRST, again)[2]


def test_malformed_guesses_end_a_text_that_is_being_written(stub):
    stream = Stream(stub)
    stream.send(begun(CONTEXT))
    stream.hear()
    stream.send(guesses(TRUTH[:3], [VOCABULARY]), 2)
    with pytest.raises(grpc.RpcError, match="not below the vocabulary"):
        stream.end()
