"""Rates and what they say about a promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.verdicts import SETTLED, Rate, Verdict, calls_per_token, judge, rate, settled, worst
from shared.config import Criterion
from tests.benchmarks.runs import made_run


def test_the_error_of_a_rate_is_that_of_drawing_texts_again():
    rng = np.random.default_rng(0)

    def drawn() -> Rate:
        lengths = rng.integers(20, 100, 60)
        return rate(rng.binomial(lengths, rng.beta(2, 38, 60)).tolist(), lengths.tolist())

    rates = [drawn() for _ in range(400)]
    assert np.mean([r.error for r in rates]) == pytest.approx(np.std([r.value for r in rates]), rel=0.1)


def test_rates_of_few_texts():
    assert rate([], []) is None
    assert rate([0, 0], [0, 0]) is None
    assert rate([4], [100]) == Rate(0.04, 0.02)
    equal = rate([1, 3, 2, 2], [50] * 4)
    assert equal.value == pytest.approx(0.04)
    assert equal.error == pytest.approx(np.std([0.02, 0.06, 0.04, 0.04], ddof=1) / math.sqrt(4))


def test_a_long_text_counts_for_more():
    assert rate([10, 0], [100, 900]).value == pytest.approx(0.01)
    assert calls_per_token([made_run(100, calls=10), made_run(900)]) == pytest.approx(0.01)
    assert calls_per_token([]) == 0


def test_settled_texts_begin_late_enough():
    runs = [made_run(96) for _ in range(10)]
    assert len(settled(runs)) == 10 - math.ceil(SETTLED / 96)
    assert settled(runs[:4]) == []
    assert len(settled([made_run(SETTLED), made_run(5)])) == 1


@pytest.mark.parametrize(
    ("value", "error", "never", "asked", "verdict"),
    [
        (0.009, 0.001, 0.2, 0.3, Verdict.KEPT),
        (0.0109, 0.001, 0.2, 0.3, Verdict.KEPT),
        (0.0111, 0.001, 0.2, 0.3, Verdict.BROKEN),
        (0.0001, 0.0, 0.2, 0.3, Verdict.NEEDLESS),
        (0.0001, 0.0, 0.2, 0.004, Verdict.KEPT),  # caution that costs nothing
        (0.0001, 0.0, 0.005, 0.3, Verdict.KEPT),  # a budget that asking is not needed for
    ],
)
def test_verdicts_at_a_budget_of_one_per_cent(value, error, never, asked, verdict):
    assert judge(Rate(value, error), 0.01, never, asked) is verdict


def test_a_promise_that_nobody_could_audit_is_broken():
    assert judge(None, 0.01, 0.2, 0.3) is Verdict.BROKEN


def test_the_worst_thousand_tokens_are_found_wherever_they_lie():
    random = np.random.default_rng(1)
    for _ in range(20):
        lengths = random.integers(1, 120, 60).tolist()
        errors = [int(random.integers(0, length + 1)) for length in lengths]
        runs = [made_run(length, off_strict=wrong) for length, wrong in zip(lengths, errors, strict=True)]
        expected = []
        for end in range(60):
            begins = [begin for begin in range(end + 1) if sum(lengths[begin : end + 1]) >= 1000]
            if begins:
                expected.append(sum(errors[begins[-1] : end + 1]))
        assert worst(runs, Criterion.STRICT) == max(expected)
    assert worst([made_run(999, off_strict=5)], Criterion.STRICT) is None
    assert worst([], Criterion.STRICT) is None
