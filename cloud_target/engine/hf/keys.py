"""Which keys of a config.json an architecture obeys, and which say nothing of what a model computes.

transformers takes keys that it does not know for notes. A key counts as obeyed where a class of the configuration takes
it, or the source of the architecture reads it from the configuration; a word that is only spelled there does not.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PretrainedConfig

# Whole names, from checkpoints of this world: a pattern would let pass what nobody has thought of.
_FILES = """
_name_or_path name_or_path _model_name_or_path _commit_hash _attn_implementation _attn_implementation_autoset
_attn_implementation_internal _experts_implementation _flash_attn_2_enabled _num_labels architectures
attn_implementation auto_map base_model base_model_name_or_path description dtype gguf_file
is_llama_config language languages library_name license mindspore_version _mindspore_version model_name
model_type name name_or_id tags tokenizer tokenizer_class tokenizer_file tokenizer_name
tokenizer_type torch_dtype transformers.js_config transformers_version unsloth_fixed unsloth_version vocab_file
"""
_TRAINING = """
activation_dropout attention_dropout attention_dropout_prob attention_probs_dropout_prob attn_dropout attn_dropout_prob
attn_pdrop aux_loss_alpha aux_loss_coef base_model_ep_plan base_model_pp_plan base_model_tp_plan classifier_dropout
dropout embd_pdrop emb_dropout_prob embed_dropout embed_pdrop embedding_dropout embedding_init_std expert_dropout
ffn_dropout ffn_dropout_rate gradient_checkpointing hidden_dropout hidden_dropout_prob init_device init_method
init_method_std init_std initializer_factor initializer_range initializer_std input_jitter_noise layerdrop loss_type
mlp_dropout moe_aux_loss_coeff output_router_logits output_router_probs resid_dropout resid_pdrop residual_dropout
router_aux_loss_coef router_dropout router_jitter_noise router_z_loss_coef seed seq_aux tf_legacy_loss use_aux_loss
z_loss z_loss_coef
"""
# Heads beside the one that writes the text: classes, and the tokens after the next.
_OTHER_HEADS = """
finetuning_task id2label label2id label_smoothing label_smoothing_factor mtp_loss_scaling_factor n_special num_labels
num_mtp_layers num_nextn_predict_layers predict_special_tokens problem_type summary_activation summary_first_dropout
summary_hidden_size summary_last_dropout summary_proj_to_labels summary_type summary_use_proj task_specific_params
"""
# How, and on what, the same is computed.
_MEANS = """
bf16 ep_size flash_attn flash_attention fp16 fp32 fused_bias_fc fused_dropout_add_ln fused_mlp inference_runner
is_encoder_decoder max_batch_size onnx_safe pre_allocate_kv_cache pretraining_tp return_dict slow_but_exact
tensor_parallel_degree torchscript use_bfloat16 use_cache use_flash_attention use_flash_attention_2 use_flash_attn
use_memory_efficient_attention use_xformers validate_runner_input xla_device
"""
# What older versions kept in the configuration for `generate`, and the ids and lengths of texts.
_TEXTS = """
bad_words_ids begin_suppress_tokens cache_implementation diversity_penalty do_sample early_stopping
encoder_no_repeat_ngram_size exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty
max_length min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions
output_hidden_states output_past output_scores prefix remove_invalid_values repetition_penalty
return_dict_in_generate suppress_tokens temperature top_k top_p typical_p
bos_token bos_token_id cls_token_id decoder_start_token_id eod_token_id eos_token eos_token_id mask_token_id pad_token
pad_token_id sep_token_id unk_token unk_token_id
audio_token_id boi_token_id eoi_token_id im_end_id im_start_id image_token_id image_token_index video_token_id
vision_end_token_id vision_start_token_id vision_token_id
initial_context_length max_position_embeddings max_seq_len max_seq_length max_sequence_length model_max_length n_ctx
n_positions seq_length
"""
_NOTES = frozenset((_FILES + _TRAINING + _OTHER_HEADS + _MEANS + _TEXTS).split()) | vars(GenerationConfig()).keys()
# Keys that say no more than what the architecture does anyway.
_IMPLIED: dict[str, dict[str, object]] = {
    "bloom": {
        "attention_softmax_in_fp32": True,
        "bias_dropout_fusion": True,
        "masked_softmax_fusion": True,
        "offset_alibi": 100,
        "skip_bias_add": True,
    },
    "deepseek_v2": {"scoring_func": "softmax"},
    "deepseek_v3": {"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "gpt_oss": {"swiglu_alpha": 1.702, "swiglu_limit": 7.0},
    "gptj": {"rotary": True, "scale_attn_weights": True},
}
# What every decoder does: to say so is nothing new, and to be without it is another model.
_CAUSAL = {"is_causal", "causal", "causal_attention", "causal_mask", "use_causal_mask", "unidirectional"}
# What is no news where it is off, but for these: without them, a model is another one.
_USUAL = {
    *("rope", "rotary", "use_rope", "use_rotary", "use_rotary_emb", "use_rotary_embeddings", "use_pos_emb", "pre_norm"),
    *("normalize_before", "do_layer_norm_before", "scale_attn", "scale_attn_weights", "scale_attention", "scale_qk"),
    *("use_norm", "final_norm", "use_final_norm", "use_residual", "residual", "use_mlp", "use_gate", "gated_mlp"),
}
# Factors, which change nothing where they are 1.
_FACTOR = re.compile(r"factor$|scale$|multiplier$|_mod$|_freq$")
# How sources read a key: from an object that is called the configuration, by its name, or out of a dictionary.
_READ = re.compile(
    r"""config\w*\.(\w+)|(?:getattr|hasattr)\([\w.]*config\w*,\s*["'](\w+)["']"""
    r"""|\.(?:get|pop|setdefault)\(\s*["'](\w+)["']|["'](\w+)["'] (?:not )?in (?:kwargs|[\w.]*config\w*)"""
)
# Attributes that a configuration works out for itself, and writes into its file.
_SET = re.compile(r"self\.(\w+)(?:: [^=\n]+)? = ")


def is_known(key: str, kind: type[PretrainedConfig]) -> bool:
    """Whether this transformers does something with a key in configurations of a kind."""
    names: frozenset[str] = _names(kind)  # type: ignore[arg-type]  # classes can be hashed, whatever theirs can
    return key in names


def is_note(key: str) -> bool:
    """Whether a key says nothing of what a model computes, of whatever architecture."""
    return key in _NOTES


def changes_nothing(key: str, value: Any, kind: str) -> bool:
    """Whether a key that transformers does not know may be left out: off, a factor of one, or what is done anyway."""
    if key in _CAUSAL:
        return value in (None, True)
    off = value is None or (value is False and key not in _USUAL) or value in ("", [], {})
    factor = type(value) in (int, float) and value == 1 and _FACTOR.search(key) is not None
    implied = _IMPLIED.get(kind, {})
    return off or factor or (key in implied and implied[key] == value)


@cache
def _names(kind: type[PretrainedConfig]) -> frozenset[str]:
    """All that the configuration's classes take, and that the source of the architecture reads from one."""
    names: set[str] = set()
    for base in kind.__mro__[:-1]:
        names.update(name for name, value in vars(base).items() if not callable(value))
        other_names: dict[str, str] = getattr(base, "attribute_map", {}) or {}
        names.update(getattr(base, "__annotations__", {}), other_names, other_names.values())
        names.update(inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else ())
        path = Path(str(sys.modules[base.__module__].__file__))
        beside = ("configuration_*.py", "modeling_*.py") if ".models." in base.__module__ else (path.name,)
        for source in (source for pattern in beside for source in path.parent.glob(pattern)):
            text = source.read_text(encoding="utf-8")
            names.update(name for found in _READ.findall(text) for name in found)
            names.update(_SET.findall(text) if source.name.startswith("configuration_") else ())
    return frozenset(names)
