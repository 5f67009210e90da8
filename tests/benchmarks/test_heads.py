"""The comparison of heads: what it adds to the rows, and how it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import heads
from benchmarks.learning import taught
from cloud_target.training.label import Rows
from shared.errors import InputError
from shared.features import NAMES, SCALARS


def rows_of(texts: int, each: int, seed: int) -> Rows:
    """Errors where a scalar and a hidden feature say so."""
    random = np.random.default_rng(seed)
    count = texts * each
    features = random.normal(size=(count, SCALARS + 4)).astype(np.float32)
    logit = 2 * features[:, NAMES.index("noisy_margin")] + 2 * features[:, SCALARS] - 1.5
    off = random.random(count) < 1 / (1 + np.exp(-logit))
    return Rows(
        features=features,
        off_typical=off & (random.random(count) < 0.5),
        off_strict=off,
        unlikely=off,
        repeating=np.zeros(count, bool),
        document=np.repeat(np.arange(texts, dtype=np.int32), each),
        position=np.tile(np.arange(5, 5 + each, dtype=np.int32), texts),
        token=random.integers(0, 9, count).astype(np.int32),
        second=random.integers(0, 9, count).astype(np.int32),
        third=random.integers(0, 9, count).astype(np.int32),
        own=random.integers(0, 9, count).astype(np.int32),
        temperature=np.full(count, 0.7, np.float32),
        top_p=np.full(count, 0.9, np.float32),
        nll=np.where(off, 3.0, 1.0).astype(np.float32),
        own_nll=np.ones(count, np.float32),
        tv=np.zeros(count, np.float32),
    )


def test_the_last_audits_are_those_of_the_same_text_and_late():
    rows = rows_of(3, 40, 0)
    found = heads.last_audits(rows, rows)
    for i in range(len(rows)):
        start = 40 * (i // 40)
        last = max(i - heads._DELAY, start)
        known = rows.off_strict[max(last - heads._AUDITS, start) : last]
        assert found[i, 1] == pytest.approx(known.sum() / heads._AUDITS)


def test_identity_is_the_rate_of_errors_in_training():
    training, rows = rows_of(50, 40, 1), rows_of(2, 40, 2)
    found = heads.identity(rows, training)
    mask = training.token == rows.token[0]
    expected = (training.off_typical[mask].sum() + 10 * training.off_typical.mean()) / (mask.sum() + 10)
    assert found.shape == (80, 4)
    assert found[0, 0] == pytest.approx(expected, rel=1e-5)


def test_regret_is_a_share():
    rows = rows_of(2, 40, 3)
    assert set(np.unique(heads.regret(rows))) == {0.0, 0.5}


def test_a_head_that_sees_more_asks_less_and_closes_more_of_the_gap():
    training, rows = rows_of(120, 60, 4), rows_of(60, 60, 5)
    found = {
        name: heads.doubts(heads.VARIANTS[name], training, [rows], 0)[0]
        for name in ("the paper's head", "64 units", "64 units, without the rival and the margin")
    }
    saved = {name: np.mean(heads.savings([doubt], [rows])) for name, doubt in found.items()}
    assert saved["64 units"] > saved["64 units, without the rival and the margin"]
    assert saved["64 units"] > saved["the paper's head"]
    closed = {name: heads.gap_closed(doubt[:, 1], rows, 0.2) for name, doubt in found.items()}
    assert closed["64 units"] > closed["64 units, without the rival and the margin"] > 0
    oracle = replace(rows, own_nll=rows.nll - rows.off_strict)
    assert heads.gap_closed(rows.off_strict.astype(float), oracle, rows.off_strict.mean()) == pytest.approx(1.0)


def test_a_directory_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished rows"):
        heads.read_work(tmp_path, 10, 0)


def test_learning_sees_a_label_only_after_the_token():
    rows = rows_of(60, 60, 6)
    doubt = np.full(len(rows), 0.2)
    corrected, learner = taught(doubt, rows.features[:, :SCALARS], rows.off_strict, 0.1)
    again, _ = taught(doubt[:100], rows.features[:100, :SCALARS], np.append(rows.off_strict[:99], True), 0.1)
    assert learner.in_use
    np.testing.assert_array_equal(corrected[:99], again[:99])
