"""Tokens that are withdrawn, or over, end the calls that were made with them, whatever those do, and no others."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.siege.said import framed
from cloud_target.access.admission import Admission, Caller
from cloud_target.access.followed import AGAIN
from cloud_target.access.protection import Access
from cloud_target.access.quotas import Quota
from cloud_target.access.tokens import TokenFile, new_token
from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.server.server import SERVICE, running
from cloud_target.server.timeouts import Timeouts
from cloud_target.server.withdrawals import Withdrawals
from shared.config import Sampling
from shared.errors import AccessDenied
from shared.wire.metadata import AUTHORIZATION
from shared.wire.v1 import target_pb2 as wire
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.access.test_expiry import NOON, Clock
from tests.cloud_target.access.test_followed import Seconds
from tests.cloud_target.protocol.reference import alone, request
from tests.cloud_target.server.besieged_server import SCRIPT
from tests.cloud_target.server.process import BesiegedProcess
from tests.cloud_target.server.raw_peer import RawPeer
from tests.cloud_target.server.streams import Stream

PATIENCE = 20.0
SAMPLING = Sampling(0.8, seed=5)
PROMPT = [1, 2, 3]


class Tokens:
    """A file of tokens, one by one, and who has them."""

    def __init__(self, path: Path, *tenants: str, hours: tuple[int, ...] = ()) -> None:
        self.path, self._changes = path, 0
        dates = [NOON + timedelta(hours=hour) if hour else None for hour in (*hours, *(0 for _ in tenants))]
        made = [new_token(tenant, date) for tenant, date in zip(tenants, dates, strict=False)]
        self._tokens, self._lines = [token for token, _ in made], [line for _, line in made]
        self.write(*range(len(tenants)))

    def write(self, *numbers: int, spoilt: int | None = None) -> None:
        """Another file with these tokens takes the place of the last one; the hash of one may be another."""
        self._changes += 1
        lines = [self._lines[number] for number in numbers]
        if spoilt is not None:
            line = self._lines[spoilt].split()
            lines.append(" ".join([line[0], line[1][:-64] + "0" * 64, *line[2:]]))
        other = self.path.with_suffix(".new")
        other.write_text("\n".join(["#" * self._changes, *lines, ""]))
        os.replace(other, self.path)

    def bearer(self, number: int) -> tuple[str, str]:
        return AUTHORIZATION, f"Bearer {self._tokens[number]}"


TOKENS = 3
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "end", "withdraw", "spoil", "restore", "renew", "wait"]),
        st.integers(0, TOKENS - 1),
    ),
    max_size=25,
)


@pytest.mark.slow
@given(STEPS)
def test_a_call_ends_when_a_new_one_would_be_refused_and_in_the_same_words(tmp_path_factory, steps):
    """Two tokens of one tenant, one of which has a date, and one of another."""
    tokens = Tokens(tmp_path_factory.mktemp("tokens") / "file", "acme", "acme", "other", hours=(0, 1))
    clock, seconds, good, spoilt = Clock(), Seconds(), set(range(TOKENS)), None
    admission = Admission(TokenFile(tokens.path, clock, seconds), Quota(), lambda _: None)
    withdrawals = Withdrawals(admission, 1.0)

    def admitted(number: int) -> Caller | str:
        try:
            return admission.admit([tokens.bearer(number)])
        except AccessDenied as error:
            return str(error)

    async def stay(caller: Caller, over: asyncio.Event) -> None:
        async with withdrawals.watch(caller):
            await over.wait()

    async def main() -> None:
        nonlocal spoilt
        calls: list[tuple[int, asyncio.Event, asyncio.Task[None]]] = []
        for what, number in steps:
            match what:
                case "call":
                    if isinstance(caller := admitted(number), Caller):
                        over = asyncio.Event()
                        calls.append((number, over, asyncio.create_task(stay(caller, over))))
                        await asyncio.sleep(0)
                case "end" if calls:
                    _, over, task = calls.pop(number % len(calls))
                    over.set()
                    await task
                case "wait":
                    clock.at += timedelta(hours=1)
                case "withdraw" | "spoil" | "restore" | "renew":
                    (good.add if what in ("restore", "renew") else good.discard)(number)
                    spoilt = number if what == "spoil" else None
                    tokens.write(*good, spoilt=spoilt)
                    admission.state()
                    seconds.now += AGAIN  # what is missing in the file is missing still
            refused = [call for call in calls if isinstance(admitted(call[0]), str)]
            assert withdrawals.sweep() == len(refused)
            for _ in range(4):
                await asyncio.sleep(0)
            for number, _, task in refused:
                assert isinstance(task.exception(), AccessDenied)
                assert str(task.exception()) == admitted(number)
            calls = [call for call in calls if call not in refused]
            assert not any(task.done() for _, _, task in calls)
        for _, over, task in calls:
            over.set()
            await task

    asyncio.run(main())


def test_thousands_of_calls_cost_nothing_as_long_as_nothing_changes(tmp_path):
    clock, seconds, looks = Clock(), Seconds(), []
    tokens = Tokens(tmp_path / "file", "acme", "other", hours=(3,))

    class Counting(Admission):
        def welcome(self, caller: Caller) -> None:
            looks.append(caller)
            super().welcome(caller)

    async def main() -> None:
        admission = Counting(TokenFile(tokens.path, clock, seconds), Quota(), lambda _: None)
        withdrawals, opened = Withdrawals(admission, 1.0), []
        for number in range(1000):
            opened.append(withdrawals.watch(admission.admit([tokens.bearer(number % 2)])))
            await opened[-1].__aenter__()
        for _ in range(20):
            clock.at += timedelta(minutes=1)
            assert withdrawals.sweep() == 0
        assert looks == []
        tokens.write(0, 1)
        assert withdrawals.sweep() == 0, "what is only renewed ends nothing"
        assert looks == []
        for one in opened:
            await one.__aexit__(None, None, None)
        tokens.write()
        for _ in range(2):
            assert withdrawals.sweep() == 0, "and who has left is forgotten"
            seconds.now += AGAIN
        assert looks == []

    asyncio.run(main())


def test_one_that_takes_its_time_to_end_is_ended_once(tmp_path):
    tokens = Tokens(tmp_path / "file", "acme", "other")
    seconds = Seconds()
    admission = Admission(TokenFile(tokens.path, seconds=seconds), Quota(), lambda _: None)
    withdrawals = Withdrawals(admission, 1.0)

    async def stay(over: asyncio.Event) -> None:
        async with withdrawals.watch(admission.admit([tokens.bearer(0)])):
            try:
                await asyncio.Event().wait()
            finally:
                await over.wait()

    async def main() -> None:
        over = asyncio.Event()
        call = asyncio.create_task(stay(over))
        await asyncio.sleep(0)
        tokens.write(1)
        assert withdrawals.sweep() == 0
        seconds.now += AGAIN
        assert withdrawals.sweep() == 1
        await asyncio.sleep(0.01)
        tokens.write()
        for _ in range(2):
            assert withdrawals.sweep() == 0
            seconds.now += AGAIN
        over.set()
        with pytest.raises(AccessDenied, match="withdrawn"):
            await call

    asyncio.run(main())


def test_a_look_that_fails_for_one_call_ends_the_others_and_is_tried_again(tmp_path):
    tokens, seconds, fails = Tokens(tmp_path / "file", "acme", "other", "third"), Seconds(), {"acme"}

    class Failing(Admission):
        def welcome(self, caller: Caller) -> None:
            if caller.tenant in fails:
                raise ZeroDivisionError("for a test")
            super().welcome(caller)

    admission = Failing(TokenFile(tokens.path, seconds=seconds), Quota(), lambda _: None)
    withdrawals = Withdrawals(admission, 1.0)

    async def stay(number: int) -> None:
        async with withdrawals.watch(admission.admit([tokens.bearer(number)])):
            await asyncio.Event().wait()

    async def main() -> None:
        calls = [asyncio.create_task(stay(number)) for number in range(3)]
        await asyncio.sleep(0)
        tokens.write(2)
        admission.state()
        seconds.now += AGAIN
        with pytest.raises(ZeroDivisionError):
            withdrawals.sweep()
        with pytest.raises(AccessDenied, match="withdrawn"):
            await calls[1]
        assert not calls[0].done()
        fails.clear()
        assert withdrawals.sweep() == 1
        with pytest.raises(AccessDenied, match="withdrawn"):
            await calls[0]
        assert not calls[2].done()
        calls[2].cancel()

    asyncio.run(main())


Ending = tuple[grpc.StatusCode, str | None, str | None]


def ended(call: grpc.Call) -> Ending:
    """Status, reason and sentence with which it has ended, or will; no message comes before."""
    with pytest.raises(grpc.RpcError):
        next(call)
    return call.code(), dict(call.trailing_metadata()).get("tandem-reason"), call.details()


def new_call(stub: TargetServiceStub, metadata: tuple[str, str]) -> Ending:
    """How one ends that is made now."""
    return ended(stub.Decode(iter([]), timeout=PATIENCE, metadata=(metadata,)))


def rest(call: grpc.Call) -> list[int]:
    """Tokens that still come before it ends."""
    tokens: list[int] = []
    with suppress(grpc.RpcError):
        for answer in call:
            tokens += answer.continuation.tokens
    return tokens


def text(session: int, write_on: int = 0) -> wire.DecodeRequest:
    """A request for a text of its own."""
    return request(
        PROMPT, 0, SAMPLING, judge_from=len(PROMPT), write_on=write_on, session_id=session.to_bytes(16, "big")
    )


@pytest.mark.slow
def test_idle_waiting_and_writing_ones_end_and_those_of_others_go_on(tmp_path):
    """In a process that has room for two texts: one writes for each of two tenants, and another waits in line."""
    tokens = Tokens(tmp_path / "tokens", "acme", "other", "third")
    acme, other, third = map(tokens.bearer, range(3))
    settings = {"patience": 60.0, "token_check": 0.1}
    with (
        BesiegedProcess(tokens=str(tokens.path), pause=0.01, slots=2, timeouts=settings) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = TargetServiceStub(channel)
        silent, idle, writes, waits = (Stream(stub, acme) for _ in range(4))
        idle.send(text(1))
        idle.hear()
        writes.send(text(2, 4000))
        heard = [writes.hear().verdict.token]
        others = {"silent": Stream(stub, other), "writes": Stream(stub, other)}
        others["writes"].send(text(3, 4000))
        others["writes"].hear()
        waits.send(text(4, 4000))

        last = Stream(stub, third)
        tokens.write(1, 0)  # in another order, and without the third one
        assert ended(last.call) == new_call(stub, third)
        assert all(one.call.is_active() for one in (silent, idle, writes, waits, *others.values()))
        idle.send(text(1), 2)
        assert idle.hear().request_id == 2

        tokens.write(1)
        endings = [ended(one.call) for one in (silent, idle, waits)]
        heard += rest(writes.call)
        assert [*endings, ended(writes.call)] == [new_call(stub, acme)] * 4
        assert endings[0][:2] == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert [*PROMPT, *heard] == alone(SCRIPT, PROMPT, SAMPLING, len(PROMPT) + len(heard))

        assert others["writes"].hear().continuation.tokens
        others["silent"].send(text(5, 3000))  # there is room again
        assert others["silent"].hear().HasField("verdict")
        for one in others.values():
            one.call.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 200])
def test_one_whose_answers_wait_to_be_read_ends_behind_them(tmp_path, window):
    """Its room is free at once; whoever reads on finds whole answers, and then hears why there are no more."""
    tokens = Tokens(tmp_path / "tokens", "acme", "other")
    acme, other = map(tokens.bearer, range(2))
    engine, access = ScriptedEngine(SCRIPT, 8, slots=1, context=64), Access(tokens=TokenFile(tokens.path))
    timeouts = Timeouts(token_check=0.02, unread=6 * PATIENCE, fair=6 * PATIENCE, patience=PATIENCE)
    with (
        running(engine, access=access, timeouts=timeouts) as address,
        RawPeer(address, window) as deaf,
        grpc.insecure_channel(address) as channel,
    ):
        stream, message = deaf.call(f"/{SERVICE}/Decode", acme), text(1, 60)
        message.request_id = 1
        deaf.send(stream, framed(message.SerializeToString()))
        end = time.monotonic() + PATIENCE
        while engine.passes < (2 if window else 1):
            assert time.monotonic() < end
            time.sleep(0.01)
        waits = Stream(TargetServiceStub(channel), other)
        waits.send(text(2, 60))  # there is room for one
        tokens.write(1)
        assert waits.hear().HasField("verdict")
        deaf.allow(stream, 1 << 16)
        deaf.read_until(lambda: stream in deaf.statuses)
        assert deaf.statuses[stream] == str(grpc.StatusCode.UNAUTHENTICATED.value[0])
        assert whole(deaf.heard[stream]) > (1 if window else 0)


def whole(heard: bytes) -> int:
    """How many messages these bytes are; no part of another one is among them."""
    count = 0
    while heard:
        size = 5 + int.from_bytes(heard[1:5], "big")
        assert len(heard) >= size
        assert wire.DecodeResponse.FromString(heard[5:size]).request_id == 1
        heard, count = heard[size:], count + 1
    return count


@pytest.fixture
def never() -> Iterator[threading.Event]:
    never = threading.Event()
    yield never
    never.set()


@pytest.mark.parametrize("what", ["withdrawn", "over"])
def test_calls_that_say_nothing_end_whichever_they_are(tmp_path, never, what):
    tokens, clock = Tokens(tmp_path / "tokens", "acme", "other", hours=(1, 2)), Clock()
    acme, other = map(tokens.bearer, range(2))
    access, methods = (
        Access(tokens=TokenFile(tokens.path, clock)),
        wire.DESCRIPTOR.services_by_name[SERVICE[10:]].methods,
    )
    with (
        running(ScriptedEngine(random_script(8), 8), access=access, timeouts=Timeouts(token_check=0.02)) as address,
        grpc.insecure_channel(address) as channel,
    ):

        def nothing() -> Iterator[bytes]:
            never.wait(PATIENCE)
            yield from ()

        def opened(metadata: tuple[str, str]) -> list[grpc.Call]:
            paths = [f"/{SERVICE}/{method.name}" for method in methods]
            return [channel.stream_stream(path)(nothing(), timeout=PATIENCE, metadata=(metadata,)) for path in paths]

        stub, theirs, others = TargetServiceStub(channel), opened(acme), opened(other)
        # What came before this one was let in before it was.
        assert stub.Describe(wire.DescribeRequest(), timeout=PATIENCE, metadata=(acme,)).vocabulary == 8
        if what == "over":
            clock.at += timedelta(hours=1)
        else:
            tokens.write(1)
        endings = [ended(call) for call in theirs]
        assert endings == [new_call(stub, acme)] * 4
        assert endings[0][0] is grpc.StatusCode.UNAUTHENTICATED
        assert ("2026-12-01 13:00 UTC" in endings[0][2]) == (what == "over")
        assert all(call.is_active() for call in others)
