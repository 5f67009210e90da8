"""Values on a command line: what is wrong with one is said in words, never by a function's name."""

from __future__ import annotations

import argparse

import pytest

from cloud_target.options.values import above_zero, count, port, seed


@pytest.mark.parametrize(
    ("kind", "text", "value"), [(count, "1", 1), (above_zero, "2.5", 2.5), (port, "0", 0), (port, "65535", 65535)]
)
def test_numbers(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (count, "0", "must be a whole number of 1 or more, not '0'"),
        (count, "few", "must be a whole number of 1 or more, not 'few'"),
        (port, "99999", "must be a whole number from 0 to 65535, not '99999'"),
        (port, "-1", "must be a whole number from 0 to 65535, not '-1'"),
        (above_zero, "0", "must be a number above 0, not '0'"),
        (above_zero, "nan", "must be a number above 0, not 'nan'"),
        (above_zero, "long", "must be a number above 0, not 'long'"),
        (seed, "1.5", "must be a whole number from 0 to 4294967295, not '1.5'"),
        (seed, "4294967296", "must be a whole number from 0 to 4294967295, not '4294967296'"),
    ],
)
def test_what_is_none_is_refused_in_words(kind, text, sentence):
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        kind(text)
    assert str(refusal.value) == sentence
