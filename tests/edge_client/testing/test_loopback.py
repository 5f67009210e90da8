"""The transport without a port: several threads, errors as over gRPC, and every trouble on demand."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_client.target.grpc_transport import GrpcTransport
from edge_client.target.transport import Transport
from edge_client.testing import (
    LoopbackTransport,
    LossyTransport,
    ManualClock,
    ScriptedTarget,
    Trouble,
    random_script,
)
from shared.config import Coupling, Sampling
from shared.errors import (
    AccessDenied,
    ContextLengthError,
    InputError,
    LinkBroken,
    ProtocolError,
    TandemError,
    TargetBusy,
    TargetRefused,
    TargetUnavailable,
)
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.grpc_service import Servicer, serving

VOCABULARY, CONTEXT = 9, 64


def make_target() -> ScriptedTarget:
    return ScriptedTarget(random_script(VOCABULARY), VOCABULARY, CONTEXT)


def asking(write_on: int = 0, **fields) -> wire.DecodeRequest:
    session = codec.encode_session(b"0123456789abcdef", Sampling(), Coupling.GUMBEL)
    return wire.DecodeRequest(
        **{"session": session, "request_id": 1, "tokens": [1, 2], "audit_from": 2, "judge_from": 2} | fields,
        write_on=write_on,
    )


def written(transport: Transport, seed: int) -> list[int]:
    """A text of judged and of written tokens."""
    prompt = [seed % VOCABULARY, 1, 2]
    with client_of(transport).session(Sampling(seed=seed), Coupling.GUMBEL, (), len(prompt)) as session:
        text = list(prompt)
        for guess in range(6):
            verdict = session.judge([*text, guess], len(text))
            text += [*[guess][: verdict.stands], verdict.own.token]
        return text + [own.token for own in session.write_on(text, 20)]


def test_threads_that_share_it_write_what_each_writes_alone():
    alone = [written(LoopbackTransport(make_target()), seed) for seed in range(8)]
    shared = LoopbackTransport(make_target())
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(written, [shared] * 8, range(8))) == alone
    assert len(set(shared.released)) == 8
    assert shared.service.texts == {}


def test_what_was_sent_may_change_afterwards():
    link = LoopbackTransport(make_target()).open()
    request = asking()
    link.send(request)
    request.Clear()
    assert link.receive(1.0).HasField("verdict")


def test_a_newer_request_ends_the_older_answer():
    link = LoopbackTransport(make_target()).open()
    link.send(asking(write_on=9))
    assert link.receive(1.0).HasField("verdict")
    assert link.receive(1.0).continuation.position == 3
    link.send(asking(session=None, request_id=2))
    assert link.receive(1.0).request_id == 2
    with pytest.raises(LinkBroken, match=r"no answer within 1\.0 seconds"):
        link.receive(1.0)


def guessing(request_id: int, **fields) -> wire.DecodeRequest:
    return wire.DecodeRequest(request_id=request_id, guesses=wire.Guesses(tokens=[1, 2]), **fields)


def test_guesses_have_no_answer_and_end_none():
    link = LoopbackTransport(make_target()).open()
    link.send(asking(write_on=3))
    link.send(guessing(2))
    answers = [link.receive(1.0)]
    for number in (3, 5):
        link.send(guessing(number))
        link.send(guessing(number + 1))
        answers.append(link.receive(1.0))
    answers.append(link.receive(1.0))
    assert [answer.request_id for answer in answers] == [1] * 4
    assert [answer.continuation.position for answer in answers[1:]] == [3, 4, 5]
    link.send(guessing(7))
    with pytest.raises(LinkBroken, match="no answer"):
        link.receive(1.0)


def test_it_refuses_guesses_that_are_none():
    link = LoopbackTransport(make_target()).open()
    link.send(asking())
    link.send(guessing(2, write_on=1))
    assert link.receive(1.0).HasField("verdict")
    with pytest.raises(TargetRefused, match="nothing else but its id"):
        link.receive(1.0)


def test_it_refuses_in_the_words_of_grpc():
    target, refused = make_target(), asking(session=None)
    sentences = []
    with serving(Servicer(target)) as port:
        for transport in (LoopbackTransport(target), GrpcTransport(f"127.0.0.1:{port}")):
            link = transport.open()
            link.send(refused)
            with pytest.raises(TandemError) as caught:
                link.receive(5.0)
            sentences.append((caught.type, str(caught.value)))
            link.close()
            transport.close()
    assert sentences[0] == sentences[1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TargetBusy("full", 2.0), "full"),
        (AccessDenied("who are you?"), "who are you?"),
        (ContextLengthError("too long"), "the target refused the request: too long"),
        (TargetUnavailable("it shuts down"), "it shuts down"),
        (ZeroDivisionError("a mistake of the test's own"), "a mistake of the test's own"),
    ],
)
def test_what_a_target_raises(error, sentence):
    def script(text):
        raise error

    link = LoopbackTransport(ScriptedTarget(script, VOCABULARY)).open()
    link.send(asking())
    with pytest.raises(Exception, match=re.escape(sentence)) as caught:
        link.receive(1.0)
    assert str(caught.value) == sentence
    if isinstance(error, TargetBusy):
        assert caught.value is error


def test_a_restart_and_a_close_break_the_links():
    target = make_target()
    transport = LoopbackTransport(target)
    old, closed = transport.open(), transport.open()
    target.restart()
    closed.close()
    closed.close()
    for link in (old, closed):
        with pytest.raises(LinkBroken, match="closed"):
            link.send(asking())
        with pytest.raises(LinkBroken, match="closed"):
            link.receive(1.0)
    new = transport.open()
    new.send(asking())
    assert new.receive(1.0).HasField("verdict")


def test_a_release_never_raises():
    target = make_target()
    target.release = lambda session_id: codec.decode_coupling(99)
    transport = LoopbackTransport(target)
    transport.release(b"?")
    assert transport.released == [b"?"]


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_trouble_happens_once_and_changes_no_text(trouble):
    """Wherever it happens: to a request or to an answer, after the first two."""
    expected = written(LoopbackTransport(make_target()), 1)
    for place in range(2, 5):
        clock, target = ManualClock(), make_target()
        plan = iter([*[Trouble.NONE] * place, trouble])
        transport = LossyTransport(target, plan, clock)
        with client_of(transport, clock).session(Sampling(seed=1), Coupling.GUMBEL, (), 3) as session:
            text = [1, 1, 2]
            for guess in range(6):
                verdict = session.judge([*text, guess], len(text))
                text += [*[guess][: verdict.stands], verdict.own.token]
            assert text == expected[: len(text)]
            if trouble in (Trouble.NONE, Trouble.EVICTED):
                assert session.meter.reconnects == 0
        assert next(plan, None) is None
        assert target.lives == 1 + (trouble is Trouble.RESTART)


def test_silence_lasts_on_the_clock():
    clock = ManualClock()
    link = LossyTransport(make_target(), [Trouble.NONE, Trouble.SILENCE], clock).open()
    link.send(asking())
    assert link.receive(7.0) is None
    assert link.receive(5.0) is None  # the link stays silent
    assert clock.now() == clock.time == 12.0


@pytest.mark.parametrize("where", ["stream", "answers"])
@pytest.mark.parametrize(
    ("error", "seen"), [(ProtocolError, TargetRefused), (InputError, TargetRefused), (TargetUnavailable, LinkBroken)]
)
def test_a_service_may_raise_wherever_it_notices(where, error, seen):
    """A plain function that raises is as good as a generator that does."""

    class Refusing(ScriptedTarget):
        def stream(self):
            if where == "stream":
                raise error("no")
            return self

        def answers(self, message):
            raise error("no")

    def ask() -> None:
        link = LoopbackTransport(Refusing(random_script(VOCABULARY), VOCABULARY)).open()
        link.send(wire.DecodeRequest(request_id=1))
        link.receive(1.0)

    with pytest.raises(seen, match="no"):
        ask()
