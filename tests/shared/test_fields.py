"""What is wrong in a JSON file is said so that people find it there: the field, what it must be, and what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from shared.config import Criterion
from shared.fields import check_number, check_text, check_whole, chosen, filled, listed


@dataclass(frozen=True)
class Shape:
    rows: int
    columns: int = 1


def test_what_fits_passes():
    assert filled(Shape, {"rows": 2}) == Shape(2, 1)
    assert listed("ids", [1]) == [1]
    assert chosen(Criterion, "criterion", "strict") is Criterion.STRICT
    check_text("name", "")
    check_whole("tokens", 0)
    check_whole("id", 7, most=7)
    check_number("share", 1, 0, 1)
    check_number("debt", -2.5)


@pytest.mark.parametrize(
    ("check", "arguments", "sentence"),
    [
        (filled, (Shape, []), "the whole must be an object, not []"),
        (filled, (Shape, None, "draft"), "`draft` must be an object, not null"),
        (filled, (Shape, {}), "`rows` is missing"),
        (filled, (Shape, {}, "draft"), "`draft.rows` is missing"),
        (filled, (Shape, {"rows": 1, "hue": 2}, "draft"), "`draft.hue` is a field that there should not be"),
        (listed, ("ids", 3), "`ids` must be a list, not 3"),
        (chosen, (Criterion, "rule", "loose"), '`rule` must be one of typical, strict, not "loose"'),
        (check_text, ("name", 7), "`name` must be text, not 7"),
        (check_whole, ("context", -1, 1), "`context` must be a whole number above 0, not -1"),
        (check_whole, ("tokens", 1.5), "`tokens` must be a whole number of 0 or more, not 1.5"),
        (check_whole, ("tokens", True), "`tokens` must be a whole number of 0 or more, not true"),
        (check_whole, ("id", 8, 0, 7), "`id` must be a whole number from 0 to 7, not 8"),
        (check_number, ("share", 2, 0, 1), "`share` must be a number from 0 to 1, not 2"),
        (check_number, ("share", math.nan, 0, 1), "`share` must be a number from 0 to 1, not NaN"),
        (check_number, ("high", math.inf, 0), "`high` must be a number of 0 or more, not Infinity"),
        (check_number, ("debt", math.inf), "`debt` must be a finite number, not Infinity"),
        (check_number, ("debt", "x" * 99), f'`debt` must be a finite number, not "{"x" * 39}...'),
    ],
)
def test_what_does_not_fit_is_named(check, arguments, sentence):
    with pytest.raises(ValueError, match=r".") as caught:
        check(*arguments)
    assert str(caught.value) == sentence
