"""How long the edge waits, whom it talks to, and what it leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from queue import SimpleQueue
from threading import Event
from threading import enumerate as enumerate_threads

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.testing.in_process import InProcessTarget
from edge_client.target.client import CONNECT, CONNECTING
from edge_client.target.retry import Patience, Retry
from edge_client.testing import LoopbackLink, LoopbackTransport, ManualClock
from shared.errors import (
    InputError,
    LinkBroken,
    ProtocolError,
    TargetAway,
    TargetBusy,
    TargetMismatch,
    TargetRefused,
    TargetUnavailable,
)
from shared.manifest import DraftGraph, Manifest, Probe
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.edge_client.target.conversation import CONTEXT, PROMPT, VOCABULARY, Liar, make_cloud, open_session, own


class Dead(LoopbackTransport):
    """Nobody answers."""

    def __init__(self, error: Callable[[], Exception], clock: ManualClock) -> None:
        super().__init__(make_cloud())
        self.error, self.clock, self.dead, self.attempts = error, clock, False, 0

    def describe(self, timeout: float) -> wire.DescribeResponse:
        self._die(timeout)
        return super().describe(timeout)

    def open(self) -> LoopbackLink:
        link = super().open()
        receive = link.receive
        link.receive = lambda timeout: self._die(timeout) or receive(timeout)
        return link

    def _die(self, timeout: float) -> None:
        if self.dead:
            self.attempts += 1
            self.clock.sleep(min(timeout, 0.01))
            raise self.error()


def test_a_dead_target_is_given_up_in_time():
    clock = ManualClock()
    transport = Dead(lambda: LinkBroken("connection refused"), clock)
    client = client_of(transport, clock)
    session = open_session(client)
    token = session.judge(PROMPT, 5).own.token
    transport.dead = True
    with pytest.raises(TargetUnavailable, match=r"loopback:0 \(connection refused\)") as caught:
        session.judge([*PROMPT, token], 6)
    assert caught.type is TargetAway
    assert 25 < clock.time <= Retry().total
    assert 20 < transport.attempts < 100
    assert session.meter.wait_seconds == pytest.approx(clock.time)
    assert session.meter.held_seconds == 0
    transport.dead = False
    assert session.judge([*PROMPT, token], 6).own.token == own([*PROMPT, token])


def test_a_pause_that_the_target_wants_is_counted_apart():
    clock = ManualClock()
    transport = Dead(lambda: TargetBusy("the tokens of this minute are used up", 2.0), clock)
    session = open_session(client_of(transport, clock))
    assert session.judge(PROMPT, 5).own.token == own(PROMPT)
    assert session.meter.held_seconds == 0
    transport.dead = True
    with pytest.raises(TargetUnavailable, match="used up"):
        session.judge([*PROMPT, own(PROMPT)], 6)
    assert 0 < session.meter.held_seconds <= session.meter.wait_seconds


def test_the_round_trip_is_measured_while_others_go_on():
    clock, answered, asked = ManualClock(), SimpleQueue(), Event()

    class Far(LoopbackTransport):
        def describe(self, timeout: float) -> wire.DescribeResponse:
            clock.sleep(0.2)
            assert asked.wait(10)
            return super().describe(timeout)

    asked.set()
    client = client_of(Far(make_cloud()), clock)
    assert client.round_trip == pytest.approx(0.2 / CONNECTING)
    asked.clear()
    client.ping(answered.put)  # comes back though nobody has answered
    assert answered.empty()
    asked.set()
    assert answered.get(timeout=10) == pytest.approx(0.2)


def test_a_target_that_does_not_answer_is_no_trouble_for_who_measures():
    clock = ManualClock()
    transport = Dead(lambda: LinkBroken("gone"), clock)
    client = client_of(transport, clock)
    transport.dead = True
    client.ping(lambda seconds: pytest.fail("there was no answer"))
    while any(thread.name == "tandem-ping" for thread in enumerate_threads()):
        pass
    assert transport.attempts == 1


def test_the_target_says_what_a_pass_takes():
    cloud = InProcessTarget(lambda: ScriptedEngine(random_script(50), 50, step=0.0051))
    assert client_of(LoopbackTransport(cloud)).description.step == pytest.approx(0.0051)


def test_a_wrong_address_is_given_up_at_once():
    clock = ManualClock()
    transport = Dead(lambda: LinkBroken("connection refused"), clock)
    transport.dead = True
    with pytest.raises(TargetUnavailable):
        client_of(transport, clock)
    assert clock.time <= CONNECT.total
    assert not transport.closed  # whoever made it may try again


def test_the_tail_is_not_worth_a_long_wait():
    clock = ManualClock()
    transport = Dead(lambda: LinkBroken("gone"), clock)
    session = open_session(client_of(transport, clock))
    transport.dead = True
    assert session.audit([*PROMPT, 1], 0.5) is None
    assert clock.time <= 0.5
    transport.error = lambda: TargetRefused("no")
    assert session.audit([*PROMPT, 1], 0.5) is None


@pytest.mark.parametrize("name", [field.name for field in fields(Retry)])
@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12, "5"])
def test_a_time_that_cannot_be_waited_for_is_refused(name, seconds):
    with pytest.raises(InputError, match=f"{name} must be"):
        Retry(**{name: seconds})


@given(st.integers(0, 2**32), st.booleans())
def test_pauses_grow_and_end(seed, busy):
    clock, retry = ManualClock(), Retry()
    patience = Patience(retry, "x:1", clock, random.Random(seed))
    error = TargetBusy("busy") if busy else LinkBroken("cut")
    pauses = []
    with suppress(TargetUnavailable):
        while len(pauses) < 1000:
            before = clock.time
            assert patience.attempt() <= min(retry.attempt, retry.total - clock.time)
            patience.after(error)
            pauses.append(clock.time - before)
    assert retry.total - retry.longest_pause <= clock.time <= retry.total
    least = retry.busy_pause if busy else 0.0
    for i, pause in enumerate(pauses):
        full = min(retry.first_pause * 2**i, retry.longest_pause)
        assert max(full / 2, least) - 1e-9 <= pause <= max(full, least) + 1e-9


def test_a_target_without_room_is_asked_again_when_it_says():
    clock = ManualClock()
    patience = Patience(Retry(), "x:1", clock, random.Random(0))
    assert patience.after(TargetBusy("busy", 7.0)) == clock.time
    assert 7.0 < clock.time < 7.0 + Retry().first_pause
    last = TargetBusy("busy", 60.0)
    last.request_id = "5f0c"
    with pytest.raises(
        TargetUnavailable, match=r"the target at x:1 has no room for this text \(busy\).*try again"
    ) as given:
        patience.after(last)
    assert given.value.request_id == "5f0c"
    assert clock.time < 8.0  # longer than the patience that is left: known at once


def test_closing_releases_once_and_only_what_was_used():
    transport = LoopbackTransport(make_cloud())
    client = client_of(transport)
    with open_session(client):
        pass
    assert transport.released == []
    session = open_session(client)
    session.judge(PROMPT, 5)
    assert len(transport.service.table) == 1
    session.close()
    session.close()
    assert len(transport.released) == 1
    assert len(transport.service.table) == 0
    with client:
        pass
    assert transport.closed


def manifest(**changes) -> Manifest:
    fields = {
        "name": "pocket",
        "target_name": "scripted",
        "target_fingerprint": "scripted",
        "tokenizer_fingerprint": "scripted",
        "vocabulary": VOCABULARY,
        "context": 4 * CONTEXT,
        "end_ids": [],
        "draft": DraftGraph("concat", 1, 1, 8, 8, 4, "float32"),
        "probe": Probe([1], [1], [0.0], 0.1),
    }
    return Manifest(**fields | changes)


def test_check_knows_friend_from_foe():
    client = client_of(LoopbackTransport(make_cloud()))
    assert client.description.context == CONTEXT
    client.description.check(manifest(target_fingerprint="another", target_name="larger"), client.address)
    for change in ({"tokenizer_fingerprint": "another"}, {"vocabulary": VOCABULARY + 1}):
        with pytest.raises(TargetMismatch, match="another tokenizer"):
            client.description.check(manifest(**change), client.address)


@pytest.mark.parametrize("field", ["vocabulary", "context", "max_request_tokens"])
def test_a_description_without_limits_is_refused(field):
    described = LoopbackTransport(make_cloud()).describe(1.0)
    described.ClearField(field)
    with pytest.raises(ProtocolError):
        client_of(Liar([], described))
