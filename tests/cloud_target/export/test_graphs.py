"""Every kind of draft graph computes what torch computes: candidates, summaries, hidden states, after rewinds too."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cloud_target.export.builder import Graph
from cloud_target.export.check import check, compare, probe_ids, reference
from cloud_target.export.checkpoint import load_checkpoint
from cloud_target.export.graph import obstacle, shared_buffer_graph
from cloud_target.export.runner import Runner
from shared.errors import BundleError, InputError
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build, save
from tests.cloud_target.export.optimum import concat_graph, optimum_graph

ROUNDING = 1e-4
IDS = probe_ids(VOCABULARY, CONTEXT)

VARIANTS = {
    "llama": ("llama", {}),
    "llama, untied, with biases": (
        "llama",
        {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True, "head_dim": 32},
    ),
    "llama, scaled rotary": (
        "llama",
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
    ),
    "qwen2": ("qwen2", {}),
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "gpt2": ("gpt2", {}),
    "gpt2, other scale and activation": (
        "gpt2",
        {
            "scale_attn_by_inverse_layer_idx": True,
            "activation_function": "gelu",
            "n_inner": 48,
            "attn_implementation": "eager",
        },
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_shared_buffer_graph_equals_torch(variant):
    kind, changes = VARIANTS[variant]
    model = build(kind, **changes)
    differences = compare(shared_buffer_graph(model, CONTEXT), model, CONTEXT, IDS)
    assert differences.largest < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_concat_graph_equals_torch(checkpoints, kind):
    checkpoint = load_checkpoint(checkpoints[kind])
    differences = compare(concat_graph(checkpoint.model), checkpoint.model, CONTEXT, IDS)
    assert differences.largest < ROUNDING


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_optimum_exports_logits_hidden_state_and_cache(checkpoints, kind):
    model = load_checkpoint(checkpoints[kind]).model
    exported = optimum_graph(model)
    names = {value.name for value in exported.graph.output}
    assert {"logits", "last_hidden_state", "present.0.key", "present.1.value"} <= names
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    ids, cut = np.array([IDS]), 20
    positions = np.arange(CONTEXT)[None]
    past = {
        x.name: np.zeros((1, x.shape[1], 0, x.shape[3]), np.float32)
        for x in session.get_inputs()
        if x.name.startswith("past_key_values")
    }
    logits = []
    for part in (slice(0, cut), slice(cut, CONTEXT)):
        inputs = {"input_ids": ids[:, part], "position_ids": positions[:, part]}
        inputs["attention_mask"] = np.ones((1, part.stop), np.int64)
        out = dict(zip([x.name for x in session.get_outputs()], session.run(None, inputs | past), strict=True))
        past = {name: out[name.replace("past_key_values", "present")] for name in past}
        logits.append(out["logits"][0])
    expected, hidden = reference(model, IDS)
    np.testing.assert_allclose(np.concatenate(logits), expected, atol=1e-4)
    np.testing.assert_allclose(out["last_hidden_state"][0], hidden[cut:], atol=1e-4)


def test_exporting_leaves_the_model_as_it_was(checkpoints):
    model = load_checkpoint(checkpoints["llama"]).model
    before, kind = reference(model, IDS)[0], type(model)
    optimum_graph(model)
    assert type(model) is kind
    np.testing.assert_array_equal(reference(model, IDS)[0], before)


def test_only_the_wanted_rows_come_back(checkpoints):
    model = load_checkpoint(checkpoints["llama"]).model
    for graph in (shared_buffer_graph(model, CONTEXT), concat_graph(model)):
        runner = Runner(graph, CONTEXT)
        everything = runner.feed(IDS)
        runner.rewind(0)
        some = runner.feed(IDS, [3, len(IDS) - 1])
        for name, values in some.items():
            np.testing.assert_allclose(values, everything[name][[3, -1]], atol=1e-4, err_msg=name)


def test_fewer_candidates_than_asked_for_in_a_small_vocabulary():
    model = build("llama", 16)
    step = Runner(shared_buffer_graph(model, CONTEXT), CONTEXT).feed([1, 2])
    assert step["top_ids"].shape == (2, 16)
    np.testing.assert_allclose(np.exp(step["top_logits"] - step["log_normaliser"][:, None]).sum(axis=1), 1, rtol=1e-5)


def test_checking_refuses_a_graph_of_other_weights():
    graph = shared_buffer_graph(build("llama"), CONTEXT)
    other = build("llama")
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight[0] += 0.5
    with pytest.raises(BundleError, match="does not compute"):
        check(graph, other, CONTEXT, IDS)


def test_checking_refuses_a_graph_that_forgets_positions():
    model = build("llama")
    damaged = onnx.ModelProto()
    damaged.CopyFrom(shared_buffer_graph(model, CONTEXT).whole())
    for node in damaged.graph.node:
        if node.op_type == "GroupQueryAttention":
            del node.input[7:]
            next(a for a in node.attribute if a.name == "do_rotary").i = 0
    assert compare(Graph.of(damaged), model, CONTEXT, IDS).largest > 0.1


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("llama", {"hidden_act": "gelu"}, "activation"),
        ("llama", {"num_attention_heads": 8, "num_key_value_heads": 2}, "multiple of 16"),
        ("llama", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}, "sliding window"),
        ("gpt2", {"activation_function": "tanh"}, "activation"),
    ],
)
def test_fast_path_says_why_it_cannot(kind, changes, sentence):
    model = build(kind, **changes)
    assert sentence in obstacle(model, CONTEXT)
    with pytest.raises(InputError, match="--kind concat"):
        shared_buffer_graph(model, CONTEXT)


def test_what_the_fast_path_cannot_take_the_general_path_can(tmp_path):
    model = build("llama", num_attention_heads=8, num_key_value_heads=2, hidden_act="gelu")
    checkpoint = load_checkpoint(save(model, tmp_path / "odd"))
    assert compare(concat_graph(checkpoint.model), checkpoint.model, CONTEXT, IDS).largest < ROUNDING


def test_differences_keep_the_worst_of_each_kind():
    model = build("gpt2")
    differences = compare(shared_buffer_graph(model, CONTEXT), model, CONTEXT, IDS)
    worse = dataclasses.replace(differences, entropy=1.0)
    assert differences.worst(worse) == worse
    assert worse.largest == 1.0
