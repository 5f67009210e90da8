"""A manifest that was tampered with is one sentence, never a crash later on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.errors import BundleError
from shared.manifest import read_manifest
from tests.edge_client.bundles import made_bundle

CHANGES = {
    "name": 7,
    "target_fingerprint": [],
    "calibrated_draft": None,
    "digests": ["draft.onnx"],
    "vocabulary": 0,
    "end_ids": [-1],
    "familiar": [{"temperature": "warm", "top_p": 0.9, "window": 8, "low": 1.0, "high": 2.0}],
    "wording": {"window": 8, "low": 3.0, "high": 2.0},
    "calibration": [{"criterion": "loose"}],
    "draft": {},
    "format": 99,
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_that_is_none(tmp_path, field):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    assert read_manifest(tmp_path).name
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: CHANGES[field]}))
    with pytest.raises(BundleError, match="make the bundle again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"context": -1}, "`context` must be a whole number above 0, not -1"),
        ({"name": 7}, "`name` must be text, not 7"),
        ({"end_ids": [1, 10**6]}, "`end_ids` must be token ids below"),
        (
            {"wording": {"window": 8, "low": 3.0, "high": 2.0}},
            r"`wording.low` must be between 0 and `wording.high` \(2.0\)",
        ),
        ({"draft": {"candidates": 5000}}, "`draft.candidates` must be at most 4096, not 5000"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(tmp_path, change, sentence):
    path = Path(made_bundle(tmp_path)) / "manifest.json"
    data = json.loads(path.read_text())
    draft = data["draft"] | change.pop("draft", {})
    path.write_text(json.dumps(data | {"draft": draft} | change))
    with pytest.raises(BundleError, match=sentence):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"format": 1}'])
def test_no_manifest_at_all(tmp_path, text):
    (Path(made_bundle(tmp_path)) / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        read_manifest(tmp_path)
