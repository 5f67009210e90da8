"""What counts as an error, in every case that there is; for one token and for many."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from shared.calibration import DOUBT_COLUMNS
from shared.config import Criterion
from shared.criteria import doubt_columns, off_target

CASES = list(product([False, True], repeat=3))


@pytest.mark.parametrize(("off_strict", "unlikely", "repeating"), CASES)
def test_what_the_target_would_have_drawn_is_never_an_error(off_strict, unlikely, repeating):
    strict, typical = (off_target(c, off_strict, unlikely, repeating) for c in (Criterion.STRICT, Criterion.TYPICAL))
    assert strict == off_strict
    assert typical == (off_strict and (unlikely or repeating))
    assert off_strict or not typical


def test_arrays_say_the_same():
    columns = np.array(CASES).T
    for criterion in Criterion:
        expected = [off_target(criterion, *case) for case in CASES]
        assert off_target(criterion, *columns).tolist() == expected


def test_within_a_repetition_the_doubt_is_the_strict_one():
    for criterion in Criterion:
        plain, repeating = doubt_columns(criterion)
        assert (DOUBT_COLUMNS[plain], DOUBT_COLUMNS[repeating]) == (criterion, Criterion.STRICT)
