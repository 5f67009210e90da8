"""The bounds of the promise hold for whatever is entered: they follow from the account alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.steering.ledger import AIM, MOST_SHARE, Account, Ledger, most_credit, most_debt, most_errors

LIMITS = st.sampled_from([1e-4, 0.005, 0.01, 0.05, 0.3, 1.0])
# Tokens and errors of a call, as an adversary would like them.
CALLS = st.lists(st.integers(1, 32).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=300)


def entered(limit: float, calls: list[tuple[int, int]], texts: int = 1) -> list[tuple[int, int]]:
    """What happens of `calls`, given out over `texts`: where every token is asked, none is an error."""
    account, happened = Account(), []
    for part in np.array_split(np.arange(len(calls)), texts):
        ledger = Ledger(limit, account)
        for shown, errors in (calls[i] for i in part):
            errors = 0 if ledger.overdrawn else errors
            assert (ledger.allowed == 0) is ledger.overdrawn
            ledger.enter(errors, shown)
            happened.append((shown, errors))
        account = account.then(ledger.taught, limit)
    return happened


def holds(limit: float, happened: list[tuple[int, int]]) -> None:
    """No run of calls has more errors than it may have, and one call's."""
    shown, errors = np.cumsum([(0, 0), *happened], 0).T
    found = max((errors for _, errors in happened), default=0)
    for begin in range(len(happened)):
        spans, wrong = shown[begin:] - shown[begin], errors[begin:] - errors[begin]
        assert (wrong <= AIM * limit * spans + most_credit(limit) + most_debt(limit) + found + 1e-6).all()
    assert errors[-1] <= AIM * limit * shown[-1] + most_debt(limit) + found + 1e-6


@given(LIMITS, CALLS, st.integers(1, 9))
def test_no_run_of_tokens_holds_more_errors_than_the_bound_whatever_happens(limit, calls, texts):
    holds(limit, entered(limit, calls, texts))


@pytest.mark.parametrize("limit", [0.005, 0.01, 0.05])
@pytest.mark.parametrize("good", [0, 40, 4000])
def test_the_worst_adversary_meets_the_bound_and_the_long_run_the_budget(limit, good):
    """After a good past everything is wrong that is not asked."""
    happened = entered(limit, [(32, 0)] * good + [(32, 32)] * 12_000, texts=50)
    errors = np.repeat([wrong for _, wrong in happened], 32) / 32
    sums = np.concatenate(([0.0], errors.cumsum()))
    worst = (sums[1000:] - sums[:-1000]).max()
    assert worst <= most_errors(limit) + 32
    assert worst >= 0.6 * most_errors(limit)
    assert errors.mean() <= limit


@pytest.mark.parametrize("limit", [0.005, 0.01, 0.05])
def test_the_bound_for_a_thousand_tokens_is_what_the_documents_say(limit):
    assert most_errors(limit) == pytest.approx(1.3 * limit * 1000 + 5)


@given(LIMITS, CALLS)
def test_credit_is_bounded_and_what_is_allowed_with_it(limit, calls):
    ledger = Ledger(limit, Account())
    for shown, errors in calls:
        ledger.enter(errors, shown)
        assert ledger.taught.debt >= -most_credit(limit) - 1e-9
        assert 0 <= ledger.allowed <= MOST_SHARE * AIM * limit


@given(LIMITS, st.lists(CALLS, min_size=3, max_size=3))
def test_texts_at_once_add_up_in_whatever_order_they_end(limit, texts):
    known = Account(1.0, 10)
    ledgers = [Ledger(limit, known) for _ in texts]
    for ledger, calls in zip(ledgers, texts, strict=True):
        for shown, errors in calls:
            ledger.enter(errors, shown)
    total = known.debt + sum(ledger.taught.debt for ledger in ledgers)
    for order in permutations(ledgers):
        account = known
        for ledger in order:
            account = account.then(ledger.taught, limit)
        assert account.tokens == 10 + sum(shown for calls in texts for shown, _ in calls)
        # Credit that is cut off is never given back, so no order forgives an error.
        assert account.debt >= total - 1e-6
        if all(ledger.taught.debt >= 0 for ledger in ledgers):
            assert account.debt == pytest.approx(total)


def test_a_budget_of_nothing_allows_nothing_until_and_after_an_error():
    ledger = Ledger(0.0, Account())
    assert ledger.allowed == 0
    ledger.enter(0, 100)
    assert (ledger.allowed, ledger.taught) == (0, Account(0.0, 100))
