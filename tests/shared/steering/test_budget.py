"""The promise is kept by the audits, whatever the verifier is worth, and not by asking for more than it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.steering.budget import Budget, Steering, log_odds
from shared.steering.ledger import AIM, most_errors
from shared.steering.recalibration import CALIBRATED, UNKNOWN, chance
from shared.steering.usual import Usual

LENGTH = 100  # of a text, tokens


def tokens(
    count: int, seed: int, hard: float = -3.0, slope: float = 1.0, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Doubts and errors; the doubts' log-odds lie around `hard`, and are honest with slope 1 and shift 0."""
    random = np.random.default_rng(seed)
    log_odds = random.normal(hard, 1.5, count)
    return chance(log_odds), random.random(count) < chance(slope * log_odds + shift)


class Device:
    """Writes made-up texts under one promise, one after the other."""

    def __init__(self, limit: float, usual=None, prior=CALIBRATED) -> None:
        self._limit, self._usual, self._prior = limit, usual, prior
        self.known = Steering()

    def write(self, doubt: np.ndarray, is_off: np.ndarray, window: int = 32) -> tuple[np.ndarray, np.ndarray]:
        """Returns which tokens are shown off-target and which are asked, ``bool [N]``."""
        wrong, asked = np.zeros(len(doubt), bool), np.zeros(len(doubt), bool)
        for begin in range(0, len(doubt), LENGTH):
            text = slice(begin, begin + LENGTH)
            wrong[text], asked[text] = self._write(doubt[text].tolist(), is_off[text].tolist(), window)
        return wrong, asked

    def _write(self, doubt: list[float], is_off: list[bool], window: int) -> tuple[list[bool], list[bool]]:
        budget = Budget(self._limit, self._usual, self._prior, self.known)
        wrong, asked, begin = [], [], 0
        for i in range(len(doubt)):
            budget.doubted(doubt[i])
            asked.append(doubt[i] > budget.threshold)
            wrong.append(is_off[i] and not asked[i])
            if asked[i] or i + 1 - begin == window or i + 1 == len(doubt):
                call = slice(begin, i + 1)
                budget.observe(sum(wrong[call]), i + 1 - begin, doubt[call], is_off[call])
                begin = i + 1
        self.known = self.known.then(budget.taught, self._limit)
        return wrong, asked


def within(wrong: np.ndarray, limit: float) -> bool:
    """Whether the rate is within the limit and its sampling error."""
    return wrong.mean() <= limit + np.sqrt(limit / len(wrong))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.005, 0.01, 0.05])
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (1.0, 1.4), (1.0, -1.4), (0.5, -1.0)])
@pytest.mark.parametrize("prior", [CALIBRATED, UNKNOWN])
def test_the_promise_is_kept_and_not_by_asking_for_more_than_it_takes(limit, slope, shift, prior):
    doubt, is_off = tokens(20_000, 1, slope=slope, shift=shift)
    wrong, asked = Device(limit, prior=prior).write(doubt, is_off)
    assert wrong.mean() <= limit
    if is_off.mean() > limit:
        assert wrong.mean() >= 0.75 * limit
        order = np.argsort(doubt)
        needed = 1 - np.searchsorted(is_off[order].cumsum(), wrong.sum(), side="right") / len(doubt)
        assert asked.mean() <= needed + 0.05


@pytest.mark.parametrize("limit", [0.005, 0.02])
def test_a_draft_that_keeps_the_budget_by_itself_is_hardly_asked_about(limit):
    doubt, is_off = tokens(6000, 2, hard=-8.0)
    assert is_off.mean() < 0.5 * limit
    _, asked = Device(limit).write(doubt, is_off)
    assert asked.mean() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.005, 0.01, 0.05])
@pytest.mark.parametrize(("shift", "slope"), [(0.0, 1.0), (1.4, 1.0), (0.0, 0.7)])
def test_after_easy_texts_a_hard_kind_is_within_the_budget_from_its_300th_token_on(limit, shift, slope):
    """There the doubts may be honest, too small by a factor of four, or less telling."""
    late = []
    for seed in range(4):
        device = Device(limit)
        device.write(*tokens(3000, seed, hard=-6.0))
        wrong, _ = device.write(*tokens(1800, 100 + seed, hard=-2.5, shift=shift, slope=slope))
        late.append(wrong[300:])
    assert within(np.concatenate(late), limit)


VERIFIERS = {
    "sure": lambda random, is_off: np.full(len(is_off), 1e-9),
    "certain": lambda random, is_off: np.zeros(len(is_off)),
    "certain of errors": lambda random, is_off: np.ones(len(is_off)),
    "blind": lambda random, is_off: random.random(len(is_off)),
    "inverted": lambda random, is_off: chance(random.normal(-3, 1, len(is_off)) - 3 * is_off),
}


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 32, 256])
@pytest.mark.parametrize("limit", [0.005, 0.05])
@pytest.mark.parametrize("share", [0.15, 1.0])
@pytest.mark.parametrize("verifier", list(VERIFIERS))
def test_no_verifier_and_no_window_breaks_the_bound(verifier, share, limit, window):
    """Easy texts first, so that there is credit; then a verifier that is worth nothing, and a draft often wrong."""
    random = np.random.default_rng(5)
    count = 10_000
    is_off = random.random(count) < share
    is_off[:2000] = False
    doubt = VERIFIERS[verifier](random, is_off)
    doubt[:2000] = 1e-4
    wrong, asked = Device(limit).write(doubt, is_off, window)
    sums = np.concatenate(([0], wrong.cumsum()))
    call = min(window, LENGTH)
    assert (sums[1000:] - sums[:-1000]).max() <= most_errors(limit) + call
    assert sums[-1] <= limit * count + most_errors(limit, 0) + call
    assert not asked.all()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.floats(1e-4, 1))
def test_texts_one_after_the_other_go_on_where_the_last_one_ended(lengths, limit):
    """Split in whatever way, audits teach the same."""
    doubt, is_off = (part.tolist() for part in tokens(sum(lengths) + 1, 3))
    whole, known = Budget(limit), Steering()
    begin = 0
    for length in lengths:
        part = Budget(limit, known=known)
        for i in range(begin, begin + length):
            for budget in (whole, part):
                budget.observe(int(is_off[i]), 1, doubt[i : i + 1], is_off[i : i + 1])
        known = known.then(part.taught, limit)
        begin += length
    assert known.evidence.tokens == pytest.approx(whole.taught.evidence.tokens)
    assert known.evidence.errors == pytest.approx(whole.taught.evidence.errors)
    assert known.account.debt == pytest.approx(whole.taught.account.debt)
    assert known.account.tokens == whole.taught.account.tokens == sum(lengths)


CALLS = st.lists(
    st.tuples(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=32), st.floats(0, 9)), max_size=60
)


@given(CALLS, st.sampled_from([0.0, 1e-9, 1e-4, 0.005, 0.3, 1.0]), st.sampled_from([CALIBRATED, UNKNOWN]))
def test_the_threshold_stays_a_probability_or_asks_about_everything(calls, limit, prior):
    budget = Budget(limit, prior=prior)
    for rows, unlike in calls:
        for doubt, _ in rows:
            budget.doubted(doubt)
        errors = [is_error for _, is_error in rows]
        budget.observe(sum(errors), len(rows), [doubt for doubt, _ in rows], errors, unlike)
        assert budget.threshold == -1 or 0 < budget.threshold <= 1
        assert budget.threshold == -1 or not budget.overdrawn
        assert np.isfinite(budget.taught.evidence.tokens).all()


def test_a_budget_of_nothing_asks_about_every_token():
    budget = Budget(0.0)
    assert budget.threshold < 0
    budget.observe(0, 1000, [0.0] * 1000, [False] * 1000)
    assert budget.threshold < 0


@pytest.mark.parametrize("doubt", [0.0, 1e-12, 1e-6])
def test_not_even_what_is_not_doubted_at_all_is_shown_once_it_proves_wrong(doubt):
    budget = Budget(0.1, Usual(log_odds([doubt])))
    assert doubt <= budget.threshold
    for _ in range(200):
        budget.observe(0, 1, [doubt], [True])
    assert doubt > budget.threshold
    assert not budget.overdrawn


def test_an_audit_of_nothing_teaches_nothing():
    budget = Budget(0.01)
    before = budget.threshold
    budget.observe(0, 0)
    assert budget.threshold == before
    assert budget.taught == Steering()


def test_what_the_target_wrote_itself_counts_as_shown():
    budget = Budget(0.01)
    budget.observe(0, 100)
    assert budget.taught.account.debt < 0
    assert budget.taught.evidence.doubts == 0


def test_many_errors_are_an_alarm_until_they_are_made_good():
    budget = Budget(0.01)
    assert not budget.overdrawn
    budget.observe(8, 32)
    assert budget.overdrawn
    assert budget.threshold < 0
    budget.observe(0, 1000)
    assert not budget.overdrawn
    assert budget.threshold >= 0


def test_harder_text_is_asked_about_more_before_any_audit():
    easy, hard = Budget(0.01), Budget(0.01)
    for doubt in (0.001, 0.002, 0.004) * 60:
        easy.doubted(doubt)
        hard.doubted(10 * doubt)
    for budget in (easy, hard):
        budget.observe(0, 1)
    assert easy.threshold == 1.0
    assert 0.01 < hard.threshold < 0.04


def test_less_is_shown_of_a_text_that_is_worded_unlike_the_calibrated_ones():
    usual = Usual(np.sort(log_odds(tokens(64, 8)[0])))
    thresholds = [Budget(0.01, usual, unlike=unlike).threshold for unlike in (0.0, 0.5, 1.5)]
    assert thresholds[0] > thresholds[1] > thresholds[2]
    assert Budget(0.01, usual, UNKNOWN).threshold < thresholds[0]


@pytest.mark.parametrize("limit", [0.005, 0.02, 0.1])
def test_it_is_the_errors_counted_in_calibrated_text_that_use_up_what_is_allowed(limit):
    doubts = np.linspace(-10, 2, 64)
    for errors in (doubts, doubts - 1.2 * (doubts < -2), np.maximum(doubts, -5 + 0.001 * doubts)):
        threshold = Budget(limit, Usual(doubts, errors)).threshold
        shown = chance(doubts) <= threshold
        expected = chance(errors) / len(doubts)
        assert expected[shown].sum() <= AIM * limit < expected[: shown.sum() + 1].sum()


def blind(rate: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of a draft whose verifier was never trained: large doubts, which know nothing of the errors."""
    random = np.random.default_rng(seed)
    return chance(random.normal(-0.5, 1.5, count)), random.random(count) < rate


def test_a_start_notices_that_nothing_goes_wrong():
    """However large the doubts are, for nobody trained the verifier."""
    asked = np.mean([Device(0.01, prior=UNKNOWN).write(*blind(0.0, 2000, seed))[1] for seed in range(4)], 0)
    assert asked[:12].mean() > 0.5
    assert asked[:500].mean() < 0.12
    assert asked[200:].mean() < 0.01


@given(st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5]), st.sampled_from([0, 300, 1500]), st.integers(0, 99))
@settings(max_examples=12)
def test_a_draft_that_errs_from_some_token_on_is_held_to_the_bound_whatever_its_start_was(rate, good, seed):
    """And in the long run to the budget, which the mean over many of them keeps."""
    limit, window = 0.02, 32
    parts = blind(0.0, good, seed), blind(rate, 2500, seed + 100)
    wrong, _ = Device(limit, prior=UNKNOWN).write(*(np.concatenate(part) for part in zip(*parts, strict=True)), window)
    sums = np.concatenate(([0], wrong.cumsum()))
    assert (sums[1000:] - sums[:-1000]).max() <= most_errors(limit) + window
    assert sums[-1] <= AIM * limit * len(wrong) + most_errors(limit, 0) + window


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
def test_a_draft_that_errs_later_keeps_the_budget_from_its_300th_token_on(rate):
    late = []
    for seed in range(3):
        device = Device(0.01, prior=UNKNOWN)
        device.write(*blind(0.0, 1000, seed))
        late.append(device.write(*blind(rate, 1500, 50 + seed))[0][300:])
    assert within(np.concatenate(late), 0.01)
