"""The edge's conversation with the target: the text never depends on what happens to the link."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.engine.scripted import ScriptedEngine, random_script
from cloud_target.service.requests import Limits
from edge_client.link import LinkBroken, TargetBusy
from edge_client.retry import Patience, Retry
from edge_client.target import CONNECT, TargetClient, TargetSession
from shared import prefix
from shared.bundle import DraftGraph, Manifest, Probe
from shared.config import Coupling, Sampling
from shared.errors import (
    InputError,
    ProtocolError,
    TargetMismatch,
    TargetRefused,
    TargetUnavailable,
)
from shared.sampling import Sampler
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.support import Cloud, FakeClock, LoopbackLink, LoopbackTransport, LossyTransport, Trouble, client_of

VOCABULARY, CONTEXT, END = 7, 96, 6
SAMPLING = Sampling(temperature=0.9, top_p=0.95, seed=11)
PROMPT = [1, 2, 3, 4, 5]
SCRIPT = random_script(VOCABULARY)


def make_cloud(vocabulary: int = VOCABULARY, context: int = CONTEXT) -> Cloud:
    return Cloud(lambda: ScriptedEngine(random_script(vocabulary), vocabulary, context=context))


def own(text: list[int]) -> int:
    """What the target writes after `text`, straight from the definition."""
    logits = SCRIPT(text)
    ids = np.argsort(-logits, kind="stable")
    return Sampler(SAMPLING).draw(ids, logits[ids], len(text)).token


def own_text(text: list[int], length: int, ends: bool = True) -> list[int]:
    text = list(text)
    while len(text) < length and not (ends and text[-1] == END):
        text.append(own(text))
    return text


def open_session(client: TargetClient, end_ids: tuple[int, ...] = (), **settings) -> TargetSession:
    settings = {"sampling": SAMPLING, "coupling": Coupling.GUMBEL, "prompt_length": len(PROMPT)} | settings
    return client.session(end_ids=end_ids, **settings)


def sprint(session: TargetSession, length: int, seed: int = 0) -> tuple[list[int], dict[int, tuple]]:
    """Write by judging: random runs of accepted and of held tokens, about half of which are the target's own.

    Returns the text, and what each audit said, by position; a position that is audited twice fails here.
    """
    text, audits, written = list(PROMPT), {}, set()

    def guess(text: list[int], chance: random.Random) -> int:
        return own(text) if chance.random() < 0.5 else chance.randrange(VOCABULARY)

    def note(audit) -> None:
        for i, row in enumerate(zip(audit.off_strict, audit.off_typical, audit.nll, strict=True)):
            assert audit.position + i not in audits
            audits[audit.position + i] = row

    while len(text) < length:
        chance = random.Random(1000 * seed + len(text))
        for _ in range(chance.randrange(4)):
            text.append(guess(text, chance))
        held = list(text)
        for _ in range(chance.randrange(4)):
            held.append(guess(held, chance))
        verdict = session.judge(held, len(text))
        note(verdict.audit)
        text = held[: len(text) + verdict.stands]
        written.add(len(text))
        text.append(verdict.token)
    text += [0, 1, 2]
    note(session.audit(text, 2.0))
    assert sorted(audits.keys() | written) == list(range(len(PROMPT), len(text)))
    assert not audits.keys() & written
    return text, audits


def test_a_verdict_is_what_the_target_would_have_written():
    session = open_session(client_of(LoopbackTransport(make_cloud())))
    right = own_text(PROMPT, len(PROMPT) + 4)
    wrong = (own(right) + 1) % VOCABULARY
    verdict = session.judge([*right, wrong, 0], len(right) - 2)
    assert (verdict.stands, verdict.token) == (2, own(right))
    assert verdict.audit.position == len(PROMPT)
    assert verdict.audit.off_strict == [False] * 4
    assert all(nll >= 0 for nll in [*verdict.audit.nll, verdict.token_nll])


def test_audits_tell_which_tokens_are_off_target():
    text, audits = sprint(open_session(client_of(LoopbackTransport(make_cloud()))), 60)
    for position, (off_strict, _, nll) in audits.items():
        assert off_strict == (text[position] != own(text[:position]))
        logits = SCRIPT(text[:position]).astype(float)
        exact = np.logaddexp.reduce(logits) - logits[text[position]]
        assert np.sqrt(nll) == pytest.approx(np.sqrt(exact), abs=1 / 64)


troubles = st.lists(st.sampled_from([*Trouble, *[Trouble.NONE] * 4]), max_size=80)


def patient(transport: LossyTransport, clock: FakeClock) -> TargetClient:
    return TargetClient(transport, "lossy:0", Retry(total=1e6), clock, random.Random(0))


@given(plan=troubles, seed=st.integers(0, 3))
def test_no_trouble_changes_a_judged_text_or_its_audits(plan, seed):
    undisturbed = sprint(open_session(client_of(LoopbackTransport(make_cloud()))), 40, seed)
    clock = FakeClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock))
    assert sprint(session, 40, seed) == undisturbed
    harmful = sum(trouble not in (Trouble.NONE, Trouble.EVICTED) for trouble in plan)
    assert session.reconnects <= harmful


@given(plan=troubles, ends=st.booleans(), count=st.integers(1, 60))
def test_no_trouble_changes_what_the_target_writes(plan, ends, count):
    clock = FakeClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock), (END,) if ends else ())
    written = list(session.write_on(PROMPT, count))
    assert PROMPT + [token for token, _ in written] == own_text(PROMPT, len(PROMPT) + count, ends)
    assert session.calls + session.written == len(written)


@given(plan=troubles, data=st.data())
def test_judging_and_writing_may_take_turns(plan, data):
    clock = FakeClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock))
    text, audited = list(PROMPT), []
    for taken in data.draw(st.lists(st.integers(0, 6), max_size=6)):
        # The caller may drop the iterator early, and keep less than it was given.
        text += [token for token, _ in islice(session.write_on(text, 8), taken)][: max(0, taken - 1)]
        off = data.draw(st.booleans())
        accepted = (own(text) + off) % VOCABULARY
        verdict = session.judge([*text, accepted], len(text) + 1)
        # The very token that the target has just said it would write needs no audit.
        assert verdict.audit.off_strict in ([off], [True] * off)
        audited += [verdict.audit.position] * len(verdict.audit)
        text += [accepted, verdict.token]
        assert verdict.token == own(text[:-1])
    assert audited == sorted(set(audited))


class Recorder(LoopbackTransport):
    """Keeps what is sent and answered."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.requests: list[wire.DecodeRequest] = []
        self.responses: list[wire.DecodeResponse] = []

    def open(self) -> LoopbackLink:
        link = super().open()
        send, receive = link.send, link.receive

        def record_send(request: wire.DecodeRequest) -> None:
            self.requests.append(wire.DecodeRequest.FromString(request.SerializeToString()))
            send(request)

        def record_receive(timeout: float) -> wire.DecodeResponse:
            self.responses.append(receive(timeout))
            return self.responses[-1]

        link.send, link.receive = record_send, record_receive
        return link


def test_only_new_tokens_travel_and_are_hashed(monkeypatch):
    transport = Recorder(make_cloud())
    session = open_session(client_of(transport))
    hashed = []
    watched = SimpleNamespace(extend=lambda h, ids: hashed.append(len(ids)) or prefix.extend(h, ids))
    monkeypatch.setattr("edge_client.known.prefix", watched)
    text, _ = sprint(session, 80)
    fallen = sum(len(r.tokens) - r.judge_from for r in transport.requests) - sum(
        r.verdict.stands for r in transport.responses
    )
    own_tokens = sum(r.verdict.HasField("token") for r in transport.responses)
    assert sum(len(request.tokens) for request in transport.requests) == len(text) - own_tokens + fallen
    assert sum(hashed) == len(text)
    assert [request.request_id for request in transport.requests] == list(range(1, session.calls + 1))
    assert [request.HasField("session") for request in transport.requests] == [True] + [False] * (session.calls - 1)


def test_the_meter_counts_serialised_messages():
    transport = Recorder(make_cloud())
    session = open_session(client_of(transport))
    sprint(session, 60)
    assert session.calls == len(transport.responses)
    assert session.bytes_down == sum(response.ByteSize() for response in transport.responses)
    release = wire.ReleaseRequest(session_id=bytes(16)).ByteSize()
    sent = sum(request.ByteSize() for request in transport.requests)
    assert session.bytes_up + session.bytes_prompt == sent + release
    assert session.bytes_prompt == len(PROMPT)  # small ids take one byte each


def test_payload_per_token_at_run_length_ten():
    """128 tokens, of which every eleventh is asked, with ids that take two bytes and times of a real target."""
    chance = random.Random(5)
    prompt = [chance.randrange(128, 4096) for _ in range(20)]
    transport = Recorder(make_cloud(4096, 256))
    session = open_session(client_of(transport), (0, 1), prompt_length=len(prompt))
    text = list(prompt)
    while len(text) < len(prompt) + 128:
        run = [chance.randrange(128, 4096) for _ in range(11)]
        verdict = session.judge([*text, *run], len(text) + 10)
        text += [*run[:10], verdict.token]
    session.close()
    timing = wire.Timing(queue_us=300, forward_us=20_000).ByteSize() * session.calls
    shown = len(text) - len(prompt)
    assert session.calls == shown / 11
    assert (session.bytes_up + session.bytes_down + timing) / shown <= 8.0


def test_an_evicted_session_is_told_once_what_it_lost():
    cloud = make_cloud()
    transport = Recorder(cloud)
    session = open_session(client_of(transport))
    first = session.judge([*PROMPT, 0, 1], 7)
    cloud.evict()
    text = [*PROMPT, 0, 1, first.token, 2]
    assert session.judge(text, 9).token == own(text)
    *_, refused, repeated = transport.requests
    assert (refused.position, list(refused.tokens)) == (8, [2])
    assert (repeated.position, list(repeated.tokens)) == (0, text)
    assert (repeated.audit_from, repeated.judge_from) == (8, 9)


def test_a_stale_answer_is_met_with_the_whole_text():
    cloud = make_cloud()
    session = open_session(client_of(LoopbackTransport(cloud)))
    token = session.judge(PROMPT, 5).token
    (held,) = cloud.table._sessions.values()
    held.rewrite(3, [0, 0, 0, 0], cached=3)
    text = [*PROMPT, token, 1]
    assert session.judge(text, 7).token == own(text)


@pytest.mark.parametrize("limit", [2, 3, 7])
def test_a_text_longer_than_a_request_goes_in_parts(limit):
    cloud = make_cloud()
    cloud.limits = Limits(VOCABULARY, CONTEXT, limit)
    session = open_session(client_of(LoopbackTransport(cloud)))
    accepted = [0, 1, 2, 3, 4, 5, 0, 1]
    verdict = session.judge([*PROMPT, *accepted, 3, 3], len(PROMPT) + len(accepted))
    text = [*PROMPT, *accepted]
    assert verdict.audit.position == len(PROMPT)
    assert verdict.audit.off_strict[: len(accepted)] == [
        text[i] != own(text[:i]) for i in range(len(PROMPT), len(text))
    ]
    assert (verdict.stands == 0) == (own(text) != 3)
    with pytest.raises(InputError, match="--window"):
        session.judge([*text, *[2] * (limit + 1)], len(text))


def test_the_residual_coupling_sends_q():
    transport = Recorder(make_cloud())
    session = open_session(client_of(transport), coupling=Coupling.RESIDUAL)
    q = (np.array([3, 0]), np.array([0.75, 0.25]))
    verdict = session.judge([*PROMPT, 0, 3, 0], 6, [q, q])
    assert 0 <= verdict.stands <= 2
    assert [list(sent.ids) for sent in transport.requests[0].q] == [[3, 0], [3, 0]]


def test_a_text_that_ends_has_no_own_token():
    session = open_session(client_of(LoopbackTransport(make_cloud())), (END,))
    text = own_text(PROMPT, CONTEXT)
    assert text[-1] == END
    verdict = session.judge(text, len(text) - 1)
    assert (verdict.stands, verdict.token) == (1, None)
    assert session.audit(text, 1.0) is None  # nothing is left to audit


def test_the_context_ends_the_text():
    session = open_session(client_of(LoopbackTransport(make_cloud())))
    assert len(list(session.write_on(PROMPT, 10 * CONTEXT))) == CONTEXT - len(PROMPT)
    assert session.judge([*PROMPT, *[0] * (CONTEXT - len(PROMPT))], CONTEXT).token is None


def test_a_text_beyond_the_context_is_refused():
    session = open_session(client_of(LoopbackTransport(make_cloud())))
    with pytest.raises(TargetRefused, match="context"):
        session.judge([*PROMPT, *[0] * CONTEXT], CONTEXT)


# What a broken or hostile target may answer.


class Liar:
    """A transport whose only link gives the scripted answers, and then nothing."""

    def __init__(self, answers: list[wire.DecodeResponse], description: wire.DescribeResponse | None = None) -> None:
        self._answers = iter(answers)
        self._describes = description or LoopbackTransport(make_cloud()).describe(1.0)
        self.opened = self.closed = 0

    def describe(self, timeout: float) -> wire.DescribeResponse:
        return self._describes

    def open(self) -> Liar:
        self.opened += 1
        return self

    def send(self, request: wire.DecodeRequest) -> None:
        pass

    def receive(self, timeout: float) -> wire.DecodeResponse:
        for answer in self._answers:
            return answer
        raise LinkBroken("silence")

    def release(self, session_id: bytes) -> None:
        pass

    def close(self) -> None:
        self.closed += 1


def verdict_of(count: int, **fields) -> wire.Verdict:
    flags = np.zeros(count, bool)
    audit = codec.encode_audit(codec.AuditedTokens(flags, flags, np.zeros(count)))
    return wire.Verdict(**{"audit": audit, "stands": 1, "token": 0} | fields)


def respond(request_id: int = 1, **answer) -> wire.DecodeResponse:
    return wire.DecodeResponse(request_id=request_id, **answer)


LIES = {
    "more stand than were judged": respond(verdict=verdict_of(4, stands=3)),
    "too short an audit": respond(verdict=verdict_of(1)),
    "too long an audit": respond(verdict=verdict_of(3)),
    "a bitmap of another length": respond(
        verdict=verdict_of(2, audit=wire.Audit(off_strict=b"\0\0", off_typical=b"\0", nll=b"\0\0"))
    ),
    "a token outside the vocabulary": respond(verdict=verdict_of(2, token=VOCABULARY)),
    "no token": respond(verdict=wire.Verdict(audit=verdict_of(2).audit, stands=1)),
    "a log-likelihood beyond a byte": respond(verdict=verdict_of(2, token_nll=256)),
    "a request that was never made": respond(2, verdict=verdict_of(2)),
    "no request at all": respond(0, verdict=verdict_of(2)),
    "a continuation": respond(continuation=wire.Continuation(position=8, tokens=[1], nll=b"\0")),
    "nothing": respond(),
    "stale at the beginning": respond(stale=wire.Stale()),
    "more held than was sent": respond(resync=wire.Resync(held=2**31)),
    "a resync at the beginning": respond(resync=wire.Resync(held=0)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_nonsense_is_refused_in_one_sentence(lie):
    session = open_session(client_of(Liar([lie] * 50)))
    with pytest.raises(ProtocolError) as caught:
        session.judge([*PROMPT, 0, 1, 2], 6)
    assert str(caught.value).startswith("the target") or "both sides" in str(caught.value)
    session.close()


def continuation(position: int = 6, tokens=(1,), nll: bytes | None = None, done: bool = False, request_id: int = 1):
    nll = bytes(len(tokens)) if nll is None else nll
    return respond(request_id, continuation=wire.Continuation(position=position, tokens=tokens, nll=nll, done=done))


@pytest.mark.parametrize(
    "lie",
    [
        continuation(position=7),
        continuation(tokens=(1, 2), nll=b"\0"),
        continuation(tokens=()),
        continuation(tokens=(VOCABULARY,)),
        continuation(tokens=(0,) * 10),
        continuation(tokens=(END, 1)),
        respond(verdict=verdict_of(0, stands=0)),
        respond(stale=wire.Stale()),
        respond(),
    ],
)
def test_a_nonsensical_continuation_is_refused(lie):
    session = open_session(client_of(Liar([respond(verdict=verdict_of(0, stands=0)), lie])), (END,))
    written = session.write_on(PROMPT, 10)
    assert next(written) == (0, 0.0)
    with pytest.raises(ProtocolError):
        list(written)


def test_an_audit_that_writes_is_refused():
    session = open_session(client_of(Liar([respond(verdict=verdict_of(2, stands=0))])))
    with pytest.raises(ProtocolError):
        session.audit([*PROMPT, 0, 1], 1.0)


def test_a_target_that_always_asks_for_more_is_refused_after_two_rounds():
    session = open_session(client_of(Liar([respond(verdict=verdict_of(2)), *[respond(2), respond(3)] * 9])))
    liar = session._line._transport
    session.judge([*PROMPT, 0, 1], 6)
    liar._answers = (respond(number, resync=wire.Resync(held=6)) for number in range(2, 99))
    with pytest.raises(ProtocolError):
        session.judge([*PROMPT, 0, 1, 0, 1], 9)
    assert next(liar._answers).request_id <= 5


numbers = st.integers(0, 9) | st.integers(0, 2**32 - 1)
answers = st.builds(
    lambda request_id, kind, numbers, data, flag: respond(
        request_id,
        **{
            "verdict": {
                "verdict": wire.Verdict(
                    audit=wire.Audit(off_strict=data[:1], off_typical=data[1:2], nll=data[2:]),
                    stands=numbers[0],
                    token_nll=numbers[2],
                    **({"token": numbers[1]} if flag else {}),
                )
            },
            "continuation": {
                "continuation": wire.Continuation(position=numbers[0], tokens=numbers[1:], nll=data, done=flag)
            },
            "stale": {"stale": wire.Stale()},
            "resync": {"resync": wire.Resync(held=numbers[0])},
            "none": {},
        }[kind],
    ),
    st.integers(0, 4),
    st.sampled_from(["verdict", "continuation", "stale", "resync", "none"]),
    st.lists(numbers, min_size=3, max_size=4),
    st.binary(max_size=6),
    st.booleans(),
)


@given(st.lists(answers, max_size=12), st.booleans())
def test_whatever_a_target_says_there_is_a_valid_answer_or_one_of_our_errors(said, writing):
    session = open_session(client_of(Liar(said)), (END,))
    tokens = []
    with suppress(ProtocolError, TargetUnavailable):
        if writing:
            tokens += (token for token, _ in session.write_on(PROMPT, 6))
        else:
            verdict = session.judge([*PROMPT, 0, 1, 2], 6)
            assert verdict.stands <= 2
            tokens += [0, 1][: verdict.stands] + ([verdict.token] if verdict.token is not None else [])
    assert len(tokens) <= 6
    assert all(0 <= token < VOCABULARY for token in tokens)


# Patience.


class Dead(LoopbackTransport):
    """Nobody answers."""

    def __init__(self, error: Callable[[], Exception], clock: FakeClock) -> None:
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
    clock = FakeClock()
    transport = Dead(lambda: LinkBroken("connection refused"), clock)
    client = client_of(transport, clock)
    session = open_session(client)
    token = session.judge(PROMPT, 5).token
    transport.dead = True
    with pytest.raises(TargetUnavailable, match=r"loopback:0 \(connection refused\).*--mode local") as caught:
        session.judge([*PROMPT, token], 6)
    assert caught.type is TargetUnavailable
    assert 25 < clock.time <= Retry().total
    assert 20 < transport.attempts < 100
    assert session.wait_seconds == pytest.approx(clock.time)
    transport.dead = False
    assert session.judge([*PROMPT, token], 6).token == own([*PROMPT, token])


def test_a_wrong_address_is_given_up_at_once():
    clock = FakeClock()
    transport = Dead(lambda: LinkBroken("connection refused"), clock)
    transport.dead = True
    with pytest.raises(TargetUnavailable):
        client_of(transport, clock)
    assert clock.time <= CONNECT.total
    assert transport.closed


def test_the_tail_is_not_worth_a_long_wait():
    clock = FakeClock()
    transport = Dead(lambda: LinkBroken("gone"), clock)
    session = open_session(client_of(transport, clock))
    transport.dead = True
    assert session.audit([*PROMPT, 1], 0.5) is None
    assert clock.time <= 0.5
    transport.error = lambda: TargetRefused("no")
    assert session.audit([*PROMPT, 1], 0.5) is None


@given(st.integers(0, 2**32), st.booleans())
def test_pauses_grow_and_end(seed, busy):
    clock, retry = FakeClock(), Retry()
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


# Sessions and clients.


def test_closing_releases_once_and_only_what_was_used():
    transport = LoopbackTransport(make_cloud())
    client = client_of(transport)
    with open_session(client):
        pass
    assert transport.released == []
    session = open_session(client)
    session.judge(PROMPT, 5)
    assert len(transport.cloud.table) == 1
    session.close()
    session.close()
    assert len(transport.released) == 1
    assert len(transport.cloud.table) == 0
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
    assert client.check(manifest()) == []
    (warning,) = client.check(manifest(target_fingerprint="another", target_name="larger"))
    assert "trained for larger" in warning
    for change in ({"tokenizer_fingerprint": "another"}, {"vocabulary": VOCABULARY + 1}):
        with pytest.raises(TargetMismatch, match="another tokenizer"):
            client.check(manifest(**change))


@pytest.mark.parametrize("field", ["vocabulary", "context", "max_request_tokens"])
def test_a_description_without_limits_is_refused(field):
    described = LoopbackTransport(make_cloud()).describe(1.0)
    described.ClearField(field)
    with pytest.raises(ProtocolError):
        client_of(Liar([], described))


def test_known_text_follows_the_caller():
    """The caller may drop what it was told and not shown; the hash is that of what is left."""
    from edge_client.known import Known

    known = Known()
    known.extend([1, 2, 3, 4])
    known.align([1, 2, 9, 4, 5])
    assert (len(known), known.hash) == (2, prefix.extend(0, [1, 2]))
    known.align([1])
    assert (len(known), known.hash) == (1, prefix.extend(0, [1]))
