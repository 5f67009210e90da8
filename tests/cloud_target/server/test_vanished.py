"""Clients that vanish: nothing of it is an error, and the service goes on."""

from __future__ import annotations

import os
import signal
import time
from itertools import product

import grpc
import pytest

from benchmarks.siege.said import framed
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
