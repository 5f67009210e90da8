"""Drafts are exported as far as their graphs are right and a device can run them, or refused."""

from __future__ import annotations

import builtins

import pytest
from transformers import (
    MambaConfig,
    MambaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from cloud_target.export.check import check, probe_ids
from cloud_target.export.checkpoint import load_checkpoint
from cloud_target.export.draft import describe, export_draft, foresee
from cloud_target.export.graph import shared_buffer_graph
from shared.errors import BundleError, InputError
from tests.cloud_target.export.checkpoints import CONTEXT, VOCABULARY, build, save
from tests.cloud_target.export.optimum import needs_optimum

LONGROPE = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [1.0 + i for i in range(8)]}
PHI3 = Phi3Config(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=128,
    original_max_position_embeddings=32,
    rope_scaling=LONGROPE,
    pad_token_id=None,
)


@needs_optimum
@pytest.mark.slow
def test_a_longrope_is_right_up_to_its_end(tmp_path):
    made = export_draft(save(Phi3ForCausalLM(PHI3), tmp_path / "phi3"), tmp_path)
    assert made.context == 32
    assert made.differences.largest < 1e-4


def test_a_graph_that_is_wrong_far_out_is_found(tmp_path):
    """One that ignores a window is right for as long as a text fits into it."""
    path = save(build("qwen2", max_position_embeddings=160), tmp_path / "model")
    model = load_checkpoint(path).model
    graph = shared_buffer_graph(model, 160)
    check(graph, model, 160, probe_ids(VOCABULARY, 160))
    windowed = build(
        "qwen2", max_position_embeddings=160, use_sliding_window=True, sliding_window=60, max_window_layers=0
    )
    windowed.set_attn_implementation("eager")
    with pytest.raises(BundleError, match="does not compute what the checkpoint computes"):
        check(graph, windowed, 160, probe_ids(VOCABULARY, 160))


def test_caches_of_several_sizes_are_refused():
    graph = shared_buffer_graph(build("llama"), CONTEXT)
    keys = next(value for value in graph.model.graph.input if value.name == "past.1.value")
    keys.type.tensor_type.shape.dim[3].dim_value = 32
    with pytest.raises(InputError, match=r"\(2 of 16, 2 of 32\), and a device's cache has one size"):
        describe(graph, "shared-buffer", "float32")


def test_a_recurrent_draft_is_refused_in_a_sentence(tmp_path):
    mamba = MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(InputError, match="MambaForCausalLM cannot be a draft: it keeps a recurrent state"):
        export_draft(save(mamba, tmp_path / "mamba"), tmp_path)


@pytest.fixture
def no_optimum(monkeypatch):
    original = builtins.__import__

    def absent(name: str, *arguments: object, **options: object) -> object:
        if name == "cloud_target.export.optimum_graph":
            raise ModuleNotFoundError("No module named 'optimum'", name="optimum")
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)


@pytest.mark.usefixtures("no_optimum")
def test_without_optimum_it_is_said_who_needs_it(tmp_path):
    path = save(build("llama"), tmp_path / "model")
    with pytest.raises(
        InputError, match=r"by way of optimum \(as asked\), and optimum is not installed here"
    ) as refused:
        export_draft(path, tmp_path, kind="concat")
    assert "take a draft that needs none: a Llama, Qwen2 or GPT-2" in str(refused.value)


@pytest.mark.usefixtures("no_optimum")
def test_that_optimum_is_missing_is_foreseen():
    told: list[str] = []
    foresee(build("llama"), CONTEXT, "tiny", "take another", told.append)
    assert told == []
    model = build("llama")
    model.config.model_type = "qwen3"
    foresee(model, CONTEXT, "tiny", "take another", told.append)
    assert told == [
        "warning: tiny is exported by way of optimum (it is a qwen3, and the fast path knows llama, qwen2, gpt2), and "
        "optimum is not installed here; install Tandem's extra train, which wants transformers below 4.58, or take a "
        "draft that needs none: a Llama, Qwen2 or GPT-2"
    ]


@needs_optimum
def test_that_optimum_does_not_know_a_draft_is_foreseen():
    model, told = build("llama"), []
    for kind in ("llama", "qwen3"):
        model.config.model_type = kind
        foresee(model, CONTEXT, "tiny", "take another", told.append)
    assert told == []
    model.config.model_type = "olmo3"
    with pytest.raises(InputError, match="optimum cannot export a olmo3 as a causal language model; take another"):
        foresee(model, CONTEXT, "tiny", "take another", told.append)
