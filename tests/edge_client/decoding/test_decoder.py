"""What the modes owe each other: the target alone is the reference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_client.decoding.text import Origin
from shared.config import Coupling, Criterion, Mode, Sampling
from tests.edge_client.decoding.pair import Pair, always, never

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
        own = PAIR.write(Mode.CLOUD, sampling, prompt=text.sequence[:position], tokens=1).continuation[0]
        assert (own != text.sequence[position]) == (position in record.off_target[Criterion.STRICT])


@given(
    st.sampled_from(list(Mode)),
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
