"""What the gRPC library would refuse by itself has an id, and is told to the operator, like every other refusal."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2

from cloud_target.access.protection import Access
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.sizes import largest_request
from cloud_target.server.connections import ConnectionSettings
from cloud_target.server.server import SERVICE, running
from cloud_target.telemetry.calls import present_call
from cloud_target.telemetry.observer import Observer
from edge_client.target.grpc_transport import error_of
from shared.errors import TargetRefused
from shared.wire.v1 import target_pb2 as wire

PATIENCE = 20.0
LARGEST = 4000
HEALTH, REFLECTION = "/grpc.health.v1.Health", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
CALLS = [f"/{SERVICE}/{method.name}" for method in wire.DESCRIPTOR.services_by_name["TargetService"].methods]
_Status = grpc.StatusCode


class Ear(Observer):
    """Remembers what was refused: the id of the call, and why."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def refused(self, tenant: str, reason: str) -> None:
        call = present_call()
        self.heard.append((call.id if call else "", reason))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def channel(ear) -> Iterator[grpc.Channel]:
    engine, connections = ScriptedEngine(random_script(8), 8), ConnectionSettings(request_bytes=LARGEST)
    with running(engine, observer=ear, connections=connections) as address, grpc.insecure_channel(address) as channel:
        yield channel


def refusal(channel: grpc.Channel, path: str, message: bytes = b"", request_id: str = "mine") -> grpc.Call:
    call = channel.unary_stream(path)(message, timeout=PATIENCE, metadata=(("x-request-id", request_id),))
    with pytest.raises(grpc.RpcError):
        list(call)
    return call


def about(call: grpc.Call) -> tuple[grpc.StatusCode, str | None, str | None]:
    """Status, reason, and the id that came back."""
    trailing = dict(call.trailing_metadata())
    return call.code(), trailing.get("tandem-reason"), trailing.get("x-request-id")


@pytest.mark.parametrize("path", [f"/{SERVICE}/Nothing", f"{HEALTH}/List", "/another.Service/Call", "/", "/x/y/z"])
def test_a_call_that_there_is_not(channel, ear, path):
    call = refusal(channel, path, b"x" * 100)
    assert about(call) == (_Status.UNIMPLEMENTED, "UNKNOWN_CALL", "mine")
    assert ear.heard == [("mine", "UNKNOWN_CALL")]
    ours = error_of(call)
    assert isinstance(ours, TargetRefused)
    assert "another version" in str(ours)
    assert ours.request_id == "mine"


def test_it_is_not_there_for_those_without_a_token_either(ear, tmp_path):
    add_line(tmp_path / "tokens", new_token("acme")[1])
    access = Access(tokens=TokenFile(tmp_path / "tokens"))
    with (
        running(ScriptedEngine(random_script(8), 8), access=access, observer=ear) as address,
        grpc.insecure_channel(address) as channel,
    ):
        assert about(refusal(channel, REFLECTION)) == (_Status.UNIMPLEMENTED, "UNKNOWN_CALL", "mine")
        assert about(refusal(channel, CALLS[0])) == (_Status.UNAUTHENTICATED, "UNAUTHENTICATED", "mine")
    assert ear.heard == [("mine", "UNKNOWN_CALL"), ("mine", "UNAUTHENTICATED")]


def test_a_service_whose_health_nobody_knows(channel, ear):
    call = refusal(channel, f"{HEALTH}/Check", health_pb2.HealthCheckRequest(service="another").SerializeToString())
    assert about(call) == (_Status.NOT_FOUND, "UNKNOWN_SERVICE", "mine")
    assert ear.heard == [("mine", "UNKNOWN_SERVICE")]


@pytest.mark.parametrize("path", [*CALLS, f"{HEALTH}/Check", f"{HEALTH}/Watch", REFLECTION])
@pytest.mark.parametrize("size", [LARGEST + 1, 2 * LARGEST])
def test_a_message_that_is_too_large(channel, ear, path, size):
    """It is refused before it is read: these bytes are no message of any kind."""
    call = refusal(channel, path, b"\xff" * size)
    assert about(call) == (_Status.INVALID_ARGUMENT, "PROTOCOL", "mine")
    assert call.details() == (
        f"a message of {size} bytes is larger than the {LARGEST} that this target takes; "
        "send less, or ask its operator to take more"
    )
    assert ear.heard == [("mine", "PROTOCOL")]
    ours = error_of(call)
    assert isinstance(ours, TargetRefused), "so that no edge tries again"
    assert ours.request_id == "mine"


def test_the_largest_that_is_taken(channel, ear):
    message = wire.DescribeRequest(padding=b"x" * (LARGEST - 3)).SerializeToString()
    assert len(message) == LARGEST
    [answer] = channel.unary_stream(f"/{SERVICE}/Describe")(message, timeout=PATIENCE)
    assert wire.DescribeResponse.FromString(answer).vocabulary == 8
    assert ear.heard == []


def test_what_is_much_too_large_is_refused_by_the_library_and_no_edge_tries_again(channel):
    """As docs/operations.md tells."""
    call = refusal(channel, CALLS[0], b"x" * (2 * LARGEST + 1))
    assert about(call) == (_Status.RESOURCE_EXHAUSTED, None, None)
    assert isinstance(error_of(call), TargetRefused)


def test_by_itself_a_target_takes_what_a_text_can_need():
    engine = ScriptedEngine(random_script(8), 8)
    with running(engine) as address, grpc.insecure_channel(address) as channel:
        call = refusal(channel, CALLS[0], b"\xff" * (largest_request(engine) + 1))
        assert f"larger than the {largest_request(engine)} that this target takes" in call.details()
