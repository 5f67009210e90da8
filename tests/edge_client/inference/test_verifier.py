"""The verifier on the device: the head it was given, over the features that training uses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.export.head import baseline_head, export_head
from cloud_target.export.writing import write_model
from edge_client.inference.draft import Step
from edge_client.inference.verifier import Verifier
from edge_client.testing.models import ScriptedDraft, ScriptedVerifier
from shared.config import Sampling
from shared.errors import BundleError
from shared.features import NAMES, SCALARS, write_features
from shared.sampling import Sampler

HIDDEN = 8


def make_step(seed: int) -> Step:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(30, 0.3))
    step = ScriptedDraft(lambda _: p, 30, hidden=HIDDEN).feed([1])
    step.hidden = rng.normal(size=HIDDEN).astype(np.float32)
    return step


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), temperature=st.sampled_from([0.0, 0.7, 1.0]), units=st.sampled_from([None, 5]))
def test_doubt_is_the_head_over_the_features(tmp_path_factory, seed, temperature, units):
    rng = np.random.default_rng(seed)
    features = SCALARS + HIDDEN
    first = (rng.normal(size=(units, features)) / 8, rng.normal(size=units)) if units else (None, None)
    w2, b2 = rng.normal(size=(2, units or features)) / 8, rng.normal(size=2)
    mean, std = rng.normal(size=features), rng.uniform(0.5, 2, features)
    bundle = tmp_path_factory.mktemp("bundle")
    export_head(bundle / "verifier.onnx", mean, std, *first, w2, b2)

    verifier = Verifier.maker(bundle, HIDDEN)()
    for position in range(3):  # its memory is reused, and must not remember
        step = make_step(seed + position)
        draw = Sampler(Sampling(temperature=temperature)).draw(step.ids, step.logits, position)
        row = np.zeros(features, np.float32)
        write_features(row, step.hidden, step.logits, step.log_normaliser, step.entropy, draw, temperature)
        x = (row - mean) / std
        if units:
            x = np.maximum(first[0] @ x + first[1], 0)
        expected = 1 / (1 + np.exp(-(w2 @ x + b2)))
        for column in (0, 1):
            found = verifier.doubt(step, draw, temperature, column)
            assert found == pytest.approx((expected[column], expected[1]), abs=1e-4)


def test_baseline_doubts_by_the_drafts_own_probability(tmp_path):
    write_model(baseline_head(HIDDEN), tmp_path / "verifier.onnx")
    verifier = Verifier.maker(tmp_path, HIDDEN)()
    step = make_step(3)
    draw = Sampler(Sampling(temperature=1.0, top_p=1.0)).draw(step.ids, step.logits, 5)
    expected = 1 - np.exp(step.logits[draw.index] - step.log_normaliser)
    assert verifier.doubt(step, draw, 1.0, 0) == pytest.approx((expected, expected), abs=1e-5)


def test_head_of_another_draft_is_refused(tmp_path):
    write_model(baseline_head(HIDDEN + 1), tmp_path / "verifier.onnx")
    with pytest.raises(BundleError, match=f"hidden state of {HIDDEN}"):
        Verifier.maker(tmp_path, HIDDEN)()


@pytest.mark.parametrize("content", [None, b"", b"not a graph"])
def test_missing_or_damaged_head_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "verifier.onnx").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        Verifier.maker(tmp_path, HIDDEN)()
    assert "\n" not in str(caught.value)
    assert "verifier.onnx" in str(caught.value)


def test_scripted_verifier_is_its_function():
    verifier = ScriptedVerifier(lambda step, draw: 0.25 if draw.index == 0 else 1.0)
    step = make_step(0)
    draw = Sampler(Sampling(temperature=0.0)).draw(step.ids, step.logits, 0)
    assert verifier.doubt(step, draw, 0.0, 0) == (0.25, 0.25)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_head_is_told_of_no_hotter_temperature_than_it_knows(tmp_path, sign):
    weights = np.zeros((2, SCALARS + HIDDEN))
    weights[:, NAMES.index("temperature")] = sign
    export_head(
        tmp_path / "verifier.onnx",
        np.zeros(SCALARS + HIDDEN),
        np.ones(SCALARS + HIDDEN),
        None,
        None,
        weights,
        np.zeros(2),
    )
    step = make_step(1)
    draw = Sampler(Sampling(temperature=1.0)).draw(step.ids, step.logits, 5)
    known, open_ended = Verifier.maker(tmp_path, HIDDEN, hottest=1.0)(), Verifier.maker(tmp_path, HIDDEN)()
    for temperature, told in ((0.0, 0.0), (0.7, 0.7), (1.0, 1.0), (1.3, 1.0), (10.0, 1.0)):
        assert known.doubt(step, draw, temperature, 0)[0] == pytest.approx(1 / (1 + np.exp(-sign * told)), abs=1e-5)
        expected = 1 / (1 + np.exp(-sign * temperature))
        assert open_ended.doubt(step, draw, temperature, 0)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.3])
def test_several_rows_are_doubted_as_each_alone_whatever_temperature_another_head_was_told_of(tmp_path, temperature):
    rng = np.random.default_rng(2)
    features = SCALARS + HIDDEN
    export_head(
        tmp_path / "verifier.onnx",
        np.zeros(features),
        np.ones(features),
        None,
        None,
        rng.normal(size=(2, features)) / 8,
        np.zeros(2),
    )
    verifier, other = (Verifier.maker(tmp_path, HIDDEN, hottest=hottest)() for hottest in (1.0, 0.5))
    rows, alone = [], []
    for position in range(4):
        step = make_step(position)
        draw = Sampler(Sampling(temperature=temperature)).draw(step.ids, step.logits, position)
        alone.append([verifier.doubt(step, draw, temperature, column)[0] for column in (0, 1)])
        other.doubt(step, draw, temperature, 0)
        rows.append(other.features.copy())
    assert verifier.doubts(np.stack(rows), temperature).tolist() == alone
