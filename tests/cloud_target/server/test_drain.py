"""A server that stops: what it says and finishes first, and that no edge loses anything, however it is stopped."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud_target.cli import main
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.scheduling.settings import SchedulerSettings
from cloud_target.server import process
from cloud_target.server.server import TargetServer
from cloud_target.server.servicer import SERVICE
from edge_client.edge import Edge
from shared.config import Sampling
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.process import PATIENCE, ScriptedProcess
from tests.edge_client.scripted_device import fake_bundle, fake_edge
from tests.grpc_service import unused_port

Health = health_pb2.HealthCheckResponse
VOCABULARY, CONTEXT = 8, 128
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.8, seed=5)
TRUTH = alone(SCRIPT, [1, 2], SAMPLING, CONTEXT)


class HeldEngine(ScriptedEngine):
    """Holds each pass until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(SCRIPT, VOCABULARY, context=CONTEXT)
        self.inside, self.may_go_on = threading.Event(), threading.Event()

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        self.inside.set()
        assert self.may_go_on.wait(PATIENCE)
        return super().forward(feeds)


async def sent(*messages: wire.DecodeRequest) -> AsyncIterator[wire.DecodeRequest]:
    """Requests of a stream that then stays open."""
    for number, message in enumerate(messages, 1):
        message.request_id = number
        if number > 1:
            message.ClearField("session")
        yield message
    await asyncio.Event().wait()


async def _order() -> None:
    engine = HeldEngine()
    server = TargetServer(engine, port=0)
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub, health = TargetServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        later = request(TRUTH[:6], 5, SAMPLING, write_on=50)
        call = stub.Decode(sent(request(TRUTH[:5], 0, SAMPLING), later), timeout=PATIENCE)
        await call.wait_for_connection()
        await asyncio.to_thread(engine.inside.wait, PATIENCE)
        while not any(stream.pending for stream in server._servicer._streams):
            await asyncio.sleep(0.01)  # until the second request has come, too
        stopping = asyncio.create_task(server.stop(PATIENCE))
        await asyncio.sleep(0)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == Health.NOT_SERVING
        for refused in (stub.Describe(wire.DescribeRequest()), stub.Decode(sent(later)).read()):
            with pytest.raises(grpc.aio.AioRpcError, match="shutting down; connect again") as caught:
                await refused
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not stopping.done()
        engine.may_go_on.set()
        verdicts = [await call.read(), await call.read()]
        assert [(v.request_id, v.verdict.token) for v in verdicts] == [(1, TRUTH[5]), (2, TRUTH[6])]
        with pytest.raises(grpc.aio.AioRpcError, match="shutting down"):  # and nothing of the continuation
            await call.read()
        await stopping


async def _patience_ends() -> None:
    """What is left then is told so: a verdict that does not come, and calls that never asked anything."""
    engine = HeldEngine()
    server = TargetServer(engine, port=0)
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        silent = [
            channel.stream_stream(f"/{SERVICE}/{name}")(sent()) for name in ("Describe", "Release", "FetchBundle")
        ]
        for call in silent:
            await call.wait_for_connection()
        asked = TargetServiceStub(channel).Decode(sent(request(TRUTH[:5], 0, SAMPLING)))
        await asyncio.to_thread(engine.inside.wait, PATIENCE)
        threading.Timer(1.0, engine.may_go_on.set).start()
        await server.stop(drain_seconds=0.1)
        for call in (*silent, asked):
            with pytest.raises(grpc.aio.AioRpcError, match="shutting down; connect again") as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert metadata.REQUEST_ID in dict(caught.value.trailing_metadata())


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [_order, _patience_ends])
def test_a_drain(scenario):
    """First NOT_SERVING and no new calls, then the verdicts that are due, then the end; but not for ever."""
    asyncio.run(scenario())


class Writer(threading.Thread):
    """An edge that writes one text, with its own connection."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self._prompt = [10 + number, 20, 30]
        self._options = {
            "mode": ("cloud", "exact", "sprint")[number % 3],
            "temperature": 0.8,
            "top_p": 0.95,
            "seed": number,
            "criterion": "strict",
            "budget": 0.1,
            "max_tokens": 70,
            "on_outage": "wait",
        }
        self.address, self.written, self.error = "", [], None

    def undisturbed(self) -> list[int]:
        return fake_edge().generate(self._prompt, **self._options).token_ids

    def run(self) -> None:
        try:
            with Edge(self.address, bundle=fake_bundle(), memory=False, **self._options) as edge:
                for token in edge.stream(self._prompt):
                    self.written.append(token.id)
        except Exception as error:
            self.error = error


@pytest.mark.slow
def test_no_running_call_is_lost_whatever_ends_the_server():
    """SIGTERM, then SIGKILL, while six edges write; each time a new server takes the port."""
    edges = [Writer(number) for number in range(6)]
    expected = [edge.undisturbed() for edge in edges]
    process = ScriptedProcess(0.008)
    for edge in edges:
        edge.address = process.address
        edge.start()
    for number, share in ((signal.SIGTERM, 0.2), (signal.SIGKILL, 0.5)):
        end = time.monotonic() + PATIENCE
        while sum(len(edge.written) for edge in edges) < share * sum(map(len, expected)):
            assert time.monotonic() < end
            time.sleep(0.005)
        assert any(edge.is_alive() for edge in edges)
        status, log = process.end(number)
        assert status == (0 if number is signal.SIGTERM else -signal.SIGKILL), log
        process = ScriptedProcess(0.008, process.port)
    for edge in edges:
        edge.join(PATIENCE)
    status, log = process.end(signal.SIGTERM)
    assert (status, [edge.error for edge in edges]) == (0, [None] * 6), log
    assert [edge.written for edge in edges] == expected


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once():
    process = ScriptedProcess(10 * PATIENCE)  # a pass
    with grpc.insecure_channel(process.address) as channel:
        prompt = request([10, 20, 30], 0, SAMPLING)
        call = TargetServiceStub(channel).Decode(iter([prompt]))
        health = health_pb2_grpc.HealthStub(channel)
        TargetServiceStub(channel).Describe(wire.DescribeRequest(), timeout=PATIENCE)
        process.signal(signal.SIGTERM)
        while health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE).status == Health.SERVING:
            time.sleep(0.01)
        status, log = process.end(signal.SIGTERM, PATIENCE)  # a tenth of what the pass alone takes
        assert status == -signal.SIGTERM, log
        with pytest.raises(grpc.RpcError):
            list(call)


class LostEngine(ScriptedEngine):
    """Fails at every pass, as a device that fell off its bus."""

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        raise RuntimeError

    def close(self) -> None:
        pass

    is_there = True


@pytest.mark.slow
def test_a_server_whose_engine_is_dead_ends_with_status_1(monkeypatch, capfd):
    port = unused_port()
    monkeypatch.setattr(process, "load_elsewhere", lambda *_: LostEngine(SCRIPT, VOCABULARY, context=CONTEXT))
    statuses = []

    def ask() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(PATIENCE)
            stub = TargetServiceStub(channel)
            for _ in range(SchedulerSettings().dead_after):
                call = stub.Decode(iter([request(TRUTH[:5], 0, SAMPLING)]), timeout=PATIENCE)
                statuses.append(call.code())

    asking = threading.Thread(target=ask)
    asking.start()
    assert main(["serve", "--port", str(port)]) == 1
    asking.join()
    assert grpc.StatusCode.OK not in statuses
    said = capfd.readouterr().err
    assert "the engine fails at every pass" in said
    assert "nobody can be served any more" in said
