"""The gap between two writers, and what a third closes of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gap import closed, gap


def writers(shares: list[float], spread: float, texts: int = 40):
    """Summed likelihoods of writers who are so far from a worst (0) to a best (1), one nat a token apart."""
    rng = np.random.default_rng(0)
    known = rng.integers(50, 100, (len(shares), texts))
    rates = 2.0 - np.array(shares)[:, None] + rng.normal(0, spread, (len(shares), texts))
    return rates * known, known


def test_a_gap_has_its_width_and_a_share_its_place():
    nll, known = writers([0, 1, 0.3], 0.2)
    width, share = gap(nll, known), closed(nll, known)
    assert width.value == pytest.approx(1.0, abs=3 * width.error)
    assert share.value == pytest.approx(0.3, abs=3 * share.error)
    assert 0 < share.error < 0.15


@pytest.mark.parametrize(("third", "place"), [(0, 0.0), (1, 1.0)])
def test_the_two_ends(third, place):
    nll, known = writers([0, 1], 0.2)
    share = closed([*nll, nll[third]], [*known, known[third]])
    assert share.value == pytest.approx(place)
    assert share.error == pytest.approx(0)


def test_no_shares_of_a_gap_that_is_not_there():
    assert closed(*writers([0, 0, 0.3], 0.5)) is None
    assert closed([[100.0], [50.0], [70.0]], [[100], [100], [100]]) is None
    assert gap([[1.0, 2.0], [0.0, 0.0]], [[10, 10], [10, 0]]) is None


def test_the_error_of_the_gap_is_that_of_paired_differences():
    nll, known = writers([0, 1], 0.2, texts=50)
    known = np.full_like(known, 80)
    differences = (nll[0] - nll[1]) / 80
    assert gap(nll, known).error == pytest.approx(differences.std(ddof=1) / 50**0.5)
