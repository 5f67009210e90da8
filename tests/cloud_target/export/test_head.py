"""The verifier's head: its graph computes what its weights say."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_target.export.head import baseline_head, export_head, head_model, read_head
from shared.errors import InputError
from shared.features import NAMES, SCALARS


def run(model, features: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model if isinstance(model, bytes) else model.SerializeToString())
    return session.run(["doubt"], {"features": features.astype(np.float32)[None]})[0]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def weights(seed: int, units: int | None, hidden: int):
    rng = np.random.default_rng(seed)
    features = SCALARS + hidden
    inputs = units or features
    mean, std = rng.normal(0, 3, features), rng.uniform(0.1, 4, features)
    first = (rng.normal(0, 0.3, (units, features)), rng.normal(0, 1, units)) if units else (None, None)
    return mean, std, *first, rng.normal(0, 0.3, (2, inputs)), rng.normal(0, 1, 2)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    units=st.sampled_from([None, 1, 32]),
    hidden=st.integers(1, 40),
    activation=st.sampled_from(["relu", "silu"]),
)
def test_head_computes_its_weights(seed, units, hidden, activation):
    mean, std, w1, b1, w2, b2 = weights(seed, units, hidden)
    x = np.random.default_rng(seed + 1).normal(0, 3, SCALARS + hidden).astype(np.float32)
    h = (x - mean) / std
    if w1 is not None:
        h = w1 @ h + b1
        h = np.maximum(h, 0) if activation == "relu" else h * sigmoid(h)
    doubt = run(head_model(mean, std, w1, b1, w2, b2, activation), x)
    assert doubt.shape == (1, 2)
    np.testing.assert_allclose(doubt[0], sigmoid(w2 @ h + b2), atol=1e-4)


def test_feature_that_never_varied_is_left_out():
    mean, std, w1, b1, w2, b2 = weights(0, None, 4)
    std[11] = 0.0
    x = mean.copy()
    expected = run(head_model(mean, std, w1, b1, w2, b2), x)
    x[11] += 100
    np.testing.assert_allclose(run(head_model(mean, std, w1, b1, w2, b2), x), expected, atol=1e-6)


def test_baseline_doubts_what_the_draft_found_unlikely():
    x = np.zeros(SCALARS + 8)
    x[NAMES.index("log_probability")] = np.log(0.3)
    np.testing.assert_allclose(run(baseline_head(8), x), [[0.7, 0.7]], rtol=1e-6)


def test_written_head_runs(tmp_path):
    path = tmp_path / "verifier.onnx"
    export_head(path, *weights(3, 16, 8))
    assert run(path.read_bytes(), np.zeros(SCALARS + 8)).shape == (1, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["verifier.onnx"]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (dict(w2=np.zeros((3, 16))), "layer 2"),
        (dict(b1=np.zeros(5)), "layer 1"),
        (dict(std=np.ones(2)), "mean and std"),
        (dict(b2=np.array([np.nan, 0.0])), "not finite"),
        (dict(activation="tanh"), "activation"),
    ],
)
def test_bad_heads_are_refused(tmp_path, broken, sentence):
    names = ("mean", "std", "w1", "b1", "w2", "b2")
    arguments = dict(zip(names, weights(0, 16, 8), strict=True)) | broken
    with pytest.raises(InputError, match=sentence):
        export_head(tmp_path / "verifier.onnx", **arguments)
    assert not list(tmp_path.iterdir())


def test_what_onnxruntime_refuses_is_told_once(tmp_path, capfd):
    path = tmp_path / "head.onnx"
    node = onnx.helper.make_node("NoSuchOperator", ["features"], ["doubt"])
    shape = [onnx.helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("features", "doubt")]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "head", shape[:1], shape[1:])), path)
    with pytest.raises(InputError):
        read_head(path, 8)
    assert capfd.readouterr().err == ""
