"""Clients that vanish: nothing of it is an error, and the service goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from itertools import product
from unittest.mock import Mock

import grpc
import pytest
from grpc._cython import cygrpc

from benchmarks.siege.said import framed
from cloud_target.server.endings import ending
from cloud_target.server.vanished import vanished_untold
from shared.config import Sampling
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import PATIENCE, RawPeer

SERVICE = "/tandem.v1.TargetService"
CALLS = [*(f"{SERVICE}/{name}" for name in ("Decode", "Describe", "Release", "FetchBundle"))]
CALLS += ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"]
CALLS += ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]


def a_text() -> wire.DecodeRequest:
    message = request([1, 2, 3], 0, Sampling(0.8, seed=5), write_on=200, session_id=os.urandom(16))
    message.request_id = 1
    return message


@pytest.mark.slow
def test_nothing_of_a_client_that_vanishes_is_an_error():
    with BesiegedProcess(pause=0.02) as server:
        # Before their message, in the middle of it, behind it; whether or not they had read what came.
        for path, share, seconds, window in product(CALLS, (0.0, 0.5, 1.0), (0.0, 0.1), (0, 65_535)):
            message = framed(a_text().SerializeToString() if path.endswith("Decode") else b"")
            with RawPeer(server.address, window) as peer:
                peer.send(peer.call(path), message[: int(share * len(message))])
                time.sleep(seconds * share)
        with grpc.insecure_channel(server.address) as channel:
            stub = TargetServiceStub(channel)
            for number in range(10):
                call = stub.Decode(iter([a_text()]), timeout=PATIENCE)
                next(call)
                time.sleep(0.005 * number)
                call.cancel()
            assert stub.Describe(wire.DescribeRequest(), timeout=PATIENCE).vocabulary
        status, log = server.end(signal.SIGTERM)
    assert status == 0
    assert "draining" in log
    assert [line for line in log.splitlines() if "ERROR" in line or "Traceback" in line or "INTERNAL" in line] == []


async def _logged_of(error: Exception, caplog: pytest.LogCaptureFixture, seconds: float = PATIENCE) -> list[str]:
    """The kinds of errors that the library logs of a call whose handler raises this one."""

    async def fail(*_: object) -> None:
        raise error

    server = grpc.aio.server()
    calls = {"Fail": grpc.stream_stream_rpc_method_handler(fail)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", calls),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    caplog.clear()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.stream_stream("/test/Fail")(timeout=seconds).read()
    await server.stop(None)
    told = [record for record in caplog.records if record.name.startswith("grpc") and record.levelno >= logging.WARNING]
    return [type(record.exc_info[1]).__name__ if record.exc_info else record.message for record in told]


def test_calls_that_end_with_the_server_are_kept_out_of_the_log(caplog):
    async def test() -> None:
        async def ends(context: grpc.aio.ServicerContext) -> None:
            async with ending(context, refused.append):
                raise stopped

        refused: list[str] = []
        stopped = cygrpc._ServerStoppedError("Server already stopped.")
        with vanished_untold():
            assert await _logged_of(stopped, caplog, 0.3) == []
        assert await _logged_of(stopped, caplog, 0.3) == ["Aborting method [/test/Fail] due to server stop."]
        context = Mock(invocation_metadata=lambda: (), peer=lambda: "")
        with pytest.raises(cygrpc._ServerStoppedError):
            await ends(context)
        assert refused == []

    asyncio.run(test())


def test_only_what_could_not_be_sent_is_kept_out_of_the_log(caplog):
    """Which the library tells by an error of its own."""

    async def test() -> None:
        unsent = grpc.aio.InternalError("nobody takes it")
        with vanished_untold():
            assert await _logged_of(unsent, caplog) == []
            assert await _logged_of(ValueError("else"), caplog) == ["ValueError"]
        assert await _logged_of(unsent, caplog) == ["InternalError"]

    asyncio.run(test())
