"""The table says what was measured, which draft is kept, and what it can gain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from cloud_target.distil.pace import gain, step_seconds
from cloud_target.distil.table import Line, Measured, as_json, as_markdown, best
from cloud_target.training.time_left import TimeLeft, duration
from tests.cloud_target.distil.conftest import CONTEXT, build

SHARES = st.floats(0, 1)
LINES = st.lists(st.builds(Line, st.floats(0, 99), st.integers(0, 10**9), SHARES, SHARES), min_size=1, max_size=9)


@given(lines=LINES)
def test_one_line_has_the_star_and_none_is_better(lines: list[Line]) -> None:
    measured = Measured(0.002, 0.01, 6000, "cpu")
    rows = as_markdown(lines, measured).splitlines()[2 : 2 + len(lines)]
    starred = [line for line, text in zip(lines, rows, strict=True) if "*" in text]
    assert starred == [best(lines)]
    assert all(line.worth <= starred[0].worth for line in lines)
    assert all("| 0.20 |" in text for text in rows)
    found = as_json(lines, measured)["lines"]
    assert [line["kept"] for line in found] == ["*" in text for text in rows]


@given(agreement=st.floats(0, 1), share=st.floats(0.01, 2))
def test_gain_is_that_of_the_best_window(agreement: float, share: float) -> None:
    windows = np.arange(17)
    tokens = np.array([(agreement ** np.arange(window + 1)).sum() for window in windows])
    assert gain(agreement, share) == pytest.approx((tokens / (1 + windows * share)).max())
    assert gain(0, share) == 1


def test_gain_is_what_drafting_brings() -> None:
    """Passes of a target, counted: each takes one step and gives the drafted tokens that agree, and one more."""
    random, agreement, share, window = np.random.default_rng(0), 0.8, 0.05, 9
    agrees = random.random((20_000, window)) < agreement
    tokens = 1 + agrees.cumprod(1).sum(1)
    assert gain(agreement, share) == pytest.approx(tokens.mean() / (1 + window * share), rel=0.03)


@pytest.mark.slow
def test_steps_of_more_layers_take_longer() -> None:
    few, many = step_seconds([build(1), build(12)], CONTEXT)
    assert 0 < few < many


def test_steps_fit_in_a_short_context(target: LlamaForCausalLM) -> None:
    assert len(step_seconds([target], 20)) == 1


def test_time_left_goes_by_a_trial_and_then_by_what_was_done() -> None:
    now = [0.0]
    left = TimeLeft(1000, lambda: 10.0, lambda: now[0])
    assert str(left) == duration(100)
    left.reach(500)  # done before
    assert str(left) == duration(50)
    with left.doing(100):
        now[0] = 50.0
    left.reach(600)
    assert str(left) == duration(200)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations_are_told_in_a_unit_that_fits(seconds: float, words: str) -> None:
    assert duration(seconds) == words
