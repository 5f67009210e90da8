"""Numbers on the command line."""

from __future__ import annotations

import argparse

import pytest

from edge_client.cli.arguments import parse_args
from edge_client.cli.numbers import number, share, whole


@pytest.mark.parametrize(
    ("text", "value"), [("0.01", 0.01), ("1%", 0.01), (" 0.5 %", 0.005), ("100%", 1.0), ("0", 0.0)]
)
def test_a_share_is_a_number_or_per_cent(text, value):
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (number, "warm", "must be a number, not 'warm'"),
        (whole, "1.5", "must be a whole number, not '1.5'"),
        (share, "little", "must be a number, or per cent such as 1%, not 'little'"),
        (share, "some %", "must be a number, or per cent such as 1%, not 'some %'"),
    ],
)
def test_what_is_no_number_is_said_in_words(kind, text, sentence):
    with pytest.raises(argparse.ArgumentTypeError, match=sentence.replace("(", r"\(")):
        kind(text)


def test_a_budget_in_per_cent_is_the_share():
    assert parse_args(["--budget", "2%", "Hi"]).budget == parse_args(["--budget", "0.02", "Hi"]).budget


@pytest.mark.parametrize(
    "option", ["--budget", "--temperature", "--top-p", "--top-k", "--seed", "--max-tokens", "--window"]
)
def test_every_option_that_takes_a_number_says_so(option, capsys):
    with pytest.raises(SystemExit):
        parse_args([option, "x", "Hi"])
    assert f"argument {option}: must be a" in capsys.readouterr().err
