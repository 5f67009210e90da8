"""However often the lead changes: each token is that of whoever led there, and each is audited once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.decoding.generation import Generation
from edge_client.decoding.text import Origin, Text
from edge_client.inference.pool import Models
from edge_client.promise.feedback import Feedback
from edge_client.settings import Settings
from edge_client.target.transport import Link, Transport
from edge_client.testing import LoopbackTransport, LossyTransport, ManualClock
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from shared.config import Coupling, Criterion, Mode
from shared.sampling import Sampler
from shared.stopping import Stopper
from shared.wire.v1 import target_pb2 as wire
from tests.edge_client.clients import client_of
from tests.edge_client.decoding.pair import Letters, Pair
from tests.edge_client.decoding.test_in_flight import PLANS, PROMPT, SAMPLINGS, TROUBLES, doubt
from tests.edge_client.late import LateTransport

LEADERS = (Mode.SPRINT, Mode.EXACT, Mode.CLOUD)
TURNS = st.lists(st.tuples(st.integers(1, 12), st.sampled_from(LEADERS)), min_size=1, max_size=6)


@dataclass
class Scripted:
    """A chooser that has made up its mind: so many tokens in each mode."""

    turns: list[tuple[int, Mode]]
    begins: int = len(PROMPT)
    log: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mode = self.turns[0][1]

    def mode_at(self, position: int) -> Mode:
        end = self.begins
        for count, mode in self.turns:
            end += count
            if position < end:
                return mode
        return self.turns[-1][1]

    def shown(self, tokens: int, left: int, asked: int) -> bool:
        self.log.append(tokens)
        before, self.mode = self.mode, self.mode_at(tokens)
        return self.mode is not before

    def measure(self, tokens: int, asked: int) -> None:
        pass


class Steady:
    """A budget that nothing moves, and that remembers of how many tokens it was told."""

    threshold, overdrawn = 0.5, False

    def __init__(self) -> None:
        self.told = 0

    def observe(self, off_target: int, shown: int, doubts=(), errors=(), unlike: float = 0.0) -> None:
        self.told += shown

    def doubted(self, doubt: float) -> None:
        pass


def written(pair: Pair, sampling, chooser: Scripted, rate: float, tokens: int, transport, clock=None, end_ids=()):
    def q(ids: tuple[int, ...]) -> np.ndarray:
        logits = pair.draft_logits(ids).astype(np.float64)
        return np.exp(logits - np.logaddexp.reduce(logits))

    text = Text(list(PROMPT), Letters(), Stopper(end_ids, (), tokens))
    session = client_of(transport, clock).session(sampling, Coupling.GUMBEL, end_ids, text.prompt_length)
    draft = ScriptedDraft(q, pair.vocabulary, pair.context)
    verifier = ScriptedVerifier(doubt(rate), lambda step, draw: 0.4)
    how = Settings(mode=Mode.AUTO, temperature=sampling.temperature, top_p=sampling.top_p, seed=sampling.seed, window=4)
    feedback = Feedback(Criterion.TYPICAL, Steady())
    generation = Generation(text, how, Models(draft, verifier), session, feedback, end_ids, None, None, chooser=chooser)
    shown = list(generation.write())
    assert [token.id for token in shown] == text.continuation
    return text, generation, feedback.budget


def reference(pair: Pair, sampling, chooser: Scripted, rate: float, tokens: int, end_ids=()) -> list[int]:
    """From the models alone: x where the device leads and does not doubt it, and else what the target would write."""
    sampler, doubts, text = Sampler(sampling), doubt(rate), list(PROMPT)

    def drawn(logits: np.ndarray, position: int):
        best_first = np.argsort(-logits, kind="stable")
        return sampler.draw(best_first, logits[best_first], position)

    is_owed = False
    while len(text) < len(PROMPT) + tokens and not (len(text) > len(PROMPT) and text[-1] in end_ids):
        mode = chooser.mode_at(len(text))
        y = drawn(pair.target_logits(text), len(text)).token
        x = drawn(pair.draft_logits(text), len(text))
        if mode is Mode.SPRINT and not is_owed and doubts(None, x) <= 0.5:
            text.append(x.token)
        else:
            # A verdict on an asked token that stands brings the next one too.
            is_owed = mode is Mode.SPRINT and not is_owed and x.token == y
            text.append(y)
    return text


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(
    SAMPLINGS,
    TURNS,
    st.integers(1, 40),
    st.floats(0, 1),
    st.floats(0, 1.5),
    PLANS,
    st.sets(st.integers(0, 5), max_size=1),
)
def test_each_token_is_that_of_whoever_led_there(sampling, turns, tokens, rate, blur, plan, end_ids):
    pair, chooser = Pair(blur=blur), Scripted(turns)
    transport = LateTransport(LoopbackTransport(pair.cloud), plan)
    text, generation, budget = written(pair, sampling, chooser, rate, tokens, transport, end_ids=end_ids)
    assert text.sequence == reference(pair, sampling, chooser, rate, tokens, end_ids)
    # All of it was audited, or the target wrote it; and the budget was told of no token twice.
    summary = generation.summary
    assert summary.audit.known == len(text.continuation)
    assert budget.told <= len(text.continuation)
    accepted = [i for i, origin in enumerate(text.origins, len(PROMPT)) if origin is Origin.ACCEPTED]
    assert budget.told >= len(accepted)
    own = [pair.write(Mode.CLOUD, sampling, text.sequence[:i], tokens=1).continuation[0] for i in accepted]
    off = sum(text.sequence[i] != token for i, token in zip(accepted, own, strict=True))
    assert summary.audit.off_strict == off


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(SAMPLINGS, TURNS, st.integers(1, 40), st.floats(0, 1), PLANS, TROUBLES)
def test_no_trouble_of_the_link_changes_that(sampling, turns, tokens, rate, plan, troubles):
    pair, chooser, clock = Pair(), Scripted(turns), ManualClock()
    transport = LateTransport(LossyTransport(pair.cloud, troubles, clock), plan)
    text, *_ = written(pair, sampling, chooser, rate, tokens, transport, clock)
    assert text.sequence == reference(pair, sampling, chooser, rate, tokens)


class Watched(Transport):
    """Another transport, of which every message is remembered: what is asked, and what is answered.

    Attributes:
        log: "write" for a request that has the target write on, "ask" for others, and "answer".
    """

    def __init__(self, inner: Transport) -> None:
        self._inner, self.log = inner, []
        self.describe, self.release, self.close = inner.describe, inner.release, inner.close

    def open(self) -> Link:
        link, log = self._inner.open(), self.log

        class Noted(Link):
            def send(self, request: wire.DecodeRequest) -> None:
                log.append("write" if request.write_on else "ask")
                link.send(request)

            def receive(self, timeout: float) -> wire.DecodeResponse | None:
                if (answer := link.receive(timeout)) is not None:
                    log.append("answer")
                return answer

            def close(self) -> None:
                link.close()

        return Noted()


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.CLOUD])
def test_the_target_begins_to_write_while_the_last_audit_is_under_way(mode):
    """So that going over takes one round trip, and not one for the audit and another one for the first token."""
    pair, chooser = Pair(), Scripted([(6, Mode.SPRINT), (14, mode)])
    transport = Watched(LateTransport(LoopbackTransport(pair.cloud), repeat(False)))
    text, *_ = written(pair, Settings().sampling, chooser, 0.0, 20, transport)
    assert len(text.continuation) == 20
    assert transport.log.count("write") == 1
    before = transport.log[: transport.log.index("write")]
    # Two audits of a window each at most, and the tail's: not one answer came before the target was to write on.
    assert set(before) == {"ask"}


def test_whoever_leads_on_after_all_asks_as_if_nothing_had_been_begun():
    class Fickle(Scripted):
        def shown(self, tokens: int, left: int, asked: int) -> bool:
            super().shown(tokens, left, asked)
            if tokens >= self.begins + 6 and self.mode is Mode.SPRINT and not self.turned:
                self.mode, self.turned = Mode.EXACT, True
            return True

    pair, chooser = Pair(), Fickle([(40, Mode.SPRINT)])
    chooser.turned = False
    text, generation, _ = written(pair, Settings().sampling, chooser, 0.3, 20, LoopbackTransport(pair.cloud))
    assert chooser.turned
    assert text.sequence == reference(pair, Settings().sampling, chooser, 0.3, 20)
    assert generation.summary.audit.known == 20


def test_the_choice_is_looked_at_behind_every_token():
    pair, chooser = Pair(), Scripted([(5, Mode.EXACT), (5, Mode.SPRINT), (5, Mode.CLOUD)])
    text, *_ = written(pair, Settings().sampling, chooser, 0.3, 20, LoopbackTransport(pair.cloud))
    assert len(text.continuation) == 20
    assert all(b - a <= 2 for a, b in pairwise(chooser.log))  # two tokens come with one verdict
