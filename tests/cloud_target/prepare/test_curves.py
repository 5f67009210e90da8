"""The numbers behind the charts equal their plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_target.prepare.curves import RUN_EDGES, reliability, roc, runs, trade
from cloud_target.prepare.words import percent

tokens = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=50)


@given(tokens=tokens)
def test_the_area_is_the_chance_to_doubt_an_error_more(tokens: list[tuple[int, bool]]) -> None:
    doubt, off = (np.array(column) for column in zip(*tokens, strict=True))
    found = roc(doubt / 5, off)
    if off.all() or not off.any():
        assert found["auc"] is None
        return
    pairs = [np.sign(a - b) for a in doubt[off] for b in doubt[~off]]
    assert found["auc"] == pytest.approx((np.mean(pairs) + 1) / 2, abs=1e-4)
    assert (found["false"][0], found["true"][0], found["false"][-1], found["true"][-1]) == (0, 0, 1, 1)


@given(tokens=tokens)
def test_the_trade_is_what_thresholds_give(tokens: list[tuple[int, bool]]) -> None:
    doubt, off = (np.array(column) for column in zip(*tokens, strict=True))
    found = trade(doubt, off)
    expected = {
        (round(float((doubt > t).mean()), 5), round(float((off & (doubt <= t)).mean()), 5)) for t in (-1, *doubt)
    }
    assert set(zip(found["ask"], found["divergence"], strict=True)) == expected


@given(tokens=tokens)
def test_groups_of_like_doubt_hold_every_token_once(tokens: list[tuple[int, bool]]) -> None:
    doubt, off = (np.array(column) for column in zip(*tokens, strict=True))
    groups = reliability(doubt / 5, off)
    assert sum(group["tokens"] for group in groups) == len(tokens)
    assert sum(group["tokens"] * group["rate"] for group in groups) == pytest.approx(off.sum(), rel=1e-2)
    assert all(group["low"] - 1e-3 <= group["rate"] <= group["high"] + 1e-3 for group in groups)
    assert [group["doubt"] for group in groups] == sorted(group["doubt"] for group in groups)


@given(texts=st.lists(st.lists(st.booleans(), min_size=1, max_size=40), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_runs_are_counted_text_by_text(texts: list[list[bool]], seed: int) -> None:
    lengths = []
    for asks in texts:
        run = 0
        for ask in asks:
            if ask:
                lengths.append(run)
            run = 0 if ask else run + 1
    text = np.repeat(np.arange(len(texts)), [len(asks) for asks in texts])
    position = np.concatenate([np.arange(len(asks)) for asks in texts])
    order = np.random.default_rng(seed).permutation(len(text))
    doubt = np.concatenate(texts).astype(float)
    found = runs(doubt[order], text[order], position[order], 0.5)
    assert found["asks"] == len(lengths)
    assert found["open"] == sum(not asks[-1] for asks in texts)
    assert found["median"] == (np.median(lengths) if lengths else None)
    if lengths:
        classes = np.searchsorted(RUN_EDGES, lengths, side="right") - 1
        shares = np.bincount(classes, minlength=len(RUN_EDGES)) / len(lengths)
        np.testing.assert_allclose(found["shares"], shares, atol=1e-5)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.00456, "0.46 %"), (0.0123, "1.2 %"), (0.5, "50.0 %"), (1.0, "100 %")]
)
def test_shares_are_written_with_as_many_digits_as_say_something(share: float, text: str) -> None:
    assert percent(share) == text
