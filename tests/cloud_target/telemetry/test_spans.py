"""Spans of a real service: what belongs to what, how long it took, and nothing of anybody's text."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server.server import running
from cloud_target.telemetry.spans import MOST_PASSES, Spans
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.streams import Stream

# Ids that no count or time is likely to equal.
VOCABULARY, OWN = 60_000, 48_611
PROMPT = [31_337, 52_327, 47_599, 58_943]
TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
TRACEPARENT = f"00-{TRACE:032x}-{PARENT:016x}-01"


def script(text: object) -> np.ndarray:
    logits = np.zeros(VOCABULARY, dtype=np.float32)
    logits[OWN] = 30.0
    return logits


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def stub(memory: InMemorySpanExporter) -> Iterator[TargetServiceStub]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    engine = ScriptedEngine(script, VOCABULARY, context=256)
    with (
        running(engine, traces=Spans(provider)) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        yield TargetServiceStub(channel)


def asked(write_on: int = 0, position: int = 0) -> wire.DecodeRequest:
    return request(PROMPT, position, Sampling(0.0), judge_from=len(PROMPT), write_on=write_on)


def spans_of(memory: InMemorySpanExporter, stub: TargetServiceStub, *metadata: tuple[str, str]) -> list[ReadableSpan]:
    """Those of one stream with two questions: a verdict with 5 tokens after it, and a verdict."""
    call = stub.Decode(iter([asked(5)]), timeout=20, metadata=metadata)
    assert sum(len(answer.continuation.tokens) for answer in call) == 5
    ended(memory, "stream", 1)
    return list(memory.get_finished_spans())


def ended(memory: InMemorySpanExporter, name: str, count: int) -> None:
    """Wait for the last spans of a call, which end after its client has heard of the end."""
    for _ in range(400):
        if sum(span.name == name for span in memory.get_finished_spans()) >= count:
            return
        time.sleep(0.01)
    raise AssertionError([span.name for span in memory.get_finished_spans()])


def by_name(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def test_a_stream_its_question_the_wait_for_room_and_the_passes_belong_together(memory, stub):
    spans = spans_of(memory, stub, ("x-request-id", "my-call"))
    [stream], [question], [room] = (by_name(spans, name) for name in ("stream", "question", "room"))
    passes = by_name(spans, "pass")
    assert len(passes) == 1 + 5
    assert len(spans) == 3 + len(passes)
    assert (stream.parent, stream.kind) == (None, SpanKind.SERVER)
    assert question.parent.span_id == stream.context.span_id
    for child in (room, *passes):
        assert child.parent.span_id == question.context.span_id
        assert question.start_time <= child.start_time <= child.end_time <= question.end_time
    assert stream.start_time <= question.end_time <= stream.end_time
    assert {span.context.trace_id for span in spans} == {stream.context.trace_id}
    assert room.end_time <= min(span.end_time for span in passes)
    assert dict(stream.attributes) == {"tandem.tenant": "", "tandem.request_id": "my-call"}
    about = dict(question.attributes)
    assert (about["tandem.kind"], about["tandem.written"], about["tandem.passes"]) == ("continuation", 6, 6)
    whole = (question.end_time - question.start_time) / 1e9
    assert 0 < about["tandem.forward_seconds"] + about["tandem.queued_seconds"] < whole
    assert all(span.status.status_code is StatusCode.UNSET for span in spans)


def test_a_trace_that_comes_with_a_call_goes_on(memory, stub):
    spans = spans_of(memory, stub, ("traceparent", TRACEPARENT))
    [stream] = by_name(spans, "stream")
    assert (stream.context.trace_id, stream.parent.span_id, stream.parent.is_remote) == (TRACE, PARENT, True)
    assert {span.context.trace_id for span in spans} == {TRACE}


@pytest.mark.parametrize("nonsense", ["", "00-0-0-01", "x" * 4000, TRACEPARENT.replace("4736-", "zzzz-")])
def test_what_is_no_trace_begins_a_new_one(memory, stub, nonsense):
    [stream] = by_name(spans_of(memory, stub, ("traceparent", nonsense)), "stream")
    assert stream.parent is None


def test_a_trace_that_is_not_sampled_makes_no_spans(memory, stub):
    list(stub.Decode(iter([asked(3)]), timeout=20, metadata=(("traceparent", TRACEPARENT[:-1] + "0"),)))
    spans = spans_of(memory, stub)  # all that there are come from here
    assert TRACE not in {span.context.trace_id for span in spans}


def test_questions_of_a_stream_are_told_apart(memory, stub):
    stream = Stream(stub)
    stream.send(asked())
    stream.hear()
    stream.send(request([*PROMPT, OWN, OWN], 4, Sampling(0.0)), 2)
    stream.hear()
    stream.end()
    ended(memory, "stream", 1)
    spans = memory.get_finished_spans()
    questions = by_name(spans, "question")
    assert [dict(span.attributes)["tandem.kind"] for span in questions] == ["verdict", "verdict"]
    assert [span.parent.span_id for span in by_name(spans, "pass")] == [span.context.span_id for span in questions]


@pytest.mark.slow
def test_of_a_long_text_the_later_passes_are_counted_only(memory, stub):
    list(stub.Decode(iter([asked(MOST_PASSES + 9)]), timeout=20))
    ended(memory, "stream", 1)
    spans = memory.get_finished_spans()
    [question] = by_name(spans, "question")
    assert len(by_name(spans, "pass")) == MOST_PASSES
    assert question.attributes["tandem.passes"] == MOST_PASSES + 10


def test_an_error_is_told_by_its_reason(memory, stub):
    bad = asked()
    bad.judge_from = 9
    with pytest.raises(grpc.RpcError):
        list(stub.Decode(iter([bad]), timeout=20))
    ended(memory, "stream", 1)
    [stream] = memory.get_finished_spans()
    assert (stream.status.status_code, stream.status.description) == (StatusCode.ERROR, "PROTOCOL")
    assert stream.events == ()  # where the library would put the sentence


def test_a_question_that_is_given_up_says_so(memory, stub):
    call = stub.Decode(iter([asked(200)]), timeout=20)
    next(call)
    call.cancel()
    ended(memory, "stream", 1)
    spans = memory.get_finished_spans()
    for name in ("question", "stream"):
        [span] = by_name(spans, name)
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "CANCELLED")


@pytest.mark.slow
def test_streams_that_run_at_the_same_time_keep_their_spans_apart(memory, stub):
    streams = [Stream(stub) for _ in range(3)]
    for number, stream in enumerate(streams):
        message = asked(20)
        message.session.session_id = bytes([number]) * 16
        stream.send(message)
    for stream in streams:
        stream.end()
    ended(memory, "stream", 3)
    spans = memory.get_finished_spans()
    assert len({span.context.trace_id for span in spans}) == 3
    for stream in by_name(spans, "stream"):
        own = [span for span in spans if span.context.trace_id == stream.context.trace_id]
        assert (len(by_name(own, "question")), len(by_name(own, "room")), len(by_name(own, "pass"))) == (1, 1, 21)


def test_spans_hold_no_text_and_no_session(memory, stub):
    spans_of(memory, stub)
    bad = request([*PROMPT, VOCABULARY + 1], 0, Sampling(0.0), session_id=b"a secret session")
    with pytest.raises(grpc.RpcError):
        list(stub.Decode(iter([bad]), timeout=20))
    ended(memory, "stream", 2)
    for span in memory.get_finished_spans():
        told = json.dumps([span.name, dict(span.attributes), span.status.description, span.events])
        for secret in (*map(str, PROMPT), str(OWN), "secret", "0123456789abcdef"):
            assert secret not in told
