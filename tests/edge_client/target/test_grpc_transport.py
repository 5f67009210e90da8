"""The link over real gRPC on loopback: what breaks is mended, and no error of the library comes through."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing, suppress

import grpc
import pytest

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.testing.in_process import InProcessTarget
from edge_client.target.client import TargetClient
from edge_client.target.grpc_transport import ERRORS, GrpcTransport
from edge_client.testing import LoopbackTransport
from shared.config import Coupling, Sampling
from shared.errors import InputError, LinkBroken, TargetBusy, TargetError, TargetRefused, TargetUnavailable
from shared.wire.metadata import SESSION, session_key
from shared.wire.v1 import target_pb2 as wire
from tests.grpc_service import Servicer, serving, unused_port

PROMPT = [1, 2, 3]
SAMPLING = Sampling(seed=3)


def make_cloud() -> InProcessTarget:
    return InProcessTarget(lambda: ScriptedEngine(random_script(50), 50, context=256))


@pytest.fixture
def servicer() -> Servicer:
    return Servicer(make_cloud())


@pytest.fixture
def transport(servicer) -> Iterator[GrpcTransport]:
    with serving(servicer) as port:
        transport = GrpcTransport(f"127.0.0.1:{port}")
        yield transport
        transport.close()


def text_of(client: TargetClient, pause_at: int = -1, pause=lambda: None) -> list[int]:
    """Prompt, some judging, some writing."""
    with client.session(SAMPLING, Coupling.GUMBEL, (), len(PROMPT)) as session:
        text = list(PROMPT)
        for turn in range(20):
            if turn == pause_at:
                pause()
            verdict = session.judge([*text, turn], len(text))
            text += [*[turn][: verdict.stands], verdict.own.token]
        return text + [own.token for own in session.write_on(text, 30)]


def test_a_text_over_grpc_is_the_one_without(servicer, transport):
    address = "127.0.0.1:0"
    expected = text_of(TargetClient(LoopbackTransport(make_cloud()), address))
    client = TargetClient(transport, address)
    assert text_of(client) == expected
    client.close()  # waits for the release
    assert len(servicer.transport.service.table) == 0
    client.close()


def test_a_target_that_restarts_is_found_again(servicer):
    expected = text_of(TargetClient(LoopbackTransport(make_cloud()), ""))
    with serving(servicer) as port:
        pass  # a free port
    lives = [serving(servicer, port), serving(Servicer(make_cloud()), port)]
    lives[0].__enter__()

    def restart() -> None:
        lives[0].__exit__(None, None, None)
        lives[1].__enter__()

    with TargetClient.connect(f"127.0.0.1:{port}") as client:
        assert text_of(client, 7, restart) == expected
    lives[1].__exit__(None, None, None)


class Noting(Servicer):
    """Takes note of (call, session's key) of what is asked of it."""

    def __init__(self, service) -> None:
        super().__init__(service)
        self.noted: list[tuple[str, str | None]] = []
        self.sessions: set[bytes] = set()

    def _note(self, call: str, context) -> None:
        self.noted.append((call, dict(context.invocation_metadata()).get(SESSION)))

    def Describe(self, request, context):
        self._note("Describe", context)
        return super().Describe(request, context)

    def Decode(self, requests, context):
        self._note("Decode", context)
        return super().Decode(self._seen(requests), context)

    def Release(self, request, context):
        self._note("Release", context)
        return super().Release(request, context)

    def _seen(self, requests):
        for request in requests:
            if request.HasField("session"):
                self.sessions.add(request.session.session_id)
            yield request


def test_all_calls_of_a_session_have_one_key_over_breaks_and_no_others_do():
    servicer = Noting(make_cloud())
    with serving(servicer) as port, TargetClient.connect(f"127.0.0.1:{port}") as client:
        with client.session(SAMPLING, Coupling.GUMBEL, (), len(PROMPT)) as session:
            session.judge([*PROMPT, 4], len(PROMPT))
            session._link.hang_up()
            session.judge([*PROMPT, 5], len(PROMPT))
        with client.session(SAMPLING, Coupling.GUMBEL, (), len(PROMPT)) as session:
            session.judge([*PROMPT, 4], len(PROMPT))
    first, second = (key for call, key in servicer.noted if call == "Release")
    assert sorted(call for call, key in servicer.noted if key == first) == ["Decode", "Decode", "Release"]
    assert sorted(call for call, key in servicer.noted if key == second) == ["Decode", "Release"]
    assert first != second
    assert {key for call, key in servicer.noted if call == "Describe"} == {None}
    assert {first, second} == {session_key(id_) for id_ in servicer.sessions}


def test_the_turns_of_a_conversation_have_one_key():
    servicer = Noting(make_cloud())
    prompt = [*PROMPT * 20]
    with serving(servicer) as port, TargetClient.connect(f"127.0.0.1:{port}", kept=1) as client:
        for _ in range(3):
            with client.session(SAMPLING, Coupling.GUMBEL, (), len(prompt), prompt=prompt) as session:
                prompt = [*prompt, session.judge(prompt, len(prompt)).own.token]
                session.finish()
    keys = [key for call, key in servicer.noted if call == "Decode"]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_session_that_begins_on_a_closed_transport_says_so(transport):
    link = transport.open()
    transport.close()
    with pytest.raises(TargetUnavailable, match="closed"):
        link.send(wire.DecodeRequest())
    link.close()


def test_the_table_of_statuses_is_complete():
    assert set(ERRORS) == set(grpc.StatusCode)
    for status in ("UNAVAILABLE", "INTERNAL", "CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED"):
        assert ERRORS[grpc.StatusCode[status]] is LinkBroken
    assert ERRORS[grpc.StatusCode.RESOURCE_EXHAUSTED] is TargetBusy


@pytest.mark.parametrize("status", [s for s in grpc.StatusCode if s is not grpc.StatusCode.OK], ids=lambda s: s.name)
def test_every_status_becomes_an_error_of_ours(servicer, transport, status):
    servicer.abort = status
    with pytest.raises(TargetError, match=r"for a test|not a Tandem target") as caught:
        transport.describe(5.0)
    assert caught.type is ERRORS[status]
    link = transport.open()
    link.send(wire.DecodeRequest())
    with pytest.raises(TargetError) as caught:
        link.receive(5.0)
    assert caught.type is ERRORS[status]
    with pytest.raises(ERRORS[status]):  # and it stays so
        link.receive(5.0)
    link.close()


@pytest.mark.parametrize("status", ["UNAUTHENTICATED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_an_error_has_the_id_by_which_the_target_knows_the_call(servicer, transport, status):
    """As far as it can be shown on a terminal."""
    servicer.abort, servicer.request_id = grpc.StatusCode[status], 'a-1"; b.2 [31m'
    with pytest.raises(TargetError) as caught:
        transport.describe(5.0)
    assert caught.value.request_id == "a-1b.231m"
    link = transport.open()
    link.send(wire.DecodeRequest())
    with pytest.raises(TargetError) as caught:
        link.receive(5.0)
    assert caught.value.request_id == "a-1b.231m"
    link.close()


def test_a_refused_request_says_why(transport):
    link = transport.open()
    link.send(wire.DecodeRequest(request_id=1))
    with pytest.raises(TargetRefused, match="must carry the session"):
        link.receive(5.0)
    link.close()


def test_a_stream_that_ends_is_broken_and_one_that_is_silent_is_not(servicer, transport):
    servicer.ends = True
    link = transport.open()
    link.send(wire.DecodeRequest())
    with pytest.raises(LinkBroken, match="ended the stream"):
        link.receive(5.0)
    servicer.ends, servicer.answered = False, 0
    link = transport.open()
    link.send(wire.DecodeRequest())
    begin = time.monotonic()
    assert link.receive(0.1) is None
    assert link.receive(0.1) is None
    assert time.monotonic() - begin < 2.0
    link.close()
    link.close()
    with pytest.raises(LinkBroken):
        link.send(wire.DecodeRequest())


def test_what_was_sent_may_have_come_where_there_was_a_connection(servicer, transport):
    """It matters to whoever counts what is spent."""
    nowhere = GrpcTransport(f"127.0.0.1:{unused_port()}")
    servicer.abort = grpc.StatusCode.UNAVAILABLE
    for reached, there in ((True, transport), (False, nowhere), (False, nowhere)):
        link = there.open()
        link.send(wire.DecodeRequest(request_id=1))
        with pytest.raises(LinkBroken) as caught:
            link.receive(10.0)
        assert caught.value.reached is reached
        link.close()
    nowhere.close()


def test_nothing_raises_after_close(transport):
    transport.close()
    transport.release(bytes(16))
    for use in (transport.open, lambda: transport.describe(1.0)):
        with pytest.raises(TargetUnavailable, match="closed") as caught:
            use()
        assert caught.type is TargetUnavailable  # no LinkBroken: another try would not help
    transport.close()


def test_releasing_at_a_dead_target_takes_no_time():
    transport = GrpcTransport(f"127.0.0.1:{unused_port()}")
    begin = time.monotonic()
    transport.release(bytes(16))
    transport.close()
    assert time.monotonic() - begin < 1.5


@pytest.mark.slow
def test_nobody_at_the_port():
    begin = time.monotonic()
    with pytest.raises(TargetUnavailable, match=r"cannot reach the target at 127\.0\.0\.1:\d+ .*write without it"):
        TargetClient.connect(f"127.0.0.1:{unused_port()}")
    assert time.monotonic() - begin < 5.0


def test_something_else_at_the_port():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(TargetRefused, match="not a Tandem target"):
        TargetClient.connect(f"127.0.0.1:{port}")
    server.stop(None).wait()


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", "localhost:0", "localhost:65536", "http://x:80", "a b:1", ":1", "a:b"]
)
def test_what_is_no_address(address):
    with pytest.raises(InputError, match="host:port"):
        TargetClient.connect(address)


@pytest.mark.parametrize("address", ["localhost:1", "target.example:50051", "[::1]:50051", "10.0.0.1:65535"])
def test_what_is_an_address(address):
    GrpcTransport(address).close()


@pytest.mark.slow
def test_another_program_is_no_target():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            with suppress(OSError):  # the server is closed
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                        connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            closing(GrpcTransport(f"127.0.0.1:{port}")) as transport,
            pytest.raises(LinkBroken, match="what answers there does not speak HTTP/2, so it is no Tandem target"),
        ):
            transport.describe(3.0)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
