"""What operators see of a real service: every call counted, one line a stream, and nothing that is the user's."""

from __future__ import annotations

import io
import json
import logging
import re

import grpc
import numpy as np
import pytest
from prometheus_client import generate_latest

from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server.server import running
from cloud_target.telemetry.logs import LogObserver, logging_to
from cloud_target.telemetry.metrics import Metrics
from cloud_target.telemetry.observer import together
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request

# Ids that no count or time is likely to equal.
VOCABULARY, OWN = 60_000, 48_611
PROMPT = [31_337, 52_327, 47_599, 58_943]
SESSION_ID = b"a secret session"


def script(text: object) -> np.ndarray:
    logits = np.zeros(VOCABULARY, dtype=np.float32)
    logits[OWN] = 30.0
    return logits


class Seen:
    """A service with everything switched on, as loud as it can be."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        engine = ScriptedEngine(script, VOCABULARY)
        self.metrics = Metrics(engine.description, "0", process=False)
        with (
            logging_to(self.stream, "json", "debug"),
            running(engine, observer=together(self.metrics, LogObserver())) as address,
            grpc.insecure_channel(address) as channel,
        ):
            self.use(TargetServiceStub(channel))
        self.text = self.stream.getvalue()
        self.page = generate_latest(self.metrics.registry).decode()

    def use(self, stub: TargetServiceStub) -> None:
        stub.Describe(wire.DescribeRequest(), timeout=20)
        message = request(PROMPT, 0, Sampling(0.0), judge_from=4, write_on=4, session_id=SESSION_ID)
        for messages in ([message], [request([*PROMPT, OWN, OWN], 4, Sampling(0.0), session_id=SESSION_ID)]):
            list(stub.Decode(iter(messages), timeout=20))
        for bad in (
            request([*PROMPT, VOCABULARY + 1], 0, Sampling(0.0), session_id=SESSION_ID),
            request(PROMPT, 0, Sampling(0.0), judge_from=9, session_id=SESSION_ID),
        ):
            with pytest.raises(grpc.RpcError):
                list(stub.Decode(iter([bad]), timeout=20))
        stub.Release(wire.ReleaseRequest(session_id=SESSION_ID), timeout=20)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


def test_no_token_id_and_no_session_id_is_written_anywhere(seen):
    assert seen.text
    for written in (seen.text, seen.page):
        for token in (*PROMPT, OWN, VOCABULARY + 1):
            assert not re.search(rf"(?<!\d){token}(?!\d)", written), token
        for form in (SESSION_ID.decode(), SESSION_ID.hex(), "secret"):
            assert form not in written


def test_one_line_a_stream_with_its_counts(seen):
    lines = [json.loads(line) for line in seen.text.splitlines()]
    ended = [line for line in lines if line["event"] == "stream ended"]
    assert len(ended) == 4
    first = ended[0]
    # The whole answer to a request counts as what it ended with; its verdict's own token is written too.
    assert (first["continuation"], first["read"], first["written"]) == (1, 4, 5)
    assert first["open"] >= first["answering"] > 0
    refused = [line for line in lines if line["event"] == "refused"]
    assert [(line["reason"], line["level"]) for line in refused] == [("PROTOCOL", "warning"), ("PROTOCOL", "debug")]
    assert len({line["request"] for line in (*ended, *refused)}) == 4  # a stream that is refused has ended, too


def test_every_call_is_counted(seen):
    assert seen.value("tandem_answer_seconds_count", kind="continuation") == 1
    assert seen.value("tandem_answer_seconds_count", kind="verdict") == 1
    assert seen.value("tandem_tokens_read_total", tenant="anonymous") == 6
    assert seen.value("tandem_tokens_written_total", tenant="anonymous") == 6
    assert seen.value("tandem_refusals_total", tenant="anonymous", reason="PROTOCOL") == 2
    assert seen.value("tandem_streams", tenant="anonymous") == 0
    assert seen.value("tandem_pass_seconds_count") == seen.value("tandem_queue_seconds_count") == 6
    assert seen.value("tandem_queue_feeds") == 0
    assert seen.value("tandem_kv_budget_bytes") > seen.value("tandem_kv_used_bytes") == 0
    assert seen.value("tandem_sessions") == 0


def test_the_logger_is_left_as_it_was(seen):
    assert logging.getLogger("cloud_target").handlers == []
