"""The checkpoint of a draft computes what its graph does, by transformers; other drafts are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from transformers import AutoTokenizer, LlamaForCausalLM

from benchmarks.peers.checkpoint import write_checkpoint
from cloud_target.export.runner import Runner
from edge_client.bundles.pocket import POCKET
from shared.errors import InputError
from shared.manifest import read_manifest, write_manifest


@pytest.mark.slow
def test_it_computes_what_the_graph_does(tmp_path) -> None:
    manifest = read_manifest(POCKET)
    model = LlamaForCausalLM.from_pretrained(write_checkpoint(POCKET, tmp_path)).eval()
    runner = Runner(onnx.load(POCKET / "draft.onnx"), manifest.context)
    same = total = 0
    for seed in range(4):
        ids = np.random.default_rng(seed).integers(2, manifest.vocabulary, 48).tolist()
        runner.rewind(0)
        step = runner.feed(ids)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].numpy()
        for row, (top_ids, top_logits) in enumerate(zip(step["top_ids"], step["top_logits"], strict=True)):
            assert np.abs(logits[row, top_ids[:8]] - top_logits[:8]).max() <= manifest.probe.tolerance
            same += logits[row].argmax() == top_ids[0]
            total += 1
    # The graph rounds activations to 8 bits too, so a near-tie may fall the other way.
    assert same / total > 0.9
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("Once upon a time").input_ids


def without_a_layer(graph: onnx.GraphProto) -> None:
    (weight,) = (one for one in graph.initializer if one.name == "layer.1.down.product.int8")
    graph.initializer.remove(weight)


def with_other_positions(graph: onnx.GraphProto) -> None:
    for name in "cs":
        (table,) = (one for one in graph.initializer if one.name == name)
        array = numpy_helper.to_array(table).copy()
        array[1:, 2:] = array[:1, 2:]
        table.CopyFrom(numpy_helper.from_array(array, name))


def with_other_weights(graph: onnx.GraphProto) -> None:
    (scales,) = (one for one in graph.initializer if one.name == "layer.0.qkv.product.scales")
    scales.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scales) * 3, scales.name))


@pytest.mark.slow
@pytest.mark.parametrize("change", [without_a_layer, with_other_positions, with_other_weights])
def test_a_draft_of_another_kind_is_refused(tmp_path, change) -> None:
    bundle = Path(shutil.copytree(POCKET, tmp_path / "bundle"))
    model = onnx.load(bundle / "draft.onnx")
    change(model.graph)
    onnx.save(model, bundle / "draft.onnx")
    write_manifest(bundle, read_manifest(POCKET))
    with pytest.raises(InputError, match="only of a plain Llama draft"):
        write_checkpoint(bundle, tmp_path / "out")
