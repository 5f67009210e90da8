"""Spans reach a collector, and one that is away keeps nobody waiting."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from cloud_target.telemetry import exporting, otlp
from cloud_target.telemetry.settings import TelemetrySettings
from shared.config import Sampling
from shared.errors import InputError
from shared.version import version
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.telemetry.scraped import WatchedProcess
from tests.grpc_service import unused_port

_IS_MISSING = "the extra otel is not installed"


def ask(process: WatchedProcess) -> None:
    with grpc.insecure_channel(process.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        message = request([50_001, 50_002], 0, Sampling(), judge_from=2, write_on=3)
        list(TargetServiceStub(channel).Decode(iter([message]), timeout=60))


@pytest.fixture
def collector() -> Iterator[tuple[str, SimpleQueue]]:
    """One that keeps what it gets: its address, and the messages."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason=_IS_MISSING)
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

    got: SimpleQueue = SimpleQueue()

    class Collector(service.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            got.put(request)
            return messages.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(Collector(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", got
    server.stop(None).wait()


@pytest.mark.slow
def test_the_spans_of_a_process_reach_its_collector_at_its_end_at_the_latest(collector):
    url, got = collector
    with WatchedProcess(traces=url) as process:
        ask(process)
        status, log = process.end(signal.SIGTERM)
    assert status == 0
    [of_process] = got.get(timeout=20).resource_spans
    about = {one.key: one.value.string_value for one in of_process.resource.attributes}
    assert (about["service.name"], about["service.version"]) == ("tandem-target", version())
    names = [span.name for scope in of_process.scope_spans for span in scope.spans]
    assert sorted(names) == ["pass"] * 4 + ["question", "room", "stream"]
    [line] = [line for line in map(json.loads, log.splitlines()) if line["event"] == "stream ended"]
    [stream] = [span for scope in of_process.scope_spans for span in scope.spans if span.name == "stream"]
    assert line["request"] in {one.value.string_value for one in stream.attributes}


@pytest.mark.slow
def test_a_collector_that_is_away_does_not_delay_the_end():
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason=_IS_MISSING)
    with WatchedProcess(traces=f"http://127.0.0.1:{unused_port()}") as process:
        ask(process)
        begun = time.monotonic()
        status, log = process.end(signal.SIGTERM)
    assert status == 0
    assert time.monotonic() - begun < 8.0  # an export is tried for ten seconds, and waited for up to thirty
    told = [json.loads(line) for line in log.splitlines()]
    assert "the collector does not take the last spans; they are lost" in {line["event"] for line in told}


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    asked = TelemetrySettings(traces="http://127.0.0.1:4317")
    with pytest.raises(InputError, match=r"--otlp-traces-endpoint needs the package opentelemetry.*\.\[cloud,otel\]"):
        exporting.check(asked)


def test_an_environment_that_cannot_be_used_is_one_sentence(monkeypatch):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc", reason=_IS_MISSING)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-5")
    with pytest.raises(InputError, match=r"variables OTEL_"), otlp.spans_to("http://127.0.0.1:4317"):
        pass


def test_the_environment_may_name_the_service(monkeypatch, collector):
    """There is a collector, or else the library would go on to try, in this process, beside other tests."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,deployment.environment=test")
    with otlp.spans_to(collector[0]) as traces, traces.stream((), "acme"):
        from opentelemetry.trace import get_current_span

        about = dict(get_current_span().resource.attributes)
    assert (about["service.name"], about["deployment.environment"]) == ("mine", "test")
