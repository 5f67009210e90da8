"""Values as programs give them."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import pytest

from shared import values
from shared.config import Criterion, Mode
from shared.errors import InputError

HUGE = 10**9999  # more digits than Python writes


def test_what_is_plainly_meant_is_taken():
    assert values.choice(Mode, "mode", "Sprint") is values.choice(Mode, "mode", Mode.SPRINT) is Mode.SPRINT
    assert values.strings("stop", "a") == ("a",)
    assert values.path("bundle", "~") == Path.home()


@pytest.mark.parametrize(
    ("check", "value", "sentence"),
    [
        (lambda value: values.choice(Criterion, "it", value), "x", "it must be one of typical, strict, not 'x'"),
        (lambda value: values.choice(Criterion, "it", value), 5, "it must be one of typical, strict, not 5"),
        (lambda value: values.whole("it", value), True, "it must be a whole number, not True"),
        (
            lambda _: values.whole("it", HUGE),
            None,
            "it must be a whole number of 64 bits at most, not one of 33",
        ),
        (lambda value: values.number("it", value), "5", "it must be a number, not '5'"),
        (lambda value: values.number("it", value), math.nan, "it must be a finite number, .*, not nan"),
        (lambda value: values.number("it", value), -math.inf, "it must be a finite number, .*, not -inf"),
        (lambda value: values.number("it", value), 10**400, r"it must be a finite number, .*, not 10+\.\.\.$"),
        (
            lambda value: values.number("it", value),
            Fraction(HUGE),
            "it must be a finite number, .*, not a Fraction",
        ),
        (lambda value: values.seconds("it", value), -1, r"it must be between 0 and 604800 seconds \(a week\), not -1"),
        (lambda value: values.seconds("it", value), 1e300, r"it must be between .*, not 1e\+300"),
        (lambda _: values.switch("it", HUGE), None, "it must be True or False, not one of 33"),
        (lambda value: values.choice(Mode, "it", value), "x" * 999, r"not 'x{59}\.\.\.$"),
        (lambda value: values.switch("it", value), 1, "it must be True or False, not 1"),
        (lambda value: values.string("it", value), b"a", "it must be text, not bytes"),
        (lambda value: values.strings("it", value), [1], r"it must be text, or several, not \[1\]"),
        (lambda value: values.strings("it", value), {"a": 1}, r"it must be text, or several, not \{'a': 1\}"),
        (lambda value: values.path("it", value), 5, "it must be a path, not 5"),
        (lambda value: values.path("it", value), "~nobody-at-all", "there is no home directory for ~nobody-at-all"),
    ],
)
def test_everything_else_is_refused_in_a_sentence(check, value, sentence):
    with pytest.raises(InputError, match=sentence):
        check(value)
