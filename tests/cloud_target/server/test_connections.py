"""What a connection may cost: values that make sense, enough descriptors, and messages as large as they need be."""

from __future__ import annotations

import resource
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.siege.said import greeting, pings
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.protocol.sizes import largest_request, longest_prompt
from cloud_target.server.connections import CONNECTIONS, ConnectionSettings, channel_options, make_room
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from edge_client.target.client import TargetClient
from shared.addresses import parse_address
from shared.config import Coupling, Sampling
from shared.errors import InputError
from shared.grammar.source import MOST_BYTES
from shared.manifest import MOST_CANDIDATES
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub

Limits = tuple[int, int]


@pytest.mark.parametrize("name", ["idle", "age", "grace"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_spans_that_make_no_sense(name, seconds):
    with pytest.raises(InputError, match=f"--connection-{name} must be above 0"):
        ConnectionSettings(**{name: seconds})


@pytest.fixture
def descriptors(monkeypatch) -> Limits:
    """The limit of this process, as a test sets it."""
    limits = [256, 600]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    return limits


def test_there_are_descriptors_for_all_connections(descriptors):
    assert make_room(100) == 100
    assert descriptors == [256, 600]
    assert make_room(400) == 400
    assert descriptors == [500, 600]
    with pytest.raises(InputError, match="501 connections need 601 file descriptors, and this process may have 600"):
        make_room(501)
    assert make_room(None) == 500
    assert descriptors == [600, 600]
    descriptors[1] = resource.RLIM_INFINITY
    assert make_room(None) == CONNECTIONS
    assert descriptors[0] == CONNECTIONS + 100


@given(st.integers(1, 20_000), st.integers(1, 1 << 20))
def test_the_largest_request_fits(context, vocabulary):
    """A text as long as the context, of the largest ids; with the largest grammar, and a window's distributions."""
    engine, last = ScriptedEngine(random_script(vocabulary), vocabulary, 1, context), vocabulary - 1
    session = codec.encode_session(bytes(16), Sampling(0.7, 5, 0.9, 2**63), Coupling.RESIDUAL, [last] * 64)
    message = wire.DecodeRequest(
        session=session, request_id=1 << 31, position=context, prefix_hash=1, tokens=[last] * context
    )
    assert message.ByteSize() <= longest_prompt(engine)
    message.session.grammar.MergeFrom(wire.Grammar(source="x" * MOST_BYTES, begin=context, engine="llguidance 1.9.1"))
    q = wire.SparseDistribution(ids=[last] * MOST_CANDIDATES, probabilities=[0.5] * MOST_CANDIDATES)
    message.q.extend([q] * 8)
    assert message.ByteSize() <= largest_request(engine) < message.ByteSize() + 1024


def test_a_message_may_be_larger_where_an_operator_says_so():
    engine = ScriptedEngine(random_script(8), 8)
    options = dict(channel_options(ConnectionSettings(request_bytes=5 << 20), engine))
    assert options["grpc.max_receive_message_length"] == 10 << 20, "what is a little too large is told so by ourselves"
    options = dict(channel_options(ConnectionSettings(request_bytes=(1 << 31) - 1), engine))
    assert options["grpc.max_receive_message_length"] == (1 << 31) - 1


@pytest.mark.parametrize("method", ["Describe", "Release", "FetchBundle"])
def test_a_call_without_its_message(method):
    """It is not waited for longer than for anything else."""
    engine = ScriptedEngine(random_script(8), 8)
    with running(engine, timeouts=Timeouts(request=0.1)) as address, grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(f"/tandem.v1.TargetService/{method}")(iter([]), timeout=20)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "ended before its request came" in caught.value.details()
        over = threading.Event()
        call = channel.stream_stream(f"/tandem.v1.TargetService/{method}")(iter(over.wait, True), timeout=20)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        over.set()
        assert "did not come within 0.1 seconds" in caught.value.details()
        assert TargetServiceStub(channel).Describe(wire.DescribeRequest(), timeout=20).context == engine.context


@pytest.mark.slow
def test_pings_are_answered_however_many_there_are():
    """And never counted: what the library does with those that come too soon takes longer with each of them."""
    engine, count, ack = ScriptedEngine(random_script(8), 8), 30_000, b"\0\0\x08\x06\x01\0\0\0\0besieged"
    with running(engine) as address, socket.create_connection(parse_address(address), timeout=20) as peer:
        heard = bytearray()
        peer.sendall(greeting() + pings(count))
        while heard.count(ack) < count:
            part = peer.recv(1 << 20)
            assert part, "it was sent away"
            heard += part
    assert b"too_many_pings" not in heard


def test_more_texts_at_once_than_a_connection_may_have_calls():
    """A device that writes many keeps some back until others have ended, and all are what they would be alone."""
    engine, connections = ScriptedEngine(random_script(8), 8), ConnectionSettings(streams=3)
    with running(engine, connections=connections) as address, TargetClient.connect(address) as client:

        def write(number: int) -> list[int]:
            with client.session(Sampling(0.8, seed=number), Coupling.GUMBEL, (), 2) as session:
                return [own.token for own in session.write_on([1, 2], 20) if own is not None]

        alone = [write(number) for number in range(12)]
        with ThreadPoolExecutor(12) as threads:
            assert list(threads.map(write, range(12))) == alone
    assert {len(text) for text in alone} == {20}
