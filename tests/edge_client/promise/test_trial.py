"""The test of new bundles: fair ones are kept, worse ones are found, whoever looks how often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.promise.trial import (
    FALSE_ALARMS,
    FEW,
    LEAST,
    LONGEST,
    REMEMBERED,
    SAMPLE_TOKENS,
    STAKES,
    WARM_UP,
    Measure,
    Needs,
    Trial,
    kind_of,
)
from edge_client.settings import Settings

shares = st.floats(0, 1)


def needs_of(texts: list[tuple[int, int]]) -> tuple[Needs, list[float]]:
    needs, samples = Needs(), []
    for tokens, needed in texts:
        needs, sample = needs.then(tokens, needed)
        samples += [] if sample is None else [sample]
    return needs, samples


def drawn(chance: np.random.Generator, mean: float, alike: float, count: int) -> np.ndarray:
    """The needs of texts, of which each has a mean of its own; the larger `alike`, the more alike they are."""
    return chance.binomial(SAMPLE_TOKENS, chance.beta(mean * alike, (1 - mean) * alike, count)) / SAMPLE_TOKENS


def failed_after(measure: Measure, samples: np.ndarray) -> int | None:
    """How many audited tokens a bundle's failure took; None where it did not fail."""
    trial = Trial({"texts": measure}).warm(WARM_UP)
    for number, need in enumerate(samples[:LONGEST], 1):
        trial = trial.then("texts", float(need))
        if trial.has_failed:
            return WARM_UP + number * SAMPLE_TOKENS
    assert trial.has_passed == (len(samples) >= LONGEST)
    return None


@given(st.lists(st.tuples(st.integers(1, 300), shares), max_size=40))
def test_texts_are_put_together_and_none_is_lost(texts):
    counted = [(tokens, int(share * tokens)) for tokens, share in texts]
    needs, samples = needs_of(counted)
    assert needs.tokens < SAMPLE_TOKENS
    assert needs.samples == len(samples)
    assert needs.total == pytest.approx(sum(samples))
    assert needs.squares == pytest.approx(sum(sample**2 for sample in samples))
    assert all(0 <= sample <= 1 for sample in samples)
    ratio = [needed / tokens for tokens, needed in counted if tokens >= SAMPLE_TOKENS]
    if counted and all(tokens >= SAMPLE_TOKENS for tokens, _ in counted):
        assert samples == ratio


@given(st.lists(shares, min_size=2, max_size=60))
def test_the_bar_is_above_what_was_measured(samples):
    needs, _ = needs_of([(1000, int(1000 * share)) for share in samples])
    measure = needs.measure()
    if len(samples) < LEAST:
        assert measure is None
        return
    found = np.array([int(1000 * share) / 1000 for share in samples])
    assert measure.usual == pytest.approx(found.mean())
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert measure.bar == pytest.approx(1.25 * (found.mean() + 2 * error) + 0.02, abs=1e-6)


def test_an_old_record_fades():
    needs, _ = needs_of([(SAMPLE_TOKENS, SAMPLE_TOKENS)] * 1000)
    assert needs.samples == pytest.approx(REMEMBERED)
    for _ in range(3 * REMEMBERED):
        needs, _ = needs.then(SAMPLE_TOKENS, 0)
    assert needs.mean < 0.06
    assert needs.measure().usual == needs.mean


@given(st.floats(0.01, 1.27), st.lists(shares, max_size=LONGEST))
def test_a_bundle_that_is_never_above_the_bar_never_fails(bar, samples):
    trial = Trial({"texts": Measure(bar, bar)})
    for share in samples:
        trial = trial.then("texts", share * min(bar, 1.0))
        assert not trial.has_failed
        assert all(0 <= capital <= 1 for capital in trial.capitals)


@given(st.floats(0.01, 0.99), shares, st.lists(shares, max_size=20))
def test_a_bet_is_fair_where_the_mean_is_the_bar(bar, low, past):
    """Of two needs with the bar as their mean the expected capital is the one before, whatever went before."""
    low *= bar
    high = bar + 0.5 * (1 - bar)
    odds = (bar - low) / (high - low)  # of the higher one
    before = Trial({"texts": Measure(bar, bar)})
    for share in past:
        before = before.then("texts", share)
    rose, fell = before.then("texts", high), before.then("texts", low)
    expected = odds * np.array(rose.capitals) + (1 - odds) * np.array(fell.capitals)
    assert expected == pytest.approx(np.array(before.capitals), rel=1e-9)
    assert min(rose.capitals + fell.capitals) >= 0
    assert max(STAKES) < 1, "no need, however small, loses all"


def test_texts_of_another_kind_say_nothing():
    trial = Trial({"texts": Measure(0.1, 0.15)}).warm(WARM_UP)
    assert trial.then("others", 1.0) == trial


def test_a_few_samples_are_never_enough():
    trial = Trial({"texts": Measure(0.0, 0.02)})
    for _ in range(FEW - 1):
        trial = trial.then("texts", 1.0)
        assert not trial.has_failed
    assert trial.then("texts", 1.0).has_failed


@pytest.mark.slow
@pytest.mark.parametrize("alike", [3, 40])
@pytest.mark.parametrize("mean", [0.05, 0.15, 0.4])
def test_false_alarms_are_as_rare_as_stated_at_the_very_bar(mean, alike):
    """The worst case of what counts as not worse, looked at after each of `LONGEST` texts."""
    chance = np.random.default_rng(5)
    texts = drawn(chance, mean, alike, 400 * LONGEST).reshape(400, LONGEST)
    alarms = sum(failed_after(Measure(mean, mean), samples) is not None for samples in texts)
    # Binomial: with the stated probability there are more in one of some thousand runs.
    assert alarms <= 400 * FALSE_ALARMS + 3 * math.sqrt(400 * FALSE_ALARMS)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [3, 40])
@pytest.mark.parametrize("texts", [LEAST, 100])
def test_a_bundle_as_good_as_the_one_before_is_kept_through_a_thousand_texts(alike, texts):
    """Five trials of `LONGEST` texts each, forty times, each against a record with chance of its own."""
    chance, alarms = np.random.default_rng(6), 0
    for _ in range(40 * 5):
        record, _ = needs_of(
            [(SAMPLE_TOKENS, round(SAMPLE_TOKENS * need)) for need in drawn(chance, 0.12, alike, texts)]
        )
        alarms += failed_after(record.measure(), drawn(chance, 0.12, alike, LONGEST)) is not None
    assert alarms <= 200 * FALSE_ALARMS + 3 * math.sqrt(200 * FALSE_ALARMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mean", "factor", "usual", "most"), [(0.1, 3, 1500, 4000), (0.1, 5, 1000, 2000), (0.3, 3, 1000, 2000)]
)
def test_a_worse_bundle_is_found_within_a_stated_number_of_audited_tokens(mean, factor, usual, most):
    chance = np.random.default_rng(7)
    found = []
    for _ in range(100):
        record, _ = needs_of([(SAMPLE_TOKENS, round(SAMPLE_TOKENS * need)) for need in drawn(chance, mean, 20, 64)])
        found.append(failed_after(record.measure(), drawn(chance, factor * mean, 20, LONGEST)))
    assert None not in found
    assert np.median(found) <= usual
    assert np.quantile(found, 0.99) <= most


def test_what_can_be_compared():
    usual = kind_of(Settings())
    assert usual == kind_of(Settings(seed=4, max_tokens=5, stop=["x"], window=8, timeout=3))
    others = [
        Settings(budget=0.02),
        Settings(criterion="strict"),
        Settings(coupling="residual"),
        Settings(temperature=0.5),
        Settings(top_p=0.5),
        Settings(top_k=5),
        Settings(learn=True),
        Settings(domain="code"),
    ]
    assert len({usual, *map(kind_of, others)}) == 1 + len(others)
    for mode in ("exact", "cloud", "local", "auto"):
        assert kind_of(Settings(mode=mode)) is None
    assert kind_of(Settings(budget=0)) is None
    assert kind_of(Settings(json_schema={"type": "object"})) is None
