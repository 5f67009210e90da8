"""The bundle over real gRPC: who gets it, how much of it, how many at once, and what those get who ask for more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import grpc
import pytest

from cloud_target.access.admission import Caller
from cloud_target.access.protection import Access
from cloud_target.access.quotas import Quota, Usage
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.bundles.offered import OfferedBundle
from cloud_target.bundles.settings import BundleSettings
from cloud_target.engine.scripted import ScriptedEngine
from cloud_target.server import process
from cloud_target.server.fetches import Fetches
from cloud_target.server.server import running
from cloud_target.server.settings import ServeSettings
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.observer import Observer
from edge_client.bundles.fetching import fetch
from edge_client.target.client import TargetClient
from edge_client.target.outage import tell_nobody
from edge_client.target.retry import Retry
from shared.contents import NAMES
from shared.errors import BundleError, TargetRefused, TargetUnavailable
from shared.wire.bundles import CHUNK_BYTES, decode_contents
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.edge_client.bundles.offers import SCRIPT, VOCABULARY, contents_of, files_of, made

LARGE = 24 << 20  # more than a connection holds of what nobody reads
_Status = grpc.StatusCode


class Ear(Observer):
    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self.reasons: list[tuple[str, str]] = []

    def sent(self, tenant: str, count: int) -> None:
        self.bytes[tenant] = self.bytes.get(tenant, 0) + count

    def refused(self, tenant: str, reason: str) -> None:
        self.reasons.append((tenant, reason))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("small") / "bundle", size=300_000)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("large") / "bundle", size=LARGE)


@contextmanager
def serving(directory: Path | None, **options: object) -> Iterator[str]:
    engine = ScriptedEngine(SCRIPT, VOCABULARY)
    with ExitStack() as opened:
        bundle = opened.enter_context(closing(OfferedBundle(directory))) if directory else None
        yield opened.enter_context(running(engine, bundle=bundle, **options))


@contextmanager
def stub_of(address: str) -> Iterator[TargetServiceStub]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield TargetServiceStub(channel)


def asked(directory: Path, file: str = "draft.onnx", offset: int = 0) -> wire.FetchBundleRequest:
    digest = bytes.fromhex(contents_of(directory).digest)
    return wire.FetchBundleRequest(digest=digest, file=file, offset=offset)


def ended(call: grpc.Call) -> tuple[grpc.StatusCode, str, str]:
    """How a call ends, whatever it sends before."""
    with pytest.raises(grpc.RpcError):
        list(call)
    return call.code(), dict(call.trailing_metadata())["tandem-reason"], call.details()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_what_is_offered_is_what_is_sent(small):
    ear = Ear()
    with serving(small, observer=ear) as address, stub_of(address) as stub:
        described = stub.Describe(wire.DescribeRequest(), timeout=20)
        assert decode_contents(described.bundle) == contents_of(small)
        for name in NAMES:
            chunks = [chunk.data for chunk in stub.FetchBundle(asked(small, name), timeout=20)]
            assert b"".join(chunks) == (small / name).read_bytes()
            assert max(map(len, chunks)) <= CHUNK_BYTES
        rest = stub.FetchBundle(asked(small, offset=299_999), timeout=20)
        assert [chunk.data for chunk in rest] == [(small / "draft.onnx").read_bytes()[-1:]]
    assert ear.bytes == {"": contents_of(small).size + 1}


def test_a_target_without_one_says_so(small):
    with serving(None) as address, stub_of(address) as stub:
        assert not stub.Describe(wire.DescribeRequest(), timeout=20).HasField("bundle")
        status, reason, sentence = ended(stub.FetchBundle(asked(small), timeout=20))
    assert (status, reason) == (_Status.FAILED_PRECONDITION, "REFUSED")
    assert "offers no bundle" in sentence


def test_nothing_else_can_be_asked_for(small):
    with serving(small) as address, stub_of(address) as stub:
        for file in ("../secret", "/etc/passwd", "README.md"):
            status, reason, _ = ended(stub.FetchBundle(asked(small, file), timeout=20))
            assert (status, reason) == (_Status.INVALID_ARGUMENT, "PROTOCOL")
        status, _, sentence = ended(stub.FetchBundle(wire.FetchBundleRequest(file="draft.onnx"), timeout=20))
        assert status is _Status.FAILED_PRECONDITION
        assert "another bundle" in sentence


def test_a_bundle_that_was_changed_is_neither_offered_nor_sent(tmp_path):
    directory = made(tmp_path / "bundle")
    request = asked(directory)
    with serving(directory) as address, stub_of(address) as stub:
        (directory / "draft.onnx").write_bytes(b"half")
        assert not stub.Describe(wire.DescribeRequest(), timeout=20).HasField("bundle")
        status, _, sentence = ended(stub.FetchBundle(request, timeout=20))
    assert status is _Status.FAILED_PRECONDITION
    assert "changed on disk" in sentence


@pytest.mark.slow
def test_so_many_at_once_and_the_next_one_later(large):
    with serving(large, fetches=2) as address, stub_of(address) as stub:
        calls = [stub.FetchBundle(asked(large), timeout=60) for _ in range(2)]
        for call in calls:
            next(call)
        status, reason, _ = ended(stub.FetchBundle(asked(large), timeout=20))
        assert (status, reason) == (_Status.RESOURCE_EXHAUSTED, "BUSY")
        calls[0].cancel()
        _until(lambda: next(iter(stub.FetchBundle(asked(large, offset=LARGE - 1), timeout=20))).data)
        calls[1].cancel()


@pytest.fixture
def tokens(tmp_path) -> tuple[Path, dict[str, str]]:
    """A file of tokens, and the tokens by tenant."""
    path, made_for = tmp_path / "tokens.txt", {}
    for tenant, limits in (("acme", ""), ("boring", ""), ("slow", "bundle-mib-per-hour=1")):
        made_for[tenant], line = new_token(tenant)
        add_line(path, f"{line} {limits}".strip())
    return path, made_for


@pytest.mark.slow
def test_only_those_with_a_token_get_it_and_none_gets_all_of_the_places(large, tokens):
    path, made_for = tokens
    access = Access(tokens=TokenFile(path))
    with serving(large, access=access, fetches=4) as address, stub_of(address) as stub:

        def call(tenant: str) -> grpc.Call:
            return stub.FetchBundle(asked(large), timeout=60, metadata=bearer(made_for[tenant]))

        for metadata in ((), bearer("tandem_0123456789abcdef_nobody")):
            status, reason, _ = ended(stub.FetchBundle(asked(large), timeout=20, metadata=metadata))
            assert (status, reason) == (_Status.UNAUTHENTICATED, "UNAUTHENTICATED")
        mine = [call("acme"), call("acme")]
        for one in mine:
            next(one)
        assert ended(call("acme"))[1] == "LIMIT"
        theirs = [call("boring"), call("boring")]
        for one in theirs:
            next(one)
        assert ended(call("slow"))[1] == "BUSY"
        for one in (*mine, *theirs):
            one.cancel()


def test_a_tenant_has_its_share_of_an_hour_and_goes_on_later(large, tokens):
    path, made_for = tokens
    ear = Ear()
    access = Access(tokens=TokenFile(path))
    with serving(large, access=access, observer=ear) as address, stub_of(address) as stub:
        call = stub.FetchBundle(asked(large), timeout=60, metadata=bearer(made_for["slow"]))
        status, reason, sentence = ended(call)
        assert (status, reason) == (_Status.RESOURCE_EXHAUSTED, "LIMIT")
        assert "has fetched the 1 MiB of an hour" in sentence
        assert int(dict(call.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert 1 << 20 <= ear.bytes["slow"] < (1 << 20) + CHUNK_BYTES


def test_calls_of_a_tenant_are_counted_with_its_others(large, tokens):
    path, made_for = tokens
    access = Access(tokens=TokenFile(path), quota=Quota(calls=1))
    with serving(large, access=access) as address, stub_of(address) as stub:
        metadata = bearer(made_for["acme"])
        call = stub.FetchBundle(asked(large), timeout=60, metadata=metadata)
        next(call)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Describe(wire.DescribeRequest(), timeout=20, metadata=metadata)
        assert caught.value.code() is _Status.RESOURCE_EXHAUSTED
        call.cancel()


@pytest.mark.slow
def test_a_token_that_is_withdrawn_ends_a_call_that_is_under_way(large, tokens):
    path, made_for = tokens
    access = Access(tokens=TokenFile(path))
    timeouts = Timeouts(token_check=0.02)
    with serving(large, access=access, timeouts=timeouts) as address, stub_of(address) as stub:
        call = stub.FetchBundle(asked(large), timeout=60, metadata=bearer(made_for["acme"]))
        next(call)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("acme")))
        assert ended(call)[0] is _Status.UNAUTHENTICATED


@pytest.mark.slow
def test_who_reads_nothing_loses_the_call_and_its_place(large):
    ear = Ear()
    with serving(large, fetches=1, timeouts=Timeouts(unread=0.2), observer=ear) as address, stub_of(address) as stub:
        call = stub.FetchBundle(asked(large), timeout=60)
        _until(lambda: ("", "UNAVAILABLE") in ear.reasons)
        assert next(iter(stub.FetchBundle(asked(large, offset=LARGE - 1), timeout=20))).data
        assert ended(call)[0] is _Status.UNAVAILABLE


@pytest.mark.slow
def test_a_call_takes_so_long_and_the_next_one_goes_on(large, tmp_path):
    """A client of ours gets it all the same."""
    ear = Ear()
    with serving(large, timeouts=Timeouts(fetch=0.02), observer=ear) as address:
        retry = Retry(first_pause=0.001, longest_pause=0.002)
        with TargetClient.connect(address, retry) as client:
            directory = fetch(client, client.description.offered, tmp_path, tell_nobody, lambda *_: None)
    assert files_of(directory) == files_of(large)
    assert ear.reasons.count(("", "UNAVAILABLE")) >= 2
    assert ear.bytes[""] < 2 * contents_of(large).size


def test_a_refusal_is_final_to_a_client_of_ours(small, large, tmp_path):
    with serving(small) as address, TargetClient.connect(address) as client, pytest.raises(TargetRefused):
        fetch(client, contents_of(large), tmp_path, tell_nobody, lambda *_: None)


def test_a_server_that_ends_sends_no_further_chunk_until_it_is_in_service_again(small):
    written: list[bytes] = []

    class Context:
        def __init__(self, then: Callable[[], None]) -> None:
            self._then = then

        async def send_initial_metadata(self, metadata: tuple[()]) -> None:
            pass

        async def write(self, message: wire.FetchBundleResponse) -> None:
            written.append(message.data)
            self._then()

    def send(then: Callable[[], None]) -> None:
        asyncio.run(fetches.send(asked(small), Caller(Usage("", Quota()), None), Context(then)))

    with closing(OfferedBundle(small)) as bundle:
        fetches = Fetches(bundle)
        with pytest.raises(TargetUnavailable, match="go on with another one"):
            send(fetches.stop)
        assert len(written) == 1
        written.clear()
        fetches.go_on()
        send(lambda: None)
    assert len(written) > 1


class HereEngine(ScriptedEngine):
    """In the place of one in a process of its own."""

    def close(self) -> None:
        pass


def test_a_server_does_not_start_with_a_bundle_of_another_target(tmp_path, monkeypatch):
    directory = made(tmp_path / "bundle", target_fingerprint="another")
    monkeypatch.setattr(process, "load_elsewhere", lambda *_: HereEngine(SCRIPT, VOCABULARY))
    with pytest.raises(BundleError, match="and this target is scripted"):
        process.serve_until_signal(ServeSettings(port=0, bundle=BundleSettings(directory)))


def _until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 30
    while True:
        try:
            if holds():
                return
        except grpc.RpcError:
            pass
        assert time.monotonic() < end
        time.sleep(0.02)
