"""A thousand requests that nobody should send: each gets a clear status, and the traffic beside them is not hurt."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import SERVICE, running
from edge_client.target.client import TargetClient
from edge_client.target.grpc_transport import GrpcTransport
from shared.config import Coupling, Sampling
from shared.errors import TargetRefused
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.streams import refusal

VOCABULARY, CONTEXT = 12, 64
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.9, seed=2)
PROMPT = [1, 2, 3]
# A refusal names a rule; everything else would be an accident.
CLEAR = {
    grpc.StatusCode.INVALID_ARGUMENT: ("PROTOCOL", "INVALID_INPUT"),
    grpc.StatusCode.OUT_OF_RANGE: ("CONTEXT_LENGTH",),
}
EDGES = (0, 1, 2, 11, 12, 63, 64, 65, 2**31 - 1, 2**31, 2**32 - 1)
FLOATS = (0.0, -0.0, 1e-45, 0.5, 1.0, 10.0, 11.0, -1.0, math.inf, -math.inf, math.nan, 3e38)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(ScriptedEngine(SCRIPT, VOCABULARY, slots=4, context=CONTEXT)) as address:
        yield address


def test_a_request_longer_than_the_context_is_told_as_that(address):
    """However it is cut: too many tokens in one message are too long a text, too."""
    with grpc.insecure_channel(address) as channel:
        stub = TargetServiceStub(channel)
        for message in (request([1] * (CONTEXT + 1), 0, SAMPLING), request([1] * (CONTEXT + 1), CONTEXT - 1, SAMPLING)):
            status, reason, sentence = refusal(stub, message)
            assert (status, reason) == (grpc.StatusCode.OUT_OF_RANGE, "CONTEXT_LENGTH")
            assert f"a text of {CONTEXT + 1} tokens does not fit" in sentence


def fuzzed(chance: random.Random) -> wire.DecodeRequest:
    """A request of which one to three fields hold values from the edges of their types."""
    residual = chance.random() < 0.3
    coupling = Coupling.RESIDUAL if residual else Coupling.GUMBEL
    q = [wire.SparseDistribution(ids=[4, 5], probabilities=[0.5, 0.5])] if residual else []
    message = request([*PROMPT, 4], 0, SAMPLING, coupling=coupling, q=q, session_id=chance.randbytes(16))
    sampling, session = message.session.sampling, message.session
    for _ in range(chance.randint(1, 3)):
        match chance.randrange(14):
            case 0:
                message.position = chance.choice(EDGES)
            case 1:
                message.prefix_hash = chance.choice((0, 1, 2**64 - 1))
            case 2:
                message.audit_from = chance.choice(EDGES)
            case 3:
                message.judge_from = chance.choice(EDGES)
            case 4:
                message.write_on = chance.choice(EDGES)
            case 5:
                message.audit_only = not message.audit_only
            case 6:
                message.request_id = chance.choice(EDGES)
            case 7:
                del message.tokens[:]
                message.tokens.extend(chance.choices(EDGES, k=chance.choice((0, 1, 3, 65, 70_000))))
            case 8:
                session.session_id = chance.randbytes(chance.choice((0, 15, 16, 17, 5000)))
            case 9:
                sampling.temperature = chance.choice(FLOATS)
            case 10:
                sampling.top_p = chance.choice(FLOATS)
                sampling.top_k = chance.choice(EDGES)
            case 11:
                sampling.end_ids.extend(chance.choices(EDGES, k=chance.choice((1, 65, 50_000))))
            case 12:
                session.coupling = chance.choice((0, 1, 2, 3, 99))
            case 13:
                ids = chance.choices(EDGES, k=chance.choice((0, 2, 5000)))
                message.q.add(ids=ids, probabilities=chance.choices(FLOATS, k=len(ids) or 1))
    return message


def outcome(call: grpc.Call) -> str:
    """How a call ended: "answered", or the reason of the refusal. Anything else fails the test."""
    with suppress(grpc.RpcError):
        list(call)
    if call.code() is grpc.StatusCode.OK:
        return "answered"
    reason = dict(call.trailing_metadata() or ()).get("tandem-reason")
    assert reason in CLEAR.get(call.code(), ()), (call.code(), call.details())
    assert call.details()
    return reason


class Beside(threading.Thread):
    """Writes the same text again and again until told to stop."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address, self.stop, self.texts, self.error = address, threading.Event(), [], None

    def run(self) -> None:
        try:
            with TargetClient.connect(self.address) as client:
                while not self.stop.is_set():
                    with client.session(SAMPLING, Coupling.GUMBEL, (), len(PROMPT)) as session:
                        written = [own.token for own in session.write_on(PROMPT, 20)]
                    self.texts.append([*PROMPT, *written])
        except Exception as error:
            self.error = error


@pytest.mark.slow
def test_a_thousand_malformed_requests(address):
    chance, outcomes = random.Random(7), Counter()
    beside = Beside(address)
    beside.start()
    with grpc.insecure_channel(address) as channel:
        decode = channel.stream_stream(f"/{SERVICE}/Decode")
        for number in range(1000):
            message = fuzzed(chance).SerializeToString()
            if number % 3 == 0:  # cut, flipped or wholly random bytes
                broken = bytearray(message[: chance.randint(0, len(message))][:5000])
                for _ in range(min(len(broken), 4)):
                    broken[chance.randrange(len(broken))] = chance.randrange(256)
                message = bytes(broken) if number % 2 else chance.randbytes(chance.randrange(200))
            outcomes[outcome(decode(iter([message]), timeout=20))] += 1
    beside.stop.set()
    beside.join(20)
    assert beside.error is None
    assert beside.texts
    expected = alone(SCRIPT, PROMPT, SAMPLING, len(PROMPT) + 20)
    assert all(text == expected for text in beside.texts)
    assert outcomes["PROTOCOL"] > 300
    assert outcomes["INVALID_INPUT"] > 30
    assert outcomes["CONTEXT_LENGTH"] > 30
    assert outcomes["answered"] > 30  # some of it is allowed after all


@pytest.mark.parametrize("method", ["Describe", "Release"])
def test_bytes_that_are_no_message(address, method):
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE}/{method}")(b"\xff" * 9, timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(caught.value.trailing_metadata())["tandem-reason"] == "PROTOCOL"


@pytest.mark.slow
def test_a_message_that_is_too_long(address):
    """The library refuses it, and no edge tries again."""
    transport = GrpcTransport(address)
    link = transport.open()
    session = codec.encode_session(bytes(16), SAMPLING, Coupling.GUMBEL)
    link.send(wire.DecodeRequest(session=session, request_id=1, tokens=[2**31] * 1_000_000))
    with pytest.raises(TargetRefused, match="larger than max"):
        link.receive(20)
    link.close()
    transport.close()
