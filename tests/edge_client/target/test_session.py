"""The edge's conversation with the target: the text never depends on what happens to the link."""

from __future__ import annotations

import random
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.protocol.requests import Limits
from cloud_target.testing.in_process import InProcessTarget
from edge_client.target.client import Description, TargetClient, TargetSession
from edge_client.target.known_prefix import Known
from edge_client.target.retry import Retry
from edge_client.testing import LoopbackLink, LoopbackTransport, LossyTransport, ManualClock, Trouble
from shared import prefix_hash as prefix
from shared.config import Coupling, Criterion
from shared.errors import InputError, ProtocolError, TargetRefused
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.edge_client.target.conversation import (
    CONTEXT,
    END,
    PROMPT,
    SCRIPT,
    VOCABULARY,
    Liar,
    make_cloud,
    open_session,
    own,
    own_text,
)


def sprint(session: TargetSession, length: int, seed: int = 0) -> tuple[list[int], dict[int, tuple]]:
    """Write by judging: random runs of accepted and of held tokens, about half of which are the target's own.

    Returns the text, and what each audit said, by position; a position that is audited twice fails here.
    """
    text, audits, written = list(PROMPT), {}, set()

    def guess(text: list[int], chance: random.Random) -> int:
        return own(text) if chance.random() < 0.5 else chance.randrange(VOCABULARY)

    def note(audit) -> None:
        typical, strict = (audit.off(criterion) for criterion in (Criterion.TYPICAL, Criterion.STRICT))
        for i, row in enumerate(zip(strict, typical, audit.nll, strict=True)):
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
        text.append(verdict.own.token)
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
    assert (verdict.stands, verdict.own.token) == (2, own(right))
    assert verdict.audit.position == len(PROMPT)
    assert verdict.audit.off_strict == [False] * 4
    assert all(nll >= 0 for nll in [*verdict.audit.nll, verdict.own.nll])


def test_audits_tell_which_tokens_are_off_target():
    text, audits = sprint(open_session(client_of(LoopbackTransport(make_cloud()))), 60)
    for position, (off_strict, _, nll) in audits.items():
        assert off_strict == (text[position] != own(text[:position]))
        logits = SCRIPT(text[:position]).astype(float)
        exact = np.logaddexp.reduce(logits) - logits[text[position]]
        assert np.sqrt(nll) == pytest.approx(np.sqrt(exact), abs=1 / 64)


troubles = st.lists(st.sampled_from([*Trouble, *[Trouble.NONE] * 4]), max_size=80)


def patient(transport: LossyTransport, clock: ManualClock) -> TargetClient:
    return TargetClient(transport, "lossy:0", Retry(total=6e5), clock, random.Random(0))


@pytest.mark.slow
@given(plan=troubles, seed=st.integers(0, 3))
def test_no_trouble_changes_a_judged_text_or_its_audits(plan, seed):
    undisturbed = sprint(open_session(client_of(LoopbackTransport(make_cloud()))), 40, seed)
    clock = ManualClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock))
    assert sprint(session, 40, seed) == undisturbed
    harmful = sum(trouble not in (Trouble.NONE, Trouble.EVICTED) for trouble in plan)
    assert session.meter.reconnects <= harmful


@given(plan=troubles, ends=st.booleans(), count=st.integers(1, 60))
def test_no_trouble_changes_what_the_target_writes(plan, ends, count):
    clock = ManualClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock), (END,) if ends else ())
    written = list(session.write_on(PROMPT, count))
    assert PROMPT + [own.token for own in written] == own_text(PROMPT, len(PROMPT) + count, ends)
    assert session.meter.calls == len(written)


@given(plan=troubles, data=st.data())
def test_judging_and_writing_may_take_turns(plan, data):
    clock = ManualClock()
    session = open_session(patient(LossyTransport(make_cloud(), plan, clock), clock))
    text, audited = list(PROMPT), []
    for taken in data.draw(st.lists(st.integers(0, 6), max_size=6)):
        # The caller may drop the iterator early, and keep less than it was given.
        text += [own.token for own in islice(session.write_on(text, 8), taken)][: max(0, taken - 1)]
        off = data.draw(st.booleans())
        accepted = (own(text) + off) % VOCABULARY
        verdict = session.judge([*text, accepted], len(text) + 1)
        # The very token that the target has just said it would write needs no audit.
        assert verdict.audit.off_strict in ([off], [True] * off)
        audited += [verdict.audit.position] * len(verdict.audit)
        text += [accepted, verdict.own.token]
        assert verdict.own.token == own(text[:-1])
    assert audited == sorted(set(audited))


class Recorder(LoopbackTransport):
    """Keeps what is sent and answered."""

    def __init__(self, cloud: InProcessTarget) -> None:
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
    watched = SimpleNamespace(
        extend=lambda h, ids: hashed.append(len(ids)) or prefix.extend(h, ids), common=prefix.common
    )
    monkeypatch.setattr("edge_client.target.known_prefix.prefix", watched)
    text, _ = sprint(session, 80)
    fallen = sum(len(r.tokens) - r.judge_from for r in transport.requests) - sum(
        r.verdict.stands for r in transport.responses
    )
    own_tokens = sum(r.verdict.HasField("token") for r in transport.responses)
    assert sum(len(request.tokens) for request in transport.requests) == len(text) - own_tokens + fallen
    assert sum(hashed) == len(text)
    assert [request.request_id for request in transport.requests] == list(range(1, session.meter.calls + 1))
    assert [request.HasField("session") for request in transport.requests] == [True] + [False] * (
        session.meter.calls - 1
    )


def test_the_meter_counts_serialised_messages():
    transport = Recorder(make_cloud())
    session = open_session(client_of(transport))
    sprint(session, 60)
    assert session.meter.calls == len(transport.responses)
    assert session.meter.bytes_down == sum(response.ByteSize() for response in transport.responses)
    release = wire.ReleaseRequest(session_id=bytes(16)).ByteSize()
    sent = sum(request.ByteSize() for request in transport.requests)
    assert session.meter.bytes_up + session.meter.bytes_prompt == sent + release
    assert session.meter.bytes_prompt == len(PROMPT)  # small ids take one byte each


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
        text += [*run[:10], verdict.own.token]
    session.close()
    timing = wire.Timing(queue_us=300, forward_us=20_000).ByteSize() * session.meter.calls
    shown = len(text) - len(prompt)
    assert session.meter.calls == shown / 11
    assert (session.meter.bytes_up + session.meter.bytes_down + timing) / shown <= 8.0


def test_an_evicted_session_is_told_once_what_it_lost():
    cloud = make_cloud()
    transport = Recorder(cloud)
    session = open_session(client_of(transport))
    first = session.judge([*PROMPT, 0, 1], 7)
    cloud.evict()
    text = [*PROMPT, 0, 1, first.own.token, 2]
    assert session.judge(text, 9).own.token == own(text)
    *_, refused, repeated = transport.requests
    assert (refused.position, list(refused.tokens)) == (8, [2])
    assert (repeated.position, list(repeated.tokens)) == (0, text)
    assert (repeated.audit_from, repeated.judge_from) == (8, 9)


def test_a_stale_answer_is_met_with_the_whole_text():
    cloud = make_cloud()
    session = open_session(client_of(LoopbackTransport(cloud)))
    token = session.judge(PROMPT, 5).own.token
    (held,) = cloud.table._sessions.values()
    held.rewrite(3, [0, 0, 0, 0], cached=3)
    text = [*PROMPT, token, 1]
    assert session.judge(text, 7).own.token == own(text)


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
    with pytest.raises(InputError, match="use a smaller window"):
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
    assert (verdict.stands, verdict.own) == (1, None)
    assert session.audit(text, 1.0) is None  # nothing is left to audit


def test_the_context_ends_the_text():
    session = open_session(client_of(LoopbackTransport(make_cloud())))
    assert len(list(session.write_on(PROMPT, 10 * CONTEXT))) == CONTEXT - len(PROMPT)
    assert session.judge([*PROMPT, *[0] * (CONTEXT - len(PROMPT))], CONTEXT).own is None


def test_a_text_beyond_the_context_is_refused():
    session = open_session(client_of(LoopbackTransport(make_cloud())))
    with pytest.raises(TargetRefused, match="context"):
        session.judge([*PROMPT, *[0] * CONTEXT], CONTEXT)


def test_known_text_follows_the_caller():
    """The caller may drop what it was told and not shown; the hash is that of what is left."""
    known = Known()
    known.extend([1, 2, 3, 4])
    known.align([1, 2, 9, 4, 5])
    assert (len(known), known.hash) == (2, prefix.extend(0, [1, 2]))
    known.align([1])
    assert (len(known), known.hash) == (1, prefix.extend(0, [1]))


@pytest.mark.parametrize(
    "change", [{"vocabulary": 0}, {"fingerprint": "\x1b[2J"}, {"tokenizer_fingerprint": "é"}, {"fingerprint": "f" * 65}]
)
def test_a_target_that_describes_itself_oddly_is_refused(change):
    described = {"vocabulary": 8, "context": 8, "max_request_tokens": 8, "fingerprint": "f", "name": "t"}
    described |= {"protocol": codec.REVISION} | change
    with pytest.raises(ProtocolError, match="the same version of Tandem"):
        Description.from_wire(wire.DescribeResponse(**described))


@pytest.mark.parametrize(
    ("protocol", "where"), [(0, "where the target runs"), (codec.REVISION - 1, "where the target runs"), (99, "here")]
)
def test_another_revision_of_the_protocol_is_refused_in_one_sentence(protocol, where):
    described = LoopbackTransport(make_cloud()).describe(1.0)
    assert described.protocol == codec.REVISION
    described.protocol = protocol
    with pytest.raises(ProtocolError, match=f"revision {protocol} of the protocol, .* update Tandem {where}$"):
        client_of(Liar([], described))
