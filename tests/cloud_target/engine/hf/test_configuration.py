"""Nothing in a config.json is lost: it is obeyed, translated, or refused with its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import (
    BartConfig,
    Cohere2Config,
    Cohere2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    StableLmConfig,
    StableLmForCausalLM,
)

from cloud_target.engine.hf.configuration import read_configuration
from cloud_target.engine.hf.context import longest_text
from cloud_target.engine.hf.reading import read_model
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint

NEEDS_4 = pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 reads this as it is")
SIZES = {"vocab_size": 48, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
SIZES |= {"max_position_embeddings": 64, "initializer_range": 0.4, "bos_token_id": 0, "eos_token_id": 0}
GROUPED = {"num_key_value_heads": 2}
# What transformers 4 calls the rotary parameters, and transformers 5 puts into one.
OLD = ("rope_theta", "rope_scaling", "partial_rotary_factor", "rotary_pct", "rotary_emb_base", "rope_local_base_freq")


def edit(directory: Path, *without: str, **fields: object) -> Path:
    path = directory / "config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key not in without}
    path.write_text(json.dumps(config | fields))
    return directory


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(input_ids=torch.arange(40)[None], use_cache=False).logits


@pytest.mark.parametrize(
    "key", ["use_quantum_attention", "attention_multiplier", "rotary_fraction", "layer_scale", "rope_interleaved"]
)
def test_a_key_that_would_be_dropped_is_refused_by_name(tmp_path, key):
    edit(write_checkpoint(tmp_path), **{key: 2.0})
    with pytest.raises(InputError, match=rf"says {key}, which transformers .* does not know of a llama"):
        read_configuration(tmp_path)


def test_notes_and_what_is_off_are_no_reason(tmp_path):
    edit(
        write_checkpoint(tmp_path),
        _name_or_path="somewhere",
        unsloth_version="2026.1",
        n_ctx=64,
        quantizer_note=None,
        rope_interleaved=False,
        attn_pdrop=0.1,
        num_nextn_predict_layers=1,
        interpolate_factor=1,
        task_specific_params={"text-generation": {"max_length": 50}},
        **{"transformers.js_config": {"dtype": "q4"}},
    )
    assert longest_text(read_configuration(tmp_path)) == 64


def test_the_rule_behind_windows_is_no_news_beside_the_windows(tmp_path):
    """A Cohere 2 as transformers 4 writes it, and one that has the rule alone, under the name that only it writes."""
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    made = Cohere2ForCausalLM(Cohere2Config(**SIZES, **GROUPED, sliding_window=6, layer_types=kinds))
    made.save_pretrained(tmp_path)
    edit(tmp_path, _sliding_window_pattern=4)
    torch.testing.assert_close(logits(read_model(tmp_path, torch.float32, "eager")), logits(made), atol=1e-4, rtol=0.0)
    edit(tmp_path, "layer_types")
    if transformers.__version__ >= "5":
        with pytest.raises(InputError, match="says _sliding_window_pattern, which transformers"):
            read_configuration(tmp_path)


def test_code_beside_a_checkpoint_is_neither_run_nor_asked_about(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    code = {"AutoConfig": "configuration.Mine", "AutoModelForCausalLM": "modeling.Mine"}
    edit(write_checkpoint(tmp_path), model_type="mine", auto_map=code)
    (tmp_path / "configuration.py").write_text("raise SystemExit")
    with pytest.raises(InputError, match=r"needs code of its own \(auto_map in config.json\), which is never run here"):
        read_configuration(tmp_path)


@pytest.mark.parametrize("kind", ["mine", None])
def test_an_unknown_kind_is_refused(tmp_path, kind):
    edit(write_checkpoint(tmp_path), model_type=kind)
    with pytest.raises(InputError, match=f"a kind that this version does not know \\(model_type {kind!r}"):
        read_configuration(tmp_path)


def test_an_encoder_decoder_is_refused(tmp_path):
    BartConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"is an encoder-decoder model \(bart\)"):
        read_configuration(tmp_path)


def _rotated(share: float, theta: float = 10000.0) -> dict[str, object]:
    return {"rope_type": "default", "rope_theta": theta, "partial_rotary_factor": share}


@NEEDS_4
@pytest.mark.parametrize(
    ("model", "config", "rope"),
    [
        (StableLmForCausalLM, StableLmConfig(**SIZES | GROUPED, partial_rotary_factor=0.5), _rotated(0.5)),
        (Phi3ForCausalLM, Phi3Config(**SIZES | GROUPED, partial_rotary_factor=0.75, pad_token_id=None), _rotated(0.75)),
        (GPTNeoXForCausalLM, GPTNeoXConfig(**SIZES, rotary_pct=1.0, rotary_emb_base=500), _rotated(1.0, 500.0)),
    ],
)
def test_rotary_parameters_of_transformers_5_say_the_same_to_4(tmp_path, model, config, rope):
    made = model(config)
    made.set_attn_implementation("eager")
    made.save_pretrained(tmp_path)
    edit(tmp_path, *OLD, rope_parameters=rope)
    torch.testing.assert_close(logits(read_model(tmp_path, torch.float32, "eager")), logits(made), atol=1e-4, rtol=0.0)


@NEEDS_4
@pytest.mark.parametrize("old", ["rope_scaling", "rope_parameters"])
def test_rotary_parameters_that_4_would_leave_out_are_read_or_refused(tmp_path, old):
    """transformers 5 reads both names; transformers 4 looks for the base of the angles beside the old one only."""
    made = LlamaForCausalLM(
        LlamaConfig(**SIZES | GROUPED, rope_theta=500.0, rope_scaling={"rope_type": "linear", "factor": 2.0})
    )
    made.set_attn_implementation("eager")
    made.save_pretrained(tmp_path)
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}
    edit(tmp_path, *OLD, **{old: rope})
    torch.testing.assert_close(logits(read_model(tmp_path, torch.float32, "eager")), logits(made), atol=1e-4, rtol=0.0)
    edit(tmp_path, *OLD, **{old: rope | {"llama_4_scaling_beta": 0.1}})
    with pytest.raises(InputError, match="says llama_4_scaling_beta of rotary positions, which transformers 4"):
        read_configuration(tmp_path)


@NEEDS_4
def test_the_four_keys_of_a_longrope_are_three_and_one(tmp_path):
    scaling = {"type": "longrope", "short_factor": [1.0] * 16, "long_factor": [3.0] * 16}
    config = Phi3Config(**SIZES | GROUPED, pad_token_id=None, rope_scaling=scaling, original_max_position_embeddings=20)
    made = Phi3ForCausalLM(config)
    made.set_attn_implementation("eager")
    made.save_pretrained(tmp_path)
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 20, **scaling}
    edit(tmp_path, *OLD, rope_parameters={key: value for key, value in rope.items() if key != "type"})
    torch.testing.assert_close(logits(read_model(tmp_path, torch.float32, "eager")), logits(made), atol=1e-4, rtol=0.0)


@NEEDS_4
def test_the_length_of_training_that_4_would_not_see_is_refused(tmp_path):
    scaling = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4, "factor": 4.0}
    edit(write_checkpoint(tmp_path), rope_scaling=scaling | {"original_max_position_embeddings": 16})
    with pytest.raises(InputError, match="original_max_position_embeddings 16 of a longrope, which transformers 4"):
        read_configuration(tmp_path)


def _gemma3(directory: Path, **rope: object) -> PreTrainedModel:
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    config = Gemma3TextConfig(
        **SIZES,
        **GROUPED,
        head_dim=16,
        sliding_window=6,
        layer_types=kinds,
        rope_theta=5000.0,
        rope_local_base_freq=100.0,
    )
    model = Gemma3ForCausalLM(config)
    model.save_pretrained(directory)
    edit(directory, *OLD, rope_parameters=rope)
    return model


@NEEDS_4
def test_rotary_parameters_by_kind_of_layer(tmp_path):
    whole, local = ({"rope_type": "default", "rope_theta": theta} for theta in (5000.0, 100.0))
    made = _gemma3(tmp_path, full_attention=whole, sliding_attention=local)
    torch.testing.assert_close(logits(read_model(tmp_path, torch.float32, "eager")), logits(made), atol=1e-4, rtol=0.0)


@NEEDS_4
@pytest.mark.parametrize(
    ("rope", "match"),
    [
        ({"full_attention": {"rope_theta": 5.0}, "other_attention": {"rope_theta": 6.0}}, "by kind of layer"),
        (
            {"full_attention": {}, "sliding_attention": {"rope_type": "linear", "rope_theta": 1.0}},
            r"rope_parameters\.sliding_attention",
        ),
    ],
)
def test_rotary_parameters_that_4_has_no_words_for_are_refused(tmp_path, rope, match):
    _gemma3(tmp_path, **rope)
    with pytest.raises(InputError, match=f"{match}.*cannot read; take transformers 5"):
        read_configuration(tmp_path)


@pytest.mark.parametrize(
    ("beside", "within", "key"),
    [
        ({"rope_theta": 10000.0}, {"rope_theta": 500.0}, "rope_theta"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, {"rope_theta": 1e4}, "rope_scaling"),
        (
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
            {"rope_type": "linear", "factor": 4.0},
            "rope_scaling",
        ),
        ({"rope_theta": 5.0}, {"full_attention": {"rope_theta": 6.0}}, "rope_theta"),
    ],
)
def test_rotary_parameters_said_twice_must_be_the_same(tmp_path, beside, within, key):
    edit(write_checkpoint(tmp_path), *OLD, "rope_parameters", rope_parameters=within, **beside)
    with pytest.raises(InputError, match=f"says {key} twice, and differently"):
        read_configuration(tmp_path)


def test_rotary_parameters_said_twice_alike_are_read(tmp_path):
    both = {"rope_theta": 500.0, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    edit(write_checkpoint(tmp_path), *OLD, **both)
    read_configuration(tmp_path)


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_of_nothing_is_refused(tmp_path, window):
    edit(write_checkpoint(tmp_path), model_type="mistral", sliding_window=window)
    with pytest.raises(InputError, match=f"says sliding_window {window}, and a window holds at least one token"):
        read_configuration(tmp_path)
