"""What the modes owe each other: the target alone is the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.decoding.drafter import Drafter
from edge_client.decoding.text import Origin
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from shared.calibration import DOUBT_COLUMNS
from shared.config import Coupling, Criterion, Mode, Sampling
from shared.sampling import Sampler
from tests.edge_client.decoding.pair import Pair, always, never
from tests.shared.test_repetition import plain_repeats

PAIR = Pair()
SAMPLINGS = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
    top_k=st.sampled_from([0, 3]),
    top_p=st.sampled_from([0.9, 1.0]),
    seed=st.integers(0, 2**64 - 1),
)
WINDOWS = st.integers(1, 9)
LENGTHS = st.integers(1, 30)


def random_doubt(seed: int, rate: float):
    random = np.random.default_rng(seed)
    return lambda step, draw: float(random.random() < rate)


@given(SAMPLINGS, WINDOWS, LENGTHS)
def test_exact_writes_the_targets_own_text(sampling, window, tokens):
    cloud = PAIR.write(Mode.CLOUD, sampling, tokens=tokens)
    exact = PAIR.write(Mode.EXACT, sampling, tokens=tokens, window=window)
    assert exact.continuation == cloud.continuation
    assert len(cloud.continuation) == tokens


@given(SAMPLINGS, WINDOWS, LENGTHS)
def test_a_verifier_that_always_asks_gives_the_targets_own_text(sampling, window, tokens):
    cloud = PAIR.write(Mode.CLOUD, sampling, tokens=tokens)
    sprint = PAIR.write(Mode.SPRINT, sampling, tokens=tokens, window=window, doubt=always)
    assert sprint.continuation == cloud.continuation
    assert Origin.ACCEPTED not in sprint.origins


@given(SAMPLINGS, LENGTHS)
def test_a_verifier_that_never_asks_gives_the_drafts_own_text(sampling, tokens):
    local = PAIR.write(Mode.LOCAL, sampling, tokens=tokens)
    sprint = PAIR.write(Mode.SPRINT, sampling, tokens=tokens, window=1000, doubt=never)
    assert sprint.continuation == local.continuation
    assert set(sprint.origins) == {Origin.ACCEPTED}
    assert PAIR.record.asked == 0


@given(SAMPLINGS, WINDOWS, LENGTHS, st.integers(0, 1000), st.floats(0, 1))
def test_only_accepted_tokens_stray(sampling, window, tokens, seed, rate):
    """Every token that the target wrote or confirmed is the one it writes after that text, whatever was accepted."""
    text = PAIR.write(Mode.SPRINT, sampling, tokens=tokens, window=window, doubt=random_doubt(seed, rate))
    for i, origin in enumerate(text.origins):
        position = text.prompt_length + i
        if origin is not Origin.ACCEPTED:
            own = PAIR.write(Mode.CLOUD, sampling, prompt=text.sequence[:position], tokens=1)
            assert own.continuation == [text.sequence[position]]


@given(SAMPLINGS, WINDOWS, LENGTHS, st.integers(0, 1000), st.floats(0, 1))
def test_the_audit_says_what_the_target_would_have_written(sampling, window, tokens, seed, rate):
    text = PAIR.write(Mode.SPRINT, sampling, tokens=tokens, window=window, doubt=random_doubt(seed, rate))
    record = PAIR.record
    for position in (position for position in record.known if position < text.shown):
        before, x = text.sequence[:position], text.sequence[position]
        own = PAIR.write(Mode.CLOUD, sampling, prompt=before, tokens=1).continuation[0]
        p1 = PAIR.probabilities(PAIR.target_logits(before), Sampling(1.0, 0, 1.0))
        limit = min(0.09, 0.3 * np.exp((p1 * np.log(p1)).sum()))
        off = own != x
        off_typical = off and (p1[x] < limit or plain_repeats([*before, x]))
        assert off == (position in record.off_target[Criterion.STRICT])
        if abs(p1[x] - limit) > 1e-6:
            assert (p1[x] < limit) == (position in record.unlikely)
            assert off_typical == (position in record.off_target[Criterion.TYPICAL])


@pytest.mark.parametrize("mode", [Mode.CLOUD, Mode.EXACT])
@given(sampling=SAMPLINGS, tokens=LENGTHS, coupling=st.sampled_from(list(Coupling)))
def test_the_targets_own_text_has_no_errors_by_any_criterion(mode, sampling, tokens, coupling):
    text = PAIR.write(mode, sampling, prompt=[1, 1, 1, 1, 1], tokens=tokens, coupling=coupling)
    assert sorted(PAIR.record.known) == list(range(text.prompt_length, text.shown))
    assert not any(PAIR.record.off_target.values())


class Columns(ScriptedVerifier):
    """A verifier whose doubt is the number of the column that it is asked for."""

    def __init__(self) -> None:
        super().__init__(never)

    def doubt(self, step, draw, temperature, column) -> tuple[float, float]:
        return float(column), float(column)


@pytest.mark.parametrize("criterion", list(Criterion))
def test_a_token_that_repeats_is_doubted_by_the_strict_output(criterion):
    draft = ScriptedDraft(lambda ids: np.array([0.9, 0.05, 0.05]) if len(ids) % 9 else np.array([0.05, 0.9, 0.05]), 3)
    drafter = Drafter(draft, Sampler(Sampling(1.0)), Columns(), criterion)
    text, found = [1, 2, 0, 0], set()
    while len(text) < 60:
        x = drafter.propose(text)
        text.append(x.token)
        said = Criterion.STRICT if plain_repeats(text) else criterion
        assert DOUBT_COLUMNS[int(x.doubt)] is said
        found.add(said)
    assert found == {criterion, Criterion.STRICT}


@given(
    st.sampled_from([mode for mode in Mode if mode is not Mode.AUTO]),  # which is made of the others
    st.sampled_from(list(Coupling)),
    SAMPLINGS,
    WINDOWS,
    LENGTHS,
    st.sets(st.integers(0, 5), max_size=2),
    st.lists(st.text("abcdef", min_size=1, max_size=3), max_size=2),
    st.floats(0, 1),
)
def test_nothing_follows_the_end(mode, coupling, sampling, window, tokens, end_ids, stops, rate):
    text = PAIR.write(
        mode,
        sampling,
        doubt=random_doubt(1, rate),
        tokens=tokens,
        window=window,
        coupling=coupling,
        end_ids=end_ids,
        stops=stops,
    )
    written = text.continuation
    letters = "".join(chr(ord("a") + token) for token in written if token not in end_ids)
    shown = "".join(PAIR.pieces)
    assert len(written) == len(text.origins) <= tokens
    assert not set(written[:-1]) & end_ids
    assert not any(stop in shown for stop in stops)
    assert letters.startswith(shown)
    match str(text.finish_reason):
        case "end":
            assert written[-1] in end_ids
            assert shown == letters
        case "stop":
            assert any(letters[len(shown) :].startswith(stop) for stop in stops)
            assert not any(stop in letters[:-1] for stop in stops)
        case "length":
            assert len(written) == tokens
            assert shown == letters
