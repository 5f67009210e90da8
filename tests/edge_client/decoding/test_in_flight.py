"""Questions in flight: whatever arrives when, the text is that of a loop that waits, and each token is audited once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import accumulate, cycle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.decoding.questions import WINDOWS_AHEAD
from edge_client.decoding.text import Origin
from edge_client.testing import LoopbackTransport, LossyTransport, ManualClock, Trouble
from shared.config import Criterion, Mode, Sampling
from shared.repetition import repeated
from shared.sampling import Sampler
from tests.edge_client.decoding.pair import Pair
from tests.edge_client.late import LateTransport

pytestmark = pytest.mark.slow

PROMPT = [1, 2, 3]
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
    top_p=st.sampled_from([0.9, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
WINDOWS = st.integers(1, 9)
LENGTHS = st.integers(1, 40)
RATES = st.floats(0, 1)
# Whether an answer has come, each time the edge looks.
THRESHOLDS = st.lists(st.floats(-1, 1), min_size=1, max_size=20)
ENDS = st.sets(st.integers(0, 5), max_size=1)
PLANS = st.lists(st.booleans(), max_size=200)
# Two long silences would be the end of the edge's patience.
TROUBLES = st.lists(st.sampled_from([trouble for trouble in Trouble if trouble is not Trouble.SILENCE]), max_size=40)


def doubt(rate: float) -> Callable[..., float]:
    """Doubts of 0 to 1 that hang on the token alone, a share of `rate` above one half."""
    return lambda step, draw: min(max((draw.token * 7919 + draw.index * 1223) % 1000 / 1000 + rate - 0.5, 0), 1)


def plain_text(
    pair: Pair, sampling: Sampling, rate: float, tokens: int, end_ids: Collection[int] = ()
) -> tuple[list[int], list[int]]:
    """What a loop writes that waits for every verdict, and which positions it accepted; from the models alone."""
    sampler, doubts = Sampler(sampling), doubt(rate)

    def drawn(logits: np.ndarray, position: int):
        best_first = np.argsort(-logits, kind="stable")
        return sampler.draw(best_first, logits[best_first], position)

    text, accepted = list(PROMPT), []
    is_owed = False  # the target's own token, which came with the verdict before it
    while len(text) < len(PROMPT) + tokens and not (len(text) > len(PROMPT) and text[-1] in end_ids):
        y = drawn(pair.target_logits(text), len(text)).token
        x = drawn(pair.draft_logits(text), len(text))
        if is_owed or doubts(None, x) > 0.5:
            is_owed = not is_owed and x.token == y
            text.append(y)
        else:
            accepted.append(len(text))
            text.append(x.token)
    return text, accepted


def accepted_in(text) -> list[int]:
    return [text.prompt_length + i for i, origin in enumerate(text.origins) if origin is Origin.ACCEPTED]


@settings(max_examples=150, deadline=None)
@given(SAMPLINGS, WINDOWS, LENGTHS, RATES, st.floats(0, 1.5), PLANS, ENDS, st.booleans())
def test_the_text_is_that_of_a_loop_that_waits(sampling, window, tokens, rate, blur, plan, end_ids, branches):
    pair = Pair(blur=blur)
    text = pair.write(
        Mode.SPRINT,
        sampling,
        PROMPT,
        doubt(rate),
        tokens,
        window,
        end_ids=end_ids,
        transport=LateTransport(LoopbackTransport(pair.cloud), plan),
        branches=branches,
    )
    record = pair.record
    expected, accepted = plain_text(pair, sampling, rate, tokens, end_ids)
    assert text.sequence == expected
    assert accepted_in(text) == accepted
    # Everything was audited, and what the audits say is right.
    assert sorted(record.known) == list(range(len(PROMPT), len(expected)))
    own = {i: pair.write(Mode.CLOUD, sampling, expected[:i], tokens=1).continuation[0] for i in accepted}
    assert sorted(record.off_target[Criterion.STRICT]) == [i for i in accepted if own[i] != expected[i]]


@settings(max_examples=200, deadline=None)
@given(SAMPLINGS, WINDOWS, LENGTHS, RATES, PLANS, TROUBLES)
def test_no_trouble_of_the_link_changes_the_text(sampling, window, tokens, rate, plan, troubles):
    pair, clock = Pair(), ManualClock()
    transport = LateTransport(LossyTransport(pair.cloud, troubles, clock), plan)
    text = pair.write(Mode.SPRINT, sampling, PROMPT, doubt(rate), tokens, window, transport=transport, clock=clock)
    expected, accepted = plain_text(pair, sampling, rate, tokens)
    assert text.sequence == expected
    assert accepted_in(text) == accepted
    assert set(pair.record.known) <= set(range(len(PROMPT), len(expected)))


@pytest.mark.parametrize("trouble", [t for t in Trouble if t not in (Trouble.NONE, Trouble.SILENCE)])
@pytest.mark.parametrize("late", [False, True])
def test_one_trouble_loses_no_audit_wherever_it_falls(trouble, late):
    """The text's own end included, where nobody waits long any more."""
    for place in range(0, 240, 3):
        pair, clock = Pair(), ManualClock()
        troubles = [*[Trouble.NONE] * place, trouble]
        transport = LateTransport(LossyTransport(pair.cloud, troubles, clock), [not late] * 400)
        text = pair.write(
            Mode.SPRINT, Sampling(0.7), PROMPT, doubt(0.1), 30, window=4, transport=transport, clock=clock
        )
        assert sorted(pair.record.known) == list(range(len(PROMPT), len(text.sequence)))


@dataclass
class Restless:
    """A budget whose threshold is another one after each audit, and which remembers all that it is told, in order."""

    thresholds: list[float]
    threshold: float = 0.5
    told: list[tuple] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = cycle(self.thresholds)

    def observe(self, off_target: int, shown: int, doubts=(), errors=(), unlike: float = 0.0) -> None:
        self.told.append((off_target, shown, list(doubts), list(errors)))
        self.threshold = next(self._next)

    def doubted(self, doubt: float) -> None:
        self.told.append((doubt,))


def test_a_text_that_runs_in_circles_waits_for_every_audit():
    """Nothing comes before it is waited for. Of a text, some windows are shown that the budget has not heard of, and of
    one that only repeats itself, one."""
    pair, budget, window = Pair(), Restless([0.5]), 4
    text = pair.write(
        Mode.SPRINT,
        Sampling(0.0),
        PROMPT,
        doubt(0.0),
        60,
        window,
        transport=LateTransport(LoopbackTransport(pair.cloud), [False] * 10_000),
        budget=budget,
        told=budget,
    )
    assert repeated(text.sequence, len(PROMPT) + 20) == [True] * 40
    # Tokens that the budget had not heard of, at each moment.
    unheard = list(accumulate(-one[1] if len(one) == 4 else 1 for one in budget.told))
    assert max(unheard) <= WINDOWS_AHEAD * window
    assert max(unheard[-40:]) == window


@settings(max_examples=400, deadline=None)
@given(SAMPLINGS, WINDOWS, LENGTHS, RATES, PLANS, TROUBLES, THRESHOLDS, ENDS, st.booleans())
def test_whatever_arrives_when_the_budget_hears_the_same_and_so_the_text_is_the_same(
    sampling, window, tokens, rate, plan, troubles, thresholds, end_ids, learns
):
    pair = Pair()

    def written(plan, troubles):
        clock, budget = ManualClock(), Restless(thresholds)
        transport = LateTransport(LossyTransport(pair.cloud, troubles, clock), plan)
        how = {"end_ids": end_ids, "transport": transport, "clock": clock, "budget": budget, "told": budget}
        text = pair.write(Mode.SPRINT, sampling, PROMPT, doubt(rate), tokens, window, learns=learns, **how)
        return text, budget, pair.record

    text, budget, record = written(plan, troubles)
    calm_text, calm_budget, calm_record = written([], [])
    assert text.sequence == calm_text.sequence
    assert text.origins == calm_text.origins
    if len(record.known) == len(text.continuation):  # else the audit of the tail was lost, for which nobody waits
        assert budget.told == calm_budget.told
        assert record.off_target == calm_record.off_target
    # Each token was told of once, and what is said is right.
    accepted = accepted_in(text)
    own = [pair.write(Mode.CLOUD, sampling, text.sequence[:i], tokens=1).continuation[0] for i in accepted]
    strays = [i for i, token in zip(accepted, own, strict=True) if text.sequence[i] != token]
    assert sorted(calm_record.off_target[Criterion.STRICT]) == strays
    told = sum(one[1] for one in calm_budget.told if len(one) == 4)
    assert len(text.continuation) - told == (text.origins[-1:] == [Origin.TARGET])


@settings(max_examples=150, deadline=None)
@given(
    SAMPLINGS,
    WINDOWS,
    LENGTHS,
    st.floats(0, 1.5),
    PLANS,
    TROUBLES,
    ENDS,
    st.booleans(),
)
def test_exact_is_the_targets_own_text_whatever_is_guessed(
    sampling, window, tokens, blur, plan, troubles, end_ids, branches
):
    pair, clock = Pair(blur=blur), ManualClock()
    cloud = pair.write(Mode.CLOUD, sampling, PROMPT, tokens=tokens, end_ids=end_ids)
    text = pair.write(
        Mode.EXACT,
        sampling,
        PROMPT,
        tokens=tokens,
        window=window,
        end_ids=end_ids,
        transport=LateTransport(LossyTransport(pair.cloud, troubles, clock), plan),
        clock=clock,
        branches=branches,
    )
    assert text.sequence == cloud.sequence
    assert sorted(pair.record.known) == list(range(len(PROMPT), len(cloud.sequence)))
