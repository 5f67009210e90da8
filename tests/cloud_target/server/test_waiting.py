"""Questions over a real port that come while a pass runs: the next pass reads all of them that belong together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server.server import running
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import Cloud, alone, request
from tests.cloud_target.protocol.test_answer import untimed
from tests.cloud_target.scheduling.gated import CONTEXT, SCRIPT, VOCABULARY, Gated
from tests.cloud_target.server.streams import Stream, refusal

SAMPLING = Sampling(0.8, seed=5)
TRUTH = alone(SCRIPT, [1, 2, 3], SAMPLING, CONTEXT)


@pytest.fixture
def engine() -> Gated:
    return Gated()


@pytest.fixture
def stub(engine: Gated) -> Iterator[TargetServiceStub]:
    with (
        running(engine) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield TargetServiceStub(channel)


def prompt() -> wire.DecodeRequest:
    return request(TRUTH[:3], 0, SAMPLING, audit_from=3, judge_from=3, audit_only=True)


def asked(text: Sequence[int], position: int) -> wire.DecodeRequest:
    return request(text, position, SAMPLING, audit_from=position, judge_from=len(text) - 1)


def test_what_waits_is_read_in_one_pass_and_answered_in_turn(engine, stub):
    wrong = (TRUTH[20] + 1) % VOCABULARY
    questions = [
        prompt(),
        asked(TRUTH[:10], 3),
        asked([*TRUTH[:10], wrong, 0], 11),  # another answer than comes was foreseen
        asked([*TRUTH[:20], wrong], 11),
        asked([*TRUTH[:20], wrong, TRUTH[21], 0], 22),  # on a token that falls
        asked(TRUTH[:30], 21),
    ]
    cloud = Cloud(ScriptedEngine(SCRIPT, VOCABULARY, context=CONTEXT))
    expected = untimed([answer for question in questions for answer in cloud.ask(question)])
    stream = Stream(stub)
    stream.send(questions[0])
    assert engine.begun.wait(timeout=20)
    for number, question in enumerate(questions[1:], 2):
        stream.send(question, number)
    time.sleep(0.5)  # until they have come
    engine.gate.release(99)
    answers = stream.end()
    assert [answer.request_id for answer in answers] == [1, 2, 3, 4, 5, 6]
    for answer in (*answers, *expected):
        answer.request_id = 1
    timings = [answer.verdict.timing.forward_us > 0 for answer in answers if answer.HasField("verdict")]
    assert untimed(answers) == expected
    kinds = [answer.WhichOneof("answer") for answer in answers]
    assert kinds == ["verdict", "verdict", "stale", "verdict", "resync", "verdict"]
    assert len(engine.batches) == 2
    assert timings == [True, True, False, False]


def test_a_request_that_breaks_a_rule_ends_the_stream_in_its_turn(engine, stub):
    engine.gate.release(99)
    bad = asked(TRUTH[:10], 3)
    bad.audit_from = 99
    first, second = prompt(), asked(TRUTH[:10], 3)
    for number, message in enumerate((first, second, bad), 1):
        message.request_id = number
        if number > 1:
            message.ClearField("session")
    call = stub.Decode(iter([first, second, bad]), timeout=20)
    assert [next(call).request_id, next(call).request_id] == [1, 2]
    with pytest.raises(grpc.RpcError, match="audit_from must not be above judge_from"):
        next(call)
    assert refusal(stub, bad)[0] is grpc.StatusCode.INVALID_ARGUMENT
