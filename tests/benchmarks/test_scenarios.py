"""Worlds that are not the calibrated one: they are really others, and everything in them loads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file

from benchmarks.scenarios import NOISE, Scenario, build, noised_target
from cloud_target.engine.files import POCKET_DIRECTORY, target_fingerprint
from cloud_target.engine.hf.model import load_target
from edge_client.bundles import pocket
from edge_client.edge import Edge
from shared.manifest import read_manifest


@pytest.mark.parametrize("scenario", [Scenario.NOISED, Scenario.OTHER])
def test_a_noised_target_is_another_one_and_loads(scenario, tmp_path):
    stage = build(scenario, pocket.POCKET, tmp_path)
    assert stage.bundle == pocket.POCKET
    theirs, ours = load_target(stage.target, "cpu"), load_target("pocket", "cpu")
    assert theirs.description.fingerprint != ours.description.fingerprint
    assert theirs.description.tokenizer_fingerprint == ours.description.tokenizer_fingerprint
    noised, plain = (load_file(f"{place}/model.safetensors") for place in (stage.target, POCKET_DIRECTORY))
    assert noised.keys() == plain.keys()
    for name, tensor in plain.items():
        if tensor.numel() > 10_000:
            moved = (noised[name].float() - tensor.float()).std() / tensor.float().std()
            assert moved == pytest.approx(NOISE[scenario], rel=0.05)


def test_the_same_noise_makes_the_same_target(tmp_path):
    for name in ("a", "b"):
        noised_target(POCKET_DIRECTORY, tmp_path / name, 0.05)
    assert target_fingerprint(tmp_path / "a") == target_fingerprint(tmp_path / "b")


def test_a_coarse_bundle_loads_and_writes_something_else(tmp_path):
    stage = build(Scenario.COARSE, pocket.POCKET, tmp_path)
    before, after = read_manifest(pocket.POCKET), read_manifest(stage.bundle)
    assert before.digests["draft.onnx"] != after.digests["draft.onnx"]
    assert before.digests["verifier.onnx"] == after.digests["verifier.onnx"]
    assert after.calibrated_draft == (before.calibrated_draft or before.digests["draft.onnx"])
    assert after.calibration == before.calibration
    texts = []
    for bundle in (pocket.POCKET, stage.bundle):
        texts.append(Edge(bundle=bundle).generate("Once upon a time", max_tokens=64).token_ids)
    assert texts[0] != texts[1]


def test_coarse_weights_have_four_bits(tmp_path):
    build(Scenario.COARSE, pocket.POCKET, tmp_path)
    weights = onnx.load(tmp_path / "coarse" / "draft.onnx").graph.initializer
    packed = [numpy_helper.to_array(weight) for weight in weights if weight.name.endswith(".int8")]
    assert len(packed) >= 6
    for array in packed:
        assert len(np.unique(array)) <= 17
        assert set(np.unique(array % 16)) <= {0, 15}  # 255 stands for 256, which no byte holds


def test_the_plain_scenario_changes_nothing(tmp_path):
    stage = build(Scenario.PLAIN, pocket.POCKET, tmp_path)
    assert (stage.target, stage.bundle, stage.texts) == ("pocket", pocket.POCKET, None)
    assert not list(tmp_path.iterdir())
    assert build(Scenario.UNSEEN, pocket.POCKET, tmp_path).texts
