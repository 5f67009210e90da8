"""Another target behind one name: no text is ever a mix, what there is of it stays, and the next one is begun there."""

from __future__ import annotations

import json
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client import FinishReason, Origin, OtherTarget, TargetMismatch, Token
from edge_client.edge import Edge
from edge_client.promise.memory import Memory
from edge_client.target.author import MOST_REFUSALS
from edge_client.testing import LoopbackTransport
from edge_client.testing.loopback import LoopbackLink
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.behind_one_name import NEW, OLD, OneName, edge_of, own_texts, targets
from tests.edge_client.cut import BUNDLE, PROMPT, TOKENS, Ticking

MODES = ["cloud", "exact", "sprint", "auto"]
SWAPPED = "the target at OneName is new (51c9adf4) now, and no longer old (1a9ebb55)"


@st.composite
def proxies(draw) -> OneName:
    """A proxy that sends each call to either of two targets, now and then another one, over links that break."""
    chance = Random(draw(st.integers(0, 2**32)))
    changes, breaks = draw(st.sampled_from([0.05, 0.5])), draw(st.sampled_from([0.0, 0.03, 0.2]))
    plan = accumulate((chance.random() < changes for _ in range(500)), lambda who, moves: who ^ moves)
    return OneName(*targets(), plan=plan, breaks=(chance.random() < breaks for _ in range(500)))


@given(proxies(), st.integers(0, 7), st.sampled_from(["cloud", "exact"]), st.booleans())
@settings(max_examples=40)
def test_whoever_answers_which_call_a_text_is_one_targets_own_to_its_end(name, seed, mode, converses):
    whole = own_texts(seed)
    assert whole[0] != whole[1]
    with edge_of(name, mode=mode, seed=seed, conversations=int(converses)) as edge:
        for _ in range(2):
            with edge.stream(PROMPT) as stream:
                try:
                    ids = [token.id for token in stream]
                except OtherTarget:
                    ids = stream.completion.token_ids
                    assert stream.completion.finish_reason is FinishReason.ERROR
                    assert any(text[: len(ids)] == ids for text in whole)
                else:
                    assert ids in whole


@given(proxies(), st.integers(0, 7))
@settings(max_examples=30)
def test_in_sprint_all_audits_of_a_text_are_one_targets(name, seed):
    """With next to no budget each token is asked, so the text is its own, too."""
    with edge_of(name, mode="sprint", budget=1e-9, criterion="strict", seed=seed) as edge:
        try:
            completion = edge.generate(PROMPT)
        except OtherTarget:
            return
    assert completion.usage.audit.off_strict == 0
    assert completion.token_ids in own_texts(seed)


@pytest.mark.parametrize("mode", MODES)
def test_one_that_is_replaced_between_two_texts_is_noticed_by_the_next(mode):
    told: list[str] = []
    name = OneName(*targets())
    with edge_of(name, told, mode=mode) as edge:
        edge.generate(PROMPT)
        name.service = name.services[1]
        second = edge.generate(PROMPT)
        third = edge.generate(PROMPT)
    assert told == [f"{SWAPPED}; it writes this text"]
    assert told[0] in second.warnings
    assert told[0] not in third.warnings
    assert second.usage.tokens == third.usage.tokens == TOKENS
    if mode in ("cloud", "exact"):
        assert second.token_ids == third.token_ids == own_texts()[1]
    assert name.named[-1] == NEW
    assert name.named.count(OLD) == 2, "it is asked once who it is"


@pytest.mark.parametrize("provisional", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_one_that_is_replaced_in_the_middle_of_a_text_ends_it_and_what_there_is_stays(mode, provisional):
    told: list[str] = []
    name = OneName(*targets())
    with edge_of(name, told, mode=mode) as edge:
        settled: list[int] = []

        def read(stream) -> None:
            for event in stream:
                if isinstance(event, Token):
                    settled.append(event.id)
                if len(settled) == 20:
                    name.service = name.services[1]
                    name.services[0].restart()

        with edge.stream(PROMPT, provisional=provisional) as stream, pytest.raises(OtherTarget) as caught:
            read(stream)
        opened = len(name.named)
        completion = stream.completion
        assert completion.token_ids == settled
        assert 20 <= len(settled) < TOKENS
        assert completion.finish_reason is FinishReason.ERROR
        sentence = str(caught.value)
        assert "the target at OneName is another one than has written so far" in sentence
        assert "a text of 1a9ebb55, and here is 51c9adf4" in sentence
        assert "what is written stays, and the bundle may not fit" in sentence
        assert opened == 2, "it is no outage: nobody tries again"
        assert name.answered.keys() == {OLD}
        after = edge.generate(PROMPT)
        assert told == [SWAPPED]
        assert name.named[opened:] == [NEW], "the next text knows who is there"
        if mode in ("cloud", "exact"):
            assert settled == own_texts()[0][: len(settled)]
            assert after.token_ids == own_texts()[1]


class _Mending(Ticking):
    """A clock on which the link is mended after some seconds."""

    edge: Edge | None = None

    def now(self) -> float:
        if self.edge is not None and self.time > 4.0:
            self.edge.switch.mend()
        return super().now()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("on_outage", ["local", "wait"])
def test_so_does_one_that_is_there_after_an_outage_that_the_text_has_waited_out_or_written_through(mode, on_outage):
    clock, name = _Mending(), OneName(*targets())
    with edge_of(name, mode=mode, on_outage=on_outage, clock=clock, max_tokens=300) as edge:
        with edge.stream(PROMPT) as stream:
            for _ in range(10):
                next(stream)
            edge.switch.cut("cut")
            clock.edge, clock.time = edge, 0.0
            name.service = name.services[1]
            with pytest.raises(OtherTarget, match="than has written so far"):
                list(stream)
        alone = Origin.ALONE in stream.completion.origins
        assert alone == (mode in ("sprint", "auto") and on_outage == "local")
        assert name.answered.keys() == {OLD}
        assert stream.completion.finish_reason is FinishReason.ERROR


def test_what_a_text_taught_is_remembered_of_the_target_that_wrote_it(tmp_path):
    name = OneName(*targets())
    with edge_of(name, mode="sprint", memory=tmp_path) as edge:
        edge.generate(PROMPT)
        name.service = name.services[1]
        edge.generate(PROMPT)
        edge.generate(PROMPT)
    entries = Memory.open(BUNDLE.manifest, tmp_path).entries
    assert {promise.target: entry.texts for promise, entry in entries.items()} == {OLD: 1, NEW: 2}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("change", "why"),
    [({"tokenizer_fingerprint": "another"}, "has another tokenizer"), ({"context": 100}, "holds 100 tokens only")],
)
def test_one_that_cannot_write_a_text_as_it_was_begun_is_told_of(mode, change, why):
    name = OneName(*targets(**change))
    with edge_of(name, mode=mode) as edge:
        edge.generate(PROMPT)
        name.service = name.services[1]
        with pytest.raises(OtherTarget) as caught:
            edge.generate(PROMPT)
        assert str(caught.value) == f"{SWAPPED}, and {why}: begin the text anew, with a bundle that fits"
        if "context" in change:
            assert edge.generate(PROMPT).usage.tokens == TOKENS
        else:
            with pytest.raises(TargetMismatch, match="another tokenizer"):
                edge.generate(PROMPT)
    assert NEW not in name.answered or "context" in change


def test_two_that_answer_by_turns_end_a_text_soon():
    told: list[str] = []
    name = OneName(*targets(), plan=[0, 1] * 50)
    with edge_of(name, told, mode="cloud") as edge, pytest.raises(OtherTarget) as caught:
        edge.generate(PROMPT)
    assert len(name.named) == MOST_REFUSALS
    assert "different targets answer at OneName by turns" in str(caught.value)
    assert "an address of its own" in str(caught.value)
    assert told == []


class _Older(LoopbackTransport):
    """To a target from before the field, or from an edge from before it: neither knows what a session may name."""

    def open(self) -> LoopbackLink:
        return _OlderLink(self.service)


class _OlderLink(LoopbackLink):
    def send(self, request: wire.DecodeRequest) -> None:
        unaware = wire.DecodeRequest.FromString(request.SerializeToString())
        unaware.session.ClearField("target")
        if not request.HasField("session"):
            unaware.ClearField("session")
        super().send(unaware)


@pytest.mark.parametrize("mode", MODES)
def test_with_one_side_from_before_the_field_texts_are_what_they_were(mode):
    with edge_of(_Older(targets()[0]), mode=mode) as edge:
        found = edge.generate(PROMPT)
    with edge_of(LoopbackTransport(targets()[0]), mode=mode) as edge:
        assert edge.generate(PROMPT).token_ids == found.token_ids or mode == "auto"


def test_the_command_line_keeps_the_text_and_ends_as_with_any_trouble_with_a_target(edge, transport, monkeypatch):
    """What is written stands in the output, on a line of its own, or in the JSON beside the error."""
    receive, left = LoopbackLink.receive, iter(range(6))

    def replaced(link, timeout):
        if next(left, None) is None:
            raise OtherTarget("it is a text of the target 1a9ebb55, and here is new (51c9adf4); begin it anew")
        return receive(link, timeout)

    monkeypatch.setattr(LoopbackLink, "receive", replaced)
    status, out, _ = edge("Tom", "--max-tokens", "100", "--json", "--mode", "cloud")
    report = json.loads(out)
    assert (status, report["finish_reason"]) == (3, "error")
    assert len(report["token_ids"]) == report["tokens"] == 6
    assert "is another one than has written so far" in report["error"]
