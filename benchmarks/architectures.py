"""Tiny checkpoints with random weights, of many architectures and of the options that change what they compute."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel

# Ids of the tokenizer, and of the rows that some checkpoints pad it to; the longest text, and how far windows reach.
VOCABULARY, PADDED, CONTEXT, WINDOW = 300, 320, 256, 32
_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        name: for people.
        model: the name of transformers' class.
        config: the name of its configuration.
        options: of the configuration, beside the common sizes.
        without: common sizes that it must not be given.
        apart: why two versions of transformers rightly compute something else of one checkpoint.
    """

    name: str
    model: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    apart: str = ""

    @property
    def slug(self) -> str:
        """Its name as a directory."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())

    def build(self) -> PreTrainedModel | None:
        """The model with weights large enough that everything matters; None where this transformers has no such."""
        make_config, make_model = (getattr(transformers, name, None) for name in (self.config, self.model))
        if make_config is None or make_model is None:
            return None
        takes = {*inspect.signature(make_config).parameters, *make_config.attribute_map}
        takes |= set(inspect.signature(make_config.__init__).parameters)
        common = {key: value for key, value in _COMMON.items() if key in takes and key not in self.without}
        torch.manual_seed(0)
        model = make_model(make_config(**common | self.options))
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(0.15 * torch.randn_like(weight)) if weight.dim() > 1 else weight.add_(
                    0.1 * torch.randn_like(weight)
                )
        return model.eval()


def save(model: PreTrainedModel, directory: Path) -> None:
    """Write a checkpoint with a tokenizer that has a word for each id."""
    model.save_pretrained(directory)
    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(directory / "tokenizer.json"))


def _of(
    name: str, prefix: str, config: str | None = None, without: tuple[str, ...] = (), /, **options: Any
) -> Architecture:
    return Architecture(name, f"{prefix}ForCausalLM", config or f"{prefix}Config", options, without)


_FULL, _SLIDING = "full_attention", "sliding_attention"
_MIXED = {"layer_types": [_SLIDING, _SLIDING, _FULL], "sliding_window": WINDOW}
_HEAD = {"head_dim": 16}
_GPT2 = {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 3, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_MOE = _EXPERTS | {"moe_intermediate_size": 32}
_MLA = {"kv_lora_rank": 16, "q_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16}
_DEEPSEEK = _MLA | {
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
_LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [1.0 + i for i in range(8)]}
_T5 = {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4}


def _gpt2(name: str, **options: Any) -> Architecture:
    return Architecture(
        name, "GPT2LMHeadModel", "GPT2Config", _GPT2 | {"vocab_size": VOCABULARY} | options, (*_COMMON,)
    )


ARCHITECTURES = [
    _of("Llama", "Llama"),
    _of("Llama, padded vocabulary", "Llama", vocab_size=PADDED),
    _of(
        "Llama, tied, with biases, wide heads",
        "Llama",
        tie_word_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
        head_dim=32,
    ),
    _of("Llama, one key-value head", "Llama", num_key_value_heads=1),
    _of("Llama, rope theta 500", "Llama", rope_theta=500.0),
    _of("Llama, linear rope", "Llama", rope_scaling={"rope_type": "linear", "factor": 4.0}),
    _of("Llama, dynamic rope", "Llama", rope_scaling={"rope_type": "dynamic", "factor": 4.0}),
    _of("Llama, llama3 rope", "Llama", rope_scaling=_LLAMA3),
    _of("Llama, yarn rope", "Llama", rope_scaling=_YARN),
    _of("Llama, longrope", "Llama", rope_scaling=_LONGROPE | {"factor": 4.0}),
    _of("Mistral", "Mistral", sliding_window=None),
    _of("Mistral, sliding window", "Mistral", sliding_window=WINDOW),
    _of("Ministral, mixed windows", "Ministral", **_MIXED, **_HEAD),
    _of("Mixtral", "Mixtral", sliding_window=WINDOW, num_local_experts=4, num_experts_per_tok=2),
    _of("Qwen2", "Qwen2"),
    _of("Qwen2, sliding window", "Qwen2", use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    _of("Qwen2-MoE", "Qwen2Moe", **_MOE | {"shared_expert_intermediate_size": 32}),
    _of("Qwen3", "Qwen3", **_HEAD),
    _of("Qwen3, mixed windows", "Qwen3", **_HEAD, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    _of("Qwen3-MoE", "Qwen3Moe", **_MOE, **_HEAD),
    _of("Qwen3-Next (linear attention)", "Qwen3Next", **_MOE, **_HEAD),
    _of("SmolLM3 (some layers without positions)", "SmolLM3", no_rope_layers=[1, 1, 0]),
    _of("OLMo", "Olmo", clip_qkv=8.0),
    _of("OLMo2", "Olmo2"),
    _of("OLMo3", "Olmo3", **_MIXED),
    _of("OLMoE", "Olmoe", **_EXPERTS),
    _of("FlexOlmo", "FlexOlmo", **_EXPERTS),
    _of(
        "Granite (multipliers)",
        "Granite",
        embedding_multiplier=3.0,
        attention_multiplier=0.1,
        residual_multiplier=0.5,
        logits_scaling=2.0,
    ),
    _of("Granite-MoE", "GraniteMoe", num_local_experts=4, num_experts_per_tok=2),
    _of(
        "Granite-MoE hybrid (Mamba layers)",
        "GraniteMoeHybrid",
        layer_types=["mamba", "attention", "mamba"],
        mamba_n_heads=4,
        mamba_d_head=32,
        mamba_d_state=16,
    ),
    _of("Cohere (logit scale)", "Cohere", logit_scale=0.2, use_qk_norm=True),
    _of("Cohere2", "Cohere2", **_MIXED),
    _of("Gemma", "Gemma", **_HEAD),
    _of("Gemma 2", "Gemma2", **_HEAD, query_pre_attn_scalar=16, sliding_window=WINDOW),
    _of(
        "Gemma 2, low soft cap",
        "Gemma2",
        **_HEAD,
        query_pre_attn_scalar=16,
        sliding_window=WINDOW,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=5.0,
    ),
    _of("Gemma 3", "Gemma3", "Gemma3TextConfig", **_HEAD, **_MIXED, query_pre_attn_scalar=16),
    _of(
        "Gemma 3, two ropes",
        "Gemma3",
        "Gemma3TextConfig",
        **_HEAD,
        **_MIXED,
        query_pre_attn_scalar=16,
        rope_theta=5000.0,
        rope_local_base_freq=100.0,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    ),
    Architecture(
        "Gemma 3 with images",
        "Gemma3ForConditionalGeneration",
        "Gemma3Config",
        {
            "text_config": {**_COMMON, **_HEAD, **_MIXED, "query_pre_attn_scalar": 16},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 16,
                "patch_size": 8,
            },
            "mm_tokens_per_image": 4,
        },
    ),
    _of("VaultGemma", "VaultGemma", **_HEAD, **_MIXED, query_pre_attn_scalar=16),
    _of(
        "gpt-oss (sinks)",
        "GptOss",
        **_HEAD,
        **_MIXED,
        num_local_experts=4,
        num_experts_per_tok=2,
        rope_scaling=_YARN | {"beta_fast": 32.0, "beta_slow": 1.0, "truncate": False},
    ),
    _gpt2("GPT-2"),
    _gpt2("GPT-2, scores divided by layer", scale_attn_by_inverse_layer_idx=True),
    _gpt2("GPT-2, scores not scaled", scale_attn_weights=False),
    _gpt2("GPT-2, reordered and upcast", reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True),
    _gpt2("GPT-2, other activation", activation_function="relu", n_inner=48),
    _of("GPT-BigCode (one key-value head)", "GPTBigCode", n_positions=CONTEXT, n_embd=64, n_layer=3, n_head=4),
    _of("GPT-J", "GPTJ", n_positions=CONTEXT, n_embd=64, n_layer=3, n_head=4, rotary_dim=8),
    _of(
        "GPT-Neo (local layers)",
        "GPTNeo",
        None,
        ("num_hidden_layers", "num_attention_heads"),
        attention_types=[[["global", "local"], 1]],
        num_layers=2,
        num_heads=4,
        window_size=WINDOW,
        max_position_embeddings=CONTEXT,
        hidden_size=64,
    ),
    _of("GPT-NeoX", "GPTNeoX", rotary_pct=0.5),
    _of("GPT-NeoX, all dimensions rotated, serial", "GPTNeoX", rotary_pct=1.0, use_parallel_residual=False),
    _of("CodeGen", "CodeGen", n_positions=CONTEXT, n_ctx=CONTEXT, n_embd=64, n_layer=3, n_head=4, rotary_dim=8),
    _of("Falcon, one key-value head", "Falcon", alibi=False, new_decoder_architecture=False, multi_query=True),
    _of("Falcon, grouped heads", "Falcon", alibi=False, new_decoder_architecture=True, num_kv_heads=2),
    _of("Falcon, ALiBi", "Falcon", alibi=True, new_decoder_architecture=False, multi_query=False),
    _of("MPT (ALiBi)", "Mpt", d_model=64, n_layers=3, n_heads=4, max_seq_len=CONTEXT),
    _of("BLOOM (ALiBi)", "Bloom", n_layer=3, n_head=4, hidden_size=64),
    _of("OPT", "OPT", ffn_dim=96, word_embed_proj_dim=64),
    _of("Phi", "Phi", partial_rotary_factor=0.5, qk_layernorm=True),
    _of("Phi-3, sliding window", "Phi3", sliding_window=WINDOW),
    _of(
        "Phi-3, longrope",
        "Phi3",
        original_max_position_embeddings=64,
        rope_scaling={"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [1.0 + i for i in range(8)]},
    ),
    _of("Phi-3, partly rotated", "Phi3", partial_rotary_factor=0.5, sliding_window=None),
    _of("PhiMoE", "Phimoe", num_local_experts=4, num_experts_per_tok=2, sliding_window=WINDOW),
    _of("StableLM, partly rotated", "StableLm", partial_rotary_factor=0.25, use_qkv_bias=True),
    _of("StableLM, parallel", "StableLm", use_parallel_residual=True),
    _of("StarCoder2", "Starcoder2", sliding_window=WINDOW),
    _of("Persimmon", "Persimmon"),
    _of("Nemotron", "Nemotron", **_HEAD),
    _of("GLM", "Glm", **_HEAD, partial_rotary_factor=0.5),
    _of("GLM-4", "Glm4", **_HEAD, partial_rotary_factor=0.5),
    _of(
        "GLM-4-MoE",
        "Glm4Moe",
        **_HEAD,
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
        use_qk_norm=True,
    ),
    _of("DeepSeek V2 (MLA)", "DeepseekV2", **_DEEPSEEK),
    _of("DeepSeek V3 (MLA)", "DeepseekV3", **_DEEPSEEK),
    _of(
        "DeepSeek V3, yarn with mscale",
        "DeepseekV3",
        **_DEEPSEEK,
        rope_scaling=_YARN | {"mscale": 0.7, "mscale_all_dim": 0.7, "beta_fast": 32, "beta_slow": 1},
    ),
    _of("Dots1", "Dots1", **_HEAD, **{k: v for k, v in _DEEPSEEK.items() if k not in _MLA}),
    _of("EXAONE 4", "Exaone4", **_MIXED),
    _of("Seed-OSS", "SeedOss", **_HEAD),
    _of("Arcee", "Arcee"),
    Architecture(
        "Apertus",
        "ApertusForCausalLM",
        "ApertusConfig",
        apart="transformers 4 computes this activation in bfloat16, transformers 5 in float32",
    ),
    _of("Helium", "Helium", **_HEAD),
    _of("ERNIE 4.5", "Ernie4_5", **_HEAD),
    _of("Hunyuan", "HunYuanDenseV1", **_HEAD),
    _of("BitNet", "BitNet"),
    _of("DiffLlama", "DiffLlama"),
    _of(
        "DBRX",
        "Dbrx",
        d_model=64,
        n_heads=4,
        n_layers=3,
        max_seq_len=CONTEXT,
        attn_config={"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 500.0},
        ffn_config={"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    ),
    _of("BioGPT", "BioGpt"),
    _of("XGLM", "XGLM", d_model=64, ffn_dim=96, num_layers=3, attention_heads=4),
    _of(
        "Llama 4 (chunked attention)",
        "Llama4",
        "Llama4TextConfig",
        **_HEAD,
        attention_chunk_size=WINDOW,
        num_local_experts=2,
        intermediate_size_mlp=96,
    ),
    _of("ModernBERT decoder", "ModernBertDecoder", pad_token_id=0, local_attention=WINDOW),
    Architecture(
        "OpenAI GPT",
        "OpenAIGPTLMHeadModel",
        "OpenAIGPTConfig",
        {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 2, "n_head": 4},
    ),
    Architecture("XLNet", "XLNetLMHeadModel", "XLNetConfig", {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 96}),
    Architecture(
        "CTRL",
        "CTRLLMHeadModel",
        "CTRLConfig",
        {"n_positions": CONTEXT, "n_embd": 64, "n_layer": 2, "n_head": 4, "dff": 96},
    ),
    Architecture("BERT as a decoder", "BertLMHeadModel", "BertConfig", {"is_decoder": True}),
    Architecture("BERT", "BertForMaskedLM", "BertConfig"),
    Architecture("BigBird", "BigBirdForCausalLM", "BigBirdConfig", {"is_decoder": True, "block_size": 16}),
    Architecture("T5 (encoder-decoder)", "T5ForConditionalGeneration", "T5Config", _T5),
    Architecture(
        "BART (encoder-decoder)",
        "BartForConditionalGeneration",
        "BartConfig",
        {
            "d_model": 64,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 96,
            "decoder_ffn_dim": 96,
        },
    ),
    _of("Mamba", "Mamba", state_size=8),
    _of("Mamba 2", "Mamba2", state_size=16, num_heads=8, head_dim=16, n_groups=1, expand=2),
    _of("RWKV", "Rwkv", attention_hidden_size=64, context_length=CONTEXT),
    _of("RecurrentGemma", "RecurrentGemma", attention_window_size=WINDOW, lru_width=64, num_key_value_heads=1, **_HEAD),
    _of("Jamba", "Jamba", use_mamba_kernels=False, attn_layer_period=2, attn_layer_offset=1, num_experts=2),
    _of("Bamba", "Bamba", attn_layer_indices=[1], mamba_n_heads=4, mamba_d_head=32, mamba_d_state=16),
    _of(
        "Zamba2",
        "Zamba2",
        layers_block_type=["mamba", "hybrid", "mamba"],
        mamba_ngroups=1,
        n_mamba_heads=8,
        mamba_d_state=16,
    ),
    _of("Falcon-H1", "FalconH1", mamba_n_heads=4, mamba_d_head=32, mamba_d_state=16, mamba_d_ssm=128),
    _of("LFM2 (convolutions)", "Lfm2", layer_types=["conv", "full_attention", "conv"], block_auto_adjust_ff_dim=False),
    _of(
        "MiniMax (lightning attention)",
        "MiniMax",
        **_HEAD,
        num_local_experts=4,
        num_experts_per_tok=2,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
    ),
    _of("xLSTM", "xLSTM", num_heads=4),
]
