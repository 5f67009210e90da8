"""A call whose name is no text ends nothing: it is refused, and told, like any other that there is not."""

from __future__ import annotations

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from h2.events import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server import accepting
from cloud_target.server.accepting import accepts
from cloud_target.server.server import SERVICE, TargetServer, running
from tests.cloud_target.server.raw_peer import RawPeer

PATIENCE = 20.0


class OddPeer(RawPeer):
    """A peer that calls whatever it is told to."""

    def call_raw(self, path: bytes) -> int:
        self._http.config.validate_outbound_headers = self._http.config.normalize_outbound_headers = False
        stream = self._http.get_next_available_stream_id()
        headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"localhost")]
        self._http.send_headers(stream, [*headers, (b"te", b"trailers"), (b"content-type", b"application/grpc")])
        self._flush()
        return stream

    def status(self, stream: int) -> str | None:
        """Of a call, once it has one; None where the connection went."""
        end = time.monotonic() + PATIENCE
        while stream not in self.statuses and not self.gone and time.monotonic() < end:
            _: list[Event] = self.read(0.5)
        return self.statuses.get(stream)


def is_healthy(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.fixture(scope="module")
def address():
    with running(ScriptedEngine(random_script(8), 8)) as address:
        yield address


@pytest.mark.parametrize(
    "path",
    [
        b"/\xff",
        b"\xff",
        b"/" + SERVICE.encode() + b"/\xff\xfe",
        b"/" + SERVICE.encode() + b"/Decode\xc3",
        b"/\xed\xa0\x80/x",
    ],
)
def test_a_name_that_is_no_text_is_refused(address, path):
    with OddPeer(address) as peer:
        assert peer.status(peer.call_raw(path)) == str(grpc.StatusCode.UNIMPLEMENTED.value[0])
        assert is_healthy(address)
        assert peer.status(peer.call_raw(path)) is not None  # the same connection goes on


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=40).map(lambda name: b"/" + name.translate(None, b"\0\r\n")))
def test_whatever_a_call_is_called_the_service_goes_on(address, path):
    with OddPeer(address) as peer:
        peer.call_raw(path)
        assert is_healthy(address)


def test_a_call_that_cannot_be_looked_at_ends_nothing(monkeypatch, caplog):
    broken = [True]

    def knows(*_: object) -> bool:
        if broken.pop():
            raise ValueError("a secret")
        return False

    monkeypatch.setattr(TargetServer, "_knows", knows)
    with running(ScriptedEngine(random_script(8), 8)) as address:
        with OddPeer(address) as peer:
            assert peer.status(peer.call_raw(b"/a/b")) == str(grpc.StatusCode.CANCELLED.value[0])
        broken.extend([False] * 9)
        assert is_healthy(address)
    assert "a call could not be let in (ValueError)" in caplog.text
    assert "a secret" not in caplog.text


def test_the_library_is_built_as_expected(caplog):
    """Else the service falls back on the library's own loop, and says so."""

    async def main() -> bool:
        server = accepting.open_server((), (), None)
        return isinstance(server, accepting._Server)

    assert asyncio.run(main())
    assert not caplog.records


def test_an_unknown_library_is_fallen_back_on(monkeypatch, caplog):
    monkeypatch.setattr(accepting, "_IS_KNOWN", False)
    with running(ScriptedEngine(random_script(8), 8)) as address:
        assert is_healthy(address)
    assert "install the version that constraints.txt names" in caplog.text


def test_who_accepts_no_calls_any_more_is_dead(monkeypatch, caplog):
    """With the library's own loop, which such a call ends: then the process ends too, and another one can serve."""
    monkeypatch.setattr(accepting, "_IS_KNOWN", False)

    async def main() -> None:
        server = TargetServer(ScriptedEngine(random_script(8), 8), port=0)
        await server.start()
        assert accepts(server._server)
        try:
            with await asyncio.to_thread(OddPeer, server.address) as peer:
                await asyncio.to_thread(peer.call_raw, b"/\xff")
                await asyncio.wait_for(server.dead.wait(), PATIENCE)
        finally:
            await server.stop(0.1)

    asyncio.run(main())
    assert "has stopped accepting calls" in caplog.text
