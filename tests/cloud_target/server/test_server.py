"""A real server on loopback, from calls that work to clients that misbehave."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Iterator, Sequence

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server import lease
from cloud_target.server.server import SERVICE, TargetServer, running
from cloud_target.server.timeouts import Timeouts
from edge_client.target.retry import Retry
from shared import errors
from shared.config import Sampling
from shared.errors import InputError
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.streams import Stream, refusal

VOCABULARY, CONTEXT = 6, 200
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.8, seed=5)
OTHER = b"another session!"


class SlowEngine(ScriptedEngine):
    """Takes its time, and fails when told to."""

    pause = 0.0
    broken = False
    broken_from: int | None = None
    passes_asked = 0

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        time.sleep(self.pause)
        self.passes_asked += 1
        if self.broken or (self.broken_from and self.passes_asked >= self.broken_from):
            message = f"{feeds[0].tokens} are sec" + "ret"
            raise RuntimeError(message)
        return super().forward(feeds)


@pytest.fixture
def engine() -> SlowEngine:
    return SlowEngine(SCRIPT, VOCABULARY, slots=2, context=CONTEXT)


@pytest.fixture
def address(engine: SlowEngine) -> Iterator[str]:
    with running(engine) as address:
        yield address


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> TargetServiceStub:
    return TargetServiceStub(channel)


def write_alone(stub: TargetServiceStub, count: int = 20) -> list[int]:
    stream = Stream(stub)
    stream.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=count - 1, session_id=OTHER))
    verdict, *rest = stream.end()
    return [verdict.verdict.token, *(token for response in rest for token in response.continuation.tokens)]


TRUTH = alone(SCRIPT, [1, 2], SAMPLING, CONTEXT)


def test_describe(stub):
    who = stub.Describe(wire.DescribeRequest(), timeout=10)
    assert (who.name, who.vocabulary, who.context, who.max_request_tokens) == ("scripted", VOCABULARY, CONTEXT, CONTEXT)
    assert (who.fingerprint, who.tokenizer_fingerprint, who.dtype) == ("scripted", "scripted", "float32")


def test_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection(channel):
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    [answer] = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]), timeout=10)
    assert SERVICE in {service.name for service in answer.list_services_response.service}


def test_decode_and_release(stub, engine):
    assert write_alone(stub) == TRUTH[2:22]
    stub.Release(wire.ReleaseRequest(session_id=OTHER), timeout=10)
    stub.Release(wire.ReleaseRequest(session_id=OTHER), timeout=10)
    stream = Stream(stub)
    stream.send(request(TRUTH[:8], 6, SAMPLING, session_id=OTHER))
    assert stream.hear().resync == wire.Resync(held=0)
    stream.send(request(TRUTH[:8], 0, SAMPLING, session_id=OTHER), 2)
    answer = stream.hear()
    assert (answer.request_id, answer.verdict.stands, answer.verdict.token) == (2, 1, TRUTH[8])
    assert answer.verdict.timing.forward_us > 0
    assert stream.end() == []


def good(**fields) -> wire.DecodeRequest:
    message = request([1, 2, 3], 0, SAMPLING, judge_from=2)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_refusals_name_their_reason_and_leave_the_server_alive(stub):
    bare = good()
    bare.ClearField("session")
    hot = good()
    hot.session.sampling.temperature = 99
    second = good(request_id=2)
    stale_id = good()
    stale_id.ClearField("session")
    long = request([1] * 3, 0, SAMPLING)
    long.position = CONTEXT
    cases = [
        ([bare], grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL", "must carry the session"),
        ([good(request_id=0)], grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL", "count from 1"),
        ([good(), second], grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL", "only the first request"),
        ([good(), stale_id], grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL", "must grow"),
        ([hot], grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT", "temperature must be between"),
        ([good(judge_from=9)], grpc.StatusCode.INVALID_ARGUMENT, "PROTOCOL", "must not be above"),
        ([long], grpc.StatusCode.OUT_OF_RANGE, "CONTEXT_LENGTH", "does not fit"),
    ]
    for messages, status, reason, sentence in cases:
        found = refusal(stub, *messages)
        assert found[:2] == (status, reason)
        assert sentence in found[2]
    with pytest.raises(grpc.RpcError, match="16 random bytes"):
        stub.Release(wire.ReleaseRequest(session_id=b"short"), timeout=10)
    assert write_alone(stub) == TRUTH[2:22]


def test_garbage_is_refused(stub, channel):
    method = channel.stream_stream(f"/{SERVICE}/Decode")
    with pytest.raises(grpc.RpcError, match="could not be read"):
        list(method(iter([b"\xff" * 40]), timeout=10))
    assert write_alone(stub) == TRUTH[2:22]


def test_a_newer_request_ends_a_continuation(stub, engine):
    engine.pause = 0.003
    stream = Stream(stub)
    stream.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=150))
    heard = [stream.hear() for _ in range(4)]
    assert [t for r in heard[1:] for t in r.continuation.tokens] == TRUTH[3:6]
    stream.send(request([1, 2, TRUTH[2], 0, 0], 3, SAMPLING, judge_from=3), 2)
    rest = stream.end()
    assert rest[-1].request_id == 2
    assert rest[-1].HasField("verdict")
    assert len(rest) < 60


def test_another_stream_takes_a_session_over(stub, engine):
    engine.pause = 0.003
    old, new = Stream(stub), Stream(stub)
    old.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=150))
    old.hear()
    new.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=3))
    verdict, *rest = new.end()
    assert [verdict.verdict.token, *(t for r in rest for t in r.continuation.tokens)] == TRUTH[2:6]
    left = []
    with pytest.raises(grpc.RpcError, match="another stream goes on with this text now"):
        left.extend(old.call)  # it is told at once, not when its own patience ends
    assert old.call.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert len(left) < 60
    assert not any(response.continuation.done for response in left)


def test_a_release_ends_a_continuation(stub, engine):
    engine.pause = 0.003
    stream = Stream(stub)
    stream.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=150, session_id=OTHER))
    stream.hear()
    stub.Release(wire.ReleaseRequest(session_id=OTHER), timeout=10)
    assert len(stream.end()) < 60


def test_who_finds_no_slot_waits_and_is_then_told(stub, engine, monkeypatch):
    engine.pause = 0.005
    streams = [Stream(stub) for _ in range(3)]
    for number, stream in enumerate(streams):
        text = request([1, 2], 0, SAMPLING, judge_from=2, write_on=20, session_id=bytes([number]) * 16)
        stream.send(text)
    for stream in streams:
        tokens = [t for r in stream.end() for t in (*r.continuation.tokens, r.verdict.token)[:1]]
        assert tokens == TRUTH[2:23]


def test_the_edge_is_still_there_to_be_told():
    assert Retry().attempt / 2 >= Timeouts().patience


def test_busy():
    engine = SlowEngine(SCRIPT, VOCABULARY, slots=1, context=CONTEXT)
    engine.pause = 0.005
    with running(engine, timeouts=Timeouts(patience=0.05)) as address, grpc.insecure_channel(address) as channel:
        stub = TargetServiceStub(channel)
        first = Stream(stub)
        first.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=CONTEXT, session_id=OTHER))
        first.hear()
        assert refusal(stub, good())[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
        first.call.cancel()


def test_a_failing_engine_is_internal_and_logs_no_text(stub, engine, caplog):
    engine.broken = True
    with caplog.at_level(logging.DEBUG):
        status, reason, sentence = refusal(stub, good())
    assert (status, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    logged = caplog.text
    assert "RuntimeError" in logged
    assert "test_server.py" in logged
    assert "secret" not in logged + sentence
    engine.broken = False
    assert write_alone(stub) == TRUTH[2:22]


def test_an_edge_that_vanishes_frees_its_slot(stub, engine):
    engine.pause = 0.003
    for number in range(4):
        stream = Stream(stub)
        stream.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=150, session_id=bytes([number]) * 16))
        stream.hear()
        stream.call.cancel()
    assert write_alone(stub) == TRUTH[2:22]


def test_a_prompt_that_was_given_up_is_read_on_from_there(engine):
    engine.pause, engine.chunk = 0.003, 5
    prompt = [i * i % VOCABULARY for i in range(150)]
    message = request(prompt, 0, SAMPLING, judge_from=150)
    with running(engine) as address, grpc.insecure_channel(address) as channel:
        given_up, again = (Stream(TargetServiceStub(channel)) for _ in range(2))
        given_up.send(message)
        while engine.fed < 50:
            time.sleep(0.001)
        given_up.call.cancel()
        again.send(message)
        [response] = again.end()
    assert response.verdict.token == alone(SCRIPT, prompt, SAMPLING, 151)[-1]
    assert engine.fed <= 150 + 10  # at most the chunk that was under way went twice


def test_stopping_ends_streams_at_once_and_says_so(engine):
    engine.pause = 0.05
    with running(engine) as address:
        channel = grpc.insecure_channel(address)
        busy, idle = (Stream(TargetServiceStub(channel)) for _ in range(2))
        busy.send(request([1, 2], 0, SAMPLING, judge_from=2, write_on=190))
        idle.send(request([1, 2], 0, SAMPLING, judge_from=2, session_id=OTHER))
        busy.hear()
        idle.hear()
    assert engine.fed < 95, "long before the text would have ended"
    for stream in (busy, idle):
        with pytest.raises(grpc.RpcError, match="shutting down"):
            list(stream.call)
        assert stream.call.code() is grpc.StatusCode.UNAVAILABLE
    channel.close()


def test_a_taken_port_is_one_sentence(engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="address already in use; choose another --port"), running(engine, port):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_only_loopback_unless_told(engine, host):
    with pytest.raises(InputError, match="refusing to listen"):
        TargetServer(engine, host)


def test_a_pass_that_fails_after_the_edge_left_is_not_logged_with_its_text(stub, engine, caplog, monkeypatch):
    async def leave(self, sending) -> None:
        await sending
        while engine.passes_asked < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        raise errors.TargetUnavailable("gone")

    monkeypatch.setattr(lease.Lease, "write", leave)
    engine.broken_from = 2
    with caplog.at_level(logging.DEBUG):
        refusal(stub, request([1, 2], 0, SAMPLING, judge_from=2, write_on=5))
        engine.broken_from = None
        monkeypatch.undo()
        assert write_alone(stub) == TRUTH[2:22]
        gc.collect()
    assert "secret" not in caplog.text
    assert "never retrieved" not in caplog.text
