"""Fitting a head, comparing it, and thresholds that keep their budget."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from cloud_target.export.bundle import read_calibration
from cloud_target.training.calibrate import Curve, calibrate, doubts, errors_behind, familiar, wording
from cloud_target.training.doubts import ask_rate, compare, doubt_of, fit_comparison_heads, off_target
from cloud_target.training.label import Rows
from cloud_target.training.verifier import FitSettings, Head, fit
from shared.calibration import DOUBT_COLUMNS, SPREAD
from shared.config import Criterion
from shared.errors import InputError
from shared.features import NAMES, SCALARS
from tests.cloud_target.training.made_up import HIDDEN, made_up_rows


@pytest.fixture(scope="module")
def rows() -> Rows:
    return made_up_rows(60, 100, seed=0)


@pytest.fixture(scope="module")
def head(rows: Rows) -> Head:
    return fit(rows, FitSettings(units=8, epochs=12, batch=128, peak=1e-2))[0]


def test_head_learns_and_is_calibrated_enough(rows: Rows, head: Head) -> None:
    fresh = made_up_rows(60, 100, seed=1)
    for column, criterion in enumerate(DOUBT_COLUMNS):
        off, doubt = off_target(fresh, criterion), head.doubt(fresh.features)[:, column]
        asks = ask_rate(doubt, off, off.mean() / 4)
        assert asks < 0.6  # random asking needs 0.75
        assert doubt.mean() == pytest.approx(off.mean(), abs=0.05)


def test_exported_head_equals_the_fitted_one(rows: Rows, head: Head, tmp_path: Path) -> None:
    head.export(tmp_path / "verifier.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "verifier.onnx", providers=["CPUExecutionProvider"])
    found = [session.run(None, {"features": row[None]})[0][0] for row in rows.features[:50]]
    np.testing.assert_allclose(found, head.doubt(rows.features[:50]), atol=1e-5)


def test_rows_that_nothing_can_be_learned_from_are_refused(rows: Rows) -> None:
    broken = replace(rows, features=np.full_like(rows.features, np.nan))
    with pytest.raises(InputError, match="not finite"):
        fit(broken, FitSettings(units=0, epochs=1))


def test_a_hidden_feature_cannot_move_a_blind_head(rows: Rows) -> None:
    visible = np.arange(SCALARS + HIDDEN) >= SCALARS
    blind, _ = fit(rows, FitSettings(units=0, epochs=2), visible=visible)
    moved = rows.features.copy()
    moved[:, :SCALARS] += 5
    np.testing.assert_allclose(blind.doubt(moved), blind.doubt(rows.features), atol=1e-6)


@given(
    errors=st.lists(st.booleans(), min_size=1, max_size=40),
    levels=st.integers(1, 6),
    budget=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
def test_ask_rate_is_that_of_the_best_threshold(errors: list[bool], levels: int, budget: float, seed: int) -> None:
    off = np.array(errors)
    doubt = np.random.default_rng(seed).integers(levels, size=len(off)) / levels
    thresholds = [-1.0, *doubt]
    rates = [(doubt > t).mean() for t in thresholds if (off & (doubt <= t)).sum() <= budget * len(off)]
    assert ask_rate(doubt, off, budget) == pytest.approx(min(rates))


@given(seed=st.integers(0, 10_000), documents=st.integers(1, 12), rate=st.floats(0, 1), budget=st.floats(0.001, 0.3))
def test_a_threshold_keeps_its_budget_on_its_own_rows(seed: int, documents: int, rate: float, budget: float) -> None:
    random = np.random.default_rng(seed)
    count = 20 * documents
    doubt = random.random(count).astype(np.float32) ** random.integers(1, 5)
    off, document = random.random(count) < rate * doubt, random.integers(documents, size=count)
    curve = Curve.of(doubt, off, document)
    threshold = curve.thresholds[curve.choose(budget)]
    assert (off & (doubt <= threshold)).mean() <= budget
    assert (np.diff(curve.divergence) >= 0).all()
    np.testing.assert_allclose(curve.ask_rate, [(doubt > t).mean() for t in curve.thresholds], atol=1e-12)


@pytest.mark.parametrize("criterion", list(Criterion))
def test_rows_that_repeat_are_doubted_by_the_strict_output(rows: Rows, head: Head, criterion: Criterion) -> None:
    half = replace(rows, repeating=np.arange(len(rows)) % 2 == 0)
    doubt = head.doubt(rows.features)
    found, plain = doubt_of(criterion, doubt, half), doubt_of(criterion, doubt, rows)
    np.testing.assert_array_equal(plain, doubt[:, DOUBT_COLUMNS.index(criterion)])
    np.testing.assert_array_equal(found[::2], doubt[::2, DOUBT_COLUMNS.index(Criterion.STRICT)])
    np.testing.assert_array_equal(found[1::2], plain[1::2])


@pytest.mark.parametrize("criterion", list(Criterion))
def test_calibration_is_measured_as_it_says_and_survives_a_file(
    rows: Rows, head: Head, criterion: Criterion, tmp_path: Path
) -> None:
    cells = calibrate(head, rows, criterion, 0.7, 0.9)
    doubt = head.doubt(rows.features)[:, DOUBT_COLUMNS.index(criterion)]
    for cell in cells:
        accepted = doubt <= cell.threshold
        assert cell.divergence == pytest.approx((accepted & off_target(rows, criterion)).mean())
        assert cell.divergence <= cell.budget
        assert cell.ask_rate == pytest.approx(1 - accepted.mean())
    assert [cell.threshold for cell in cells] == sorted(cell.threshold for cell in cells)
    (tmp_path / "calibration.json").write_text(json.dumps([asdict(cell) for cell in cells]))
    assert read_calibration(tmp_path / "calibration.json") == cells


@pytest.mark.slow
def test_thresholds_mostly_hold_on_other_documents(head: Head) -> None:
    kept = 0
    for seed in range(10):
        chosen_on, other = made_up_rows(80, 50, seed=seed + 10), made_up_rows(80, 50, seed=seed + 50)
        (cell,) = calibrate(head, chosen_on, Criterion.STRICT, 0.7, 0.9, [0.05])
        accepted = head.doubt(other.features)[:, DOUBT_COLUMNS.index(Criterion.STRICT)] <= cell.threshold
        kept += (accepted & other.off_strict).mean() <= 0.05
    assert kept >= 8


def test_every_doubt_is_compared_with_the_oracle(rows: Rows, head: Head) -> None:
    compared = compare(made_up_rows(20, 50, seed=4), head, fit_comparison_heads(rows))
    for criterion in Criterion:
        asks = compared[criterion]["asks"]
        assert all(asks["oracle"][i] <= other[i] for other in asks.values() for i in range(4))


@pytest.mark.parametrize("criterion", list(Criterion))
def test_the_usual_doubts_are_those_of_the_calibrated_rows(rows: Rows, head: Head, criterion: Criterion) -> None:
    found = doubts(head, rows, criterion, 0.7, 0.9)
    doubt = head.doubt(rows.features)[:, DOUBT_COLUMNS.index(criterion)]
    assert (found.criterion, found.temperature, found.top_p) == (criterion, 0.7, 0.9)
    assert len(found.log_odds) == SPREAD
    shown = [(doubt <= 1 / (1 + np.exp(-value))).mean() for value in found.log_odds]
    assert shown == pytest.approx(((np.arange(SPREAD) + 0.5) / SPREAD).tolist(), abs=0.02)
    rises = np.diff(found.log_odds) > 0
    assert (np.diff(found.errors)[rises] > 0).all()


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_what_stands_behind_doubts_is_counted(share: float) -> None:
    """Errors as often as the doubts say, or rarer."""
    random = np.random.default_rng(2)
    doubt = np.sort(random.normal(-3, 2, 200_000))
    chances = share / (1 + np.exp(-doubt))
    quantiles = np.quantile(doubt, (np.arange(SPREAD) + 0.5) / SPREAD)
    found = errors_behind(quantiles, random.random(len(doubt)) < chances)
    assert (np.diff(found) > 0).all()
    expected = share / (1 + np.exp(-quantiles))
    group = len(doubt) / SPREAD
    assert (np.abs(1 / (1 + np.exp(-found)) - expected) < 5 * np.sqrt(expected / group) + 2 / group).all()


def test_no_errors_are_no_certainty_and_few_tokens_no_error() -> None:
    none = errors_behind(np.linspace(-9, 0, SPREAD), np.zeros(20_000, bool))
    assert (np.diff(none) > 0).all()
    assert (none < -4).all()
    few = errors_behind(np.full(SPREAD, -2.0), np.array([True, False, False]))
    assert len(set(few.tolist())) == 1
    assert np.isfinite(few).all()


def test_what_calibrated_text_looks_like() -> None:
    rows = made_up_rows(30, 128, seed=7)
    seen = familiar(rows, 0.7, 0.9)
    entropy = rows.features[:, NAMES.index("entropy")].reshape(60, 64).mean(1)
    assert seen.window == 64
    assert (seen.low, seen.high) == pytest.approx(np.quantile(entropy, (0.005, 0.995)), rel=1e-5)


def test_how_calibrated_documents_are_worded(tokenizer: Tokenizer) -> None:
    documents = [
        np.array(tokenizer.encode(text).ids) for text in ("Once upon a time. " * 4, "a fox lost its red hat " * 4)
    ]
    usual = wording(tokenizer, documents)
    assert usual.window == 24
    assert 1 < usual.low <= usual.high
