"""Keys of config.json: those of real files pass, and each that could be another model is refused."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import CONFIG_MAPPING

from cloud_target.engine.hf.configuration import read_configuration
from cloud_target.engine.hf.keys import is_known, is_note
from shared.errors import InputError
from tests.cloud_target.engine.checkpoints import write_checkpoint
from tests.cloud_target.engine.hf.test_configuration import edit

KINDS = [
    "bloom",
    "cohere",
    "deepseek_v3",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3_text",
    "glm",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_oss",
    "gptj",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "mpt",
    "olmo2",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "stablelm",
    "starcoder2",
]
# What the files of well-known checkpoints say beside the sizes: of Llama 2 and 3, Vicuna, SmolLM, Unsloth, GPT-2, Qwen.
REAL: dict[str, Any] = {
    "_name_or_path": "meta-llama/Llama-2-7b-hf",
    "architectures": ["LlamaForCausalLM"],
    "attention_dropout": 0.0,
    "attn_pdrop": 0.1,
    "bos_token_id": 1,
    "embd_pdrop": 0.1,
    "eos_token_id": [2, 3],
    "finetuning_task": None,
    "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0"},
    "initializer_range": 0.02,
    "is_llama_config": True,
    "label2id": {"LABEL_0": 0},
    "max_sequence_length": 2048,
    "model_max_length": 2048,
    "n_ctx": 64,
    "output_past": True,
    "pad_token_id": 0,
    "predict_special_tokens": True,
    "pretraining_tp": 1,
    "problem_type": None,
    "rope_interleaved": False,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "temperature": 0.6,
    "tokenizer_class": "LlamaTokenizer",
    "torch_dtype": "bfloat16",
    "transformers.js_config": {"dtype": "q4"},
    "transformers_version": "4.31.0.dev0",
    "unsloth_fixed": True,
    "use_cache": True,
}
# Names that look harmless, and words that the source only spells.
STRANGE = [
    "output_multiplier",
    "output_logit_softcap",
    "temperature_scaling",
    "temperature_scale",
    "fused_qk_norm",
    "task_embedding",
    "embedding_init_multiplier",
    "label_smoothing_window",
    "prefix_lm",
    "use_aux_head",
    "labelled_window",
    "attention_scaling",
    "scaling",
    "use_bias",
    "top_k_attention",
    "dropout_free_norm",
    "lossless_rope",
    "versioned_norm",
    "dtype_scale",
    "hidden_states",
    "attn_weights",
    "query_states",
    "inv_freq",
    "layer_idx",
]


@pytest.mark.parametrize("key", STRANGE)
def test_a_key_like_another_or_like_a_word_of_the_source_is_refused(tmp_path, key):
    edit(write_checkpoint(tmp_path), **{key: 3.0})
    with pytest.raises(InputError, match=rf"says {key}, which transformers .* does not know of a llama"):
        read_configuration(tmp_path)


@pytest.mark.parametrize(("key", "usual"), [("causal_attention", True), ("use_rope", None), ("use_norm", None)])
def test_what_every_llama_does_cannot_be_switched_off(tmp_path, key, usual):
    edit(write_checkpoint(tmp_path), **{key: usual})
    read_configuration(tmp_path)
    edit(tmp_path, **{key: False})
    with pytest.raises(InputError, match=f"says {key}, which"):
        read_configuration(tmp_path)


def test_what_real_files_say_is_read(tmp_path):
    edit(write_checkpoint(tmp_path), **REAL)
    assert read_configuration(tmp_path).max_position_embeddings == 64


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_knows_all_that_it_writes_itself(kind):
    written = CONFIG_MAPPING[kind]().to_dict()
    assert [key for key in written if not (is_known(key, CONFIG_MAPPING[kind]) or is_note(key))] == []


def test_bloom_says_what_it_does_anyway(tmp_path):
    CONFIG_MAPPING["bloom"](vocab_size=40, hidden_size=16, n_layer=1, n_head=2).save_pretrained(tmp_path)
    edit(tmp_path, masked_softmax_fusion=True, offset_alibi=100, skip_bias_add=True, attention_softmax_in_fp32=True)
    read_configuration(tmp_path)
    edit(tmp_path, offset_alibi=50)
    with pytest.raises(InputError, match="says offset_alibi"):
        read_configuration(tmp_path)
