"""Several tenants on one server: none sees another's sessions, and none takes another's share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from cloud_target.access.protection import Access as ServerAccess
from cloud_target.access.quotas import Quota
from cloud_target.access.tokens import TokenFile, add_line, new_token
from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import running
from cloud_target.server.timeouts import Timeouts
from cloud_target.telemetry.observer import Observer
from edge_client.target.client import TargetClient
from edge_client.target.credentials import Credentials
from edge_client.target.retry import Retry
from shared.config import Coupling, Sampling
from shared.errors import TargetUnavailable
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import SESSION_ID, alone, request

VOCABULARY, CONTEXT = 8, 128
SCRIPT = random_script(VOCABULARY)
SAMPLING = Sampling(0.8, seed=5)
PROMPT = [1, 2]
TRUTH = alone(SCRIPT, PROMPT, SAMPLING, CONTEXT)


class SlowEngine(ScriptedEngine):
    """Takes its time, and waits where it is told to."""

    pause = 0.0
    inside = False

    def __init__(self, slots: int = 8) -> None:
        super().__init__(SCRIPT, VOCABULARY, slots=slots, context=CONTEXT)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        self.inside = True
        time.sleep(self.pause)
        self.may_go_on.wait(20)
        return super().forward(feeds)


class Ear(Observer):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def answered(self, tenant: str, kind: str, read: int, written: int, seconds: float) -> None:
        assert seconds > 0
        self.heard.append((tenant, kind, read, written))

    def refused(self, tenant: str, reason: str) -> None:
        self.heard.append((tenant, reason))

    def streams(self, tenant: str, change: int) -> None:
        self.heard.append((tenant, change))


@pytest.fixture
def engine() -> SlowEngine:
    return SlowEngine()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def tokens(tmp_path) -> dict[str, str]:
    """The tokens of the tenants below, by tenant; the file lies beside."""
    made = {}
    for tenant, limits in (
        ("acme", ""),
        ("other", ""),
        ("narrow", "context=16 calls=1"),
        ("poor", "tokens-per-minute=60"),
    ):
        made[tenant], line = new_token(tenant)
        add_line(tmp_path / "tokens", f"{line} {limits}".rstrip())
    return made


@pytest.fixture
def address(engine, ear, tokens, tmp_path: Path) -> Iterator[str]:
    access = ServerAccess(tokens=TokenFile(tmp_path / "tokens"), quota=Quota(sessions=2))
    with running(engine, access=access, observer=ear, timeouts=Timeouts(token_check=0.02)) as address:
        yield address


def call_as(token: str) -> dict:
    return {"timeout": 20, "metadata": (("authorization", f"Bearer {token}"),)}


def ask(stub: TargetServiceStub, token: str, message: wire.DecodeRequest) -> list[wire.DecodeResponse]:
    return list(stub.Decode(iter([message]), **call_as(token)))


@pytest.fixture
def stub(address) -> Iterator[TargetServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield TargetServiceStub(channel)


def test_another_tenants_session_is_not_there(stub, tokens):
    first = request(TRUTH[:6], 0, SAMPLING)
    later = request(TRUTH[:8], 7, SAMPLING)
    [verdict] = ask(stub, tokens["acme"], first)
    assert verdict.verdict.token == TRUTH[6]
    [answer] = ask(stub, tokens["other"], later)  # the same session id, the same text
    assert answer.resync == wire.Resync(held=0)
    stub.Release(wire.ReleaseRequest(session_id=SESSION_ID), **call_as(tokens["other"]))
    [answer] = ask(stub, tokens["acme"], later)  # and it was not released
    assert answer.verdict.token == TRUTH[8]


def test_a_tenant_that_opens_many_sessions_pushes_out_its_own(stub, tokens):
    ids = [bytes([number]) * 16 for number in range(4)]
    ask(stub, tokens["other"], request(TRUTH[:6], 0, SAMPLING, session_id=ids[0]))
    for session_id in ids[:3]:
        ask(stub, tokens["acme"], request(TRUTH[:6], 0, SAMPLING, session_id=session_id))
    later = {session_id: request(TRUTH[:8], 7, SAMPLING, session_id=session_id) for session_id in ids}
    assert ask(stub, tokens["acme"], later[ids[0]])[0].resync.held == 0
    assert ask(stub, tokens["acme"], later[ids[2]])[0].verdict.token == TRUTH[8]
    assert ask(stub, tokens["other"], later[ids[0]])[0].verdict.token == TRUTH[8]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def status(stub: TargetServiceStub, token: str, message: wire.DecodeRequest) -> tuple[str, dict[str, str]]:
    call = stub.Decode(iter([message]), **call_as(token))
    with pytest.raises(grpc.RpcError):
        list(call)
    return call.code().name, dict(call.trailing_metadata())


def test_a_shorter_context(stub, tokens):
    who = stub.Describe(wire.DescribeRequest(), **call_as(tokens["narrow"]))
    assert (who.context, who.max_request_tokens) == (16, 16)
    assert stub.Describe(wire.DescribeRequest(), **call_as(tokens["acme"])).context == CONTEXT
    code, metadata = status(stub, tokens["narrow"], request(TRUTH[:17], 10, SAMPLING))
    assert (code, metadata["tandem-reason"]) == ("OUT_OF_RANGE", "CONTEXT_LENGTH")
    verdict, *rest = ask(stub, tokens["narrow"], request(TRUTH[:10], 0, SAMPLING, judge_from=10, write_on=99))
    assert [verdict.verdict.token, *(t for r in rest for t in r.continuation.tokens)] == TRUTH[10:16]


def test_one_call_at_a_time(stub, tokens, engine):
    engine.may_go_on.clear()
    message = request(TRUTH[:4], 0, SAMPLING)
    first = stub.Decode(iter([message]), **call_as(tokens["narrow"]))
    until(lambda: engine.inside)
    code, metadata = status(stub, tokens["narrow"], message)
    assert (code, metadata["tandem-reason"]) == ("RESOURCE_EXHAUSTED", "LIMIT")
    assert int(metadata["grpc-retry-pushback-ms"]) > 0
    engine.may_go_on.set()
    assert len(list(first)) == 1
    assert ask(stub, tokens["narrow"], message)[0].HasField("verdict")


def test_a_long_text_stops_where_the_tokens_are_used_up(stub, tokens):
    message = request(TRUTH[:30], 0, SAMPLING, judge_from=30, write_on=90)
    code, metadata = status(stub, tokens["poor"], message)
    assert (code, metadata["tandem-reason"]) == ("RESOURCE_EXHAUSTED", "LIMIT")
    assert 0 < int(metadata["grpc-retry-pushback-ms"]) <= 2000
    assert len(ask(stub, tokens["acme"], message)) == 91


def test_a_prompt_longer_than_what_is_left_is_read_and_then_waited_for(stub, tokens):
    [answer] = ask(stub, tokens["poor"], request(TRUTH[:120], 0, SAMPLING))
    assert answer.verdict.token == TRUTH[120]
    code, metadata = status(stub, tokens["poor"], request(TRUTH[:4], 0, SAMPLING, session_id=b"another session!"))
    assert (code, metadata["tandem-reason"]) == ("RESOURCE_EXHAUSTED", "LIMIT")
    assert 30_000 < int(metadata["grpc-retry-pushback-ms"]) <= 62_000


@pytest.mark.slow
def test_an_edge_waits_as_long_as_it_is_told(address, tokens):
    """Sixty tokens a minute: the edge pauses where the server tells it to, goes on, and the text is the same."""
    access = Credentials(token=tokens["poor"])
    with (
        TargetClient.connect(address, credentials=access) as client,
        client.session(SAMPLING, Coupling.GUMBEL, (), 2) as session,
    ):
        assert [*PROMPT, *(own.token for own in session.write_on(PROMPT, 61))] == TRUTH[:63]
        assert session.meter.reconnects > 0


@pytest.mark.slow
def test_a_long_text_gives_way_to_another_tenant_and_is_the_same(tokens, tmp_path):
    engine = SlowEngine(slots=1)
    engine.pause = 0.02
    with (
        running(
            engine, access=ServerAccess(tokens=TokenFile(tmp_path / "tokens")), timeouts=Timeouts(fair=0.1)
        ) as address,
        TargetClient.connect(address, credentials=Credentials(token=tokens["acme"])) as crowd,
        TargetClient.connect(address, credentials=Credentials(token=tokens["other"])) as lone,
        crowd.session(SAMPLING, Coupling.GUMBEL, (), 2) as long,
        lone.session(SAMPLING, Coupling.GUMBEL, (), 2) as short,
    ):
        text = long.write_on(PROMPT, CONTEXT - len(PROMPT))
        written = [next(text)]
        assert short.judge(TRUTH[:6], 5).own.token == TRUTH[6]
        written += text
        assert [*PROMPT, *(own.token for own in written)] == TRUTH
        assert (short.meter.reconnects, long.meter.reconnects) == (0, 1)


def test_an_edge_does_not_wait_for_ever(address, tokens):
    with (
        TargetClient.connect(address, Retry(total=0.5), Credentials(token=tokens["poor"])) as client,
        client.session(SAMPLING, Coupling.GUMBEL, (), 119) as session,
    ):
        session.judge(TRUTH[:120], 119)
        with pytest.raises(TargetUnavailable, match=r"has no room for this .*tokens a minute.*try again later"):
            session.judge(TRUTH[:122], 121)


def test_the_observer_hears_who_did_what(stub, tokens, ear):
    ask(stub, tokens["acme"], request(TRUTH[:6], 0, SAMPLING))
    ask(stub, tokens["acme"], request(TRUTH[:8], 0, SAMPLING, judge_from=8, write_on=5))
    ask(stub, tokens["other"], request(TRUTH[:8], 7, SAMPLING))
    status(stub, tokens["other"], request([VOCABULARY], 0, SAMPLING))
    status(stub, "nobody", request(TRUTH[:6], 0, SAMPLING))
    assert [event for event in ear.heard if event[1] not in (1, -1)] == [
        ("acme", "verdict", 6, 1),
        ("acme", "continuation", 8, 6),
        ("other", "resync", 1, 0),
        ("other", "PROTOCOL"),
        ("", "UNAUTHENTICATED"),
    ]
    assert ear.heard.count(("acme", 1)) == ear.heard.count(("acme", -1)) == 2


@pytest.mark.slow
def test_no_work_for_callers_that_have_left(stub, tokens, engine, ear):
    """Their deadline passes, or they hang up, while others keep the device: what they asked is never computed."""

    engine.may_go_on.clear()
    busy = stub.Decode(iter([request(TRUTH[:4], 0, SAMPLING)]), **call_as(tokens["acme"]))
    until(lambda: engine.inside)
    calls = []
    for number, timeout in enumerate((0.5, 20)):
        message = request(TRUTH[:40], 0, SAMPLING, session_id=bytes([number]) * 16)
        calls.append(stub.Decode(iter([message]), **call_as(tokens["other"]) | {"timeout": timeout}))
    until(lambda: ear.heard.count(("other", 1)) == 2)
    calls[1].cancel()
    until(lambda: ear.heard.count(("other", -1)) == 2)
    engine.may_go_on.set()
    assert len(list(busy)) == 1
    ask(stub, tokens["acme"], request(TRUTH[:4], 0, SAMPLING, session_id=b"another session!"))
    assert engine.fed == 8


def open_call(stub: TargetServiceStub, token: str, ear: Ear, tenant: str, message: wire.DecodeRequest) -> grpc.Call:
    """A call that the server has taken in."""
    before = ear.heard.count((tenant, 1))
    call = stub.Decode(iter([message]), **call_as(token))
    until(lambda: ear.heard.count((tenant, 1)) > before)
    return call


def hang_up(call: grpc.Call, ear: Ear, tenant: str) -> None:
    before = ear.heard.count((tenant, -1))
    call.cancel()
    until(lambda: ear.heard.count((tenant, -1)) > before)


def test_hanging_up_does_not_save_the_tokens_that_are_read(stub, tokens, engine, ear):
    engine.may_go_on.clear()
    call = stub.Decode(iter([request(TRUTH[:120], 0, SAMPLING)]), **call_as(tokens["poor"]))
    until(lambda: engine.inside)
    call.cancel()
    engine.may_go_on.set()
    until(lambda: ear.heard.count(("poor", -1)) == 1)
    _, metadata = status(stub, tokens["poor"], request(TRUTH[:4], 0, SAMPLING))
    assert metadata["tandem-reason"] == "LIMIT"


def test_what_never_began_costs_nothing_until_something_reads_it(stub, tokens, engine, ear):
    engine.may_go_on.clear()
    busy = stub.Decode(iter([request(TRUTH[:4], 0, SAMPLING)]), **call_as(tokens["acme"]))
    until(lambda: engine.inside)
    hang_up(open_call(stub, tokens["poor"], ear, "poor", request(TRUTH[:100], 0, SAMPLING)), ear, "poor")
    engine.may_go_on.set()
    assert len(list(busy)) == 1
    other = b"another session!"
    assert ask(stub, tokens["poor"], request(TRUTH[:4], 0, SAMPLING, session_id=other))[0].HasField("verdict")
    # The session may know the first text by now; whoever builds on it pays for its being read.
    [answer] = ask(stub, tokens["poor"], request(TRUTH[:101], 100, SAMPLING))
    if answer.HasField("resync"):
        ask(stub, tokens["poor"], request(TRUTH[:101], 0, SAMPLING))
    _, metadata = status(stub, tokens["poor"], request(TRUTH[:4], 0, SAMPLING, session_id=other))
    assert metadata["tandem-reason"] == "LIMIT"


def test_a_token_that_is_withdrawn_ends_the_text_that_is_being_written(stub, tokens, engine, tmp_path):
    engine.pause = 0.02
    call = stub.Decode(iter([request(TRUTH[:2], 0, SAMPLING, judge_from=2, write_on=120)]), **call_as(tokens["acme"]))
    next(call)
    kept = [line for line in (tmp_path / "tokens").read_text().splitlines() if not line.startswith("acme ")]
    (tmp_path / "new").write_text("\n".join(kept) + "\n")
    (tmp_path / "new").replace(tmp_path / "tokens")
    with pytest.raises(grpc.RpcError, match="withdrawn"):
        list(call)
    assert call.code() is grpc.StatusCode.UNAUTHENTICATED
