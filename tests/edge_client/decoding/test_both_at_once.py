"""A long prompt is read by both sides at once: it is on its way before the draft reads it. No text hangs on that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.decoding.text import Origin
from edge_client.edge import Edge
from edge_client.stream import Completion
from edge_client.target.session import WORTH_READING_AHEAD, TargetSession
from edge_client.testing import (
    LoopbackLink,
    LoopbackTransport,
    LossyTransport,
    ManualClock,
    ScriptedTarget,
    Trouble,
    byte_tokenizer,
    random_script,
    scripted_bundle,
)
from edge_client.testing.bundle import confident
from edge_client.testing.scripts import blurred
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.late import LateTransport
from tests.edge_client.reading import ReadingTransport

SCRIPT = random_script(byte_tokenizer().get_vocab_size())
DRAFT = blurred(SCRIPT, 0.4)
LONG = "She saw it. " * (WORTH_READING_AHEAD // 10)
SHORT = LONG[:60]
MODES = [
    {"mode": "exact"},
    {"mode": "exact", "coupling": "residual"},
    {"mode": "sprint"},
    {"mode": "sprint", "coupling": "residual"},
    {"mode": "auto"},
]


class Watched(LoopbackTransport):
    """Puts down when the prompt travels."""

    def __init__(self, events: list[str]) -> None:
        self.target = ScriptedTarget.of(scripted_bundle(SCRIPT).manifest, SCRIPT)
        self.requests: list[wire.DecodeRequest] = []
        self._events = events
        super().__init__(self.target)

    def open(self) -> LoopbackLink:
        link = super().open()
        send = link.send

        def sends(request: wire.DecodeRequest) -> None:
            if not request.HasField("guesses"):
                self._events.append("sent")
                self.requests.append(wire.DecodeRequest.FromString(request.SerializeToString()))
            send(request)

        link.send = sends
        return link


def watched(prompt: str, **options: object) -> tuple[list[str], Watched, Completion]:
    """What happens while a text is written: the order in which things are sent and drafted."""
    events: list[str] = []

    def draft(text: tuple[int, ...]) -> np.ndarray:
        events.append("drafted")
        return DRAFT(text)

    transport = Watched(events)
    given = {"bundle": scripted_bundle(draft), "memory": False, "clock": ManualClock(), "max_tokens": 20}
    with Edge(transport=LateTransport(transport, [False] * 9), **given | options) as edge:
        events.clear()
        return events, transport, edge.generate(prompt)


@pytest.mark.parametrize("options", MODES)
def test_the_prompt_is_on_its_way_before_the_draft_reads_it(options):
    events, transport, completion = watched(LONG, **options)
    assert events[:2] == ["sent", "drafted"]
    first, *others = transport.requests
    assert len(first.tokens) == completion.prompt_tokens
    assert all(request.position >= completion.prompt_tokens for request in others), "it travels once"


@pytest.mark.parametrize("options", MODES[1:4])
def test_a_short_prompt_costs_no_request_of_its_own(options):
    events, transport, completion = watched(SHORT, **options)
    assert events[0] == "drafted"
    assert len(transport.requests[0].tokens) > completion.prompt_tokens


def test_who_wants_it_cheap_has_nothing_read_that_may_never_be_asked_about():
    options = {"mode": "sprint", "prefer": "cost", "audit": False, "max_tokens": 3, "budget": 1.0}
    assert watched(LONG, **options)[1].requests == []
    assert watched(LONG, **options | {"prefer": "speed"})[0][:2] == ["sent", "drafted"]
    assert watched(LONG, **options | {"audit": True})[0][:2] == ["sent", "drafted"]


def written(plan: list[bool], words: list[int], troubles: list[Trouble], **options: object) -> Completion:
    clock = ManualClock()
    bundle = scripted_bundle(DRAFT, options.pop("doubt", confident))
    lossy = LossyTransport(ScriptedTarget.of(bundle.manifest, SCRIPT), troubles, clock)
    transport = LateTransport(ReadingTransport(lossy, words), plan)
    given = {"bundle": bundle, "memory": False, "clock": clock, "max_tokens": 24, "on_outage": "wait", "seed": 4}
    with Edge(transport=transport, timeout=6e5, **given | options) as edge:
        return edge.generate(LONG)


PLANS = st.lists(st.booleans(), max_size=120)
WORDS = st.lists(st.integers(0, 3), max_size=60)
TROUBLES = st.lists(st.sampled_from([t for t in Trouble if t is not Trouble.SILENCE] + [Trouble.NONE] * 6), max_size=20)


@pytest.mark.slow
@given(PLANS, WORDS, TROUBLES, st.sampled_from(MODES))
def test_no_schedule_changes_the_text_or_what_its_audits_say(plan, words, troubles, options):
    if options["mode"] == "auto":
        options = {"mode": "cloud"}
    expected = written([], [], [], **options)
    found = written(plan, words, troubles, **options)
    assert found.token_ids == expected.token_ids
    assert Origin.ALONE not in found.origins
    if options["mode"] == "sprint":
        assert found.usage.audit == expected.usage.audit
    elif "coupling" not in options:
        assert found.token_ids == written([], [], [], mode="cloud").token_ids


@pytest.mark.parametrize("options", MODES[2:4])
@pytest.mark.parametrize("trouble", [Trouble.LOST_ANSWER, Trouble.RESTART, Trouble.EVICTED])
def test_a_link_that_breaks_meanwhile_is_mended_once(options, trouble):
    """What was asked behind the prompt is asked again, and nobody waits for an answer that cannot come any more."""
    plan = [Trouble.NONE, Trouble.NONE, trouble]
    found = written([], [], plan, doubt=lambda step, draw: 1.0, **options)
    assert found.token_ids == written([], [], [], **options, doubt=lambda step, draw: 1.0).token_ids
    assert found.usage.reconnects == (trouble is not Trouble.EVICTED)


@pytest.mark.parametrize("options", MODES[1:4])
def test_it_is_the_text_that_is_written_without(options, monkeypatch):
    found = written([], [], [], **options)
    monkeypatch.setattr(TargetSession, "read_ahead", lambda *_: None)
    expected = written([], [], [], **options)
    assert found.token_ids == expected.token_ids
    assert found.usage.audit == expected.usage.audit
    assert found.usage.calls == expected.usage.calls + 1
