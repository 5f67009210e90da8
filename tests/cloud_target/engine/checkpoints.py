"""Tiny random checkpoints of several architectures, made by the tests."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY, PADDED, CONTEXT = 40, 48, 64
_WIDTHS = {
    "vocab_size": PADDED,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.4,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": None,
}


def _gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=PADDED, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, initializer_range=0.4, bos_token_id=0
    )
    return GPT2LMHeadModel(config)


def _gptj() -> PreTrainedModel:
    config = GPTJConfig(
        vocab_size=PADDED, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, initializer_range=0.4
    )
    return GPTJForCausalLM(config)


def _gemma3() -> PreTrainedModel:
    kinds = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**_WIDTHS, sliding_window=6, layer_types=kinds, query_pre_attn_scalar=8))


MAKERS = {
    "gpt2": _gpt2,
    "gptj": _gptj,
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_WIDTHS)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**{k: v for k, v in _WIDTHS.items() if k != "head_dim"})),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_WIDTHS, sliding_window=6)),
    "gemma3": _gemma3,
}


def make_tokenizer(size: int = VOCABULARY) -> Tokenizer:
    """One id a character, from the space up."""
    tokenizer = Tokenizer(models.BPE({chr(32 + i): i for i in range(size)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tokenizer


def write_checkpoint(directory: Path, kind: str = "llama", seed: int = 0, vocabulary: int = VOCABULARY) -> Path:
    """Weights, configuration and tokenizer under `directory`."""
    torch.manual_seed(seed)
    MAKERS[kind]().save_pretrained(directory)
    make_tokenizer(vocabulary).save(str(directory / "tokenizer.json"))
    return directory
