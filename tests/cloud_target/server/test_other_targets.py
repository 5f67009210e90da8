"""A stream that means another target, on a real port: refused by name, before anything is read."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.telemetry.observer import Observer
from edge_client.target.client import TargetClient
from edge_client.target.grpc_transport import error_of
from shared.config import Coupling, Sampling
from shared.errors import OtherTarget
from shared.wire import metadata
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request

VOCABULARY = 8
SAMPLING = Sampling(0.8, seed=5)
THEIRS = "1a9ebb55" * 4


class Ear(Observer):
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, tenant: str, reason: str) -> None:
        self.reasons.append(reason)


def naming(target: str) -> wire.DecodeRequest:
    message = request([1, 2, 3], 0, SAMPLING)
    message.session.target = target
    return message


def test_it_is_a_failed_precondition_with_a_reason_of_its_own_and_no_work():
    engine, ear = ScriptedEngine(random_script(VOCABULARY), VOCABULARY), Ear()
    with (
        running(engine, observer=ear) as address,
        grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
    ):
        stub = TargetServiceStub(channel)
        call = stub.Decode(iter([naming(THEIRS)]), timeout=20)
        with pytest.raises(grpc.RpcError):
            list(call)
        trailing = dict(call.trailing_metadata())
        assert (call.code(), trailing[metadata.REASON]) == (grpc.StatusCode.FAILED_PRECONDITION, "OTHER_TARGET")
        assert (engine.passes, engine.fed) == (0, 0)
        assert ear.reasons == ["OTHER_TARGET"]
        ours = error_of(call)
        assert type(ours) is OtherTarget
        assert "a text of the target 1a9ebb55, and here is scripted (scripted)" in str(ours)
        assert ours.request_id
        for target in (engine.description.fingerprint, ""):
            assert [answer.HasField("verdict") for answer in stub.Decode(iter([naming(target)]), timeout=20)] == [True]
    assert engine.passes == 2


class Exchanged(ScriptedEngine):
    """Another target in the place of the one that the edge was told of."""

    def __init__(self) -> None:
        super().__init__(random_script(VOCABULARY, seed=1), VOCABULARY)
        self.description = replace(self.description, name="new", fingerprint=THEIRS)


def test_an_edge_that_lives_on_finds_the_other_one_over_a_new_connection():
    """The same port, another process behind it: as with a Deployment whose image was exchanged."""
    told: list[str] = []
    with running(ScriptedEngine(random_script(VOCABULARY), VOCABULARY)) as address:
        client = TargetClient.connect(address)
    port = int(address.rpartition(":")[2])
    try:
        with running(Exchanged(), port=port):
            with client.session(SAMPLING, Coupling.GUMBEL, (), 2, notify=told.append) as session:
                session.judge([1, 2, 3], 2)
                assert session.author.fingerprint == THEIRS
            assert client.description.fingerprint == THEIRS
    finally:
        client.close()
    assert told[-1] == (
        f"the target at {address} is new (1a9ebb55) now, and no longer scripted (scripted); it writes this text"
    )
