"""The protocol on a scripted target: whatever the edge sends and whatever is lost, the text is the target's own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.engine.interface import Feed, Scores
from cloud_target.engine.scripted import ScriptedEngine, random_script
from shared.config import Coupling, Sampling
from shared.sampling import Sampler
from shared.wire import codec
from shared.wire.v1 import target_pb2 as wire
from tests.cloud_target.protocol.reference import SESSION_ID, Cloud, alone, request

VOCABULARY = 6
CONTEXT = 40
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
    top_k=st.sampled_from([0, 3]),
    top_p=st.sampled_from([0.8, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
prompts = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=8)


def make_cloud(seed: int = 0, slots: int = 2) -> Cloud:
    return Cloud(ScriptedEngine(random_script(VOCABULARY, seed), VOCABULARY, slots, CONTEXT))


def untimed(responses: list[wire.DecodeResponse]) -> list[wire.DecodeResponse]:
    for response in responses:
        if response.HasField("verdict"):
            response.verdict.ClearField("timing")
        elif response.HasField("continuation"):
            response.continuation.ClearField("timing")
    return responses


class Edge:
    """Sends guesses, right and wrong ones, and believes only verdicts; knows nothing of the cloud's state."""

    def __init__(self, cloud: Cloud, prompt, sampling, end_ids=()):
        self.cloud, self.sampling, self.end_ids = cloud, sampling, end_ids
        self.text, self.prompt, self.sent, self.ended = list(prompt), len(prompt), 0, False

    def step(self, guesses: list[int], write_on: int, heard: int) -> None:
        """One request and its recovery; only the first `heard` responses arrive."""
        base, asked = self.sent, self.text + guesses
        for _ in range(4):
            message = request(
                asked,
                base,
                self.sampling,
                audit_from=max(base, self.prompt),
                judge_from=len(self.text),
                write_on=write_on,
                end_ids=self.end_ids,
            )
            responses = []
            for response in self.cloud.stream(message):
                if len(responses) == heard:
                    break
                responses.append(response)
            if responses and responses[0].HasField("resync"):
                assert responses[0].resync.held < base
                base = min(responses[0].resync.held, len(self.text))
            elif responses and responses[0].HasField("stale"):
                base = 0
            else:
                break
        else:
            pytest.fail("an edge must recover in a few tries")
        for response in responses:
            self.hear(response, guesses)

    def hear(self, response: wire.DecodeResponse, guesses: list[int]) -> None:
        if response.HasField("verdict"):
            verdict = response.verdict
            self.text += guesses[: verdict.stands]
            if verdict.HasField("token"):
                self.text.append(verdict.token)
            self.sent = len(self.text)
        else:
            assert response.continuation.position == len(self.text)
            self.text += response.continuation.tokens
            self.sent = len(self.text)
        self.ended = self.text[-1] in self.end_ids or len(self.text) >= CONTEXT


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(samplings, prompts, st.data())
def test_any_guesses_losses_and_evictions_give_the_targets_own_text(sampling, prompt, data):
    end_ids, seed = data.draw(st.sampled_from([(), (5,)])), data.draw(st.integers(0, 99))
    cloud = make_cloud(seed)
    truth = alone(random_script(VOCABULARY, seed), prompt, sampling, CONTEXT, end_ids)
    edge = Edge(cloud, prompt, sampling, end_ids)
    for _ in range(60):
        if edge.ended:
            break
        known = len(edge.text)
        right = truth[known : known + data.draw(st.integers(0, 4))]
        wrong = data.draw(st.lists(st.integers(0, VOCABULARY - 1), max_size=2))
        guesses = (right + wrong)[: CONTEXT - known]
        match data.draw(st.sampled_from(["nothing", "nothing", "evict", "behind", "other session"])):
            case "evict":
                cloud.table.release(SESSION_ID)
            case "behind":
                edge.sent = data.draw(st.integers(0, edge.sent))
            case "other session":
                for name in (b"a" * 16, b"b" * 16):
                    cloud.ask(request([1, 2, 3], 0, sampling, session_id=name))
        edge.step(guesses, data.draw(st.sampled_from([0, 0, 3, 50])), data.draw(st.sampled_from([0, 1, 2, 99])))
        assert edge.text == truth[: len(edge.text)]
    assert len(edge.text) <= CONTEXT


@settings(max_examples=40, deadline=None)
@given(samplings, prompts, st.data())
def test_a_repeated_request_gives_the_same_answer(sampling, prompt, data):
    """At once, after other requests on the session, and after the cache was lost."""
    cloud = make_cloud()
    text = prompt + data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=8))
    judge_from = data.draw(st.integers(len(prompt), len(text)))
    audit_from = data.draw(st.integers(len(prompt), judge_from))
    position = data.draw(st.integers(0, len(prompt)))
    if position:
        cloud.ask(request(text[:position], 0, sampling, judge_from=position))
    spans = {"audit_from": audit_from, "judge_from": judge_from}
    message = request(text, position, sampling, **spans, write_on=data.draw(st.integers(0, 5)))
    first = untimed(cloud.ask(message))
    assert untimed(cloud.ask(message)) == first
    for stop in range(1, len(first)):
        stream = cloud.stream(message)
        assert untimed([next(stream) for _ in range(stop)]) == first[:stop]
        stream.close()
    cloud.table.release(SESSION_ID)
    again = untimed(cloud.ask(request(text, 0, sampling, **spans, write_on=message.write_on)))
    assert again == first


@settings(max_examples=40, deadline=None)
@given(samplings, prompts, st.data())
def test_the_audit_is_the_same_however_it_is_cut(sampling, prompt, data):
    """Audits of pieces, with any part of the text in the cache, are the audit of the whole."""
    text = prompt + data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20))
    [whole] = make_cloud().ask(
        request(text, 0, sampling, audit_from=len(prompt), judge_from=len(text), audit_only=True)
    )
    expected = codec.decode_audit(whole.verdict.audit)
    assert not whole.verdict.HasField("token")
    cuts = [*sorted(data.draw(st.sets(st.integers(len(prompt), len(text) - 1)))), len(text)]
    cloud, strict, unlikely, nll, done = make_cloud(), [], [], [], 0
    for cut in cuts:
        part = request(text[:cut], done, sampling, audit_from=max(done, len(prompt)), judge_from=cut, audit_only=True)
        [response] = cloud.ask(part)
        audit = codec.decode_audit(response.verdict.audit)
        strict += audit.off_strict.tolist()
        unlikely += audit.unlikely.tolist()
        nll += audit.nll.tolist()
        done = cut
    assert strict == expected.off_strict.tolist()
    assert unlikely == expected.unlikely.tolist()
    assert nll == expected.nll.tolist()


@settings(max_examples=40, deadline=None)
@given(samplings, prompts, st.data())
def test_verdict_counts(sampling, prompt, data):
    """The first that falls is replaced by the target's own; the audit covers what was audited and what stands."""
    script = random_script(VOCABULARY)
    shown = prompt + data.draw(st.lists(st.integers(0, VOCABULARY - 1), max_size=5))
    truth = alone(script, shown, sampling, len(shown) + 6)
    guesses = data.draw(st.lists(st.integers(0, VOCABULARY - 1), max_size=5))
    [response] = make_cloud().ask(request(shown + guesses, 0, sampling, audit_from=len(prompt), judge_from=len(shown)))
    stands = 0
    while stands < len(guesses) and guesses[stands] == truth[len(shown) + stands]:
        stands += 1
    assert response.verdict.stands == stands
    assert response.verdict.token == truth[len(shown) + stands]
    audit = codec.decode_audit(response.verdict.audit)
    assert len(audit) == len(shown) - len(prompt) + stands
    assert not audit.off_strict[len(shown) - len(prompt) :].any()
    fell = stands < len(guesses) and is_unlikely(script(shown + guesses[:stands]).astype(float), guesses[stands])
    assert response.verdict.fallen_unlikely == fell
    own = codec.decode_nll(bytes([response.verdict.token_nll]))[0]
    logits = script(shown + guesses[:stands]).astype(float)
    assert response.verdict.token_unlikely == is_unlikely(logits, response.verdict.token)
    assert np.sqrt(own) == pytest.approx(
        np.sqrt(np.logaddexp.reduce(logits) - logits[response.verdict.token]), abs=0.01
    )


def is_unlikely(logits: np.ndarray, token: int) -> bool:
    """Typical acceptance, from its definition."""
    p = np.exp(logits - np.logaddexp.reduce(logits))
    return bool(p[token] < min(0.09, 0.3 * np.exp((p * np.log(p)).sum())))


@settings(max_examples=20, deadline=None)
@given(samplings, prompts)
def test_a_continuation_says_which_of_its_words_are_unlikely(sampling, prompt):
    script, text = random_script(VOCABULARY), list(prompt)
    first, *rest = make_cloud().ask(request(prompt, 0, sampling, judge_from=len(prompt), write_on=20))
    told = [(first.verdict.token, first.verdict.token_unlikely)]
    for response in rest:
        flags = codec.decode_bitmap(response.continuation.unlikely, len(response.continuation.tokens)).tolist()
        told += zip(response.continuation.tokens, flags, strict=True)
    assert len(told) == 21
    for token, unlikely in told:
        assert unlikely == is_unlikely(script(text).astype(float), token)
        text.append(token)


def test_a_standing_end_token_ends_the_text():
    sampling = Sampling(0.0)
    script = random_script(VOCABULARY)
    truth = alone(script, [1], sampling, 12)
    end = truth[6]
    first = truth.index(end, 1)
    message = request(truth[:11], 0, sampling, judge_from=1, end_ids=[end], write_on=9)
    verdict, continuation = make_cloud().ask(message)
    assert verdict.verdict.stands == first
    assert not verdict.verdict.fallen_unlikely  # what follows the end was not judged
    assert not verdict.verdict.HasField("token")
    assert continuation.continuation == wire.Continuation(position=first + 1, done=True)


def test_no_token_after_an_own_end_token():
    sampling = Sampling(0.0)
    truth = alone(random_script(VOCABULARY), [1], sampling, 12)
    end = truth[8]
    length = truth.index(end, 1) + 1
    responses = make_cloud().ask(request([1], 0, sampling, judge_from=1, end_ids=[end], write_on=30))
    written = [responses[0].verdict.token] + [t for r in responses[1:] for t in r.continuation.tokens]
    assert written == truth[1:length]
    assert [r.continuation.done for r in responses[1:]] == [False] * (len(responses) - 2) + [True]


@pytest.mark.parametrize("short", [0, 1, 2, 5])
def test_never_longer_than_the_context(short):
    sampling = Sampling(1.0, seed=3)
    prompt = [1] * (CONTEXT - short)
    responses = make_cloud().ask(request(prompt, 0, sampling, judge_from=len(prompt), write_on=1000))
    assert responses[0].verdict.HasField("token") == (short > 0)
    written = sum(len(r.continuation.tokens) for r in responses[1:])
    assert written == max(short - 1, 0)
    assert responses[-1].continuation.done


def test_stale_and_resync():
    sampling, cloud = Sampling(0.0), make_cloud()
    [response] = cloud.ask(request([1, 2, 3, 4], 3, sampling))
    assert response.resync == wire.Resync(held=0)
    [response] = cloud.ask(request([1, 2, 3], 0, sampling, judge_from=3))
    own = response.verdict.token
    wrong = (own + 1) % VOCABULARY
    [response] = cloud.ask(request([1, 2, 3, wrong, 0], 4, sampling))
    assert response.HasField("stale")
    [response] = cloud.ask(request([1, 2, 3, own, 0, 0], 5, sampling))
    assert response.resync == wire.Resync(held=4)
    [response] = cloud.ask(request([1, 2, 3, own, 0, 0], 4, sampling, judge_from=4))
    assert response.HasField("verdict")


def test_only_what_is_new_is_fed():
    sampling, cloud = Sampling(0.0), make_cloud()
    [response] = cloud.ask(request([1, 2, 3], 0, sampling, judge_from=3))
    text = [1, 2, 3, response.verdict.token]
    assert cloud.engine.fed == 3
    cloud.ask(request([*text, 0], 4, sampling))
    assert cloud.engine.fed == 5  # the own token and the judged one
    cloud.ask(request([*text, 1], 4, sampling))
    assert cloud.engine.fed == 7  # the row before the judged token is not in the cache, so its token goes again
    assert cloud.engine.passes == 3


@settings(max_examples=40, deadline=None)
@given(samplings, st.data())
def test_residual_is_repeatable_and_bounded(sampling, data):
    """Judged tokens that stand are a prefix, and what replaces the first that falls has p above 0."""
    script, draft = random_script(VOCABULARY), random_script(VOCABULARY, seed=9)
    text, q = [1, 2], []
    for _ in range(4):
        logits = draft(text).astype(float)
        p = np.exp(logits - np.logaddexp.reduce(logits))
        q.append(codec.encode_distribution(np.arange(VOCABULARY), p))
        text.append(data.draw(st.integers(0, VOCABULARY - 1)))
    message = request(text, 0, sampling, judge_from=2, coupling=Coupling.RESIDUAL, q=q)
    cloud = make_cloud()
    first, second = untimed(cloud.ask(message)), untimed(cloud.ask(message))
    assert first == second
    verdict = first[0].verdict
    assert not codec.decode_audit(verdict.audit).off_strict.any()
    if sampling.temperature == 0:
        truth = alone(script, text[: 2 + verdict.stands], sampling, 3 + verdict.stands)
        assert verdict.token == truth[-1]
        assert verdict.stands == 4 or truth[-1] != text[2 + verdict.stands]


@pytest.mark.slow
@pytest.mark.parametrize("coupling", Coupling)
def test_the_text_follows_p(coupling):
    """Chi-square over seeds: draft from q, let the cloud judge, keep what it says; the token is distributed as p."""
    count, script, draft = 3000, random_script(VOCABULARY, 4, spread=1.0), random_script(VOCABULARY, 5, spread=1.0)
    engine = ScriptedEngine(script, VOCABULARY, 1, CONTEXT)
    cloud, prompt = Cloud(engine), [3, 1]
    q_logits, p_logits = draft(prompt), script(prompt).astype(float)
    ids = np.argsort(-q_logits, kind="stable")
    observed = np.zeros(VOCABULARY)
    fell = 0
    for seed in range(count):
        sampling = Sampling(1.0, 0, 1.0, seed)
        draw = Sampler(sampling).draw(ids, q_logits[ids], 2)
        q = [codec.encode_distribution(*draw.distribution)] if coupling is Coupling.RESIDUAL else []
        [response] = cloud.ask(request([*prompt, draw.token], 0, sampling, coupling=coupling, q=q))
        fell += response.verdict.stands == 0
        observed[draw.token if response.verdict.stands else response.verdict.token] += 1
    p = np.exp(p_logits - np.logaddexp.reduce(p_logits))
    assert ((observed - p * count) ** 2 / (p * count)).sum() < 22.1  # 0.0005 tail, 5 degrees of freedom
    assert 0.05 < fell / count < 0.8


class FailingEngine(ScriptedEngine):
    """Loses its device in a pass, after it has written to its slot."""

    fails_at = 0

    def forward(self, feeds: Sequence[Feed]) -> list[Scores]:
        scores = super().forward(feeds)
        if self.passes == self.fails_at:
            raise RuntimeError("device lost")
        return scores


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(samplings, st.data())
def test_an_answer_never_hangs_on_what_came_before(sampling, data):
    """Any requests, cut short or failed at any point: each is answered as a cloud that knew nothing would."""
    cloud = Cloud(FailingEngine(random_script(VOCABULARY), VOCABULARY, 1, CONTEXT))
    for _ in range(data.draw(st.integers(1, 12))):
        session = cloud.table.take(SESSION_ID)
        known = list(session.ids)
        cloud.table.put_back(SESSION_ID)
        position = data.draw(st.integers(max(len(known) - 5, 0), len(known)))
        new = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=0 if position else 1, max_size=5))
        text = (known[:position] + new)[:CONTEXT]
        cuts = st.integers(max(position, 1), len(text))
        audit_from, judge_from = sorted((data.draw(cuts), data.draw(cuts)))
        spans = {"audit_from": audit_from, "judge_from": judge_from, "write_on": data.draw(st.integers(0, 3))}
        cloud.engine.fails_at = cloud.engine.passes + data.draw(st.sampled_from([0, 0, 0, 1, 2]))
        responses, heard = [], data.draw(st.sampled_from([1, 2, 99]))
        with suppress(RuntimeError):
            for response in cloud.stream(request(text, position, sampling, **spans)):
                responses.append(response)
                if len(responses) == heard:
                    break
        expected = make_cloud().ask(request(text, 0, sampling, **spans))
        assert untimed(responses) == untimed(expected)[: len(responses)]
